# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random cases of the operations that choose heads, keys, rows and spans."""

import random

from . import selection, spans

LENGTHS = [0, 1, 2, 5, 16, 33, 63, 64, 65, 130]
# No ratio of small numbers comes near these, so that rounding decides nothing.
SHARES = [0.381966, 0.618034, 0.854102]


def _top_k(rng, seed):
    lead = tuple(rng.choice([1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 2, 3])))
    by = rng.choice([None, None, None, "threshold", "mass", "top_p"])
    weighs = by in ("mass", "top_p")
    n = rng.choice([x for x in [*LENGTHS, 300] if not weighs or x <= 64])

    def number(top):
        kind = rng.randrange(4)
        if kind < 2:
            return None
        # Arrays of rank 0 would be numbers.
        if kind == 2 or not lead:
            return rng.randrange(-2, top + 4)
        return tuple(rng.choice([x, x, 1]) for x in lead)

    k = rng.choice([0, 1, 2, 5, 9, n, n + 3])
    return selection.TopKCase(
        lead=lead, N=n, K=k, dtype=rng.choice(["f32", "f32", "f16", "bf16", "f64"]),
        index_type=rng.choice(["i32", "i64"]), by=by,
        bound=None if by is None else 0.5 if by == "threshold" else rng.choice(SHARES),
        first=rng.choice([0, 0, 1, 3]), last=rng.choice([0, 0, 1, 3]), budget=number(k),
        limits=number(n), own=number(n), levels=rng.choice([0, 1, 3, 9]),
        special=not weighs and rng.random() < 0.4, dynamic=rng.random() < 0.5,
        dynamic_K=rng.random() < 0.3, seed=seed)


def _route(rng, seed):
    kind = rng.choice(["linear", "qnorm", "logits"])
    heads = rng.choice([1, 2, 3, 6, 9])
    routed = rng.randrange(1, heads + 1)
    shared = kind != "qnorm" and routed < heads and rng.random() < 0.5
    return selection.RouteCase(
        kind, B=rng.choice([1, 2]), S=rng.choice(LENGTHS), C=rng.choice([1, 6, 20]), H=heads,
        E=routed, k=rng.randrange(0, routed + 2), shared=shared,
        alpha=kind != "qnorm" and rng.random() < 0.4, renormalize=rng.random() < 0.5,
        hard=kind == "qnorm" or rng.random() < 0.3,
        scales=tuple(rng.choice([1.0, 2.0]) for _ in range(3)), levels=rng.choice([0, 0, 2]),
        special=rng.random() < 0.2, dynamic=rng.random() < 0.5, seed=seed)


def _list_rows(rng, seed):
    return selection.ListRowsCase(
        B=rng.choice([0, 1, 2]), S=rng.choice(LENGTHS), H=rng.choice([1, 3, 8]),
        dtype=rng.choice(["f32", "f16", "bf16", "f64"]), index_type=rng.choice(["i32", "i64"]),
        share=rng.choice([0, 0.1, 0.5, 1]), special=rng.random() < 0.2,
        dynamic=rng.random() < 0.5, seed=seed)


def _pool(rng, seed):
    batch, length = rng.choice([1, 2, 3]), rng.choice(LENGTHS)
    block, bounds = rng.choice([1, 4, 16, 64, 200]), None
    if rng.random() < 0.5:
        parts = rng.choice([0, 1, 4, 9])
        bounds = tuple(tuple(rng.randrange(-3, length + 5) for _ in range(parts + 1))
                       for _ in range(rng.choice([1, batch])))
        block = None
    lengths = rng.choice([None, rng.randrange(-2, length + 3), tuple(
        rng.randrange(-2, length + 3) for _ in range(batch))])
    return selection.PoolCase(
        rng.choice(["mean", "sum", "sqrt_sum", "min", "max"]), B=batch, H=rng.choice([1, 2, 5]),
        S=length, D=rng.choice([1, 5, 33]), block=block, bounds=bounds, lengths=lengths,
        dtype=rng.choice(["f32", "f16", "bf16", "f64"]), index_type=rng.choice(["i32", "i64"]),
        dynamic=rng.random() < 0.5, seed=seed)


def _segment(rng, seed):
    return selection.SegmentCase(
        B=rng.choice([1, 2, 5]), L=rng.choice(LENGTHS), cuts=rng.choice([0, 1, 4, 40]),
        distance=rng.choice([0, 1, 7, 100]), threshold=rng.choice([-9.0, 0.0, 1.0]),
        levels=rng.choice([0, 1, 3]), special=rng.random() < 0.3,
        dtype=rng.choice(["f32", "f16", "bf16", "f64"]), index_type=rng.choice(["i32", "i64"]),
        dynamic=rng.random() < 0.5, seed=seed)


