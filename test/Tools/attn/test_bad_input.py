# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whatever is wrong ends in one line, exit code 1 or 2, and no new file."""

from pathlib import Path

import numpy as np
import pytest

GOOD = {"a": "a=2x3xf32:ones", "ids": "ids=2xi64:ones"}


def inputs(**changes):
    arguments = []
    for text in {**GOOD, **changes}.values():
        if text:
            arguments += ["--input", text]
    return arguments


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ids": None}, "missing input 'ids' (int64 [batch]); give it by --input or --inputs"),
        ({"x": "x=2xf32:ones"}, "unknown input 'x'; the module's inputs are 'a', 'ids'"),
        ({"ids": "ids=2xi32:ones"}, "input 'ids' is int32 but must be int64"),
        ({"ids": "ids=2x1xi64:ones"},
         "input 'ids' has rank 2 (shape [2, 1]) but must have rank 1: int64 [batch]"),
        ({"a": "a=2x4xf32:ones"},
         "input 'a' has shape [2, 4] but dimension 1 must be 3, not 4"),
        ({"ids": "ids=5xi64:ones"},
         "input 'ids' has shape [5]: dimension 0 ('batch') is 5 but 'batch' is 2 in "
         "dimension 0 of input 'a'; make them equal"),
    ],
    ids=["missing", "extra", "type", "rank", "static-size", "symbol"],
)
def test_inputs(refuse, artifact, changes, message):
    refuse(1, f"{artifact}: {message}", "run", artifact, *inputs(**changes), "--outputs", "o.npz")


@pytest.mark.parametrize(
    "text, message",
    [
        ("a", "is not of the form NAME=FILE.npy"),
        ("a=b", "is neither a .npy file nor"),
        ("a=2x3xf33:ones", "unknown element type 'f33'"),
        ("a=2x3xf32:two", "unknown filling 'two'"),
        ("a=2x3xf32:random(1", "lacks a ')'"),
        ("a=9999999999x9999999999xf32:ones", "impossible shape"),
    ],
)
def test_input_texts(refuse, artifact, text, message):
    refuse(2, message, "run", artifact, *inputs(a=text))


def test_input_twice(refuse, artifact):
    refuse(2, "--input a is given twice", "run", artifact, *inputs(b=GOOD["a"]))


def test_input_files(refuse, artifact, tmp_path):
    refuse(1, "cannot open 'a.npy': No such file", "run", artifact, *inputs(a="a=a.npy"))
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    refuse(1, "'a.npy' ends inside", "run", artifact, *inputs(a="a=a.npy"))
    np.save(tmp_path / "a.npy", np.array(["text"]))
    refuse(1, "elements of type '<U4'", "run", artifact, *inputs(a="a=a.npy"))
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    refuse(1, "elements of type '|O'", "run", artifact, *inputs(a="a=a.npy"))
    (tmp_path / "in.npz").write_bytes(b"PK\x03\x04 and no more")
    refuse(1, "in.npz", "run", artifact, "--inputs", "in.npz")
    refuse(1, "nothing.npz", "run", artifact, "--inputs", "nothing.npz")
    refuse(1, "it is a folder", "run", artifact, "--inputs", tmp_path)


def test_outputs_that_cannot_be_written(refuse, artifact, tmp_path):
    for path in ["nowhere/out.npz", tmp_path, "/proc/out.npz"]:
        refuse(1, f"cannot write '{path}'", "run", artifact, *inputs(), "--outputs", path)


def test_models_that_cannot_be_read(refuse, artifact, tmp_path):
    refuse(1, "cannot open 'nothing.so': No such file", "run", "nothing.so")
    refuse(1, "it is a folder", "run", tmp_path)
    (tmp_path / "folder.so").mkdir()
    refuse(1, "it is a folder", "run", "folder.so")
    (tmp_path / "empty.so").write_bytes(b"")
    refuse(1, "empty.so", "run", "empty.so")
    whole = artifact.read_bytes()
    for size in [1, 63, 64, 100, 1000, 3000, 5000, len(whole) // 2]:
        (tmp_path / "half.so").write_bytes(whole[:size])
        refuse(1, "cannot load 'half.so'", "run", "half.so")
    libm = Path("/lib/x86_64-linux-gnu/libm.so.6")
    (tmp_path / "other.so").write_bytes(libm.read_bytes())
    refuse(1, "is not a module that `attn compile` wrote", "run", "other.so")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "subcommand is required; see attn --help"),
        (["frob"], "unknown command 'frob'"),
        (["run"], "is required; see attn run --help"),
        (["run", "m.so", "--frob"], "--frob; see attn run --help"),
        (["run", "m.so", "--repeat", "0"], "--repeat"),
        (["run", "m.so", "--repeat", "many"], "--repeat"),
        (["run", "m.so", "--threads", "-1"], "--threads"),
        (["run", "m.so", "--rtol", "-1"], "--rtol"),
        (["run", "m.so", "--emulate"], "which is compiled already"),
        (["run", "m.mlir", "--emulate"], "--target sm_80 or sm_90a"),
        (["compile", "m.onnx"], "-o is required"),
        (["test"], "is required; see attn test --help"),
    ],
)
def test_wrong_usage(refuse, arguments, message):
    refuse(2, message, *arguments)


def test_options_for_models_only(refuse, artifact):
    refuse(2, "compiled already", "run", artifact, *inputs(), "--target", "x86-64-v3")


def test_without_the_compiler(refuse, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    for arguments in [["run", "m.onnx"], ["compile", "m.onnx", "-o", "m.so"], ["explain", "m.onnx"],
                      ["import", "m.onnx"]]:
        refuse(1, ["cannot load the compiler library", "/nowhere"], *arguments,
               environment={"ATTN_LIB_DIR": "/nowhere"})
