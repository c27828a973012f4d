# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mixture of heads, arXiv:2410.11842, section 3, with the scales of the released
vision models and the router of the released language model.

All heads are computed here and multiplied by their gates.
"""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def best(logits, count):
    """1 for the `count` largest of each row, of equal ones the first; else 0."""
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :count]
    mask = np.zeros(logits.shape)
    np.put_along_axis(mask, order, 1, axis=-1)
    return mask


def vision_gates(x, wr, ws, wa, count):
    """x [B, N, C] -> [B, N, H], shared heads first."""
    p = softmax(x @ wr.T)
    r = p * best(p, count)
    r = count * r / r.sum(axis=-1, keepdims=True)
    s = len(ws) * softmax(x @ ws.T)
    w = 2 * softmax(x @ wa.T)
    return np.concatenate([w[..., :1] * s, w[..., 1:] * r], axis=-1)


def llama_gates(q, shared, count):
    """q [B, H, N, D] before its rotation -> [B, N, H] of 0 and 1."""
    norms = np.moveaxis(np.linalg.norm(q[:, shared:], axis=-1), 1, 2)
    norms = norms / norms.std(axis=-1, ddof=1, keepdims=True)
    routed = best(softmax(norms), count)
    return np.concatenate([np.ones((*routed.shape[:2], shared)), routed], axis=-1)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([cos * a - sin * b, sin * a + cos * b], axis=-1)


def attention(q, k, v, causal):
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    if k.shape[2] == 0:
        return np.zeros(q.shape)
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if causal:
        scores[..., np.triu(np.ones(scores.shape[-2:], bool), 1)] = -np.inf
    return softmax(scores) @ v


def gated(gates, o):
    """Gates [B, N, H] times the outputs [B, H, N, D]."""
    return np.moveaxis(gates, 2, 1)[..., None] * o