def _gather(rng, seed):
    batch, heads = rng.choice([1, 2]), rng.choice([1, 3])
    return selection.GatherCase(
        B=batch, H=heads, S=rng.choice(LENGTHS), D=rng.choice([1, 4, 33]),
        rows=(batch, rng.choice([1, heads]), rng.choice(LENGTHS)),
        dtype=rng.choice(["f32", "f16", "bf16", "f64"]), index_type=rng.choice(["i32", "i64"]),
        dynamic=rng.random() < 0.5, seed=seed)


def _spans(rng):
    """What the cases of spans share."""
    batch, key_heads = rng.choice([1, 2]), rng.choice([1, 2])
    rows, keys = rng.choice(LENGTHS), rng.choice(LENGTHS)

    def number(least, most):
        return rng.choice([None, rng.randrange(least, most + 1), tuple(
            rng.randrange(least, most + 1) for _ in range(batch))])

    return {
        "B": batch, "G": key_heads, "H": key_heads * rng.choice([1, 2, 3]), "S": rows, "L": keys,
        "D": rng.choice([1, 8, 33, 64]), "K": rng.choice([1, 2, 3, 6]),
        "dtype": rng.choice(["f32", "f32", "f16", "bf16", "f64"]),
        "index_type": rng.choice(["i32", "i64"]), "query_offset": number(-5, max(keys, 1)),
        "starts": number(-2, 9), "dynamic": rng.random() < 0.5,
    }


def _search(rng, seed):
    most = rng.choice([3, 40, 150])
    offsets = tuple(rng.randrange(-1, most) for _ in range(rng.choice([0, 1, 4, 9])))
    return spans.SearchCase(**_spans(rng), offsets=offsets, levels=rng.choice([1, 2]),
                            special=rng.random() < 0.2, seed=seed)


def _bounds(rng, seed):
    return spans.BoundsCase(
        **_spans(rng), backward=rng.choice([0.0, 1.0, 2.5, 1e30]), forward=rng.choice([0.0, 1.5]),
        power=rng.choice([0.0, 0.3, 0.5, 0.55]), seed=seed)


def _span_attention(rng, seed):
    return spans.SpanAttentionCase(
        **_spans(rng), V=rng.choice([1, 5, 32]), window=rng.choice([0, 1, 4, 70, 1000]),
        scale=rng.choice([None, 0.3]), special=rng.choice([None, None, "none", "logits"]),
        seed=seed)


def _importance(rng, seed):
    shared = _spans(rng)
    shared["starts"] = None
    batch, heads, rows, keys = (shared[x] for x in "BHSL")
    lengths = None
    if rng.random() < 0.4:
        lengths = tuple(rng.randrange(-2, keys + 3) for _ in range(batch))
    leaves = [
        ("causal",), ("window", rng.choice([-1, 0, 7, 40]), rng.choice([0, 3])),
        ("sink", rng.choice([0, 3, 70])), ("strided", 3, 16, 1, "query"),
        ("blocks", rng.choice([1, 16, 64]), rng.choice([1, 16, 64]), rng.choice(["padded", "csr"]),
         rng.choice([0, 1]), 0.4),
        ("spans", rng.choice([0, 1]), 30), ("elastic", 1, 16),
    ]
    first, second = rng.choice(leaves), rng.choice(leaves)
    mask = rng.choice([
        None, first, first, ("all_of", ("causal",), first), ("any_of", first, second),
        ("all_of", ("causal",), ("any_of", first, second)), ("not", first),
        ("per_head", (first, second), tuple(rng.randrange(2) for _ in range(heads))),
    ])
    return spans.ImportanceCase(
        **shared, rows=rng.choice(["sum", "max"]), heads=rng.choice(["sum", "max", "each"]),
        mask=mask, kv_lengths=lengths, scale=rng.choice([None, 0.2]),
        special=rng.choice([None, None, "lse", "nan"]), given=rng.random() < 0.5,
        N=rng.choice([-1, -1, *LENGTHS]), row_heads=rng.choice("H1"), seed=seed)


KINDS = [_top_k, _top_k, _route, _list_rows, _pool, _segment, _gather, _search, _bounds,
         _span_attention, _importance, _importance]


def random_selection_case(seed):
    """The case of a seed; neighbouring seeds take all operations in turn."""
    rng = random.Random(seed)
    return KINDS[seed % len(KINDS)](rng, seed)
