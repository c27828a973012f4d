# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which heads, keys and spans a token uses.

Selections are sets: stored by rising index, missing places -1; of equal scores
the smallest index is better.
"""

import math

import numpy as np


def top_k(scores, capacity, *, budget=None, limits=None, own=None, by="count",
          bound=None, forced_first=0, forced_last=0):
    """The best entries of the last dimension of `scores` [..., N].

    budget, limits, own  broadcast to [...]: most entries, candidates are those
                         below the limit, an entry that is always selected
    by                   'count', 'threshold' (scores above `bound`), 'top_p'
                         (softmax adds up to `bound`), 'mass' (positive scores
                         add up to `bound` of all)

    Returns indices [..., capacity] and counts [...]. NaN and minus infinity
    are selected only where an entry is forced.
    """
    scores = np.asarray(scores, np.float64)
    lead, n = scores.shape[:-1], scores.shape[-1]

    def per_row(x, otherwise):
        return np.broadcast_to(otherwise if x is None else x, lead)

    budget, limits, own = per_row(budget, capacity), per_row(limits, n), per_row(own, -1)
    indices = np.full((*lead, capacity), -1, np.int64)
    counts = np.zeros(lead, np.int64)
    for at in np.ndindex(*lead):
        row, limit = scores[at], min(max(int(limits[at]), 0), n)
        forced = {j for j in range(limit)
                  if j < forced_first or j >= limit - forced_last or j == own[at]}
        least = bound if by == "threshold" else -np.inf
        good = [j for j in range(limit) if j not in forced and row[j] > least]
        order = sorted(forced) + sorted(good, key=lambda j: (-row[j], j))
        order = order[: min(max(int(budget[at]), 0), capacity)]
        if by in ("top_p", "mass"):
            every = sorted(forced) + good
            values = {j: row[j] for j in every if row[j] > -np.inf}
            if by == "mass":
                weights = {j: max(x, 0.0) for j, x in values.items()}
            else:
                top = max(values.values(), default=0.0)
                weights = {j: 1.0 if x == top else math.exp(x - top) for j, x in values.items()}
            target, seen, kept = bound * math.fsum(weights.values()), 0.0, []
            for j in order:
                if j not in forced and seen >= target:
                    break
                kept.append(j)
                seen += weights.get(j, 0.0)
            order = kept
        counts[at] = len(order)
        indices[at][: len(order)] = sorted(order)
    return indices, counts


def softmax(logits):
    """Of the last dimension; uniform where all are minus infinity."""
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        powers = np.where(logits == top, 1.0, np.exp(logits - top))
    return powers / powers.sum(axis=-1, keepdims=True)


def route_heads(kind, x, *, heads, top_k_heads, routed=None, shared=None, alpha=None,
                num_shared=0, renormalize=False, hard=False, routed_scale=1.0,
                shared_scale=1.0, alpha_scale=1.0):
    """Gates [B, S, heads] of a mixture of heads, arXiv:2410.11842.

    kind    'linear': x [B, S, C] and weights [heads, C]; 'qnorm': x are queries
            [B, H, S, D]; 'logits': x [B, S, E], and `shared`, `alpha` likewise
    """
    x = np.asarray(x, np.float64)

    def logits_of(operand):
        values = x @ np.asarray(operand, np.float64).T if kind == "linear" else operand
        return np.where(np.isnan(values), -np.inf, values)

    if kind == "qnorm":
        logits = np.moveaxis(np.sqrt((x[:, num_shared:] ** 2).sum(-1)), 1, 2)
        deviation = np.zeros(logits.shape[:2])
        if logits.shape[2] > 1:
            deviation = logits.std(axis=-1, ddof=1)
        logits = logits / np.where(deviation == 0, 1, deviation)[..., None]
        logits = np.where(np.isnan(logits), -np.inf, logits)
    else:
        logits = logits_of(routed if kind == "linear" else x)
    chosen, _ = top_k(logits, min(top_k_heads, logits.shape[-1]))
    mask = (np.arange(logits.shape[-1]) == chosen[..., None]).any(axis=-2)
    used = mask * (1.0 if hard else softmax(logits))
    if renormalize:
        total = used.sum(axis=-1, keepdims=True)
        used = used / np.where(total == 0, 1, total)
    first = heads - logits.shape[-1]
    ones = np.ones((*logits.shape[:2], first))
    own = softmax(logits_of(shared)) if shared is not None and first else ones
    parts = [own * shared_scale, used * routed_scale]
    if alpha is not None:
        share = softmax(logits_of(alpha)) * alpha_scale
        parts = [part * share[..., i : i + 1] for i, part in enumerate(parts)]
    return np.concatenate(parts, axis=-1)


def list_rows(gates):
    """Rows [B, H, S] whose gate [B, S, H] is not 0, their number, their gates."""
    batch, length, heads = gates.shape
    rows = np.full((batch, heads, length), -1, np.int64)
    weights = np.zeros(rows.shape)
    counts = np.zeros((batch, heads), np.int64)
    for b, h in np.ndindex(batch, heads):
        used = np.flatnonzero(gates[b, :, h] != 0)
        counts[b, h] = used.size
        rows[b, h, : used.size] = used
        weights[b, h, : used.size] = gates[b, used, h]
    return rows, counts, weights


def pool(kind, x, *, block=None, bounds=None, lengths=None):
    """One row for each part of the rows of x [B, H, S, D]."""
    batch, heads, length, dim = x.shape
    if bounds is None:
        bounds = np.minimum(np.arange(-(-length // block) + 1) * block, length)[None]
    bounds = np.broadcast_to(bounds, (batch, bounds.shape[1]))
    result = np.zeros((batch, heads, bounds.shape[1] - 1, dim))
    for b, n in np.ndindex(batch, result.shape[2]):
        end = length if lengths is None else min(max(int(np.broadcast_to(lengths, batch)[b]), 0), length)
        rows = x[b, :, min(max(bounds[b, n], 0), end) : min(max(bounds[b, n + 1], 0), end)]
        if rows.shape[1]:
            result[b, :, n] = {
                "mean": lambda: rows.mean(axis=1),
                "sum": lambda: rows.sum(axis=1),
                "sqrt_sum": lambda: rows.sum(axis=1) / math.sqrt(rows.shape[1]),
                "min": lambda: rows.min(axis=1),
                "max": lambda: rows.max(axis=1),
            }[kind]()
    return result


def segment(logits, threshold, distance, max_cuts):
    """Chunk boundaries of DHSA, arXiv:2510.24606: greedy suppression."""
    batch, length = logits.shape
    bounds = np.full((batch, max_cuts + 2), length, np.int64)
    counts = np.zeros(batch, np.int64)
    for b in range(batch):
        taken = []
        gaps = [t for t in range(length) if logits[b, t] > threshold]
        for t in sorted(gaps, key=lambda t: (-logits[b, t], t)):
            if len(taken) < max_cuts and all(abs(t - other) > distance for other in taken):
                taken.append(t)
        cuts = sorted(t + 1 for t in taken if t + 1 < length)
        bounds[b, 0] = 0
        bounds[b, 1 : len(cuts) + 1] = cuts
        counts[b] = min(len(cuts) + 1, length)
    return bounds, counts


def gather_rows(x, rows):
    """Rows of x [B, H, S, D] by index [B, H, N]; zeros where there is none."""
    batch, heads, length, dim = x.shape
    rows = np.broadcast_to(rows, (batch, heads, rows.shape[2]))
    result = np.zeros((batch, heads, rows.shape[2], dim))
    for b, h, n in np.ndindex(*rows.shape):
        if 0 <= rows[b, h, n] < length:
            result[b, h, n] = x[b, h, rows[b, h, n]]
    return result


def _per_batch(x, batch):
    return np.broadcast_to(0 if x is None else x, (batch,))


def span_search(query, key, offsets, k, *, query_offset=None, starts=None):
    """The k best of the keys at q + 1 - offset, arXiv:2601.18401 section 3:
    anchors and products [B, H, S, k], best first, of equal ones the lowest key."""
    batch, heads, length = query.shape[:3]
    group = heads // max(key.shape[1], 1)
    query_offset, starts = _per_batch(query_offset, batch), _per_batch(starts, batch)
    anchors = np.full((batch, heads, length, k), -1, np.int64)
    logits = np.full(anchors.shape, -np.inf)
    for b, h, i in np.ndindex(batch, heads, length):
        q = i + query_offset[b]
        keys = [q + 1 - o for o in offsets]
        keys = [a for a in keys if max(starts[b], 0) <= a <= min(q, key.shape[2] - 1)]
        found = [(float(query[b, h, i] @ key[b, h // group, a]), a) for a in keys]
        found = sorted((-x, a) for x, a in found if x > -np.inf)[:k]
        for j, (x, a) in enumerate(found):
            anchors[b, h, i, j], logits[b, h, i, j] = a, -x
    return anchors, logits


def span_bounds(anchors, backward, forward, power, *, query_offset=None, starts=None):
    """Keys [begin, end) around each anchor [B, H, S, K]."""
    batch, _, length, _ = anchors.shape
    q = np.arange(length) + _per_batch(query_offset, batch)[:, None]
    start = np.maximum(_per_batch(starts, batch), 0)[:, None]
    grown = np.maximum(q + 1 - start, 0).astype(np.float64) ** power

    def wide(x):
        return np.broadcast_to(x, (batch, length))[:, None, :, None].astype(np.int64)

    # No sequence is longer than the bound, which keeps numbers integers.
    back, ahead = (wide(np.minimum(np.ceil(x * grown), 2.0**40)) for x in (backward, forward))
    q, start = wide(q), wide(start)
    valid = (anchors >= start) & (anchors <= q)
    begins = np.where(valid, np.maximum(anchors - back, start), 0)
    ends = np.where(valid, np.minimum(anchors + ahead, q) + 1, 0)
    return begins, ends


def span_attention(query, key, value, begins, ends, logits, window, *, query_offset=None,
                   starts=None, softmax_scale=None):
    """Gated sum of attentions over the window and one span each."""
    batch, heads, length, dim = query.shape
    group = heads // max(key.shape[1], 1)
    query_offset, starts = _per_batch(query_offset, batch), _per_batch(starts, batch)
    scale = 1 / math.sqrt(dim) if softmax_scale is None else softmax_scale
    output = np.zeros((batch, heads, length, value.shape[3]))
    at = np.arange(key.shape[2])
    gates = softmax(np.where(np.isnan(logits), -np.inf, logits))
    for b, h, i in np.ndindex(batch, heads, length):
        q = i + query_offset[b]
        first = max(q - window + 1, starts[b])
        for j in range(begins.shape[3]):
            begin, end = max(begins[b, h, i, j], starts[b]), min(ends[b, h, i, j], first)
            kept = np.flatnonzero(((at >= begin) & (at < end)) | ((at >= first) & (at <= q)))
            if kept.size:
                scores = scale * (key[b, h // group, kept] @ query[b, h, i])
                powers = np.exp(scores - scores.max())
                part = powers / powers.sum() @ value[b, h // group, kept]
                output[b, h, i] += gates[b, h, i, j] * part
    return output


def key_importance(query, key, lse, rows, heads, *, kept=True, kv_lengths=None,
                   softmax_scale=None):
    """Probabilities [B, H, Sq, Skv] reduced over rows and the heads of a group.

    kept  broadcasts to them, bool
    """
    batch, num_heads, length, dim = query.shape
    kv_heads, kv_len = key.shape[1:3]
    scale = 1 / math.sqrt(dim) if softmax_scale is None else softmax_scale
    wide = np.repeat(key, num_heads // max(kv_heads, 1), axis=1)
    scores = scale * np.einsum("bhid,bhjd->bhij", query, wide)
    with np.errstate(invalid="ignore", over="ignore"):
        weights = np.exp(scores - lse[..., None])
    weights = np.where(lse[..., None] == -np.inf, 0, weights)
    kept = np.broadcast_to(kept, weights.shape)
    if kv_lengths is not None:
        kept = kept & (np.arange(kv_len) < np.asarray(kv_lengths)[:, None, None, None])
    weights = np.where(kept, weights, 0)
    reduce = {"sum": lambda x, axis: x.sum(axis), "max": lambda x, axis: x.max(axis, initial=0)}
    result = reduce[rows](weights, 2)
    if heads == "each":
        return result
    groups = result.reshape(batch, kv_heads, num_heads // max(kv_heads, 1), kv_len)
    return reduce[heads](groups, 2)
