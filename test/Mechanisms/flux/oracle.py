# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Flux Attention, released evaluation code (qqtang-code/FluxAttention): the
router of a layer, and full or streaming attention."""

import numpy as np


def silu(x):
    return x / (1 + np.exp(-x))


def router(q, weights, biases, pool):
    """Two logits: streaming, full. q: [1, H, S, D] before its rotation."""
    q = q.astype(np.float64)
    x = np.concatenate([q[:, :, :pool], q[:, :, -pool:]], axis=2).mean(axis=(0, 1, 2))
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ w.astype(np.float64) + b
        if i in (0, 2, 3):
            x = silu(x)
    return x


def attention(q, k, v, full, block, sink, local):
    """Full, or the first `sink` blocks and those less than `local` blocks away."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    j = np.arange(k.shape[2])
    i = np.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    near = (j // block < sink) | (i // block - j // block < local)
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[3])
    s = np.where((j <= i) & (full | near), s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e @ v / e.sum(axis=-1, keepdims=True)
