# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lists of keys by every path: followed, tested, and as the cost model chooses."""

import numpy as np
import pytest

import attn
from attn.testing import mechanisms
from attn.testing.dtypes import decode

SPARSE = ("auto", "always", "never")


def text_of(rows, keys, heads, list_heads, q_block, kv_block, capacity, dtype, more="%m"):
    blocks = -(-rows // q_block)
    q = f"tensor<1x{heads}x{rows}x16x{dtype}>"
    k = f"tensor<1x{heads // 2}x{keys}x16x{dtype}>"
    lists = f"tensor<1x{list_heads}x{blocks}x{capacity}xi32>"
    counts = f"tensor<1x{list_heads}x{blocks}xi32>"
    listed = f"#attn.blocks<q_block = {q_block}, kv_block = {kv_block}>"
    mask = more.replace("%m", listed)
    return f"""
func.func @main(%q: {q} {{attn.name = "q"}}, %k: {k} {{attn.name = "k"}}, %v: {k} {{attn.name = "v"}},
    %l: {lists} {{attn.name = "lists"}}, %c: {counts} {{attn.name = "counts"}}) -> {q} {{
  %o = attn.attention %q, %k, %v mask({mask}, %l, %c : {lists}, {counts})
    : {q}, {k}, {k} -> {q}
  return %o : {q}
}}
"""


def lists_of(rng, shape, numbers, share, messy):
    """Lists with about `share` of all numbers; messy ones are unsorted, repeat
    themselves, and hold what is no number of a block."""
    lists = np.full(shape, -1, np.int32)
    counts = np.zeros(shape[:3], np.int32)
    for at in np.ndindex(*shape[:3]):
        some = np.flatnonzero(rng.random(numbers) < share)[: shape[3]]
        lists[at][: some.size], counts[at] = some, some.size
        if messy:
            rng.shuffle(lists[at])
            lists[at][: shape[3] // 4] = rng.choice([-5, numbers + 3, 0, 1], shape[3] // 4)
            counts[at] = rng.choice([-1, shape[3] // 2, shape[3], shape[3] + 9])
    return lists, counts


PREFILL = [(70, 200, 64, 1), (130, 161, 64, 8), (130, 256, 64, 64), (40, 300, 16, 1)]
DECODE = [(1, 1100, 1, 1), (1, 2000, 1, 16), (1, 1500, 1, 64), (2, 1300, 2, 1)]


@pytest.mark.parametrize("share", [0.05, 0.6, 1.0])
@pytest.mark.parametrize("messy", [False, True], ids=["sorted", "messy"])
@pytest.mark.parametrize("rows, keys, q_block, kv_block", PREFILL + DECODE)
def test_paths_agree(tmp_path, rows, keys, q_block, kv_block, messy, share):
    rng = np.random.default_rng(keys + kv_block)
    numbers = -(-keys // kv_block)
    more = "%m" if rows < 10 else "#attn.all_of<[#attn.causal, %m]>"
    text = text_of(rows, keys, 4, 2, q_block, kv_block, numbers, "f32", more)
    (tmp_path / "lists.mlir").write_text(text)
    lists, counts = lists_of(rng, (1, 2, -(-rows // q_block), numbers), numbers, share, messy)
    q = rng.standard_normal((1, 4, rows, 16), dtype=np.float32)
    k, v = rng.standard_normal((2, 1, 2, keys, 16), dtype=np.float32)
    # What no row keeps may hold anything.
    v[:, :, -1], lists[lists == numbers - 1] = np.nan, -1
    inputs = dict(q=q, k=k, v=v, lists=lists, counts=counts)
    wanted = attn.load(tmp_path / "lists.mlir", attention="plain").run(inputs)["result0"]
    assert np.isfinite(wanted).all()
    for sparse in SPARSE:
        actual = attn.load(tmp_path / "lists.mlir", sparse=sparse).run(inputs)["result0"]
        mechanisms.assert_close(actual, wanted, mechanisms.tolerance(keys, 8), sparse)


def numbers_of(bits):
    return decode(np.asarray(bits).view(np.uint16), "bf16")


@pytest.mark.parametrize("rows, keys, q_block", [(70, 300, 64), (1, 1100, 1)])
def test_bf16_tokens(tmp_path, rows, keys, q_block):
    text = text_of(rows, keys, 4, 2, q_block, 1, keys, "bf16")
    (tmp_path / "lists.mlir").write_text(text)
    rng = np.random.default_rng(5)
    lists, counts = lists_of(rng, (1, 2, -(-rows // q_block), keys), keys, 0.3, False)
    shapes = {"q": (1, 4, rows, 16), "k": (1, 2, keys, 16), "v": (1, 2, keys, 16)}
    inputs = {n: attn.bfloat16(rng.standard_normal(x, dtype=np.float32)) for n, x in shapes.items()}
    inputs |= {"lists": lists, "counts": counts}
    results = {
        sparse: attn.load(tmp_path / "lists.mlir", sparse=sparse).run(inputs)["result0"]
        for sparse in SPARSE
    }
    for sparse in SPARSE:
        # Weights of at most 1 and values are rounded to 8 bits.
        mechanisms.assert_close(
            numbers_of(results[sparse]), numbers_of(results["never"]), 4 * 2**-8, sparse
        )
