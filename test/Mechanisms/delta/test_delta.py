# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DELTA against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

DECODE = Path(__file__).parent / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, PAGE, PAGES, TAIL, H = 16, 16, 4, 2, 4


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    inputs = {}
    for layer in range(3):
        inputs[f"q{layer}"] = rng.standard_normal((batch, H, 1, D), dtype=np.float32)
        inputs[f"k{layer}"] = rng.standard_normal((batch, 2, length, D), dtype=np.float32)
        inputs[f"v{layer}"] = rng.standard_normal((batch, 2, length, D), dtype=np.float32)
    return inputs


def layer(inputs, n):
    return (inputs[f"{name}{n}"] for name in "qkv")


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 40), (1, 64), (2, 81), (1, 160), (2, 333)])
def test_decode(batch, length):
    inputs = tensors(batch, length)
    scores = oracle.page_scores(inputs["q0"], inputs["k0"], PAGE)
    chosen = oracle.select(scores, PAGES, TAIL)
    keep = oracle.tokens(chosen, length, PAGE)
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        got = result["chosen"][:, 0, 0]
        np.testing.assert_array_equal(got[:, : chosen.shape[1]], chosen, path)
        assert (got[:, chosen.shape[1] :] == -1).all(), path
        mechanisms.assert_close(result["scores"][:, 0, 0], scores, atol(length), path)
        dense = oracle.attention(*layer(inputs, 0))
        mechanisms.assert_close(result["o0"], dense, atol(length), path)
        for n in (1, 2):
            wanted = oracle.attention(*layer(inputs, n), keep)
            mechanisms.assert_close(result[f"o{n}"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [5, 64])
def test_dense_where_the_pages_hold_all(length):
    inputs = tensors(1, length)
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        for n in range(3):
            wanted = oracle.attention(*layer(inputs, n))
            mechanisms.assert_close(result[f"o{n}"], wanted, atol(length), path)


def test_scores_add_up_to_one_to_all_heads():
    for path, result in mechanisms.run_all(DECODE, "main", **tensors(2, 200)):
        total = result["scores"].sum(axis=-1)
        assert (total > 1 - atol(200)).all() and (total < H).all(), path


def test_equal_keys_take_the_first_pages_and_the_tail():
    inputs = tensors(1, 160)
    inputs["k0"][:] = 0
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        assert (result["chosen"] == [0, 1, 8, 9]).all(), path


def test_the_tail_is_kept_however_small_its_weight():
    inputs = tensors(1, 160)
    inputs["q0"][:] = 1
    inputs["k0"][:, :, 128:] = -100
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        assert (result["chosen"][..., 2:] == [8, 9]).all(), path


def test_pages_that_are_not_chosen_are_not_seen():
    inputs = tensors(1, 200)
    chosen = oracle.select(oracle.page_scores(inputs["q0"], inputs["k0"], PAGE), PAGES, TAIL)
    keep = oracle.tokens(chosen, 200, PAGE)
    wanted = oracle.attention(*layer(inputs, 1), keep)
    inputs["k1"][:, :, ~keep[0]] = np.nan
    inputs["v1"][:, :, ~keep[0]] = np.inf
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        mechanisms.assert_close(result["o1"], wanted, atol(200), path)


def test_a_selection_is_reused_over_pages_of_a_pool():
    inputs = tensors(2, 160)
    q, k, v = layer(inputs, 1)
    lengths = np.array([160, 85])
    chosen = np.array([[1, 4, 8, 9], [0, 4, 5, -1]], np.int32)
    counts = np.array([4, 3], np.int32)
    table = np.random.default_rng(2).permutation(20).reshape(2, 10).astype(np.int32)
    table[1, 6:] = -1
    pools = {n: np.full((20, 2, PAGE, D), np.nan, np.float32) for n in "kv"}
    for b, place in ((b, place) for b in range(2) for place in chosen[b, : counts[b]]):
        part = slice(place * PAGE, min((place + 1) * PAGE, lengths[b]))
        for name, x in (("k", k), ("v", v)):
            pools[name][table[b, place], :, : part.stop - part.start] = x[b, :, part]
    keep = oracle.tokens(chosen, 160, PAGE) & (np.arange(160) < lengths[:, None])
    wanted = oracle.attention(q, k, v, keep)
    own = dict(q=q, **pools, chosen=chosen[:, None, None], counts=counts[:, None, None], table=table)
    for path, result in mechanisms.run_all(DECODE, "paged", **own, lengths=lengths):
        mechanisms.assert_close(result["o"], wanted, atol(160), path)
