# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tool attn-emulate and wrong input: a message and exit code 2."""

import subprocess

import numpy as np
import pytest
from attn.testing.emulate import BUILD
from attn.testing.gpu_code import GLOBAL, Code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tool")
    c = Code("k", [("x", GLOBAL), ("n", "i32")], 32)
    c.store("%n", c.at("%x", c.register("tid.x"), 1, "i32"), "i32", 1)
    (folder / "k.mlir").write_text(c.text())
    (folder / "broken.mlir").write_text("llvm.func @k(")
    (folder / "text.npy").write_text("no array")
    np.save(folder / "x.npy", np.zeros(32, np.int32))
    np.save(folder / "f.npy", np.zeros((4, 4), np.int32, order="F"))
    return folder


CASES = {
    "good": ("k.mlir k x.npy i32:7 --block=32", None),
    "file": ("none.mlir k", "could not open input file"),
    "syntax": ("broken.mlir k", "error: "),
    "kernel": ("k.mlir other x.npy i32:7", "no kernel 'other' in k.mlir"),
    "count": ("k.mlir k x.npy", "kernel 'k' takes 2 arguments, not 1"),
    "array": ("k.mlir k text.npy i32:7", "text.npy: not a .npy file"),
    "missing array": ("k.mlir k none.npy i32:7", "none.npy: No such file"),
    "order": ("k.mlir k f.npy i32:7", "f.npy: not in row-major order"),
    "number": ("k.mlir k x.npy i32:seven", "'seven' is not a number of this type"),
    "large number": ("k.mlir k x.npy i32:9999999999", "is not a number of this type"),
    "map": ("k.mlir k x.npy map:5:box=8", "argument '5' is not a buffer before this one"),
    "box": ("k.mlir k x.npy map:0:box=3", "rows of the box have 12 bytes"),
    "output": ("k.mlir k x.npy=none/x.npy i32:7 --block=32", "none/x.npy: No such file"),
}


@pytest.mark.parametrize("case", CASES)
def test_input(folder, case):
    arguments, message = CASES[case]
    done = subprocess.run([BUILD / "bin" / "attn-emulate", *arguments.split()], cwd=folder, capture_output=True, text=True)
    if message is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


def test_pointer_that_is_none(folder):
    """A number in place of a buffer is an address out of bounds."""
    command = [BUILD / "bin" / "attn-emulate", "k.mlir", "k", "i64:64", "i32:7", "--block=32"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "writes 4 bytes at global address 0x40" in done.stdout
