# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SHRP, arXiv:2512.20635: heads as experts with one choice for each token, and a
shared expander. Encoder attention, no mask.
"""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def experts(q, k, v):
    """The output of every head, [B, H, N, D]."""
    if q.shape[2] == 0:
        return np.zeros(q.shape)
    return softmax(q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])) @ v


def routed(x, router, q, k, v):
    """What each token gets [B, N, D], and how many tokens each head serves [B, H]."""
    p = softmax(x @ router.T)
    own = (np.arange(p.shape[-1]) == p.argmax(axis=-1)[..., None]).astype(float)
    mixed = np.einsum("bnh,bhnd->bnd", own * p, experts(q, k, v))
    return mixed, own.sum(axis=1)


def expander(x, w1, w2):
    return np.maximum(x @ w1, 0) @ w2
