# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What can a single attention layer learn?, arXiv:2307.11353, section 3:
attention with frozen Gaussian query-key matrices, ReLU and 1 / N."""

import numpy as np


def features(x0, x, w, act=lambda s: np.maximum(s, 0)):
    """Phi[b, m] = 1 / N sum_i act(x0 . W_m x_i) x_i."""
    x0, x, w = (a.astype(np.float64) for a in (x0, x, w))
    out = np.zeros((len(x), len(w), x.shape[2]))
    for b in range(len(x)):
        for m in range(len(w)):
            out[b, m] = np.mean([act(x0[b] @ w[m] @ xi) * xi for xi in x[b]], axis=0)
    return out


def layer(x0, x, w, v, act=lambda s: np.maximum(s, 0)):
    return (features(x0, x, w, act) * v.astype(np.float64)).sum(axis=(1, 2))
