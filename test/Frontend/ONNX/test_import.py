# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the importer makes of small models."""

import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

HEAD = '<ir_version: 10, opset_import: ["" : {}]>\n'


def text(body, opset=17):
    return HEAD.format(opset) + body


def operations(module, name):
    return re.findall(rf"\b{re.escape(name)}\b", module)


def test_arguments_carry_names_and_dimensions(module):
    out = module(text("g (float[batch, 4] x) => (float[batch, 4] y) { y = Relu(x) }"))
    assert '%arg0: tensor<?x4xf32> {attn.dims = ["batch", ""], attn.name = "x"}' in out
    assert '-> (tensor<?x4xf32> {attn.dims = ["batch", ""], attn.name = "y"})' in out


def test_unsigned_types_are_named(module):
    out = module(text("g (uint8[2] x) => (uint8[2] y) { y = Add(x, x) }"))
    assert out.count('attn.dtype = "uint8"') == 2


def test_shape_arithmetic_folds_away(module):
    out = module(
        text(
            """g (float[batch, seq, 384] x) => (float[batch, 12, seq, 32] y) {
              shape = Shape(x)
              zero = Constant<value = int64 {0}>()
              one = Constant<value = int64 {1}>()
              axes = Constant<value = int64[1] {0}>()
              b = Gather(shape, zero)
              s = Gather(shape, one)
              b1 = Unsqueeze(b, axes)
              s1 = Unsqueeze(s, axes)
              heads = Constant<value = int64[2] {12, 32}>()
              target = Concat<axis = 0>(b1, s1, heads)
              split = Reshape(x, target)
              y = Transpose<perm = [0, 2, 1, 3]>(split)
            }"""
        )
    )
    assert "tensor.expand_shape %arg0 [[0], [1], [2, 3]]" in out
    assert "from_elements" not in out and "tensor.extract " not in out
    assert len(operations(out, "tensor.dim")) == 2


def test_open_dimension_is_solved(module):
    out = module(
        text(
            """g (float[batch, seq, 12, 32] x) => (float[batch, seq, h] y) {
              target = Constant<value = int64[3] {0, 0, -1}>()
              y = Reshape(x, target)
            }"""
        )
    )
    assert "tensor.collapse_shape %arg0 [[0], [1], [2, 3]]" in out
    assert "tensor<?x?x384xf32>" in out


def test_equal_names_are_one_value(module):
    out = module(
        text(
            """g (float[batch, seq] x, float[batch, seq] z) => (float[batch, seq] y) {
              y = Add(x, z)
            }"""
        )
    )
    assert len(operations(out, "tensor.dim")) == 2
    assert "tensor.extract" not in out


def test_sums_of_names_are_understood(module):
    # The concatenation has the length that the mask's name promises.
    out = module(
        text(
            """g (float[b, past, 8] cache, float[b, seq, 8] x, float[b, "past + seq", 8] mask)
              => (float[b, total, 8] y) {
              joined = Concat<axis = 1>(cache, x)
              y = Add(joined, mask)
            }""".replace('"past + seq"', "TOTAL")
        ),
        lambda model: setattr(
            model.graph.input[2].type.tensor_type.shape.dim[1], "dim_param", "past + seq"
        ),
    )
    assert "tensor.extract " not in out and "arith.select" not in out


def test_broadcast_is_one_generic(module):
    out = module(
        text(
            """g (float[b, s, 8] x, float[8] bias) => (float[b, s, 8] y) {
              y = Add(x, bias)
            }"""
        )
    )
    assert "affine_map<(d0, d1, d2) -> (d2)>" in out
    assert len(operations(out, "linalg.generic")) == 1


def test_unproved_broadcast_reads_by_clamped_index(module):
    out = module(text("g (float[a] x, float[b] z) => (float[c] y) { y = Add(x, z) }"))
    assert len(operations(out, "linalg.generic")) == 1
    assert len(operations(out, "tensor.extract")) == 2


def test_products_by_rank(module):
    out = module(
        text(
            """g (float[b, s, 16] x, float[16, 4] w, float[b, 4, s] z, float[2, b, s, 4] q)
              => (float[b, s, 4] y, float[b, s, s] p, float[2, b, s, s] r) {
              y = MatMul(x, w)
              p = MatMul(y, z)
              r = MatMul(q, z)
            }"""
        )
    )
    assert len(operations(out, "linalg.matmul")) == 1
    assert len(operations(out, "linalg.batch_matmul")) == 1
    assert len(operations(out, "linalg.contract")) == 1


def test_softmax_stays_named_on_the_last_dimension(module):
    out = module(
        text(
            """g (float[b, 4, s] x) => (float[b, 4, s] y, float[b, 4, s] z) {
              y = Softmax<axis = -1>(x)
              z = Softmax<axis = 1>(x)
            }"""
        )
    )
    assert out.count("linalg.softmax dimension(2)") == 2
    assert len(operations(out, "linalg.transpose")) == 2


