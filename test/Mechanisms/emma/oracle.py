# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Efficient Monotonic Multihead Attention, arXiv:2312.04515, section 3.1, and
the policy of SeamlessStreaming, arXiv:2312.05187, section 5.

A virtual row before the first target stands at the first source.
"""

import numpy as np


def transitions(p):
    """T[i, m, n]: from m, target i passes all of m .. n - 1."""
    batch, heads, targets, sources = p.shape
    result = np.zeros((batch, heads, targets, sources, sources))
    for m in range(sources):
        for n in range(m, sources):
            result[..., m, n] = np.prod(1 - p[..., m:n].astype(np.float64), axis=-1)
    return result


def align(p):
    """alpha_i = p_i * (alpha_{i-1} T_i)."""
    matrices = transitions(p)
    before = np.zeros((*p.shape[:2], p.shape[3]))
    before[..., 0] = 1
    result = np.zeros(p.shape)
    for i in range(p.shape[2]):
        before = p[:, :, i] * np.einsum("bhm,bhmn->bhn", before, matrices[:, :, i])
        result[:, :, i] = before
    return result


def soft(alpha, energy):
    """beta[i, j] = sum_{k >= j} alpha[i, k] exp(u[i, j]) / sum_{l <= k} exp(u[i, l])."""
    result = np.zeros(alpha.shape)
    sources = alpha.shape[3]
    weights = np.exp(energy.astype(np.float64))
    for j in range(sources):
        for k in range(j, sources):
            result[..., j] += alpha[..., k] * weights[..., j] / weights[..., : k + 1].sum(-1)
    return result


def choose(q, keys, bias, temperature, ratio):
    """p = sigmoid((q k^T / sqrt(D) + bias) / temperature) for keys pooled by
    `ratio`; the last window is the mean of what there is."""
    length = keys.shape[2]
    pooled = np.stack(
        [keys[:, :, j : j + ratio].astype(np.float64).mean(axis=2) for j in range(0, length, ratio)],
        axis=2,
    )
    energy = q.astype(np.float64) @ np.swapaxes(pooled, -1, -2) / np.sqrt(q.shape[3]) + bias
    return 1 / (1 + np.exp(-energy / temperature))
