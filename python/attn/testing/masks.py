# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Masks as data: trees of tuples, their text and their meaning.

("causal",)  ("window", left, right)  ("sink", size)  ("documents",)
("strided", stride, block, phase, anchor)  ("all_of", *masks)
("any_of", *masks)  ("not", mask)  ("per_head", masks, indices)
"""

import numpy as np

from attn.reference import masks as reference


def text(mask):
    kind, *args = mask
    if kind in ("causal", "documents"):
        return f"#attn.{kind}"
    if kind == "window":
        return f"#attn.window<left = {args[0]}, right = {args[1]}>"
    if kind == "sink":
        return f"#attn.sink<{args[0]}>"
    if kind == "strided":
        stride, block, phase, anchor = args
        return (
            f"#attn.strided<stride = {stride}, block = {block}, phase = {phase}, "
            f"anchor = {anchor}>"
        )
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
