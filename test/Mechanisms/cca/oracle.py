# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compressed convolutional attention (CCA, CCGQA), as ZAYA1 uses it: written as
loops over tokens and heads from the formulas of its modelling code."""

import numpy as np


def channels(q0, k0, w0, b0, w1, b1):
    """Both convolutions, [tokens, heads, d]; one padding before them, so the first
    one gives its bias at the row before the first token."""
    c = np.concatenate([q0, k0], axis=-1).astype(np.float64)
    heads, d, taps = w1.shape[0], w1.shape[1], w0.shape[1]
    pad = taps - 1 + w1.shape[3] - 1
    c = np.concatenate([np.zeros((pad, c.shape[1])), c])
    y1 = np.array([
        sum(w0[:, r] * c[t + r] for r in range(taps)) + b0 for t in range(len(c) - taps + 1)
    ])  # fmt: skip
    y1 = y1.reshape(len(y1), heads, d)
    y2 = np.zeros((len(q0), heads, d))
    for t in range(len(q0)):
        for h in range(heads):
            y2[t, h] = b1[h] + sum(w1[h, :, :, r] @ y1[t + r, h] for r in range(w1.shape[3]))
    return y2


def fold(w0, b0, w1, b1):
    """One convolution in place of two: w[h, o, i, tap] and its bias."""
    heads, d = w1.shape[:2]
    w0, b0 = w0.astype(np.float64).reshape(heads, d, -1), b0.reshape(heads, d)
    w = np.zeros((heads, d, d, w0.shape[2] + w1.shape[3] - 1))
    for a in range(w1.shape[3]):
        for b in range(w0.shape[2]):
            w[..., a + b] += w1[..., a] * w0[:, None, :, b]
    return w, b1 + np.einsum("hoia,hi->ho", w1, b0)


def heads(q0, k0, w0, b0, w1, b1, temp, cos, sin, y=None):
    """Queries [H, tokens, d] and keys [G, tokens, d]; `y` in place of the channels."""
    d, g = w1.shape[1], len(temp)
    y = channels(q0, k0, w0, b0, w1, b1) if y is None else y
    q0 = q0.astype(np.float64).reshape(len(q0), -1, d)
    k0 = k0.astype(np.float64).reshape(len(k0), g, d)
    per = q0.shape[1] // g
    qm = np.stack([(q0[:, h] + k0[:, h // per]) / 2 for h in range(q0.shape[1])], axis=1)
    km = np.stack([qm[:, n * per : (n + 1) * per].mean(axis=1) for n in range(g)], axis=1)
    x = y + np.concatenate([qm, km], axis=1)
    x = np.sqrt(d) * x / np.linalg.norm(x, axis=-1, keepdims=True)
    x[:, q0.shape[1] :] *= np.asarray(temp)[:, None]
    half = cos.shape[1]
    a, b = x[..., :half].copy(), x[..., half : 2 * half].copy()
    c, s = cos[:, None].astype(np.float64), sin[:, None].astype(np.float64)
    x[..., :half], x[..., half : 2 * half] = a * c - b * s, b * c + a * s
    x = np.moveaxis(x, 1, 0)
    return x[: q0.shape[1]], x[q0.shape[1] :]


def values(v1, v2, g):
    """Half of the channels belong to the token before; then the cut into heads."""
    before = np.concatenate([np.zeros_like(v2[:1]), v2[:-1]]) if len(v2) else v2
    both = np.concatenate([v1, before], axis=-1).astype(np.float64)
    return np.moveaxis(both.reshape(len(both), g, -1), 1, 0)


def attention(q, k, v):
    out = np.zeros((q.shape[1], q.shape[0], v.shape[2]))
    for h in range(q.shape[0]):
        g = h // (q.shape[0] // k.shape[0])
        for t in range(q.shape[1]):
            s = k[g, : t + 1] @ q[h, t] / np.sqrt(q.shape[2])
            e = np.exp(s - s.max())
            out[t, h] = e @ v[g, : t + 1] / e.sum()
    return out.reshape(len(out), -1)
