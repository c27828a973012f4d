# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sparsifiner against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

PREFILL = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
H, N, D, C, NP, KEEP = 2, 37, 16, 8, 4, 10


def tensors(batch, seed=0):
    rng = np.random.default_rng(seed)
    q, k, v = rng.standard_normal((3, batch, H, N, D), dtype=np.float32)

    def weight(*shape):
        return rng.standard_normal(shape, dtype=np.float32) / np.float32(2)

    predictor = {
        "pq": weight(D, C), "bq": weight(C), "pk": weight(D, C), "bk": weight(C),
        "down": weight(N, NP) / 4, "up": weight(N, NP),
    }  # fmt: skip
    return q, k, v, predictor


def atol():
    return mechanisms.tolerance(D + N, magnitude=8, depth=2)


@pytest.mark.parametrize("batch, seed", [(1, 0), (3, 1), (1, 2)])
def test_token_lists(batch, seed):
    q, k, v, predictor = tensors(batch, seed)
    a = oracle.connectivity(q, k, **predictor)
    wanted = oracle.attention(q, k, v, oracle.top(a, KEEP))
    chosen = np.sort(oracle.best(a, KEEP), axis=-1)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, **predictor):
        np.testing.assert_array_equal(result["chosen"], chosen, path)
        mechanisms.assert_close(result["o"], wanted, atol(), path)


@pytest.mark.parametrize("bound", [-1.0, 0.0, 0.3, 0.7, 100.0])
def test_threshold(bound):
    """From dense to nothing but the row of CLS."""
    q, k, v, predictor = tensors(2)
    keep = oracle.connectivity(q, k, **predictor) > np.float32(bound)
    wanted = oracle.attention(q, k, v, keep)
    inputs = dict(q=q, k=k, v=v, bound=np.array([bound], np.float32), **predictor)
    for path, result in mechanisms.run_all(PREFILL, "above", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(), path)
        if bound == 100:
            np.testing.assert_array_equal(result["o"][:, :, 1:], 0)


def test_equal_scores_take_the_first_keys():
    """A basis of zeros predicts nothing."""
    q, k, v, predictor = tensors(1)
    predictor["up"][:] = 0.05
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, **predictor):
        assert (result["chosen"] == np.arange(KEEP)).all(), path


def test_the_first_row_is_dense():
    q, k, v, predictor = tensors(1)
    dense = oracle.attention(q, k, v, np.ones((1, H, N - 1, N), bool))
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, **predictor):
        mechanisms.assert_close(result["o"][:, :, :1], dense[:, :, :1], atol(), path)


def test_keys_that_are_not_chosen_are_not_seen():
    """Their values may be anything for the rows that do not choose them."""
    q, k, v, predictor = tensors(1)
    a = oracle.connectivity(q, k, **predictor)
    keep = oracle.top(a, KEEP)
    unseen = ~keep[0].any(axis=(0, 1))
    assert unseen.any()
    loud = v.copy()
    loud[:, :, unseen] = np.nan
    wanted = oracle.attention(q, k, v, keep)[:, :, 1:]
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=loud, **predictor):
        mechanisms.assert_close(result["o"][:, :, 1:], wanted, atol(), path)
