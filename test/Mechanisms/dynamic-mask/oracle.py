# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trainable dynamic mask attention, arXiv:2508.02124, section 3, with the bias
of the released code, a * softplus(dt) without the exponential."""

import numpy as np


def delta(v, w, a):
    """[B, G, T]; w: [heads, D, G], so that all heads' values of a token mix."""
    dt = np.einsum("bhtd,hdg->bgt", v.astype(np.float64), w.astype(np.float64))
    return a.astype(np.float64)[:, None] * np.logaddexp(0, dt)


def best(scores, count):
    return np.sort(np.argsort(-scores, axis=-1, kind="stable")[..., :count], axis=-1)


def shared(bias, count):
    """One set for all rows: [B, G, 1, T]."""
    keep = np.zeros(bias.shape, bool)
    np.put_along_axis(keep, best(bias, count), True, axis=-1)
    return keep[:, :, None]


def per_row(bias, count):
    """The best of the keys up to each row: [B, G, T, T]."""
    length = bias.shape[2]
    keep = np.zeros((*bias.shape, length), bool)
    for i in range(length):
        np.put_along_axis(keep[:, :, i], best(bias[..., : i + 1], count), True, axis=-1)
    return keep


def smooth(keep, block):
    """Blocks of keys whole where more than half of their keys are kept."""
    result = np.zeros_like(keep)
    for a in range(0, keep.shape[-1], block):
        part = keep[..., a : a + block]
        result[..., a : a + block] = 2 * part.sum(axis=-1, keepdims=True) > part.shape[-1]
    return result


def attention(q, k, v, bias, keep):
    """Causal as well; query rows are the last ones. A row without keys is 0."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    share = q.shape[1] // k.shape[1]
    k, v, bias, keep = (np.repeat(x, share, axis=1) for x in (k, v, bias, keep))
    rows, keys = q.shape[2], k.shape[2]
    causal = np.arange(keys) <= np.arange(rows)[:, None] + keys - rows
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[3]) + bias[:, :, None]
    s = np.where(keep & causal, s, -np.inf)
    top = s.max(axis=-1, keepdims=True)
    e = np.exp(s - np.where(np.isfinite(top), top, 0))
    total = e.sum(axis=-1, keepdims=True)
    return e @ v / np.where(total > 0, total, 1)
