# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sparsifiner, arXiv:2303.13755, section 3, with the released code's scale of
the predictor, one over the root of the number of heads."""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def connectivity(q, k, pq, bq, pk, bk, down, up, tb=0.1, tc=0.2):
    """A of all rows but the first, with all keys."""
    q, k, pq, bq, pk, bk, down, up = (
        x.astype(np.float64) for x in (q, k, pq, bq, pk, bk, down, up)
    )
    mixed = np.swapaxes(k @ pk + bk, -1, -2) @ down
    coef = softmax((q @ pq + bq)[:, :, 1:] @ mixed / np.sqrt(q.shape[1]))
    basis = np.abs(up.T)
    return np.where(coef > tc, coef, 0) @ np.where(basis > tb, basis, 0)


def best(a, count):
    """Row by row the largest, ties to the smallest index."""
    return np.argsort(-a, axis=-1, kind="stable")[..., :count]


def top(a, count):
    keep = np.zeros(a.shape, bool)
    np.put_along_axis(keep, best(a, count), True, axis=-1)
    return keep


def attention(q, k, v, keep):
    """Row 0 sees all, the others what `keep` says; rows without a key are 0."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    mask = np.concatenate([np.ones_like(keep[:, :, :1]), keep], axis=2)
    s = np.where(mask, q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[3]), -np.inf)
    e = np.exp(s - np.where(mask.any(-1, keepdims=True), s.max(-1, keepdims=True), 0))
    return e @ v / np.maximum(e.sum(-1, keepdims=True), 1e-300)
