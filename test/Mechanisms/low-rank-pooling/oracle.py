# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Low-rank factorization for compact multi-head self-attention,
arXiv:1912.00835, section 3."""

import numpy as np


def softmax(f, axis):
    e = np.exp(f - f.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def weights(h, c, u, v, p, act=np.tanh):
    """A (n x m) of one sequence: the column of a head sums to 1."""
    h, c, u, v, p = (x.astype(np.float64) for x in (h, c, u, v, p))
    return softmax((act(h @ u) * act(c @ v)) @ p, axis=0)


def pool(h, c, u, v, p, lengths, act=np.tanh):
    """M = A^T H, of each sequence's first `lengths` words."""
    out = np.zeros((len(h), p.shape[1], h.shape[2]))
    for b, n in enumerate(lengths):
        if n:
            out[b] = weights(h[b, :n], c[b], u, v, p, act).T @ h[b, :n].astype(np.float64)
    return out


def bilinear(h, w, c):
    """One head of full rank: the affinity h^T W c."""
    return softmax(h.astype(np.float64) @ w @ c, axis=0) @ h
