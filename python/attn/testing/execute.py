# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles MLIR text to a shared library and calls it.

Needs attn-opt and LLVM's mlir-translate and llc on the PATH, and cc.
"""

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .dtypes import STORAGE

# From linalg on tensors to the LLVM dialect, by upstream passes alone.
LOWER_LINALG = [
    "--canonicalize",
    "--cse",
    "--one-shot-bufferize=bufferize-function-boundaries "
    "function-boundary-type-conversion=identity-layout-map",
    "--scf-forall-to-for",
    "--convert-linalg-to-loops",
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--arith-expand",
    "--convert-math-to-llvm",
    "--convert-math-to-libm",
    "--convert-to-llvm",
    "--reconcile-unrealized-casts",
]
DECOMPOSE = ["--attn-decompose", *LOWER_LINALG]

LLVM_BIN = "/usr/lib/llvm-22/bin"
LLVM_LIB = "/usr/lib/llvm-22/lib"


class BuildError(Exception):
    """A program of the tool chain failed; the text is its output."""


def _run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stderr[-4000:]}")
    return done.stdout


def _tool(name):
    """Our programs are taken from the build folder, LLVM's from its own."""
    build = os.environ.get("ATTN_BUILD_DIR", "build")
    for folder in (os.path.join(build, "bin"), LLVM_BIN, None):
        found = shutil.which(name, path=folder)
        if found:
            return found
    raise BuildError(f"'{name}' is not on the PATH")


def _descriptor(rank):
    """MLIR's memref descriptor."""

    class Descriptor(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p),
            ("aligned", ctypes.c_void_p),
            ("offset", ctypes.c_int64),
            ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]

    return Descriptor


def _describe(array):
    descriptor = _descriptor(array.ndim)()
    descriptor.allocated = descriptor.aligned = array.ctypes.data
    for i in range(array.ndim):
        descriptor.sizes[i] = array.shape[i]
        descriptor.strides[i] = array.strides[i] // array.itemsize
    return descriptor


def _read(descriptor, dtype):
    """A copy of what the descriptor describes."""
    sizes, strides = list(descriptor.sizes), list(descriptor.strides)
    storage = np.dtype(STORAGE[dtype])
    if 0 in sizes:
        return np.zeros(sizes, storage)
    extent = 1 + sum((n - 1) * s for n, s in zip(sizes, strides))
    start = descriptor.aligned + descriptor.offset * storage.itemsize
    memory = (ctypes.c_char * (extent * storage.itemsize)).from_address(start)
    flat = np.frombuffer(memory, storage)
    steps = [s * storage.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat, sizes, steps).copy()


class Library:
    """Functions compiled from MLIR text with the given passes of attn-opt.

    Every function has the attribute llvm.emit_c_interface.
    """

    def __init__(self, text, passes=DECOMPOSE):
        with tempfile.TemporaryDirectory(prefix="attn-test-") as folder:
            folder = Path(folder)
            source, lowered = folder / "input.mlir", folder / "lowered.mlir"
            ir, code, library = folder / "ir.ll", folder / "code.o", folder / "code.so"
            source.write_text(text)
            _run([_tool("attn-opt"), source, *passes, "-o", lowered])
            _run([_tool("mlir-translate"), "--mlir-to-llvmir", lowered, "-o", ir])
            _run([_tool("llc"), "-O1", "-mcpu=native", "-relocation-model=pic",
                  "-filetype=obj", ir, "-o", code])
            _run(["cc", "-shared", code, "-o", library, f"-L{LLVM_LIB}",
                  f"-Wl,-rpath,{LLVM_LIB}", "-l:libmlir_c_runner_utils.so",
                  "-l:libmlir_float16_utils.so", "-lm"])
            self._library = ctypes.CDLL(str(library))

    def call(self, name, inputs, results):
        """Calls a function.

        inputs   stored arrays (see dtypes); of rank 0 for scalars of type index
        results  Argument of each result

        Returns the results as stored arrays. The inputs stay as they are,
        although the code may overwrite its arguments.
        """
        arrays = [np.array(x, order="C") for x in inputs]
        arguments = [
            ctypes.byref(_describe(x)) if x.ndim else ctypes.c_int64(int(x))
            for x in arrays
        ]
        fields = [
            (f"r{i}", _descriptor(len(r.shape))) for i, r in enumerate(results)
        ]
        results_type = type("Results", (ctypes.Structure,), {"_fields_": fields})
        out = results_type()
        function = getattr(self._library, f"_mlir_ciface_{name}")
        function.restype = None
        function(ctypes.byref(out), *arguments)
        # The results' memory is left to the end of the process: it may be an
        # input's or shared between results.
        return [_read(getattr(out, n), r.dtype) for (n, _), r in zip(fields, results)]


def _run_all(cases, build, connection):
    functions = [case.function(f"case{i}") for i, case in enumerate(cases)]
    try:
        library = build("\n".join(functions))
    except BuildError as error:
        connection.send(str(error))
        return
    for i, case in enumerate(cases):
        inputs = case.inputs()
        outputs = library.call(f"case{i}", inputs, case.results())
        connection.send(case.check(inputs, outputs))


def run_cases(cases, build=Library):
    """Compiles all cases in one module and runs them in a process of its own.

    build  makes a Library, or something with its method 'call', from MLIR text

    Returns for each case None, or what is wrong. Where the code crashes, its
    case and those that follow have failed.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run_all, args=(cases, build, sender))
    child.start()
    sender.close()
    problems = []
    while len(problems) < len(cases):
        try:
            problems.append(receiver.recv())
        except EOFError:
            break
    child.join()
    if len(problems) < len(cases):
        reason = problems[-1] if problems and not child.exitcode else None
        reason = reason or f"the process ended with exit code {child.exitcode}"
        problems += [reason] * (len(cases) - len(problems))
    return problems