def test_old_softmax_flattens(module):
    body = "g (float[b, 4, 8] x) => (float[b, 4, 8] y) { y = Softmax<axis = 1>(x) }"
    assert "linalg.softmax dimension(1) ins" in module(text(body, 11))
    assert "tensor<?x32xf32>" in module(text(body, 11))
    assert "linalg.transpose" in module(text(body, 13))


def test_large_weights_stay_in_the_file(module, tmp_path):
    weight = np.arange(1024, dtype=np.float32).reshape(32, 32)

    def change(model):
        model.graph.initializer.append(numpy_helper.from_array(weight, "w"))

    out = module(
        text("g (float[n, 32] x) => (float[n, 32] y) { y = MatMul(x, w) }"), change
    )
    offset = int(re.search(r'attn_rt.weight "w" from "model.onnx" at (\d+)', out)[1])
    data = (tmp_path / "model.onnx").read_bytes()[offset:][: weight.nbytes]
    assert np.array_equal(np.frombuffer(data, np.float32).reshape(32, 32), weight)


def test_initializers_that_are_inputs_are_constants(module):
    def change(model):
        model.graph.initializer.append(
            numpy_helper.from_array(np.array([2.0], np.float32), "scale")
        )

    out = module(
        text("g (float[n] x, float[1] scale) => (float[n] y) { y = Mul(x, scale) }"), change
    )
    assert "%arg1" not in out and "2.000000e+00" in out


def test_an_output_may_be_an_input(module):
    assert "return %arg0" in module(text("g (float[n] x) => (float[n] x) { y = Relu(x) }"))


def test_functions_are_inlined(module):
    out = module(
        '<ir_version: 10, opset_import: ["" : 18, "local" : 1]>\n'
        "g (float[n] x) => (float[n] y) { y = local.twice<factor = 3.0>(x) }\n"
        '<domain: "local", opset_import: ["" : 18]>\n'
        "twice <factor> (a) => (b) {\n"
        "  c = Constant<value_float: float = @factor>()\n  b = Mul(a, c)\n}"
    )
    assert "3.000000e+00" in out and len(operations(out, "arith.mulf")) == 1


IF = """g ({kind} x, float[n] a) => (float[m] y) {{
  {condition}
  y = If (c) <
    then_branch = yes () => (float[m] p) {{ p = Relu(a) }},
    else_branch = no () => (float[k] q) {{ q = Concat<axis = 0>(a, a) }}
  >
}}"""


def test_if_at_run_time(module):
    out = module(text(IF.format(kind="bool", condition="c = Identity(x)")))
    assert "scf.if" in out and "scf.yield" in out


def test_if_with_known_condition(module):
    condition = "s = Shape(a)\n r = Size(s)\n one = Constant<value = int64 {1}>()\n c = Equal(r, one)"
    out = module(text(IF.format(kind="float[n]", condition=condition)))
    assert "scf.if" not in out and "arith.maximumf" in out


def test_a_table_read_by_length_is_checked(module):
    out = module(
        text(
            """g (float[b, seq] x, float[1, 64] table) => (float[b, seq] y) {
              shape = Shape<start = 1>(x)
              zero = Constant<value = int64[1] {0}>()
              one = Constant<value = int64[1] {1}>()
              part = Slice(table, zero, shape, one)
              y = Add(x, part)
            }"""
        )
    )
    assert 'cf.assert' in out and "64 positions" in out
    assert "tensor.extract " not in out


def test_attention_becomes_one_operation(module):
    out = module(
        text(
            """g (float[b, s, 64] q, float[b, s, 32] k, float[b, s, 32] v,
                 float[b, 2, p, 16] pk, float[b, 2, p, 16] pv)
              => (float[b, s, 64] y, float[b, 2, t, 16] nk, float[b, 2, t, 16] nv) {
              y, nk, nv = Attention<q_num_heads = 4, kv_num_heads = 2, is_causal = 1,
                                    softcap = 30.0>(q, k, v, , pk, pv)
            }""",
            23,
        )
    )
    assert len(operations(out, "attn.attention")) == 1
    assert "mask(#attn.causal)" in out and "query_offset(" in out
    assert "softcap = 3.000000e+01" in out
    assert len(operations(out, "attn.kv_append")) == 2


def test_attention_over_an_external_cache(module):
    out = module(
        text(
            """g (float[b, 4, 1, 16] q, float[b, 4, 128, 16] k, float[b, 4, 128, 16] v,
                 bool[1, 100] mask, int64[b] lengths) => (float[b, 4, 1, 16] y) {
              y = Attention<is_causal = 1>(q, k, v, mask, , , lengths)
            }""",
            24,
        )
    )
    assert "keep(" in out and "kv_lengths(" in out and "tensor.pad" in out
    assert re.search(r"query_offset\(%\S+ : tensor<\?xi64>\)", out)


def test_rotary_embedding(module):
    out = module(
        text(
            """g (float[b, 4, s, 16] x, float[64, 8] c, float[64, 8] n, int64[b, s] at)
              => (float[b, 4, s, 16] y) { y = RotaryEmbedding(x, c, n, at) }""",
            23,
        )
    )
    assert len(operations(out, "attn.rope")) == 1


