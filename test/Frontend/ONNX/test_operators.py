# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators with dynamic shapes, and those of ONNX Runtime, against it."""

import numpy as np
import pytest

from peer import MICROSOFT, compare

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
    domain, operator, attributes, inputs, count = CASES[name]
    random = np.random.default_rng(0)
    arrays = [(dims, make(dtype, shape, random)) for dims, shape, dtype in inputs]
    outputs = [f"y{i}" for i in range(count)]
    compare(tmp_path, domain, operator, attributes, arrays, outputs)
