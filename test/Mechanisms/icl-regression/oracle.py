# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""In-context linear regression by multi-head softmax attention: the trained
pattern of In-Context Linear Regression Demystified, section 3."""

import numpy as np


def layer(x, y, xq, kq, ov):
    """The layer on Z = [[x_1 .. x_L, x_q], [y_1 .. y_L, 0]] as a whole, with full
    matrices; the query's own column is masked. The last entry is the answer."""
    answers = np.zeros(len(x))
    for b in range(len(x)):
        z = np.concatenate([x[b], y[b][:, None]], axis=1).astype(np.float64)
        zq = np.append(xq[b].astype(np.float64), 0.0)
        for k, o in zip(kq, ov):
            s = z @ k @ zq
            e = np.exp(s - s.max())
            answers[b] += (o @ (z.T @ (e / e.sum())))[-1]
    return answers


def matrices(kq, mu):
    """KQ acts on x only, OV keeps mu times the last entry."""
    d = kq.shape[1]
    full = np.zeros((len(kq), d + 1, d + 1))
    full[:, :d, :d] = kq
    ov = np.zeros((len(kq), d + 1, d + 1))
    ov[:, d, d] = mu
    return full, ov


def descent(x, y, xq, rate):
    """One step of gradient descent from 0 on centred examples."""
    x, y, xq = (a.astype(np.float64) for a in (x, y, xq))
    centred = x - x.mean(axis=1, keepdims=True)
    return rate * np.einsum("bl,bld,bd->b", y, centred, xq) / x.shape[1]
