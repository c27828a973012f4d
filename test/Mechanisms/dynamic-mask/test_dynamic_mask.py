# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dynamic mask attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, COUNT = 16, 8
SCOPES = {"main": oracle.shared, "per_row": oracle.per_row}


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    w = rng.standard_normal((2, D, 2), dtype=np.float32) / np.float32(4)
    return dict(q=q, k=k, v=v, w=w, a=np.array([0.75, -0.5], np.float32))


def atol(length):
    return mechanisms.tolerance(2 * D + length, magnitude=16, depth=3)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("batch, length", [(1, 1), (2, 8), (1, 9), (2, 65), (1, 130)])
def test_prefill(scope, batch, length):
    inputs = tensors(batch, length)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    keep = SCOPES[scope](bias, COUNT)
    wanted = oracle.attention(inputs["q"], inputs["k"], inputs["v"], bias, keep)
    for path, result in mechanisms.run_all(PREFILL, scope, **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_a_row_whose_keys_all_come_later_is_zero():
    inputs = tensors(1, 65)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    first = oracle.best(bias, COUNT).min(axis=-1)
    assert first.max() > 0
    for path, result in mechanisms.run_all(PREFILL, "main", **inputs):
        for h in range(4):
            assert (result["o"][0, h, : first[0, h // 2]] == 0).all(), path


@pytest.mark.parametrize("scope", SCOPES)
def test_dense_without_bias_where_all_are_kept(scope):
    inputs = tensors(1, COUNT)
    inputs["a"][:] = 0
    bias, keep = np.zeros((1, 2, COUNT)), np.ones((1, 2, 1, COUNT), bool)
    dense = oracle.attention(inputs["q"], inputs["k"], inputs["v"], bias, keep)
    for path, result in mechanisms.run_all(PREFILL, scope, **inputs):
        mechanisms.assert_close(result["o"], dense, atol(COUNT), path)


def test_keys_that_are_not_chosen_are_not_seen():
    """Keys only: values make the choice."""
    inputs = tensors(1, 130)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    keep = oracle.shared(bias, COUNT)
    wanted = oracle.attention(inputs["q"], inputs["k"], inputs["v"], bias, keep)
    inputs["k"][~keep[:, :, 0]] = np.nan
    for path, result in mechanisms.run_all(PREFILL, "main", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(130), path)


@pytest.mark.parametrize("batch, length", [(2, 3), (1, 8), (2, 77)])
def test_decode_is_the_last_row(batch, length):
    """There both scopes are the same."""
    inputs = tensors(batch, length)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    wanted = oracle.attention(
        inputs["q"][:, :, -1:], inputs["k"], inputs["v"], bias, oracle.shared(bias, COUNT)
    )
    for path in mechanisms.PATHS:
        delta = mechanisms.run(PREFILL, "delta", path, **{n: inputs[n] for n in "vwa"})["delta"]
        mechanisms.assert_close(delta[:, :, 0], bias, atol(length), path)
        own = dict(q=inputs["q"][:, :, -1:], k=inputs["k"], v=inputs["v"], delta=delta[:, :, 0])
        result = mechanisms.run(DECODE, "main", path, **own)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)
        # A constant on a head's bias does not change its softmax.
        own["delta"] = own["delta"] + np.array([2, -3], np.float32)[:, None]
        result = mechanisms.run(DECODE, "main", path, **own)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 24), (1, 50), (2, 75)])
def test_smooth_blocks(batch, length):
    inputs = tensors(batch, length)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    keep = oracle.smooth(oracle.shared(bias, 24), 4)
    assert keep.all() == (length <= 24) and keep.any()
    wanted = oracle.attention(inputs["q"], inputs["k"], inputs["v"], bias, keep)
    inputs["k"][~keep[:, :, 0]] = np.nan
    for path, result in mechanisms.run_all(PREFILL, "smooth", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_blocks_of_one_key_are_smooth():
    keep = oracle.shared(np.random.default_rng(0).standard_normal((1, 2, 30)), COUNT)
    np.testing.assert_array_equal(oracle.smooth(keep, 1), keep)


@pytest.mark.parametrize("length", [1, 50, 130])
@pytest.mark.parametrize("spread", [0, 1])
def test_positive_keys(length, spread):
    """The sign of a bias is that of the head's gain: the second head reads none;
    a gain of 0 keeps nothing either."""
    inputs = tensors(2, length)
    inputs["a"] *= np.float32(spread)
    bias = oracle.delta(inputs["v"], inputs["w"], inputs["a"])
    keep = (bias > 0)[:, :, None]
    assert keep[:, 0].all() == bool(spread) and not keep[:, 1].any()
    wanted = oracle.attention(inputs["q"], inputs["k"], inputs["v"], bias, keep)
    for path, result in mechanisms.run_all(PREFILL, "positive", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)
        assert (result["o"][:, 2:] == 0).all(), path
