# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Local Linear Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, DV = 8, 16
LENGTHS = [(1, 1), (2, 7), (1, 64), (1, 65), (2, 100)]


def tensors(batch, length, heads=2, seed=0):
    rng = np.random.default_rng(seed + length)
    q, k = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    if heads != 2:
        q = rng.standard_normal((batch, heads, length, D), dtype=np.float32)
    return q, k, rng.standard_normal((batch, 2, length, DV), dtype=np.float32)


def atol(q, k, v, ridge, absolute=False):
    """A relative ridge of r bounds the condition of the system by
    1 + |k - q|^2 / r; an error of its solution counts once for each key, in
    weights that grow as the least delta shrinks."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    apart = (np.linalg.norm(q, axis=-1).max() + np.linalg.norm(k, axis=-1).max()) ** 2
    condition = 1 + apart / (ridge / (k.shape[2] if absolute else 1))
    size = np.abs(v).max() * np.abs(oracle.shares(q, k, ridge, absolute)).sum(-1).max()
    return mechanisms.tolerance(D + 24, magnitude=condition * size)


@pytest.mark.parametrize("batch, length", LENGTHS)
@pytest.mark.parametrize("entry", ["main", "direct"])
def test_prefill(entry, batch, length):
    q, k, v = tensors(batch, length)
    wanted = oracle.attention(q, k, v, 0.5)
    for path, result in mechanisms.run_all(PREFILL, entry, q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(q, k, v, 0.5), path)


@pytest.mark.parametrize("length", [7, 70])
def test_ridge_of_the_paper(length):
    q, k, v = tensors(1, length)
    wanted = oracle.attention(q, k, v, 2.0, absolute=True)
    for path, result in mechanisms.run_all(PREFILL, "absolute", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(q, k, v, 2.0, True), path)


@pytest.mark.parametrize("entry", ["blocks", "block_gradients"])
def test_blocks_of_features(entry):
    q, k, v = tensors(1, 40)
    wanted = oracle.attention(q, k, v, 0.5, block=4)
    # Without its other blocks Sigma does not bound delta away from 0; rows
    # where it comes close amplify every error.
    sizes = np.abs(oracle.shares(q, k, 0.5, block=4)).sum(-1, keepdims=True)
    tame = np.broadcast_to(sizes < 20, wanted.shape)
    assert tame.mean() > 0.5
    bound = 20 * atol(q, k, v, 0.5)
    for path, result in mechanisms.run_all(PREFILL, entry, q=q, k=k, v=v):
        mechanisms.assert_close(np.where(tame, result["o"], 0), np.where(tame, wanted, 0), bound, path)


def test_grouped_heads():
    q, k, v = tensors(2, 70, heads=4)
    wanted = oracle.attention(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1), 0.5)
    bound = atol(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1), 0.5)
    for path, result in mechanisms.run_all(PREFILL, "grouped", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, bound, path)


def test_great_ridge_is_softmax():
    q, k, v = tensors(1, 90)
    # What the line still does: its slope is of the size of 1 / ridge.
    apart = (np.linalg.norm(q, axis=-1).max() + np.linalg.norm(k, axis=-1).max()) ** 2
    bound = 2 * apart / 1e6 * np.abs(v).max() + mechanisms.tolerance(100, magnitude=4)
    wanted = oracle.softmax(q, k, v)
    for path, result in mechanisms.run_all(PREFILL, "stiff", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, bound, path)


def test_a_line_is_found_again():
    q, k, _ = tensors(1, 100)
    rng = np.random.default_rng(1)
    slope, base = rng.standard_normal((D, DV)), rng.standard_normal(DV)
    v = (k @ slope + base).astype(np.float32)
    wanted = oracle.attention(q, k, v, 1e-3)
    line = q @ slope + base
    # With the keys of two rows for each feature, the ridge hardly matters.
    assert np.abs(wanted - line)[:, :, 40:].mean() < 0.05
    assert np.abs(oracle.softmax(q, k, v) - line)[:, :, 40:].mean() > 0.5
    for path, result in mechanisms.run_all(PREFILL, "loose", q=q, k=k, v=v):
        assert np.abs(result["o"] - line)[:, :, 40:].mean() < 0.05, path


def test_constant_values_stay():
    q, k, v = tensors(1, 80)
    v[:] = 3
    bound = atol(q, k, v, 0.5)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], v, bound, path)
    np.testing.assert_allclose(oracle.shares(q, k, 0.5).sum(-1), 1, atol=1e-9)


def test_decode_is_the_last_row():
    q, k, v = tensors(2, 90)
    for length in (1, 8, 64, 90):
        keys, values = k[:, :, :length], v[:, :, :length]
        query = q[:, :, length - 1 : length]
        wanted = oracle.attention(query, keys, values, 0.5)
        for path, result in mechanisms.run_all(DECODE, "main", q=query, k=keys, v=values):
            mechanisms.assert_close(result["o"], wanted, atol(query, keys, values, 0.5), path)
