# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ring attention, arXiv:2310.01889, section 3: exact attention, whatever the
device that holds a block of keys and whatever the order they arrive in."""

import numpy as np


def part(q, k, v, offset):
    """Causal softmax attention and the log of its denominator; query row i
    stands at position i + offset[b] among these keys."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    out = np.zeros((*q.shape[:3], v.shape[3]))
    lse = np.full(q.shape[:3], -np.inf)
    group = q.shape[1] // k.shape[1]
    for b, h, i in np.ndindex(*q.shape[:3]):
        seen = min(max(i + int(offset[b]) + 1, 0), k.shape[2])
        if seen:
            s = k[b, h // group, :seen] @ q[b, h, i] / np.sqrt(q.shape[3])
            w = np.exp(s - s.max())
            out[b, h, i] = w @ v[b, h // group, :seen] / w.sum()
            lse[b, h, i] = s.max() + np.log(w.sum())
    return out, lse


def merge(parts):
    """Parts (o, lse) over disjoint keys: each weighs as much as its denominator."""
    top = np.max([lse for _, lse in parts], axis=0)
    top = np.where(np.isneginf(top), 0, top)
    weights = [np.exp(lse - top) for _, lse in parts]
    total = sum(weights)
    safe = np.where(total == 0, 1, total)
    out = sum((w / safe)[..., None] * o for w, (o, _) in zip(weights, parts))
    with np.errstate(divide="ignore"):
        return out, top + np.log(total)
