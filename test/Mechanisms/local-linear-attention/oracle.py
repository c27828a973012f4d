# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Local Linear Attention, arXiv:2510.01450, section 3, with the ridge of the
released code, which grows with the mass of a row's weights, or the paper's,
which does not.
"""

import numpy as np


def weights(q, k):
    """exp of causal scores minus the row's largest; rows are the last ones."""
    rows, keys = q.shape[-2], k.shape[-2]
    scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    hidden = np.arange(keys)[None, :] > np.arange(rows)[:, None] + keys - rows
    scores = np.where(hidden, -np.inf, scores)
    return np.exp(scores - scores.max(-1, keepdims=True))


def shares(q, k, ridge, absolute=False, block=None):
    """Weights of the values, [B, H, Sq, Skv]; they add up to 1."""
    w = weights(q, k)
    q, k = q.astype(np.float64), k.astype(np.float64)
    features = q.shape[-1]
    block = block or features
    result = np.zeros(w.shape)
    own = np.arange(features)[:, None] // block == np.arange(features) // block
    for b, h, i in np.ndindex(*w.shape[:3]):
        apart = k[b, h] - q[b, h, i]
        omega = w[b, h, i].sum()
        sigma = own * ((w[b, h, i][:, None] * apart).T @ apart)
        sigma += ridge * (1 if absolute else omega) * np.eye(features)
        mu = w[b, h, i] @ apart
        rho = np.linalg.solve(sigma, mu)
        result[b, h, i] = w[b, h, i] * (1 - apart @ rho) / (omega - mu @ rho)
    return result


def attention(q, k, v, ridge, absolute=False, block=None):
    return shares(q, k, ridge, absolute, block) @ v.astype(np.float64)


def softmax(q, k, v):
    w = weights(q, k)
    return (w / w.sum(-1, keepdims=True)) @ v.astype(np.float64)
