# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command with the real compiler: files that it makes, and bad ones."""

from pathlib import Path

import numpy as np
import pytest

INPUTS = Path(__file__).resolve().parent / "Inputs"
ADD = INPUTS / "add.mlir"
TWO = """
func.func @plus(%a: tensor<3xf32>) -> tensor<3xf32> {
  %e = tensor.empty() : tensor<3xf32>
  %r = linalg.add ins(%a, %a : tensor<3xf32>, tensor<3xf32>) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  return %r : tensor<3xf32>
}
func.func @times(%a: tensor<3xf32>) -> tensor<3xf32> {
  %e = tensor.empty() : tensor<3xf32>
  %r = linalg.mul ins(%a, %a : tensor<3xf32>, tensor<3xf32>) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  return %r : tensor<3xf32>
}
"""


@pytest.fixture(autouse=True)
def need_compiler(build):
    if not (build / "lib" / "libAttnCompiler.so").exists():
        pytest.skip("the compiler library is not built")


def reference_attention(query, key, value):
    """Causal attention in f64; heads of query share heads of key."""
    group = query.shape[1] // key.shape[1]
    query, key, value = (x.astype(np.float64) for x in (query, key, value))
    key, value = np.repeat(key, group, 1), np.repeat(value, group, 1)
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    rows, columns = np.indices(scores.shape[-2:])
    scores = np.where(columns <= rows, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ value


@pytest.mark.parametrize("form", ["in memory", "host", "x86-64-v3"])
def test_attention_against_numpy(attn, tmp_path, form):
    model = INPUTS / "attention.mlir"
    if form != "in memory":
        code, out, err = attn("compile", model, "-o", "model.so", "--target", form)
        assert (code, out, err) == (0, "", "")
        model = "model.so"
    random = np.random.default_rng(0)
    for batch, length in ((1, 1), (2, 5), (1, 70), (3, 130)):
        tensors = {
            name: random.standard_normal((batch, heads, length, 32), np.float32)
            for name, heads in (("query", 8), ("key", 2), ("value", 2))
        }
        np.savez(tmp_path / "in.npz", **tensors)
        np.savez(tmp_path / "ref.npz", output=reference_attention(**tensors).astype(np.float32))
        # Sums of up to 130 products of f32, on values near 1.
        code, _, err = attn(
            "run", model, "--inputs", "in.npz", "--expect", "ref.npz", "--rtol", "1e-5",
            "--atol", "1e-5",
        )
        assert (code, err) == (0, "")


@pytest.mark.parametrize("name", ["a.o", "a.ll", "a.mlir", "a.so"])
def test_kinds_of_output(attn, tmp_path, name):
    assert attn("compile", ADD, "-o", name) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    data = (tmp_path / name).read_bytes()
    if name in ("a.o", "a.so"):
        assert data[:4] == b"\x7fELF"
    else:
        assert (b"define" if name == "a.ll" else b"func.func") in data


def test_entry(attn, refuse, tmp_path):
    (tmp_path / "two.mlir").write_text(TWO)
    arguments = ["run", "two.mlir", "--input", "arg0=3xf32:full(5)"]
    code, out, _ = attn(*arguments, "--entry", "plus")
    assert code == 0 and "max 10" in out
    code, out, _ = attn(*arguments, "--entry", "times")
    assert code == 0 and "max 25" in out
    refuse(2, ["two.mlir", "plus, times", "--entry"], *arguments)
    refuse(2, ["two.mlir", "'minus'", "plus, times"], *arguments, "--entry", "minus")


def test_unknown_options(refuse):
    for command in (["compile", ADD, "-o", "a.so"], ["run", ADD], ["explain", ADD]):
        refuse(2, ["unknown target 'z80'", "host"], *command, "--target", "z80")
    refuse(2, "unknown stage 'half'", "compile", ADD, "-o", "a.mlir", "--emit", "half")
    refuse(2, ["'a.exe'", ".so"], "compile", ADD, "-o", "a.exe")


def test_outputs_that_cannot_be_written(refuse, tmp_path):
    for path in ["nowhere/a.so", tmp_path, "/proc/a.so"]:
        refuse(1, f"cannot write '{path}'", "compile", ADD, "-o", path)
    refuse(1, "cannot write 'nowhere/a.mlir'", "import", ADD, "-o",
           "nowhere/a.mlir")


def test_models_that_cannot_be_read(refuse, tmp_path):
    text = ADD.read_text()
    (tmp_path / "half.mlir").write_text(text[: len(text) // 2])
    (tmp_path / "empty.mlir").write_text("")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "model.txt").write_text(text)
    for command in (["compile", "-o", "a.so"], ["run"], ["explain"]):
        refuse(1, "half.mlir:", *command, "half.mlir")
        refuse(1, "empty.mlir", *command, "empty.mlir")
        refuse(1, "folder.onnx", *command, "folder.onnx")
        refuse(2, ["model.txt", ".onnx", ".mlir"], *command, "model.txt")
        refuse(1, "cannot open 'nothing.onnx'", *command, "nothing.onnx")