# ----------------------------------------------------------------------------
# What is refused
# ----------------------------------------------------------------------------


def test_all_unsupported_nodes_are_listed(refused):
    message = refused(
        '<ir_version: 10, opset_import: ["" : 17, "custom" : 3]>\n'
        """g (float[n] x) => (float[n] y) {
          a = custom.First(x)
          b = NoSuchOperator(a)
          c = Relu(b)
          y = custom.Second(c)
        }"""
    )
    lines = message.splitlines()
    assert lines[0] == "3 problems:" and len(lines) == 4
    assert "operator First, domain custom, version 3" in lines[1]
    assert "operator NoSuchOperator, domain ai.onnx, version 17" in lines[2]
    assert "operator Second, domain custom, version 3" in lines[3]


@pytest.mark.parametrize(
    "body, parts",
    [
        ("g (float[n] x) => (float[n] y) { y = Cast<to = 17>(x) }", ["operator Cast", "type 17"]),
        ("g (float[n] x) => (float[n] y) { y = Relu(z) }", ["input 'z'", "no earlier node"]),
        ("g (float[2] x, float[3] z) => (float[n] y) { y = Add(x, z) }", ["broadcast"]),
        ("g (float[2] x, int64[2] z) => (float[2] y) { y = Add(x, z) }", ["element types"]),
        ("g (float[2, 3] x) => (float[2] y) { y = MatMul(x, x) }", ["do not fit"]),
        ("g (float[2] x) => (float[2] y) { y = Softmax<axis = 3>(x) }", ["axis 3", "rank 1"]),
        ("g (float[2] x) => (float[2] y) { z = Relu(x) }", ["output 'y'", "no node"]),
        ("g (string[2] x) => (string[2] y) { y = Identity(x) }", ["input 'x'", "string"]),
        (
            "g (float[2, 3] x) => (float[n] y) { s = Constant<value = int64[1] {5}>()\n"
            " y = Reshape(x, s) }",
            ["6 elements", "needs 5"],
        ),
    ],
)
def test_wrong_models(refused, body, parts):
    message = refused(text(body))
    assert "\n" not in message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("opset", [6, 99])
def test_unknown_versions(refused, opset):
    message = refused(text("g (float[2] x) => (float[2] y) { y = Relu(x) }", opset))
    assert f"operator set version {opset} is not supported" in message


def external(model, location, offset=0, length=4096):
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend([32, 32])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in [("location", location), ("offset", offset), ("length", length)]:
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


PRODUCT = text("g (float[n, 32] x) => (float[n, 32] y) { y = MatMul(x, w) }")


def test_external_weights(module, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(8192))
    out = module(PRODUCT, lambda model: external(model, "data/w.bin", 64))
    assert 'attn_rt.weight "w" from "data/w.bin" at 64 : tensor<32x32xf32>' in out


@pytest.mark.parametrize(
    "location, offset, length, part",
    [
        ("/etc/hostname", 0, 4096, "not a path inside"),
        ("../w.bin", 0, 4096, "not a path inside"),
        ("data/../../w.bin", 0, 4096, "not a path inside"),
        ("link.bin", 0, 4096, "leads out of"),
        ("missing.bin", 0, 4096, "cannot open"),
        ("data", 0, 4096, "is not a file"),
        ("data/w.bin", 8000, 4096, "lie outside of"),
        ("data/w.bin", 2**63 - 1, 4096, "lie outside of"),
        ("data/w.bin", 2**64, 4096, "expected a number of bytes"),
        ("data/w.bin", -4, 4096, "expected a number of bytes"),
        ("data/w.bin", 0, 12, "its type needs 4096"),
    ],
)
def test_unsafe_external_data(refused, tmp_path, location, offset, length, part):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(8192))
    outside = tmp_path.parent / f"{tmp_path.name}-outside.bin"
    outside.write_bytes(bytes(8192))
    (tmp_path / "link.bin").symlink_to(outside)
    message = refused(PRODUCT, lambda model: external(model, location, offset, length))
    assert part in message and "\n" not in message


def test_a_weight_of_the_wrong_size(refused):
    def change(model):
        tensor = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
        tensor.dims[0] = 32
        model.graph.initializer.append(tensor)

    message = refused(text("g (float[n, 32] x) => (float[n, 4] y) { y = MatMul(x, w) }"), change)
    assert "initializer 'w'" in message and "64 bytes" in message and "needs 512" in message


def test_typed_fields(module):
    def change(model):
        model.graph.initializer.append(
            helper.make_tensor("w", TensorProto.FLOAT16, [2], [1.5, -2.0])
        )
        model.graph.initializer.append(helper.make_tensor("b", TensorProto.BOOL, [2], [1, 0]))

    out = module(
        text(
            """g (float16[2] x, bool[2] c) => (float16[2] y, bool[2] d) {
              y = Add(x, w)
              d = And(c, b)
            }"""
        ),
        change,
    )
    assert "dense<[1.500000e+00, -2.000000e+00]> : tensor<2xf16>" in out
    assert "dense<[true, false]> : tensor<2xi1>" in out
