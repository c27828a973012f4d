# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""RCMHA, arXiv:2308.03429: depthwise convolutions on heads and relative scores."""

import numpy as np


def conv(x, w, b):
    """y[t, d] = b[d] + sum_r w[d, r] x[t - 2 + r, d], zeros before the start."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    y = np.zeros(x.shape) + b
    for t in range(x.shape[-2]):
        for r in range(3):
            if t - 2 + r >= 0:
                y[..., t, :] += w[:, r] * x[..., t - 2 + r, :]
    return y


def shift_right(x):
    """Row i moves right by i: a zero column at the end, and a view of the stream."""
    n, m = x.shape
    stream = np.concatenate([x, np.zeros((n, 1))], axis=1).reshape(m + 1, n)
    return stream[:-1].reshape(n, m)


def relative(q, e, be):
    """The term of distances of one head, [n, n], by the slices and the shift that
    the released code makes; e [2 P, d] and be [2 P]."""
    n, p = len(q), len(e) // 2
    e, be = e[p - n : p + n].astype(np.float64), be[p - n : p + n].astype(np.float64)
    return shift_right(q @ e.T + be)[:, n:]


def closed(q, e, be):
    """The same without the shift: row i and key j have the entry P + j - i."""
    p, index = len(e) // 2, np.arange(len(q))
    at = p + index[None, :] - index[:, None]
    return np.einsum("id,ijd->ij", q, e.astype(np.float64)[at]) + be[at]


def attention(q, k, v, wq, bq, wk, bk, wv, bv, e, be, u):
    q, k, v = conv(q, wq, bq), conv(k, wk, bk), conv(v, wv, bv)
    out = np.zeros(q.shape)
    for b, h in np.ndindex(*q.shape[:2]):
        s = (q[b, h] + u[h]) @ k[b, h].T + relative(q[b, h], e[:, h], be[:, h])
        s /= np.sqrt(q.shape[3])
        for i in range(q.shape[2]):
            w = np.exp(s[i, : i + 1] - s[i, : i + 1].max())
            out[b, h, i] = w @ v[b, h, : i + 1] / w.sum()
    return out, k, v
