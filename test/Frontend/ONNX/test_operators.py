# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators with dynamic shapes, and those of ONNX Runtime, against it."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))

MICROSOFT = "com.microsoft"
F32 = "float32"

# name: (domain, operator, attributes, inputs as (dims, shape, type), outputs)
CASES = {
    "fused_matmul": (MICROSOFT, "FusedMatMul", {"alpha": 0.5, "transB": 1},
                     [("b m k", (2, 3, 4), F32), ("b n k", (2, 5, 4), F32)], 1),
    "gelu": (MICROSOFT, "Gelu", {}, [("b 8", (3, 8), F32)], 1),
    "bias_gelu": (MICROSOFT, "BiasGelu", {},
                  [("b 8", (3, 8), F32), ("8", (8,), F32)], 1),
    "fast_gelu": (MICROSOFT, "FastGelu", {},
                  [("b 8", (3, 8), F32), ("8", (8,), F32)], 1),
    "quick_gelu": (MICROSOFT, "QuickGelu", {"alpha": 1.5},
                   [("b 8", (3, 8), F32)], 1),
    "skip_norm": (MICROSOFT, "SkipLayerNormalization", {"epsilon": 1e-5},
                  [("b s 8", (2, 3, 8), F32), ("b s 8", (2, 3, 8), F32)]
                  + [("8", (8,), F32)] * 3, 1),
    "skip_rms_norm": (MICROSOFT, "SkipSimplifiedLayerNormalization",
                      {"epsilon": 1e-5},
                      [("b s 8", (2, 3, 8), F32), ("b s 8", (2, 3, 8), F32),
                       ("8", (8,), F32)], 1),
    "conv": ("", "Conv", {"pads": [1, 1, 1, 1], "strides": [2, 2]},
             [("b 3 h w", (2, 3, 9, 7), F32), ("4 3 3 3", (4, 3, 3, 3), F32),
              ("4", (4,), F32)], 1),
    "conv_groups": ("", "Conv", {"group": 2, "dilations": [2]},
                    [("b 4 w", (2, 4, 11), F32), ("6 2 3", (6, 2, 3), F32)], 1),
    "conv_depthwise": ("", "Conv", {"group": 4, "auto_pad": b"SAME_UPPER"},
                       [("b 4 h w", (1, 4, 5, 6), F32),
                        ("4 1 3 3", (4, 1, 3, 3), F32)], 1),
    "conv_transpose": ("", "ConvTranspose", {"strides": [2, 2], "group": 2},
                       [("b 4 h w", (1, 4, 5, 6), F32),
                        ("4 3 3 3", (4, 3, 3, 3), F32)], 1),
    "max_pool": ("", "MaxPool",
                 {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
                 [("b 3 h w", (2, 3, 8, 7), F32)], 1),
    "average_pool": ("", "AveragePool",
                     {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
                     [("b 3 h w", (2, 3, 8, 7), F32)], 1),
    "batch_norm": ("", "BatchNormalization", {},
                   [("b 3 h", (2, 3, 5), F32)] + [("3", (3,), "positive")] * 4, 1),
    "einsum": ("", "Einsum", {"equation": b"bqhd,bkhd->bhqk"},
               [("b q h d", (2, 3, 4, 5), F32), ("b k h d", (2, 6, 4, 5), F32)], 1),
    "arg_max": ("", "ArgMax", {"axis": 1}, [("b n", (3, 7), F32)], 1),
    "dynamic_quantize": ("", "DynamicQuantizeLinear", {},
                         [("b n", (3, 7), F32)], 3),
    "matmul_integer": ("", "MatMulInteger", {},
                       [("m k", (3, 8), "uint8"), ("k n", (8, 5), "int8"),
                        ("", (), "uint8"), ("", (), "int8")], 1),
}  # fmt: skip


def make(dtype, shape, random):
    if dtype in ("uint8", "int8"):
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values = random.standard_normal(shape).astype(np.float32)
    return np.abs(values) + np.float32(0.5) if dtype == "positive" else values


@pytest.mark.parametrize("name", CASES)
def test_like_onnxruntime(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    domain, operator, attributes, inputs, count = CASES[name]
    random = np.random.default_rng(0)
    codes = {F32: TensorProto.FLOAT, "positive": TensorProto.FLOAT}
    codes |= {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
    values, feeds = [], {}
    for i, (dims, shape, dtype) in enumerate(inputs):
        symbols = [int(d) if d.isdigit() else d for d in dims.split()]
        values.append(helper.make_tensor_value_info(f"x{i}", codes[dtype], symbols))
        feeds[f"x{i}"] = np.asarray(make(dtype, shape, random))
    outputs = [f"y{i}" for i in range(count)]
    node = helper.make_node(operator, list(feeds), outputs, domain=domain, **attributes)
    graph = helper.make_graph(
        [node], name, values, [onnx.ValueInfoProto(name=y) for y in outputs]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)

    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(outputs, feeds)
    np.savez(tmp_path / "in.npz", **feeds)
    for arguments in (
        ["compile", path, "-o", tmp_path / "m.so"],
        ["run", tmp_path / "m.so", "--inputs", tmp_path / "in.npz"]
        + ["--outputs", tmp_path / "out.npz"],
    ):
        done = subprocess.run(
            [str(BUILD / "bin" / "attn"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    actual = np.load(tmp_path / "out.npz")
    for output, wanted in zip(outputs, expected):
        assert actual[output].dtype == wanted.dtype
        assert actual[output].shape == wanted.shape
        if wanted.dtype.kind == "f":
            # Sums of at most 27 products, and approximations in ORT's Gelus.
            np.testing.assert_allclose(actual[output], wanted, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(actual[output], wanted)
