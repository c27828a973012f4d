# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The compiler library's functions."""

import ctypes
import os

from attn import _library


def _options(
    target=None, entry=None, emit=None, attention=None, sparse=None, report=None,
    elide_weights=False, emulate=False,
):
    def text(value):
        return None if value is None else os.fsencode(value)

    return _library.Options(
        struct_size=ctypes.sizeof(_library.Options),
        target=text(target),
        entry=text(entry),
        emit=text(emit),
        attention=text(attention),
        sparse=text(sparse),
        report=text(report),
        elide_weights=int(elide_weights),
        emulate=int(emulate),
    )


def compile(
    path, output, *, target=None, entry=None, emit=None, attention=None, sparse=None
):
    """Compiles a model file (.onnx or .mlir) to the file `output`.

    The extension of `output` says to what: .so for `attn.load`, .o, .ll,
    .mlir, or for a GPU .ptx or .cubin. `target` is "host" (default),
    "x86-64-v3", "x86-64-v4", or the GPUs "sm_80" and "sm_90a"; `entry`
    names the function of an .mlir file that has several; `emit` names the
    stage at which to stop. `attention` is "tiles" (default) or "plain", to
    compute every operation by its definition; `sparse` says whether lists of
    keys are followed, "auto" (default), "always" or "never". The output is
    written whole or not at all.
    """
    options = _options(target, entry, emit, attention, sparse)
    status = _library.compiler().attn_compile_file(
        os.fsencode(path), os.fsencode(output), ctypes.byref(options)
    )
    if status != 0:
        _library.raise_compiler_error()


def compile_in_memory(
    path, *, target=None, entry=None, attention=None, sparse=None, emulate=False
):
    """Handle of a module compiled into memory."""
    options = _options(target, entry, attention=attention, sparse=sparse, emulate=emulate)
    handle = _library.compiler().attn_compile_jit(os.fsencode(path), ctypes.byref(options))
    if not handle:
        _library.raise_compiler_error()
    return handle


def import_onnx(path, output, *, elide_weights=False):
    """Writes a model as MLIR text to the file `output`."""
    options = _options(elide_weights=elide_weights)
    status = _library.compiler().attn_import(
        os.fsencode(path), os.fsencode(output), ctypes.byref(options)
    )
    if status != 0:
        _library.raise_compiler_error()


def explain(
    path, *, target=None, entry=None, attention=None, sparse=None, report="text"
):
    """A report on each attention of a model: origin, shapes, mask, path, cost, why.

    `report` is its form, "text" or "json".
    """
    pieces = []

    def write(data, size, _):
        pieces.append(ctypes.string_at(data, size))

    options = _options(target, entry, attention=attention, sparse=sparse, report=report)
    status = _library.compiler().attn_explain(
        os.fsencode(path), ctypes.byref(options), _library.WRITE(write), None
    )
    if status != 0:
        _library.raise_compiler_error()
    return b"".join(pieces).decode()
