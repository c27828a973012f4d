# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The Python package with the real compiler."""

import numpy as np
import pytest

import attn

ADD = """
func.func @main(%a: tensor<?x3x{0}> {{attn.name = "a", attn.dims = ["batch", ""]}},
                %b: tensor<3x{0}> {{attn.name = "b"}})
    -> (tensor<?x3x{0}> {{attn.name = "sum", attn.dims = ["batch", ""]}}) {{
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?x3x{0}>
  %e = tensor.empty(%n) : tensor<?x3x{0}>
  %w = linalg.broadcast ins(%b : tensor<3x{0}>) outs(%e : tensor<?x3x{0}>) dimensions = [0]
  %r = linalg.add ins(%a, %w : tensor<?x3x{0}>, tensor<?x3x{0}>)
    outs(%e : tensor<?x3x{0}>) -> tensor<?x3x{0}>
  return %r : tensor<?x3x{0}>
}}
"""
# A product with widened weights, which may be packed, and a sum with doubled
# ones, which are read as they are.
PREPARED = """
#id = affine_map<(i, j) -> (i, j)>
func.func @main(%x: tensor<?x64xf32> {attn.name = "x", attn.dims = ["batch", ""]})
    -> (tensor<?x32xf32> {attn.name = "y", attn.dims = ["batch", ""]},
        tensor<64x32xf32> {attn.name = "twice"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %w = attn_rt.weight "w" from "w.bin" at 0 : tensor<64x32xi8>
  %e = tensor.empty() : tensor<64x32xf32>
  %wide = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w : tensor<64x32xi8>) outs(%e : tensor<64x32xf32>) {
  ^bb0(%in: i8, %out: f32):
    %f = arith.sitofp %in : i8 to f32
    linalg.yield %f : f32
  } -> tensor<64x32xf32>
  %twice = linalg.add ins(%wide, %wide : tensor<64x32xf32>, tensor<64x32xf32>)
    outs(%e : tensor<64x32xf32>) -> tensor<64x32xf32>
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %o = tensor.empty(%n) : tensor<?x32xf32>
  %z = linalg.fill ins(%zero : f32) outs(%o : tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = linalg.matmul ins(%x, %wide : tensor<?x64xf32>, tensor<64x32xf32>)
    outs(%z : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %twice : tensor<?x32xf32>, tensor<64x32xf32>
}
"""
TYPES = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "i64": np.int64, "i32": np.int32,
    "i8": np.int8,
}


@pytest.fixture(autouse=True)
def need_compiler(build):
    if not (build / "lib" / "libAttnCompiler.so").exists():
        pytest.skip("the compiler library is not built")


@pytest.fixture
def write(tmp_path):
    def write(element):
        path = tmp_path / f"{element}.mlir"
        path.write_text(ADD.format(element))
        return path

    return write


@pytest.mark.parametrize("element", TYPES)
def test_types_in_memory_and_as_library(write, tmp_path, element):
    source, library = write(element), tmp_path / "model.so"
    attn.compile(source, library)
    a = np.arange(6).reshape(2, 3).astype(TYPES[element])
    b = np.array([10, 20, 30], TYPES[element])
    for model in (attn.load(library), attn.load(source)):
        assert [str(info) for info in model.outputs] == [
            f"sum: {np.dtype(TYPES[element])} [batch, 3]"
        ]
        total = model.run(a=a, b=b)["sum"]
        assert total.dtype == a.dtype
        np.testing.assert_array_equal(total, a + b)
        assert model.run(a=a[:0], b=b)["sum"].shape == (0, 3)


def test_prepared_weights_serve_all_runs(tmp_path):
    source, library = tmp_path / "model.mlir", tmp_path / "model.so"
    source.write_text(PREPARED)
    random = np.random.default_rng(0)
    weights = random.integers(-128, 128, (64, 32), np.int8)
    weights.tofile(tmp_path / "w.bin")
    attn.compile(source, library)
    assert b"attn_packed_init" in library.read_bytes()
    for model in (attn.load(source), attn.load(library)):
        for batch in (5, 5, 1, 5, 0, 9):
            # Sums of at most 64 products of 7 bits and 4 bits are exact.
            x = random.integers(-8, 8, (batch, 64)).astype(np.float32)
            results = [model.run(x=x) for _ in range(3)]
            for result in results:
                np.testing.assert_array_equal(result["y"], x @ weights.astype(np.float32))
                np.testing.assert_array_equal(result["twice"], 2 * weights.astype(np.float32))
                # Results are the caller's: changes never reach the next run.
                result["twice"][:] = 7


def test_bfloat16(write):
    model = attn.load(write("bf16"))
    a = attn.bfloat16(np.array([[1, 2.5, -3]]))
    bits = np.asarray(attn.bfloat16([0.5, 0.5, 1000.0])).view(np.uint16)
    total = model.run(a=a, b=bits)["sum"]
    expected = attn.bfloat16(np.array([[1.5, 3, 997]]))
    np.testing.assert_array_equal(
        np.asarray(total).view(np.uint16), np.asarray(expected).view(np.uint16)
    )


def test_explain_and_messages(write, tmp_path):
    source = write("f32")
    assert attn.explain(source).endswith("0 attentions recognised, 0 softmaxes left\n")
    with pytest.raises(attn.Error, match="unknown target 'z80'"):
        attn.compile(source, tmp_path / "a.so", target="z80")
    with pytest.raises(attn.Error, match="nothing.mlir"):
        attn.load(tmp_path / "nothing.mlir")
    with pytest.raises(attn.Error, match="cannot write '.*nowhere/a.so'"):
        attn.compile(source, tmp_path / "nowhere" / "a.so")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f32.mlir"]


def test_a_library_may_be_replaced_while_it_is_in_use(write, tmp_path):
    source, library = write("f32"), tmp_path / "model.so"
    attn.compile(source, library)
    old, same = attn.load(library), attn.load(library)
    source.write_text(source.read_text().replace("linalg.add", "linalg.mul"))
    attn.compile(source, library)
    new = attn.load(library)
    a, b = np.full((1, 3), 5, np.float32), np.full(3, 7, np.float32)
    assert [model.run(a=a, b=b)["sum"][0, 0] for model in (old, same, new)] == [12, 12, 35]
    del old, same
    assert attn.load(library).run(a=a, b=b)["sum"][0, 0] == 35


def test_many_models_at_once(write):
    models = [attn.load(write("f32")) for _ in range(3)]
    for scale, model in enumerate(models):
        a = np.full((2, 3), scale, np.float32)
        assert (model.run(a=a, b=a[0])["sum"] == 2 * scale).all()


def test_unsupported_models(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])
    nodes = [
        onnx.helper.make_node("Magic", ["x"], ["h"], name="one", domain="my.domain"),
        onnx.helper.make_node("Trick", ["h"], ["y"], name="two", domain="my.domain"),
    ]
    graph = onnx.helper.make_graph(nodes, "graph", [value], [result])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph, ir_version=8).SerializeToString())
    with pytest.raises(attn.UnsupportedError, match="Magic.*Trick") as caught:
        attn.load(path)
    assert "\n" not in str(caught.value)
