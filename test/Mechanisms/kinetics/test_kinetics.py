# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Block top-k of Kinetics against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

DECODE = Path(__file__).parent / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, PAGE, PAGES = 16, 16, 4


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, 1, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    return q, k, v, mechanisms.run(DECODE, "summaries", k=k)["means"]


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


def padded(chosen, count):
    width = [(0, 0), (0, 0), (0, count - chosen.shape[-1])]
    return np.pad(chosen, width, constant_values=-1)[:, :, None]


LENGTHS = [(1, 1), (2, 17), (1, 64), (2, 65), (1, 129), (2, 200), (1, 333)]


@pytest.mark.parametrize("batch, length", LENGTHS)
def test_pages(batch, length):
    q, k, v, means = tensors(batch, length)
    wanted, chosen = oracle.main(q, k, v, PAGE, PAGES)
    for path, result in mechanisms.run_all(DECODE, "main", q=q, k=k, v=v, means=means):
        np.testing.assert_array_equal(result["chosen"], padded(chosen, PAGES), path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("batch, length", LENGTHS)
def test_sink_and_local_window(batch, length):
    q, k, v, means = tensors(batch, length)
    wanted, chosen = oracle.forced(q, k, v, PAGE, 3, sink=4, local=20)
    for path, result in mechanisms.run_all(DECODE, "forced", q=q, k=k, v=v, means=means):
        np.testing.assert_array_equal(result["chosen"], padded(chosen, 3), path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [1, 48, 64])
def test_dense_where_the_pages_hold_all(length):
    q, k, v, means = tensors(1, length)
    wanted = oracle.attention(q, k, v, np.ones(k.shape[:3], bool))
    for path, result in mechanisms.run_all(DECODE, "main", q=q, k=k, v=v, means=means):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_mean_of_logits_is_logit_of_mean():
    q, k, _, means = tensors(2, 100)
    of_means = oracle.logits(q, means).mean(axis=2)
    np.testing.assert_allclose(of_means, oracle.page_scores(q, k, PAGE), atol=atol(PAGE))


def test_pages_that_are_not_chosen_are_not_seen():
    q, k, v, means = tensors(1, 200)
    wanted, chosen = oracle.main(q, k, v, PAGE, PAGES)
    unseen = ~oracle.tokens(chosen, 200, PAGE)
    k, v = k.copy(), v.copy()
    k[unseen], v[unseen] = np.nan, np.inf
    for path, result in mechanisms.run_all(DECODE, "main", q=q, k=k, v=v, means=means):
        mechanisms.assert_close(result["o"], wanted, atol(200), path)


def test_equal_pages_take_the_first():
    q, k, v, _ = tensors(1, 160)
    means = np.ones((1, 2, 10, D), np.float32)
    for path, result in mechanisms.run_all(DECODE, "main", q=q, k=k, v=v, means=means):
        assert (result["chosen"] == [0, 1, 2, 9]).all(), path


def test_pages_of_a_pool():
    """Requests of other lengths share a pool; all that no request chose is NaN."""
    lengths = np.array([200, 37, 96])
    q, k, v, means = tensors(3, 208)
    table = np.full((3, 13), -1, np.int32)
    order = np.random.default_rng(1).permutation(24)
    used = -(-lengths // PAGE)
    for b, end in enumerate(np.cumsum(used)):
        table[b, : used[b]] = order[end - used[b] : end]
    pools = {n: np.full((24, 2, PAGE, D), np.nan, np.float32) for n in "kv"}
    beside = np.zeros((24, 2, D), np.float32)
    wanted, choices = [], []
    for b, n in enumerate(lengths):
        rows = {"k": k[b : b + 1, :, :n], "v": v[b : b + 1, :, :n]}
        o, chosen = oracle.main(q[b : b + 1], rows["k"], rows["v"], PAGE, PAGES)
        wanted.append(o)
        choices.append(padded(chosen, PAGES))
        for j in range(used[b]):
            part = slice(j * PAGE, min((j + 1) * PAGE, n))
            beside[table[b, j]] = rows["k"][0, :, part].mean(axis=1)
            for g in range(2):
                if j in chosen[0, g]:
                    for name, pool in pools.items():
                        pool[table[b, j], g, : part.stop - part.start] = rows[name][0, g, part]
    own = dict(q=q, **pools, means=beside, table=table, lengths=lengths)
    for path, result in mechanisms.run_all(DECODE, "paged", **own):
        np.testing.assert_array_equal(result["chosen"], np.concatenate(choices), path)
        mechanisms.assert_close(result["o"], np.concatenate(wanted), atol(200), path)
