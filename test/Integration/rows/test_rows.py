# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Norms and softmax along rows: one loop each, and the numbers of NumPy.

The models are ONNX, in the operator's spelling and in parts, alone and behind
a residual sum or a bias; row lengths are static, dynamic and no multiple of a
vector's lanes.
"""

import re

import attn
import ml_dtypes
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

EPSILON = 1e-5
TYPES = {
    "f32": (TensorProto.FLOAT, np.float32),
    "f16": (TensorProto.FLOAT16, np.float16),
    "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}
# Shape in the model, and of the values.
SHAPES = {
    "dynamic": (["b", "s", 384], (2, 5, 384)),
    "dynamic_row": (["b", "s", "n"], (3, 4, 77)),
    "one_batch": ([1, 64, 384], (1, 64, 384)),
    "odd_row": (["b", 7, 77], (3, 7, 77)),
}
# Roundings on the way to a result, each relative to the largest term there is:
# of the sum before, its mean, the difference, both factors, the last sum, and
# the sums along the row, whose errors are random.
ROUNDINGS = 10


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def spelled_out_mean(source, output):
    return node("ReduceMean", [source, "axes"], output, keepdims=1)


RESIDUAL = [node("Add", ["x", "r"], "a")]
LAYER_NORM_PARTS = [
    spelled_out_mean("a", "mean"),
    node("Sub", ["a", "mean"], "d"),
    node("Pow", ["d", "two"], "square"),
    spelled_out_mean("square", "variance"),
    node("Add", ["variance", "epsilon"], "v"),
    node("Sqrt", ["v"], "deviation"),
    node("Div", ["d", "deviation"], "n"),
    node("Mul", ["n", "gain"], "scaled"),
    node("Add", ["scaled", "bias"], "y"),
]
RMS_NORM_PARTS = [
    node("Pow", ["a", "two"], "square"),
    spelled_out_mean("square", "variance"),
    node("Add", ["variance", "epsilon"], "v"),
    node("Sqrt", ["v"], "deviation"),
    node("Reciprocal", ["deviation"], "factor"),
    node("Mul", ["a", "factor"], "n"),
    node("Mul", ["n", "gain"], "y"),
]
BIASED = [node("Add", ["x", "r"], "s"), node("Add", ["s", "bias"], "a")]


def layer_norm(source):
    return node("LayerNormalization", [source, "gain", "bias"], "y", axis=-1)


# Name: nodes, inputs behind x, the function's kind.
CASES = {
    "layer_norm": ([layer_norm("x")], ["gain", "bias"], "layer"),
    "residual_layer_norm": (RESIDUAL + [layer_norm("a")], ["r", "gain", "bias"], "layer"),
    "layer_norm_parts": (RESIDUAL + LAYER_NORM_PARTS, ["r", "gain", "bias"], "layer"),
    "rms_norm": ([node("RMSNormalization", ["x", "gain"], "y", axis=-1)], ["gain"], "rms"),
    "rms_norm_parts": (RESIDUAL + RMS_NORM_PARTS, ["r", "gain"], "rms"),
    "softmax": ([node("Softmax", ["x"], "y", axis=-1)], [], "softmax"),
    "biased_softmax": (BIASED + [node("Softmax", ["a"], "y", axis=-1)], ["r", "bias"], "softmax"),
}


def build_model(path, name, element, dims):
    nodes, inputs, _ = CASES[name]
    shape_of = {"x": dims, "r": dims, "gain": dims[-1:], "bias": dims[-1:]}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(i, element, shape_of[i]) for i in ["x", *inputs]],
        [helper.make_tensor_value_info("y", element, dims)],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [-1]),
            helper.make_tensor("two", element, [], [2.0]),
            helper.make_tensor("epsilon", element, [], [EPSILON]),
        ],
    )
    opset = helper.make_opsetid("", 23)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)


def expected(kind, values):
    """The result, and the size of the terms that make each element."""
    x = values["x"] + values.get("r", 0)
    if kind == "softmax":
        x = x + values.get("bias", 0)
        e = np.exp(x - x.max(-1, keepdims=True))
        y = e / e.sum(-1, keepdims=True)
        # An error of the exponent is a relative one of the power.
        return y, y * (1 + np.abs(x) + np.abs(x).max(-1, keepdims=True))
    mean = x.mean(-1, keepdims=True) if kind == "layer" else 0
    d = x - mean
    factor = values["gain"] / np.sqrt((d * d).mean(-1, keepdims=True) + EPSILON)
    bias = values.get("bias", 0)
    return d * factor + bias, (1 + np.abs(x)) * np.abs(factor) + np.abs(bias)


def count_loops(text):
    """Parallel loops, and loops of @main that run on its thread alone."""
    main = text[text.index("func.func @main(") :]
    main = main[: main.index("\n  }")]
    return len(re.findall(r"\bscf\.parallel\b", main)), len(re.findall(r"\bscf\.for\b", main))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("element", TYPES)
@pytest.mark.parametrize("name", CASES)
def test_one_loop(tmp_path, name, element, shape):
    code, dtype = TYPES[element]
    dims, sizes = SHAPES[shape]
    path = tmp_path / "model.onnx"
    build_model(path, name, code, dims)

    attn.compile(path, tmp_path / "model.mlir", emit="bufferized")
    assert count_loops((tmp_path / "model.mlir").read_text()) == (1, 0)

    attn.compile(path, tmp_path / "model.so")
    model = attn.load(tmp_path / "model.so")
    random = np.random.default_rng(0)
    feeds = {
        key: random.standard_normal(sizes if key in "xr" else sizes[-1:]).astype(dtype)
        for key in ["x", *CASES[name][1]]
    }
    got = np.asarray(model.run(feeds)["y"])
    assert got.dtype == dtype
    kind = CASES[name][2]
    wanted, terms = expected(kind, {key: feeds[key].astype(np.float64) for key in feeds})
    roundoff = float(ml_dtypes.finfo(dtype).eps) / 2
    error = np.abs(got.astype(np.float64) - wanted)
    assert (error / terms).max() <= ROUNDINGS * roundoff
