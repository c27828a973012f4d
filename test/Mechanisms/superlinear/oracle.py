# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Superlinear multi-step attention, arXiv:2601.18401, section 3, with two steps,
and the lengths of spans of the released code. Of equal products the lowest key
is the better one.
"""

import math

import numpy as np


def offsets(w0, length, p):
    """Distances of the anchors behind the window, as far as `length` keys need."""
    table, i = [], w0 + 1
    while (off := math.floor(i ** (1 / p) + 1e-9)) <= length:
        table.append(off)
        i += 1
    return table


def window(w0, p):
    return math.floor((w0 + 1) ** (1 / p) + 1e-9) - 1


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def search(q1, key, q, table, count, start):
    """The best anchors of a row at position q, and their products."""
    found = [q + 1 - off for off in table if q + 1 - off >= start]
    scores = {a: float(key[a] @ q1) for a in found}
    best = sorted(scores, key=lambda a: (-scores[a], a))[:count]
    rest = count - len(best)
    return best + [-1] * rest, [scores[a] for a in best] + [-math.inf] * rest


def span(anchor, q, start, backward, forward, power, size):
    """First and last key of a span, cut at the window."""
    if anchor < 0:
        return range(0)
    n = q + 1 - start
    first = max(anchor - math.ceil(backward * n**power), start)
    last = min(anchor + math.ceil(forward * n**power), q, max(0, q - (size - 1)) - 1)
    return range(first, last + 1)


def attention(q1, q2, k, v, table, size, count, backward, forward, power, starts):
    """Output and anchors; the last row of the queries stands at the last key."""
    out = np.zeros(q2.shape)
    anchors = np.full((*q1.shape[:3], count), -1)
    begin = k.shape[2] - q1.shape[2]
    for b, h, i in np.ndindex(*q1.shape[:3]):
        g, q, start = h // (q1.shape[1] // k.shape[1]), begin + i, int(starts[b])
        if q < start:
            continue
        key, value = k[b, g].astype(np.float64), v[b, g].astype(np.float64)
        anchors[b, h, i], z = search(q1[b, h, i], key, q, table, count, start)
        near = range(max(q - size + 1, start), q + 1)
        alive = np.isfinite(z)
        gate = softmax(np.array(z)) if alive.any() else np.full(count, 1 / count)
        for a, weight in zip(anchors[b, h, i], gate):
            seen = [*span(a, q, start, backward, forward, power, size), *near]
            assert len(set(seen)) == len(seen)
            if seen:
                p = softmax(key[seen] @ q2[b, h, i] / np.sqrt(q2.shape[3]))
                out[b, h, i] += weight * (p @ value[seen])
    return out, anchors


def causal(q, k, v):
    out = np.zeros(q.shape)
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[1] // k.shape[1])
        p = softmax(k[b, g, : i + 1].astype(np.float64) @ q[b, h, i] / np.sqrt(q.shape[3]))
        out[b, h, i] = p @ v[b, g, : i + 1]
    return out
