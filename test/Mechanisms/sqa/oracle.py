# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sparse Query Attention, arXiv:2510.01817, section 3.

A layer of model width C with fewer query heads than C / D; the output
projection is rectangular. Softmax attention in groups otherwise.
"""

import numpy as np


def layer(x, wq, wk, wv, wo, head_dim):
    """x [B, S, C]; wq [C, Hq D], wk and wv [C, Hkv D], wo [Hq D, C]; causal."""
    batch, length, _ = x.shape

    def heads(w):
        split = (batch, length, w.shape[1] // head_dim, head_dim)
        return (x @ w).reshape(split).transpose(0, 2, 1, 3)

    q, k, v = heads(wq), heads(wk), heads(wv)
    output = np.zeros(q.shape)
    for b in range(batch):
        for h in range(q.shape[1]):
            g = h // (q.shape[1] // k.shape[1])
            for i in range(length):
                scores = k[b, g, : i + 1] @ q[b, h, i] / np.sqrt(head_dim)
                weights = np.exp(scores - scores.max())
                output[b, h, i] = weights @ v[b, g, : i + 1] / weights.sum()
    return output.transpose(0, 2, 1, 3).reshape(batch, length, wo.shape[0]) @ wo
