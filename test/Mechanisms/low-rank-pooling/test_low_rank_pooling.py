# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Low-rank pooling against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

PREFILL = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
E, R, M = 24, 8, 4


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    return {
        "h": rng.standard_normal((batch, length, E), dtype=np.float32),
        "c": rng.standard_normal((batch, E), dtype=np.float32),
        "u": rng.standard_normal((E, R), dtype=np.float32) / 4,
        "v": rng.standard_normal((E, R), dtype=np.float32) / 4,
        "p": rng.standard_normal((R, M), dtype=np.float32),
    }


def atol(length):
    """Products with U and V inside tanh (slope at most 1), scores of R terms,
    the sum over the words."""
    return mechanisms.tolerance(E + R + length, magnitude=8, depth=3)


@pytest.mark.parametrize("lengths", [[0], [1], [7, 5], [64, 65, 1], [200, 0]])
def test_pool(lengths):
    x = tensors(len(lengths), max(lengths))
    wanted = oracle.pool(lengths=lengths, **x)[:, :, None]
    given = np.array(lengths)
    for path, result in mechanisms.run_all(PREFILL, "main", lengths=given, **x):
        mechanisms.assert_close(result["m"], wanted, atol(max(lengths)), path)


def test_weights_of_a_head_add_up_to_one():
    """So that equal words are pooled to that word."""
    x = tensors(1, 90)
    own = oracle.weights(x["h"][0], x["c"][0], x["u"], x["v"], x["p"])
    np.testing.assert_allclose(own.sum(axis=0), 1)
    x["h"][:] = x["h"][:, :1]
    wanted = np.broadcast_to(x["h"][:, None, :1], (1, M, 1, E))
    for path, result in mechanisms.run_all(PREFILL, "main", lengths=np.array([90]), **x):
        mechanisms.assert_close(result["m"], wanted, atol(90), path)


def test_order_of_words_does_not_matter():
    x = tensors(1, 70)
    wanted = oracle.pool(lengths=[70], **x)[:, :, None]
    x["h"] = x["h"][:, np.random.default_rng(0).permutation(70)]
    for path, result in mechanisms.run_all(PREFILL, "main", lengths=np.array([70]), **x):
        mechanisms.assert_close(result["m"], wanted, atol(70), path)


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 33), (1, 130)])
def test_constant_queries(batch, length):
    """Linear scores fold into one query for each head."""
    x = tensors(batch, length)
    x["c"][:] = x["c"][:1]
    wanted = oracle.pool(lengths=[length] * batch, act=lambda y: y, **x)[:, :, None]
    gate = x["c"][0].astype(np.float64) @ x["v"]
    queries = ((x["u"] * gate) @ x["p"]).T.astype(np.float32)[None, :, None]
    for path, result in mechanisms.run_all(PREFILL, "folded", h=x["h"][:, None], queries=queries):
        mechanisms.assert_close(result["m"], wanted, atol(length), path)


def test_full_rank_is_bilinear():
    x = tensors(1, 40)
    x["u"] = np.eye(E, dtype=np.float32)
    rng = np.random.default_rng(3)
    v, p = rng.standard_normal((E, E)), np.ones((E, 1))
    wanted = oracle.bilinear(x["h"][0], v.T, x["c"][0].astype(np.float64))
    got = oracle.pool(x["h"], x["c"], x["u"], v, p, [40], act=lambda y: y)
    np.testing.assert_allclose(got[0, 0], wanted, atol=1e-10)
    # The affinity is linear in the words: a query for each head.
    query = (v.T @ x["c"][0] / np.sqrt(E)).astype(np.float32)
    wanted = oracle.bilinear(x["h"][0], np.eye(E), query.astype(np.float64))
    queries = np.broadcast_to(query, (1, M, 1, E))
    for path, result in mechanisms.run_all(PREFILL, "folded", h=x["h"][:, None], queries=queries):
        mechanisms.assert_close(
            result["m"], np.broadcast_to(wanted, (1, M, 1, E)), atol(40), path
        )
