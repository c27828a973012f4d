# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lightning Attention-2, arXiv:2401.04658 (sections 3.1 and 3.2, algorithm 1),
with the slopes of TransNormerLLM, arXiv:2307.14995, section 3.1.
"""

import numpy as np


def slopes(heads, layer, layers):
    """One decay rate for each head; `heads` is a power of two."""
    own = 2.0 ** (-8.0 * (np.arange(heads) + 1) / heads)
    return own * (1 - layer / (layers - 1) + 1e-5)


def attention(q, k, v, rates):
    """O = ((Q K^T) .* M) V with M = exp(-s (i - j)) for j <= i, else 0."""
    n = q.shape[2]
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]
    mask = np.exp(-np.asarray(rates)[:, None, None] * np.maximum(distance, 0)) * (distance >= 0)
    scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2).astype(np.float64)
    return (scores * mask) @ v.astype(np.float64)


def state(k, v, rates):
    """The recurrent state after the last token, S = lambda S + k v^T."""
    n = k.shape[2]
    weights = np.exp(-np.asarray(rates)[:, None] * (n - 1 - np.arange(n)))
    return np.einsum("hn,bhnd,bhne->bhde", weights, k.astype(np.float64), v.astype(np.float64))


def blocks(q, k, v, rates, size):
    """Algorithm 1: output, and the state as it carries it, which is already
    decayed for the next token. The last block may be short."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    output = np.zeros(v.shape)
    kv = np.zeros((*k.shape[:2], k.shape[3], v.shape[3]))
    s = np.asarray(rates)[:, None, None]
    for begin in range(0, q.shape[2], size):
        part = slice(begin, begin + size)
        qb, kb, vb = q[:, :, part], k[:, :, part], v[:, :, part]
        n = qb.shape[2]
        r = np.arange(n)
        apart = r[:, None] - r[None, :]
        diagonal = np.exp(-s * np.maximum(apart, 0)) * (apart >= 0)
        intra = ((qb @ np.swapaxes(kb, -1, -2)) * diagonal) @ vb
        inter = np.exp(-s * r[:, None]) * (qb @ kv)
        output[:, :, part] = intra + inter
        decayed = np.exp(-s * (n - r[:, None])) * kb
        kv = np.exp(-s * n) * kv + np.swapaxes(decayed, -1, -2) @ vb
    return output, kv
