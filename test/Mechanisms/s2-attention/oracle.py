# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""S2-Attention, arXiv:2407.17678, section 3, and the released pattern.

The head of a pattern is the key head; `shift` blocks lie between the stripes of
neighbours; the last `dense` key heads see everything.
"""

import numpy as np


def blocks(heads, count, local, stride, shift=1, dense=0):
    """[heads, count, count], true where a query block sees a key block."""
    h, a, b = np.ogrid[:heads, :count, :count]
    near = a - b < local
    stripe = (b + h * shift) % stride == 0
    return (a >= b) & (near | stripe | (h >= heads - dense))


def pattern(heads, length, block, local, stride, shift=1, dense=0):
    """The same for tokens, causal."""
    count = -(-length // block)
    coarse = blocks(heads, count, local, stride, shift, dense)
    fine = np.repeat(np.repeat(coarse, block, axis=1), block, axis=2)[:, :length, :length]
    return fine & np.tri(length, dtype=bool)


def attention(q, k, v, mask):
    """mask [Hkv, Sq, Skv]; a row without keys is 0."""
    out = np.zeros(q.shape)
    group = q.shape[1] // k.shape[1]
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // group
        seen = np.flatnonzero(mask[g, i])
        if seen.size:
            scores = k[b, g, seen].astype(np.float64) @ q[b, h, i] / np.sqrt(q.shape[3])
            weights = np.exp(scores - scores.max())
            out[b, h, i] = weights @ v[b, g, seen] / weights.sum()
    return out
