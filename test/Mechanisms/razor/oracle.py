# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""RazorAttention, arXiv:2407.15891, section 3.2 and algorithm 1: heads that are
no retrieval heads keep sinks, a recent buffer and one compensation token."""

import numpy as np


def dense(q, k, v):
    """Causal attention, query rows last among the keys."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    out = np.zeros((*q.shape[:3], v.shape[3]))
    past = k.shape[2] - q.shape[2]
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[1] // k.shape[1])
        s = k[b, g, : past + i + 1] @ q[b, h, i] / np.sqrt(q.shape[3])
        w = np.exp(s - s.max())
        out[b, h, i] = w @ v[b, g, : past + i + 1] / w.sum()
    return out


def split(n, sink, least, fraction):
    """Bounds of what `n` tokens lose: [begin, end)."""
    recent = max(least, n // fraction)
    begin = min(sink, n)
    return begin, max(begin, n - recent)


def compress(k, begin, end):
    """The mean of the rows that are dropped (zeros without any), then the kept."""
    k = k.astype(np.float64)
    mean = k[..., begin:end, :].mean(-2) if end > begin else np.zeros_like(k.sum(-2))
    return np.concatenate([mean[..., None, :], k[..., :begin, :], k[..., end:, :]], axis=-2)


def compressed(q, k, v, begin, end, multiplicity="count"):
    """The rows of q see the kept keys and N_d times the mean."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    out = np.zeros((*q.shape[:3], v.shape[3]))
    times = (end - begin) if multiplicity == "count" else float(end > begin)
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[1] // k.shape[1])
        keys, values = compress(k[b, g], begin, end), compress(v[b, g], begin, end)
        e = np.exp(keys @ q[b, h, i] / np.sqrt(q.shape[3]))
        e[0] *= times
        out[b, h, i] = e @ values / e.sum()
    return out
