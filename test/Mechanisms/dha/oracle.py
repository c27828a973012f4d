# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DHA, arXiv:2406.06567, section 3: keys and values have heads and maps of their
own, and their weights are sums of the weights of the heads they stand for.
"""

import numpy as np


def attention(q, k, v, kmap, vmap):
    """Causal; the last row of q stands at the last key."""
    out = np.zeros(q.shape)
    first = k.shape[2] - q.shape[2]
    for b, h, i in np.ndindex(*q.shape[:3]):
        keys = k[b, kmap[h], : first + i + 1].astype(np.float64)
        scores = keys @ q[b, h, i] / np.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max())
        out[b, h, i] = weights @ v[b, vmap[h], : first + i + 1] / weights.sum()
    return out


def fuse(w, omega):
    """w [H, C, D], omega [groups, H]."""
    return sum(omega[:, j, None, None] * w[j] for j in range(w.shape[0]))


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([cos * a - sin * b, sin * a + cos * b], axis=-1)
