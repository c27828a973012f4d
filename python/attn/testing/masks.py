# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Masks as data: trees of tuples, their text and their meaning.

("causal",)  ("window", left, right[, block])  ("sink", size)  ("documents",)
("strided", stride, block, phase, anchor)  ("all_of", *masks)
("any_of", *masks)  ("not", mask)  ("per_head", masks, indices)
("blocks", q_block, kv_block, layout, heads, share): `heads` sets of lists, 0
for those of the key heads; about a `share` of all blocks is listed
("spans", heads, length): spans of up to `length` keys  ("elastic", heads, block)
"""

import numpy as np

from attn.reference import masks as reference


def text(mask):
    kind, *args = mask
    if kind in ("causal", "documents"):
        return f"#attn.{kind}"
    if kind == "window":
        block = f", block = {args[2]}" if len(args) > 2 else ""
        return f"#attn.window<left = {args[0]}, right = {args[1]}{block}>"
    if kind == "spans":
        return "#attn.spans"
    if kind == "elastic":
        return f"#attn.elastic<block = {args[1]}>"
    if kind == "sink":
        return f"#attn.sink<{args[0]}>"
    if kind == "strided":
        stride, block, phase, anchor = args
        return (
            f"#attn.strided<stride = {stride}, block = {block}, phase = {phase}, "
            f"anchor = {anchor}>"
        )
    if kind == "blocks":
        q_block, kv_block, layout = args[:3]
        if not q_block:
            return f"#attn.blocks<kv_block = {kv_block}, layout = {layout}>"
        return f"#attn.blocks<q_block = {q_block}, kv_block = {kv_block}, layout = {layout}>"
    if kind in ("all_of", "any_of"):
        return f"#attn.{kind}<[{', '.join(map(text, args))}]>"
    if kind == "not":
        return f"#attn.not<{text(args[0])}>"
    if kind == "per_head":
        masks, indices = args
        return f"#attn.per_head<[{', '.join(map(text, masks))}], {list(indices)}>"
    raise ValueError(f"unknown mask kind '{kind}'")


def leaves(mask):
    """The kinds without members, in the order in which they take operands."""
    kind, *args = mask
    if kind == "per_head":
        args = args[0]
    if kind in ("all_of", "any_of", "not", "per_head"):
        return [leaf for member in args for leaf in leaves(member)]
    return [mask]


def _blocks(length, block):
    """Number of blocks; those of size 0 hold everything."""
    return 1 if not block else -(-length // block)


def operands(mask, sizes, index_type):
    """(dims, dtype) of each tensor that a kind without members reads. A
    dimension is a letter of `sizes` (B, H, G, S, K, R: rows of the results) or a
    number."""
    kind, *args = mask
    if kind == "documents":
        return [("BS", index_type), ("BK", index_type)]
    if kind == "blocks":
        q_block, kv_block, layout, heads, share = args
        heads = heads or "G"
        rows, keys = _blocks(sizes["R"], q_block), _blocks(sizes["K"], kv_block)
        if layout == "members":
            return [(("B", heads, rows, keys), "i1")]
        if layout == "csr":
            return [(("B", heads, rows + 1), index_type),
                    (("B", heads, int(rows * keys * share) + 2), index_type)]
        return [(("B", heads, rows, int(keys * share) + 2), index_type),
                (("B", heads, rows), index_type)]
    if kind == "spans":
        return [(("B", args[0] or "G", "R"), index_type)] * 2
    if kind == "elastic":
        return [(("B", args[0] or "G"), index_type)] * 2
    return []


def values(mask, shapes, sizes, rng):
    """Arrays for the operands of a kind without members. Lists are unsorted,
    with repetitions, numbers that are no block and counts beyond capacity."""
    kind, *args = mask
    if kind == "documents":
        # Documents of about three rows, numbered in rising order.
        return [np.cumsum(rng.random(shape) < 0.3, axis=-1) for shape in shapes]
    if kind == "spans":
        begins = rng.integers(-args[1], sizes["K"] + 1, shapes[0])
        return [begins, begins + rng.integers(-1, args[1] + 1, shapes[1])]
    if kind == "elastic":
        most = _blocks(sizes["K"], args[1]) // 2 + 2
        return [rng.integers(-1, most, shape) for shape in shapes]
    _, kv_block, layout, _, share = args
    keys = _blocks(sizes["K"], kv_block)
    if layout == "members":
        return [rng.random(shapes[0]) < share]
    if layout == "csr":
        begins = rng.integers(-1, shapes[1][2] + 2, shapes[0])
        return [np.sort(begins, axis=-1), rng.integers(-2, keys + 2, shapes[1])]
    counts = rng.integers(-1, shapes[0][3] + 2, shapes[1])
    return [rng.integers(-2, keys + 2, shapes[0]), counts]


def _keep_blocks(mask, rows, kv_len, operands):
    _, q_block, kv_block, layout, *_ = mask
    keys = _blocks(kv_len, kv_block)
    first = next(operands)
    if layout == "members":
        members = first.astype(bool)
    elif layout == "csr":
        members = reference.csr_members(first, next(operands), keys)
    else:
        members = reference.padded_members(first, next(operands), keys)
    return reference.blocks(rows, kv_len, members, q_block, kv_block)


def _for_all_heads(kept, heads):
    """What consecutive heads share, for each of them."""
    return np.repeat(kept, heads // kept.shape[1], axis=1) if heads else kept


def keep(mask, heads, positions, kv_len, operands):
    """Bool array that broadcasts to [B, H, Sq, Skv].

    positions  [B, Sq], of the query rows
    operands   iterator over the arrays that the mask reads, in order
    """
    kind, *args = mask
    query = positions[:, None, :, None]
    key = np.arange(kv_len)[None, None, None, :]
    if kind == "documents":
        return reference.documents(next(operands), next(operands))
    if kind == "blocks":
        kept = _keep_blocks(mask, positions.shape[1], kv_len, operands)
        return _for_all_heads(kept, heads)
    if kind == "spans":
        return _for_all_heads(reference.spans(next(operands), next(operands), kv_len), heads)
    if kind == "elastic":
        kept = reference.elastic(positions, kv_len, next(operands), next(operands), args[1])
        return _for_all_heads(kept, heads)
    if kind in ("all_of", "any_of"):
        whole = np.full((1, 1, 1, 1), kind == "all_of")
        combine = np.logical_and if kind == "all_of" else np.logical_or
        for member in args:
            whole = combine(whole, keep(member, heads, positions, kv_len, operands))
        return whole
    if kind == "not":
        return ~keep(args[0], heads, positions, kv_len, operands)
    if kind == "per_head":
        shape = (positions.shape[0], heads, positions.shape[1], kv_len)
        members = [
            np.broadcast_to(keep(m, heads, positions, kv_len, operands), shape)
            for m in args[0]
        ]
        return np.stack([members[m][:, h] for h, m in enumerate(args[1])], axis=1)
    return getattr(reference, kind)(query, key, *args)
