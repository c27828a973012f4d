# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SpAtten, arXiv:2012.09852, section 3: cascade token and head pruning, local
value pruning, progressive quantisation."""

import numpy as np


def probabilities(q, k):
    s = q.astype(np.float64) @ np.swapaxes(k, -1, -2).astype(np.float64) / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def keep_best(scores, count):
    """`count` names of the largest scores (a dict), of equal ones the first, in order."""
    return sorted(sorted(scores, key=lambda name: (-scores[name], name))[:count])


def encoder(x, weights, keep_tokens, keep_heads):
    """x [S, E]; per layer (Wq, Wk, Wv [H, E, D], Wo [H, D, E]). Before each layer the
    best of what is alive stays. Returns rows by token, heads, and both sums."""
    rows = {t: x[t].astype(np.float64) for t in range(len(x))}
    heads = list(range(len(weights[0][0])))
    token_sums, head_sums = dict.fromkeys(rows, 0.0), dict.fromkeys(heads, 0.0)
    for (wq, wk, wv, wo), tokens_left, heads_left in zip(weights, keep_tokens, keep_heads):
        alive = keep_best({t: token_sums[t] for t in rows}, tokens_left)
        heads = keep_best({h: head_sums[h] for h in heads}, heads_left)
        now = np.stack([rows[t] for t in alive])
        added = np.zeros_like(now)
        for h in heads:
            p = probabilities(now @ wq[h], now @ wk[h])
            out = p @ (now @ wv[h])
            for n, t in enumerate(alive):
                token_sums[t] += p[:, n].sum()
            head_sums[h] += np.abs(out).sum()
            added += out @ wo[h]
        rows = dict(zip(alive, now + added))
    return rows, heads, token_sums, head_sums


def local_values(q, k, v, count):
    """Only the `count` largest probabilities of a row fetch their values."""
    p = probabilities(q, k)
    order = np.argsort(-p, axis=-1, kind="stable")
    np.put_along_axis(p, order[..., count:], 0, axis=-1)
    return p @ v.astype(np.float64)


def progressive(q, k, v, q_upper, k_upper, threshold):
    p = probabilities(q_upper, k_upper)
    refine = p.max(axis=-1) < threshold
    p = np.where(refine[..., None], probabilities(q, k), p)
    return p @ v.astype(np.float64), refine
