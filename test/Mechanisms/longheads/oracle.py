# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LongHeads, arXiv:2402.10685, sections 3.2 and 3.3: summaries of chunks, and
the keys that a token reads, at positions without gaps."""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def angles(positions, width):
    """[positions, width / 2]."""
    return np.asarray(positions)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)


def rotate(x, positions):
    """Feature f turns with f + half; x: [n, D]."""
    half = x.shape[-1] // 2
    turn = np.exp(1j * angles(positions, x.shape[-1]))
    z = (x[..., :half].astype(np.float64) + 1j * x[..., half:]) * turn
    return np.concatenate([z.real, z.imag], axis=-1)


def summary(q, k, v, size):
    """[1, H, chunks, D] of whole chunks."""
    _, heads, length, width = k.shape
    r = np.zeros((1, heads, length // size, width))
    place = np.arange(size)
    for h, c in np.ndindex(heads, length // size):
        part = slice(c * size, (c + 1) * size)
        qc, kc = rotate(q[0, h, part], place), rotate(k[0, h, part], place)
        o = softmax(qc @ kc.T / np.sqrt(width)) @ v[0, h, part]
        r[0, h, c] = softmax(o.mean(axis=0) @ kc.T / np.sqrt(width)) @ kc
    return r


def choose(q, r, free):
    """The first, the last and `free` others, rising: [H, free + 2]."""
    chosen = []
    for h in range(q.shape[1]):
        scores = r[0, h, 1:-1].astype(np.float64) @ q[0, h, 0]
        inner = np.sort(np.argsort(-scores, kind="stable")[:free]) + 1
        chosen.append([0, *inner, r.shape[2] - 1])
    return np.array(chosen)


def decode(q, k, v, chosen, size, chunks, shift=0):
    """What is read stands at shift, shift + 1, ..., the query at the last."""
    out = np.zeros(q.shape)
    for h in range(q.shape[1]):
        rows = [c * size + t for c in chosen[h] for t in range(size)]
        rows += range(chunks * size, k.shape[2])
        place = shift + np.arange(len(rows))
        own = rotate(q[0, h], place[-1:])
        s = own @ rotate(k[0, h, rows], place).T / np.sqrt(q.shape[3])
        out[0, h] = softmax(s) @ v[0, h, rows]
    return out


def prefill(q, k, v, r, size, free):
    """Rows up to free + 3 chunks read everything before them; a later one its
    chunk and the chunk before, the first and the best others, at places 0, 1, ...
    of this selection. The row reads itself, as in decoding."""
    out = np.zeros(q.shape)
    parts = free + 3
    for h, t in np.ndindex(q.shape[1], q.shape[2]):
        own = t // size
        if t < parts * size:
            chunks = range(own + 1)
        else:
            scores = r[0, h, 1 : own - 1].astype(np.float64) @ q[0, h, t]
            best = np.sort(np.argsort(-scores, kind="stable")[:free]) + 1
            chunks = [0, *best, own - 1, own]
        rows = [c * size + x for c in chunks for x in range(size) if c * size + x <= t]
        place = np.arange(len(rows))
        s = rotate(q[0, h, t : t + 1], place[-1:]) @ rotate(k[0, h, rows], place).T
        out[0, h, t] = softmax(s / np.sqrt(q.shape[3])) @ v[0, h, rows]
    return out
