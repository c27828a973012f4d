# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DuoAttention, arXiv:2410.10819, sections 2.2 to 2.4.

Heads are full (causal) or streaming (the first `sink` keys and the `recent`
ones). Keys keep their positions.
"""

import numpy as np


def rows(q, k, v, keep):
    """Softmax over the kept keys, row by row; a row without keys is 0."""
    out = np.zeros(q.shape)
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[1] // k.shape[1])
        seen = [j for j in range(k.shape[2]) if keep(h, i, j)]
        if seen:
            scores = k[b, g, seen] @ q[b, h, i] / np.sqrt(q.shape[3])
            weights = np.exp(scores - scores.max())
            out[b, h, i] = weights @ v[b, g, seen] / weights.sum()
    return out


def prefill(q, k, v, full, sink, recent):
    """`full[h]` says which heads are full. Query i stands at position i."""

    def keep(h, i, j):
        return j <= i and (full[h] or j < sink or i - j < recent)

    return rows(q, k, v, keep)


def decode(q, k, v, full, sink, recent):
    """One new row, its own key last. A streaming head has kept `recent` old
    keys besides the sink, so that with itself it sees recent + 1."""
    new = k.shape[2] - 1

    def keep(h, i, j):
        return full[h] or j < sink or new - j <= recent

    return rows(q, k, v, keep)


def mixed(q, k, v, gates, sink, recent):
    """Training's gate: gate * full + (1 - gate) * streaming, clamped to [0, 1]."""
    heads = q.shape[1]
    gate = np.clip(gates, 0, 1)[None, :, None, None]
    return gate * prefill(q, k, v, [True] * heads, sink, recent) + (1 - gate) * prefill(
        q, k, v, [False] * heads, sink, recent
    )
