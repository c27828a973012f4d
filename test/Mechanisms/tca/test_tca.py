# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""TCA-Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, SIZE, ROWS, SINK, WINDOW = 16, 8, 8, 4, 16
# One head with few tokens, one with more.
SHARES = [oracle.log_gaussian(SIZE, 0.5, 1.0), oracle.log_gaussian(SIZE, 2.0, 1.5)]


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    return q, k, v


def budgets(length):
    return np.stack([oracle.table(s, length // SIZE) for s in SHARES]).astype(np.int32)


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


def mask(kept, length):
    return (kept[:, :, 0, :, None] == np.arange(length)).any(axis=2)


@pytest.mark.parametrize("batch, length", [(1, 8), (2, 17), (1, 64), (2, 95), (1, 133)])
def test_prefill(batch, length):
    q, k, v = tensors(batch, length)
    table = budgets(length)
    a = oracle.importance(q, k, ROWS)
    keep = oracle.select(a, table, SIZE)
    wanted = oracle.attention(q, k, v, keep, SINK, WINDOW)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, table=table):
        np.testing.assert_array_equal(mask(result["kept"], length), keep, path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)
    for path, result in mechanisms.run_all(PREFILL, "importance", q=q, k=k, v=v):
        mechanisms.assert_close(result["a"], a, ROWS * atol(length), path)


def test_full_budgets_are_dense():
    q, k, v = tensors(1, 100)
    table = np.full((2, 12), SIZE, np.int32)
    wanted = oracle.attention(q, k, v, np.ones((1, 2, 100), bool), SINK, WINDOW)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, table=table):
        mechanisms.assert_close(result["o"], wanted, atol(100), path)


def test_the_budget_is_met_and_every_block_keeps_a_token():
    q, k, v = tensors(2, 136)
    table = budgets(136)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, table=table):
        keep = mask(result["kept"], 136).reshape(2, 2, -1, SIZE).sum(axis=3)
        assert (keep.sum(axis=2) == table.sum(axis=1)).all(), path
        assert (keep >= 1).all(), path


def test_blocks_in_another_order_keep_the_same_tokens():
    rng = np.random.default_rng(3)
    a = rng.random((1, 2, 96)).astype(np.float32)
    order = rng.permutation(12)
    moved = a.reshape(1, 2, 12, SIZE)[:, :, order].reshape(a.shape)
    for path in mechanisms.PATHS:
        one = mechanisms.run(PREFILL, "select", path, a=a, table=budgets(96))["kept"]
        two = mechanisms.run(PREFILL, "select", path, a=moved, table=budgets(96))["kept"]
        blocks = mask(one, 96).reshape(1, 2, 12, SIZE)[:, :, order]
        np.testing.assert_array_equal(mask(two, 96).reshape(blocks.shape), blocks, path)


def test_equal_blocks_and_tokens_take_the_first():
    table = np.array([[8, 2, 1], [4, 1, 1]], np.int32)
    a = np.ones((1, 2, 24), np.float32)
    for path, result in mechanisms.run_all(PREFILL, "select", a=a, table=table):
        keep = mask(result["kept"], 24)[0]
        assert [list(np.flatnonzero(x)) for x in keep] == [
            [*range(8), 8, 9, 16], [0, 1, 2, 3, 8, 16],
        ], path  # fmt: skip


def test_histograms_add_up():
    for blocks in range(1, 30):
        assert all(len(oracle.table(s, blocks)) == blocks for s in SHARES)
    rng = np.random.default_rng(5)
    for blocks in (1, 2, 3, 17, 29):
        table = budgets(blocks * SIZE)
        a = rng.random((1, 2, blocks * SIZE)).astype(np.float32)
        for path, result in mechanisms.run_all(PREFILL, "select", a=a, table=table):
            keep = mask(result["kept"], blocks * SIZE)[0].reshape(2, blocks, SIZE).sum(axis=2)
            # Each budget of the head's histogram goes to one of its blocks.
            np.testing.assert_array_equal(np.sort(keep), np.sort(table), path)


@pytest.mark.parametrize("batch, prompt", [(1, 8), (2, 40), (1, 133)])
def test_decode_over_what_was_kept(batch, prompt):
    """Three tokens; the heads' caches have other lengths, and nothing else."""
    q, k, v = tensors(batch, prompt + 3, seed=5)
    past = [x[:, :, :prompt] for x in (q, k, v)]
    keep = oracle.select(oracle.importance(past[0], past[1], ROWS), budgets(prompt), SIZE)
    near = np.arange(prompt)
    stays = keep | (near < SINK) | (near >= prompt - WINDOW)
    for path in mechanisms.PATHS:
        kept = mechanisms.run(PREFILL, "main", path, q=past[0], k=past[1], v=past[2],
                              table=budgets(prompt))["kept"]
        cache = mechanisms.run(DECODE, "compact", path, k=past[1], v=past[2], kept=kept)
        np.testing.assert_array_equal(cache["lengths"], stays.sum(axis=2), path)
        assert cache["keys"].shape[2] == stays.sum(axis=2).max(), path
        for step in range(3):
            end = prompt + step + 1
            new = [np.ascontiguousarray(x[:, :, end - 1 : end]) for x in (q, k, v)]
            result = mechanisms.run(
                DECODE, "main", path, q=new[0], k=new[1], v=new[2], past_k=cache["keys"],
                past_v=cache["values"], lengths=cache["lengths"],
            )
            wanted = oracle.decode(q[:, :, :end], k[:, :, :end], v[:, :, :end], keep, SINK, WINDOW, prompt)
            mechanisms.assert_close(result["o"], wanted, atol(end), path)
            cache = {"keys": result["keys"], "values": result["values"], "lengths": result["next"]}
        np.testing.assert_array_equal(cache["lengths"], stays.sum(axis=2) + 3, path)
