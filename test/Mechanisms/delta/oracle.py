# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DELTA, arXiv:2510.09883, and the page scores of its released code."""

import numpy as np


def probabilities(q, k, keep=None):
    """[B, H, T] of one query row."""
    q, k = q.astype(np.float64), k.astype(np.float64)
    k = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
    s = np.einsum("bhd,bhtd->bht", q[:, :, 0], k) / np.sqrt(q.shape[3])
    if keep is not None:
        s = np.where(keep[:, None], s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(q, k, v, keep=None):
    v = np.repeat(v.astype(np.float64), q.shape[1] // v.shape[1], axis=1)
    return np.einsum("bht,bhtd->bhd", probabilities(q, k, keep), v)[:, :, None]


def page_scores(q, k, page):
    """Sums over a page of the maximum over the heads: [B, pages]."""
    top = probabilities(q, k).max(axis=1)
    return np.stack([top[:, s : s + page].sum(axis=1) for s in range(0, k.shape[2], page)], axis=1)


def select(scores, count, tail):
    """Pages in rising order, the last `tail` always; ties to the earlier page."""
    scores = scores.copy()
    scores[:, max(scores.shape[1] - tail, 0) :] = np.inf
    return np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :count], axis=1)


def tokens(chosen, length, page):
    return (np.arange(length)[:, None] // page == chosen[:, None, :]).any(axis=-1)
