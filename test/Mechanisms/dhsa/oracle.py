# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DHSA, arXiv:2510.24606: section 3 (chunks of variable length, one choice for
all heads) and the released code (fixed blocks, a choice for each head)."""

import numpy as np


def attention(q, k, v, keep):
    """Causal softmax over what keep[b, h, i, j] allows; rows without a key are 0."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    out = np.zeros((*q.shape[:3], v.shape[3]))
    for b, h, i in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[1] // k.shape[1])
        seen = [j for j in range(i + 1) if keep[b, h, i, j]]
        if seen:
            s = k[b, g, seen] @ q[b, h, i] / np.sqrt(q.shape[3])
            w = np.exp(s - s.max())
            out[b, h, i] = w @ v[b, g, seen] / w.sum()
    return out


def best(scores, count, forced=()):
    """Indices, rising: the forced ones, then the largest, ties to the first."""
    order = list(forced) + [j for j in np.argsort(-scores, kind="stable") if j not in forced]
    return sorted(order[:count])


def means(x, block):
    return np.stack(
        [x[..., a : a + block, :].mean(-2) for a in range(0, x.shape[-2], block)], axis=-2
    )


def block_lists(q, k, q_block, kv_block, share, causal_first=False, ends=False):
    """Key blocks of each batch entry, head and query block."""
    qm, km = (means(x.astype(np.float64), n) for x, n in ((q, q_block), (k, kv_block)))
    group = q.shape[1] // k.shape[1]
    count = max(1, int(share * km.shape[2]))
    lists = {}
    for b, h, i in np.ndindex(*qm.shape[:3]):
        scores = km[b, h // group] @ qm[b, h, i]
        if causal_first:
            scores = scores[: (i + 1) * q_block // kv_block]
        forced = sorted({0, len(scores) - 1})[:count] if ends else []
        lists[b, h, i] = best(scores, count, forced)
    return lists


def blocks(q, k, v, lists, q_block, kv_block):
    keep = np.zeros((*q.shape[:3], k.shape[2]), bool)
    for (b, h, i), chosen in lists.items():
        for n in chosen:
            rows = slice(i * q_block, (i + 1) * q_block)
            keep[b, h, rows, n * kv_block : (n + 1) * kv_block] = True
    return attention(q, k, v, keep)


def boundaries(logits, threshold, distance, cuts):
    """Gaps by falling logit, none within `distance` of one taken before."""
    taken = []
    for t in np.argsort(-logits, kind="stable"):
        if len(taken) < cuts and logits[t] > threshold:
            if all(abs(t - other) > distance for other in taken):
                taken.append(int(t))
    return sorted({0, len(logits)} | {t + 1 for t in taken})


def token_lists(q, k, bounds, block, budget, first, local):
    """Tokens of each query block, by the score of the chunk they are in."""
    q, k = q[0].astype(np.float64), k[0].astype(np.float64)
    n = q.shape[1]
    chunks = [
        k[:, a:z].mean(axis=(0, 1)) * np.sqrt(z - a) for a, z in zip(bounds, bounds[1:])
    ]
    lists = []
    for begin in range(0, n, block):
        own = q[:, begin : begin + block]
        query = own.mean(axis=(0, 1)) * np.sqrt(own.shape[1])
        end = min(begin + block, n)
        scores = np.array([chunks[np.searchsorted(bounds, j, side="right") - 1] @ query
                           for j in range(end)])  # fmt: skip
        forced = [j for j in range(end) if j < first or j >= end - local]
        lists.append(best(scores, budget, forced))
    return lists


def tokens(q, k, v, lists, block, instruction):
    n = q.shape[2]
    keep = np.zeros((*q.shape[:3], n), bool)
    for i, chosen in enumerate(lists):
        keep[:, :, i * block : (i + 1) * block, chosen] = True
    keep[:, :, max(0, n - instruction) :] = True
    return attention(q, k, v, keep)
