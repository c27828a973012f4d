# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MoA, arXiv:2406.14909, section 3.2 (elastic rules), and the released rule and
masks; `unit` is 64 there.
"""

import math

import numpy as np


def total(alpha, beta, planned, unit):
    """Keys that a head keeps, the first unit among them."""
    span = min(int(alpha + beta * planned), planned)
    return math.ceil(max(span, 2 * unit) / unit) * unit


def rows(q, k, v, keep):
    """Softmax over the kept keys, row by row; a row without keys is 0."""
    out = np.zeros(q.shape)
    first = k.shape[2] - q.shape[2]
    for b, h, i in np.ndindex(*q.shape[:3]):
        seen = [j for j in range(first + i + 1) if keep(h, first + i, j)]
        if seen:
            scores = k[b, h, seen].astype(np.float64) @ q[b, h, i] / np.sqrt(q.shape[3])
            weights = np.exp(scores - scores.max())
            out[b, h, i] = weights @ v[b, h, seen] / weights.sum()
    return out


def prefill(q, k, v, totals, unit):
    """Blocks of rows see the first block and the recent ones, causal."""

    def keep(h, i, j):
        return j < unit or j // unit > i // unit - (totals[h] // unit - 1)

    return rows(q, k, v, keep)


def search(q, k, v, alphas, betas, unit):
    """The mask under which rules are evaluated."""
    count = -(-k.shape[2] // unit)

    def keep(h, i, j):
        band = int(alphas[h] // unit + betas[h] * count)
        return j < unit or i // unit - j // unit < band

    return rows(q, k, v, keep)


def decode(q, k, v, totals, unit):
    """The token at the end sees the first unit and the last keys, its own too."""

    def keep(h, i, j):
        return j < unit or i - j < totals[h] - unit

    return rows(q, k, v, keep)
