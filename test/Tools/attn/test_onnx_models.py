# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command on ONNX files: good, truncated, damaged and unsupported ones."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture(autouse=True)
def need_compiler(build):
    if not (build / "lib" / "libAttnCompiler.so").exists():
        pytest.skip("the compiler library is not built")


def save_model(path, nodes, initializers=(), opset=17):
    """A model from x [batch, 600] to y [batch, 600]; its bytes."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 600]) for name in "xy"
    ]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path.read_bytes()


# Large enough to stay in the file when the model is compiled.
BIAS = np.linspace(-3, 3, 600, dtype=np.float32)


def save_add(path):
    return save_model(
        path, [helper.make_node("Add", ["x", "bias"], ["y"], name="add")],
        [numpy_helper.from_array(BIAS, "bias")],
    )


def check(attn, tmp_path, model):
    x = np.random.default_rng(0).random((3, 600), np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    np.savez(tmp_path / "ref.npz", y=x + BIAS)
    code, _, err = attn("run", model, "--inputs", "in.npz", "--expect", "ref.npz", "--rtol", "0",
                        "--atol", "0")
    assert (code, err) == (0, "")


def test_in_memory_and_as_library(attn, tmp_path):
    save_add(tmp_path / "model.onnx")
    check(attn, tmp_path, "model.onnx")
    assert attn("compile", "model.onnx", "-o", "model.so") == (0, "", "")
    check(attn, tmp_path, "model.so")


def test_weights_stay_in_the_model(attn, refuse, tmp_path):
    model = tmp_path / "model.onnx"
    whole = save_add(model)
    attn("compile", "model.onnx", "-o", "model.so")
    assert BIAS[:100].tobytes() not in (tmp_path / "model.so").read_bytes()
    # In another folder, the library finds the model where it was.
    (tmp_path / "other").mkdir()
    (tmp_path / "model.so").rename(tmp_path / "other" / "model.so")
    check(attn, tmp_path, "other/model.so")
    # The file beside the library comes first.
    (tmp_path / "other" / "model.onnx").write_bytes(whole)
    model.unlink()
    check(attn, tmp_path, "other/model.so")
    arguments = ["run", "other/model.so", "--input", "x=1x600xf32:ones"]
    (tmp_path / "other" / "model.onnx").write_bytes(whole + b"\0")
    refuse(1, ["model.onnx", f"has {len(whole) + 1} bytes but had {len(whole)}"], *arguments)
    (tmp_path / "other" / "model.onnx").unlink()
    refuse(1, ["weight file not found", str(tmp_path / "other" / "model.onnx"), str(model)],
           *arguments)


def test_import(attn, tmp_path):
    save_add(tmp_path / "model.onnx")
    code, out, err = attn("import", "model.onnx")
    assert (code, err) == (0, "")
    assert 'attn.name = "x"' in out and "attn_rt.weight" in out
    assert attn("import", "model.onnx", "-o", "model.mlir") == (0, "", "")
    assert (tmp_path / "model.mlir").read_text() == out
    check(attn, tmp_path, "model.mlir")


def test_truncated(refuse, tmp_path):
    whole = save_add(tmp_path / "whole.onnx")
    for size in [0, 1, 7, 50, 100, len(whole) // 2, len(whole) - 1]:
        (tmp_path / "model.onnx").write_bytes(whole[:size])
        refuse(1, "model.onnx", "compile", "model.onnx", "-o", "model.so")
    for command in ("run", "import", "explain"):
        refuse(1, "model.onnx", command, "model.onnx")


def test_damaged(attn, tmp_path):
    """Any byte may be wrong: an error of one line, or a model all the same."""
    whole = save_add(tmp_path / "whole.onnx")
    random = np.random.default_rng(1)
    structure = [i for i in range(len(whole)) if i < 60 or i > len(whole) - 120]
    for _ in range(40):
        damaged = bytearray(whole)
        for at in random.choice(structure, 2):
            damaged[at] = random.integers(256)
        (tmp_path / "model.onnx").write_bytes(damaged)
        code, _, err = attn("import", "model.onnx")
        assert code in (0, 1), (code, err)
        assert code == 0 or (err.startswith("error: ") and err.count("\n") == 1), err


def test_unsupported_operators_are_all_named(refuse, tmp_path):
    save_model(
        tmp_path / "model.onnx",
        [
            helper.make_node("Hardmax", ["x"], ["h"], name="first"),
            helper.make_node("Magic", ["h"], ["y"], name="second", domain="my.domain"),
        ],
    )
    for command in (["compile", "-o", "a.so"], ["run"], ["import"], ["explain"]):
        refuse(1, ["model.onnx", "Magic", "my.domain", "second"], *command, "model.onnx")


def test_node_tests(attn, tmp_path):
    """A few cases of onnx itself: passes, and a skip with its operator."""
    import onnx.backend.test
    from pathlib import Path

    data = Path(onnx.backend.test.__file__).parent / "data" / "node"
    if not data.is_dir():
        pytest.skip("this onnx package carries no node tests")
    names = ["test_add", "test_matmul_2d", "test_relu"]
    code, out, _ = attn("test", *[data / name for name in names])
    assert (code, out.splitlines()[-1]) == (0, "3 passed, 0 failed, 0 skipped")
    strings = next(data.glob("test_strnorm*"), None)
    if strings:
        code, out, _ = attn("test", strings)
        assert (code, out.splitlines()[-1]) == (0, "0 passed, 0 failed, 1 skipped")
        assert "StringNormalizer" in out or "string" in out


def save_gpt2_attention(path, table, fill):
    """Attention with a stored triangle of positions, as GPT-2's exports have it."""
    def constant(name, value):
        return numpy_helper.from_array(np.asarray(value), name)

    nodes = [
        helper.make_node("Shape", ["q"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["length"]),
        helper.make_node("Concat", ["length", "length"], ["ends"], axis=0),
        helper.make_node("Slice", ["triangle", "starts", "ends", "axes"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["mask"], to=onnx.TensorProto.BOOL),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "kt"], ["products"]),
        helper.make_node("Div", ["products", "root"], ["scaled"]),
        helper.make_node("Where", ["mask", "scaled", "fill"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1, name="layer0/softmax"),
        helper.make_node("MatMul", ["weights", "v"], ["y"], name="layer0/attention"),
    ]
    constants = [
        constant("two", np.int64([2])), constant("starts", np.int64([0, 0])),
        constant("axes", np.int64([2, 3])), constant("root", np.float32(4)),
        constant("fill", np.float32(fill)), constant("triangle", table),
    ]
    heads = [helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, ["b", 2, "s", 16])
             for x in "qkv"]
    graph = helper.make_graph(nodes, "g", heads, [onnx.ValueInfoProto(name="y")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
@pytest.mark.parametrize("fill", [-10000.0, float(np.finfo(np.float32).min)])
def test_stored_triangle_is_causal(attn, tmp_path, dtype, fill):
    runtime = pytest.importorskip("onnxruntime")
    table = np.tril(np.ones((1, 1, 1024, 1024), dtype))
    model = tmp_path / "model.onnx"
    save_gpt2_attention(model, table, fill)
    code, out, err = attn("explain", "model.onnx")
    assert (code, err) == (0, "")
    assert "causal" in out and "1 attention recognised" in out, out
    # Text keeps the names of nodes.
    assert "layer0/softmax" in out, out
    assert attn("import", "model.onnx", "-o", "model.mlir") == (0, "", "")
    assert attn("explain", "model.mlir") == (0, out, "")
    random = np.random.default_rng(0)
    feeds = {x: random.standard_normal((2, 2, 9, 16), np.float32) for x in "qkv"}
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    np.savez(tmp_path / "in.npz", **feeds)
    np.savez(tmp_path / "ref.npz", y=session.run(["y"], feeds)[0])
    code, _, err = attn("run", "model.onnx", "--inputs", "in.npz", "--expect", "ref.npz",
                        "--rtol", "1e-5", "--atol", "1e-5")
    assert code == 0, err


def test_table_that_is_almost_a_triangle(attn, tmp_path):
    table = np.tril(np.ones((1, 1, 1024, 1024), bool))
    table[0, 0, 700, 701] = True
    save_gpt2_attention(tmp_path / "model.onnx", table, -10000.0)
    code, out, err = attn("explain", "model.onnx")
    assert (code, err) == (0, "")
    assert "causal" not in out and "1 attention recognised" in out, out
