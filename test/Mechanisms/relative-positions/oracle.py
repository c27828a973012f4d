# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Relative positions in scores: ALiBi (arXiv:2108.12409 section 3), T5 buckets
(arXiv:1910.10683 section 2.1 and its released code), Transformer-XL
(arXiv:1901.02860 section 3.3), cosine attention (arXiv:2010.04245 section 3.1)."""

import math

import numpy as np


def softmax_attention(scores, v, causal=True):
    """`scores` [B, H, S, K] of the last S of K positions."""
    heads = scores.shape[1]
    v = np.repeat(v.astype(np.float64), heads // v.shape[1], axis=1)
    rows, keys = scores.shape[2:]
    seen = np.tril(np.ones((rows, keys), bool), keys - rows) if causal else True
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights @ v / weights.sum(-1, keepdims=True)


def products(q, k):
    k = np.repeat(k.astype(np.float64), q.shape[1] // k.shape[1], axis=1)
    return q.astype(np.float64) @ np.swapaxes(k, -1, -2)


def distances(rows, keys):
    """j - i, [S, K], of the last rows."""
    return np.arange(keys)[None, :] - (np.arange(rows) + keys - rows)[:, None]


def alibi(q, k, v, slopes):
    s = products(q, k) / math.sqrt(q.shape[3])
    s += slopes[:, None, None] * distances(q.shape[2], k.shape[2])
    return softmax_attention(s, v)


def bucket(relative, both, buckets=32, most=128):
    """As the released code says it, for one distance of memory and context;
    the logarithm is compared as exactly as powers of integers allow."""
    result = 0
    if both:
        buckets //= 2
        result += buckets if relative > 0 else 0
        relative = abs(relative)
    else:
        relative = -min(relative, 0)
    exact = buckets // 2
    if relative < exact:
        return result + relative
    steps = buckets - exact
    # floor(log(relative / exact) / log(most / exact) * steps)
    large = 0
    while (large + 1 < steps
           and relative**steps * exact ** (large + 1) >= exact**steps * most ** (large + 1)):
        large += 1
    return result + exact + large


def t5(q, k, v, table, both):
    d = distances(q.shape[2], k.shape[2])
    known = {x: bucket(int(x), both) for x in np.unique(d)}
    at = np.vectorize(known.get, otypes=[int])(d)
    return softmax_attention(products(q, k) + table[at].transpose(2, 0, 1), v, causal=not both)


def shift(x):
    """The relative shift of the released code, [S, K] with the largest distance
    first: a column of zeros and another view."""
    rows, keys = x.shape
    padded = np.concatenate([np.zeros((rows, 1)), x], axis=1)
    return padded.reshape(keys + 1, rows)[1:].reshape(rows, keys)


def transformer_xl(q, k, v, past_k, past_v, r, u, w):
    k, v = np.concatenate([past_k, k], axis=2), np.concatenate([past_v, v], axis=2)
    q = q.astype(np.float64)
    s = products(q + u[:, None], k)
    for b, h in np.ndindex(*q.shape[:2]):
        s[b, h] += shift((q[b, h] + w[h]) @ r[:, h].astype(np.float64).T)
    return softmax_attention(s / math.sqrt(q.shape[3]), v)


def normalized(x):
    x = x.astype(np.float64)
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)


def cosine(q, k, v, temperature):
    s = products(normalized(q), normalized(k)) * temperature[:, None, None]
    return softmax_attention(s, v)
