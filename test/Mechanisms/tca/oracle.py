# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""TCA-Attention, arXiv:2512.09238: budgets per block after a histogram of the
head. The order of blocks is ours: by the share of the best token of a block in
what the last queries look at, largest first."""

import numpy as np


def log_gaussian(size, mean, deviation):
    """Shares of the budgets 1, 2, 4, ..., size."""
    x = np.arange(int(np.log2(size)) + 1)
    weights = np.exp(-((x - mean) ** 2) / (2 * deviation**2))
    return weights / weights.sum()


def table(shares, blocks):
    """A budget for each rank, largest first, by the largest remainder."""
    exact = shares * blocks
    counts = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - counts), kind="stable")[: blocks - counts.sum()]
    counts[rest] += 1
    return np.repeat(2 ** np.arange(len(shares)), counts)[::-1]


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def scores(q, k):
    q, k = q.astype(np.float64), np.repeat(k.astype(np.float64), q.shape[1] // k.shape[1], axis=1)
    return q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[3])


def importance(q, k, rows):
    """Sums over the last rows, then the maximum over a group: [B, G, T]."""
    n = q.shape[2]
    causal = np.tri(n, dtype=bool)
    p = softmax(np.where(causal, scores(q, k), -np.inf))[:, :, n - rows :].sum(axis=2)
    return p.reshape(len(q), k.shape[1], -1, n).max(axis=2)


def select(a, budgets, size):
    """[B, G, T]; tokens past the whole blocks are not kept. budgets: [G, blocks]."""
    keep = np.zeros(a.shape, bool)
    for b, g in np.ndindex(*a.shape[:2]):
        parts = a[b, g, : budgets.shape[1] * size].reshape(-1, size)
        order = np.argsort(-parts.max(axis=1) / parts.sum(axis=1), kind="stable")
        for rank, m in enumerate(order):
            best = np.argsort(-parts[m], kind="stable")[: budgets[g, rank]]
            keep[b, g, m * size + best] = True
    return keep


def attention(q, k, v, keep, sink, window):
    """Kept tokens, the first `sink` and the last `window` ones, causally."""
    j = np.arange(q.shape[2])
    near = (j < sink) | (j[:, None] - j < window)
    share = q.shape[1] // k.shape[1]
    seen = (np.repeat(keep, share, axis=1)[:, :, None] | near) & (j <= j[:, None])
    weights = softmax(np.where(seen, scores(q, k), -np.inf))
    return weights @ np.repeat(v.astype(np.float64), share, axis=1)


def decode(q, k, v, keep, sink, window, prompt):
    """The last row of q; of the prompt remain kept tokens, the first `sink` and
    the last `window` ones, and all that came later."""
    n = k.shape[2]
    j = np.arange(n)
    stays = (j < sink) | (j >= prompt - window)
    seen = np.pad(keep, [(0, 0), (0, 0), (0, n - prompt)]) | stays
    share = q.shape[1] // k.shape[1]
    seen = np.repeat(seen, share, axis=1)[:, :, None]
    weights = softmax(np.where(seen, scores(q[:, :, -1:], k), -np.inf))
    return weights @ np.repeat(v.astype(np.float64), share, axis=1)
