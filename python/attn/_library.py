# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The C interfaces of libAttnRuntime and libAttnCompiler through ctypes."""

import ctypes
import functools
import os
import weakref
from pathlib import Path

import numpy as np

from attn import _dtypes

MAX_RANK = 8
BAD_OPTION = 2
UNSUPPORTED = 3


class Error(RuntimeError):
    """A failure of the compiler or the runtime; the text is its message."""


class UnsupportedError(Error):
    """The model is correct but needs an operator or type that is not there."""


class Tensor(ctypes.Structure):
    """attn_rt_tensor"""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * MAX_RANK),
    ]


class Info(ctypes.Structure):
    """attn_rt_tensor_info"""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * MAX_RANK),
        ("dims", ctypes.c_char_p * MAX_RANK),
    ]


PROGRESS = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p
)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class Options(ctypes.Structure):
    """attn_compile_options"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("target", ctypes.c_char_p),
        ("entry", ctypes.c_char_p),
        ("emit", ctypes.c_char_p),
        ("elide_weights", ctypes.c_int32),
        ("progress", PROGRESS),
        ("progress_context", ctypes.c_void_p),
        ("attention", ctypes.c_char_p),
        ("emulate", ctypes.c_int32),
        ("sparse", ctypes.c_char_p),
        ("report", ctypes.c_char_p),
    ]


class RunOptions(ctypes.Structure):
    """attn_rt_run_options"""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("device", ctypes.c_int32),
        ("on_device", ctypes.c_int32),
        ("stream", ctypes.c_void_p),
    ]


_module = ctypes.c_void_p
_options = ctypes.POINTER(Options)
_string = ctypes.c_char_p

RUNTIME_FUNCTIONS = {
    "attn_rt_last_error": (_string, []),
    "attn_rt_version": (_string, []),
    "attn_rt_load": (_module, [_string]),
    "attn_rt_unload": (None, [_module]),
    "attn_rt_num_inputs": (ctypes.c_int32, [_module]),
    "attn_rt_num_outputs": (ctypes.c_int32, [_module]),
    "attn_rt_input_info": (ctypes.c_int, [_module, ctypes.c_int32, ctypes.POINTER(Info)]),
    "attn_rt_output_info": (ctypes.c_int, [_module, ctypes.c_int32, ctypes.POINTER(Info)]),
    "attn_rt_metadata": (_string, [_module]),
    "attn_rt_run_with": (
        ctypes.c_int,
        [_module, ctypes.POINTER(_string), ctypes.POINTER(Tensor), ctypes.c_int32,
         ctypes.POINTER(Tensor), ctypes.POINTER(RunOptions)],
    ),
    "attn_rt_device_tensor_free": (
        ctypes.c_int, [ctypes.c_int32, ctypes.POINTER(Tensor), ctypes.c_void_p],
    ),
    "attn_rt_device_synchronize": (ctypes.c_int, [ctypes.c_int32, ctypes.c_void_p]),
    "attn_rt_device_tensor_copy": (
        ctypes.c_int,
        [ctypes.c_int32, ctypes.POINTER(Tensor), ctypes.c_int32, ctypes.POINTER(Tensor)],
    ),
    "attn_rt_tensor_free": (None, [ctypes.POINTER(Tensor)]),
    "attn_rt_set_threads": (ctypes.c_int, [_module, ctypes.c_int32]),
    "attn_rt_peak_bytes": (ctypes.c_int64, [_module]),
}

COMPILER_FUNCTIONS = {
    "attn_compile_last_error": (_string, []),
    "attn_compile_last_status": (ctypes.c_int, []),
    "attn_import": (ctypes.c_int, [_string, _string, _options]),
    "attn_compile_file": (ctypes.c_int, [_string, _string, _options]),
    "attn_compile_jit": (_module, [_string, _options]),
    "attn_explain": (ctypes.c_int, [_string, _options, WRITE, ctypes.c_void_p]),
}


def library_folder():
    """ATTN_LIB_DIR, else build/lib of the checkout that this package is in."""
    folder = os.environ.get("ATTN_LIB_DIR")
    if folder:
        return Path(folder)
    return Path(__file__).resolve().parents[2] / "build" / "lib"


def _open(name, functions):
    path = library_folder() / name
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise Error(
            f"cannot load {name}: {error}; build attn, or name the folder of its "
            "libraries in ATTN_LIB_DIR"
        ) from None
    for function, (result, arguments) in functions.items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


@functools.cache
def runtime():
    return _open("libAttnRuntime.so", RUNTIME_FUNCTIONS)


@functools.cache
def compiler():
    # First, so that both libraries share the one runtime of this folder.
    runtime()
    return _open("libAttnCompiler.so", COMPILER_FUNCTIONS)


def take_array(tensor):
    """An array on the runtime's memory, which goes back with the array."""
    shape = tuple(tensor.shape[: tensor.rank])
    dtype = _dtypes.NUMPY_TYPES[tensor.dtype]
    count = 1
    for size in shape:
        count *= size
    buffer = (ctypes.c_char * max(count * dtype.itemsize, 1)).from_address(tensor.data)
    owner = Tensor(data=tensor.data)
    weakref.finalize(buffer, runtime().attn_rt_tensor_free, ctypes.byref(owner))
    return np.ndarray(shape, dtype, buffer)


def raise_runtime_error():
    raise Error(runtime().attn_rt_last_error().decode(errors="backslashreplace"))


def raise_compiler_error():
    library = compiler()
    message = library.attn_compile_last_error().decode(errors="backslashreplace")
    # A list of problems has a line for each.
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    message = "; ".join(lines).replace(":; ", ": ")
    kind = UnsupportedError if library.attn_compile_last_status() == UNSUPPORTED else Error
    raise kind(message)
