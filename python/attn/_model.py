# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled models on NumPy arrays."""

import ctypes
import os
import weakref
from dataclasses import dataclass

import numpy as np

from attn import _compiler, _dtypes, _library
from attn._library import Error


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    `dtype` is a NumPy type name or "bfloat16". A size in `shape` is a number,
    the name of a symbol such as "sequence" (equal names are equal sizes), or
    None where any size goes.
    """

    name: str
    dtype: str
    shape: tuple

    def __str__(self):
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype} [{sizes}]"


def load(path, *, target=None, entry=None, attention=None):
    """Loads a library that `attn.compile` wrote, or compiles a model.

    A path that ends in `.so` is loaded by the runtime alone; `.onnx` and
    `.mlir` files are compiled into memory, with `target`, `entry` and
    `attention` as in `attn.compile`. Returns a `Model`.
    """
    name = os.fspath(path)
    if name.endswith(".so"):
        if (target, entry, attention) != (None, None, None):
            raise Error(
                f"target, entry and attention have no meaning for '{name}', "
                "which is compiled already"
            )
        handle = _library.runtime().attn_rt_load(os.fsencode(name))
        if not handle:
            _library.raise_runtime_error()
        return Model(handle)
    return Model(
        _compiler.compile_in_memory(name, target=target, entry=entry, attention=attention)
    )


class Model:
    """A model that is ready to run; made by `attn.load`.

    Several threads may call one model; their runs wait for each other.
    """

    def __init__(self, handle):
        library = _library.runtime()
        self._handle = handle
        self._finalizer = weakref.finalize(self, library.attn_rt_unload, handle)
        self._input_infos = self._infos(library.attn_rt_num_inputs, library.attn_rt_input_info)
        self._output_infos = self._infos(library.attn_rt_num_outputs, library.attn_rt_output_info)

    def _infos(self, count, describe):
        infos = []
        for index in range(count(self._handle)):
            info = _library.Info()
            if describe(self._handle, index, ctypes.byref(info)) != 0:
                _library.raise_runtime_error()
            shape = tuple(
                info.shape[i] if info.shape[i] >= 0 else (info.dims[i].decode() or None)
                for i in range(info.rank)
            )
            infos.append(
                TensorInfo(info.name.decode(), _dtypes.NAMES[info.dtype], shape)
            )
        return tuple(infos)

    @property
    def inputs(self):
        """A TensorInfo for each input."""
        return self._input_infos

    @property
    def outputs(self):
        """A TensorInfo for each output."""
        return self._output_infos

    @property
    def metadata(self):
        """What the compiler noted in the module, as JSON text."""
        return _library.runtime().attn_rt_metadata(self._handle).decode()

    @property
    def peak_bytes(self):
        """Most bytes that runs held at once, without mapped weight files."""
        return _library.runtime().attn_rt_peak_bytes(self._handle)

    def set_threads(self, threads):
        """Sets the number of threads of later runs; 0 means every processor."""
        if _library.runtime().attn_rt_set_threads(self._handle, threads) != 0:
            _library.raise_runtime_error()

    def __call__(self, inputs=None, /, **named):
        return self.run(inputs, **named)

    def run(self, inputs=None, /, **named):
        """Runs the model on arrays by name; returns a dictionary of arrays.

        `inputs` is a mapping, and keywords add to it. An array must have the
        type that the model asks for: nothing is converted, except that lists
        and numbers take that type, and a uint16 array is taken as bits where
        bfloat16 is asked for.
        """
        given = dict(inputs or {}, **named)
        library = _library.runtime()
        # Kept in a list: the structures below hold only addresses.
        arrays = [self._prepare(name, value) for name, value in given.items()]
        names = (ctypes.c_char_p * len(arrays))(*[name.encode() for name in given])
        tensors = (_library.Tensor * len(arrays))(*[tensor for _, tensor in arrays])
        results = (_library.Tensor * len(self.outputs))()
        if library.attn_rt_run(self._handle, names, tensors, len(arrays), results) != 0:
            _library.raise_runtime_error()
        return {info.name: _take(result) for info, result in zip(self.outputs, results)}

    def _prepare(self, name, value):
        expected = next((info.dtype for info in self.inputs if info.name == name), None)
        if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "__array__"):
            # Python's own numbers have no width; the model's is meant.
            wanted = None
            if expected is not None and expected != "bfloat16":
                wanted = np.dtype(expected)
            try:
                value = np.asarray(value, dtype=wanted)
            except (ValueError, TypeError, OverflowError) as error:
                raise Error(f"input '{name}' is no array: {error}") from None
        array = np.asarray(value, order="C")
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if expected == "bfloat16" and array.dtype == np.uint16:
            code = _dtypes.BFLOAT16_CODE
        else:
            code = _dtypes.code_of(array.dtype)
        if code is None:
            raise Error(
                f"input '{name}' has elements of type {array.dtype}"
                + (f" but must be {expected}" if expected else "")
            )
        if array.ndim > _library.MAX_RANK:
            raise Error(f"input '{name}' has rank {array.ndim}; the limit is {_library.MAX_RANK}")
        tensor = _library.Tensor(data=array.ctypes.data, dtype=code, rank=array.ndim)
        tensor.shape[: array.ndim] = array.shape
        return array, tensor

    def __repr__(self):
        lines = [f"  in  {info}" for info in self.inputs]
        lines += [f"  out {info}" for info in self.outputs]
        return "\n".join(["<attn.Model", *lines, ">"])


def _take(tensor):
    """An array on the runtime's memory, which goes back with the array."""
    shape = tuple(tensor.shape[: tensor.rank])
    dtype = _dtypes.NUMPY_TYPES[tensor.dtype]
    count = 1
    for size in shape:
        count *= size
    buffer = (ctypes.c_char * max(count * dtype.itemsize, 1)).from_address(tensor.data)
    owner = _library.Tensor(data=tensor.data)
    weakref.finalize(buffer, _library.runtime().attn_rt_tensor_free, ctypes.byref(owner))
    return np.ndarray(shape, dtype, buffer)
