# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LongHeads against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
SUMMARY, PREFILL, DECODE = (FOLDER / f"{name}.mlir" for name in ("summary", "prefill", "decode"))
oracle = mechanisms.oracle(__file__)
D, SIZE, FREE = 16, 8, 2


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)
    return rng.standard_normal((3, 1, 2, length, D), dtype=np.float32)


def tables(length, shift=0):
    turn = oracle.angles(shift + np.arange(length), D)
    return dict(cos=np.cos(turn).astype(np.float32), sin=np.sin(turn).astype(np.float32))


def inputs(length):
    """The last token is new and has its key in the cache; r as it would be there."""
    q, k, v = tensors(length)
    whole = length // SIZE * SIZE
    r = oracle.summary(*(x[:, :, :whole] for x in (q, k, v)), SIZE).astype(np.float32)
    return dict(q=q[:, :, -1:], k=k, v=v, r=r)


def atol(length):
    return mechanisms.tolerance(2 * D + length, magnitude=16, depth=3)


@pytest.mark.parametrize("chunks", [1, 2, 5, 9])
def test_summary(chunks):
    q, k, v = tensors(chunks * SIZE)
    wanted = oracle.summary(q, k, v, SIZE)
    for path, result in mechanisms.run_all(SUMMARY, "main", q=q, k=k, v=v, **tables(SIZE)):
        mechanisms.assert_close(result["r"], wanted, atol(3 * SIZE), path)


@pytest.mark.parametrize("length", [32, 39, 40, 65, 130, 203])
def test_decode(length):
    own = inputs(length)
    chunks = length // SIZE
    chosen = oracle.choose(own["q"], own["r"], FREE)
    wanted = oracle.decode(own["q"], own["k"], own["v"], chosen, SIZE, chunks)
    for path, result in mechanisms.run_all(DECODE, "main", **own, **tables(64)):
        np.testing.assert_array_equal(result["chosen"][0], chosen, path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [32, 37])
def test_dense_where_the_chunks_are_all(length):
    own = inputs(length)
    k = np.stack([oracle.rotate(own["k"][0, h], np.arange(length)) for h in range(2)])
    q = np.stack([oracle.rotate(own["q"][0, h], [length - 1]) for h in range(2)])
    dense = oracle.softmax(q @ np.swapaxes(k, 1, 2) / 4) @ own["v"][0]
    for path, result in mechanisms.run_all(DECODE, "main", **own, **tables(64)):
        mechanisms.assert_close(result["o"][0], dense, atol(length), path)


def test_only_distances_matter():
    """All positions moved by 7."""
    own = inputs(130)
    chosen = oracle.choose(own["q"], own["r"], FREE)
    wanted = oracle.decode(own["q"], own["k"], own["v"], chosen, SIZE, 130 // SIZE)
    for path, result in mechanisms.run_all(DECODE, "main", **own, **tables(64, shift=7)):
        mechanisms.assert_close(result["o"], wanted, atol(130), path)


def test_chunks_that_are_not_chosen_are_not_read():
    own = inputs(203)
    chosen = oracle.choose(own["q"], own["r"], FREE)
    wanted = oracle.decode(own["q"], own["k"], own["v"], chosen, SIZE, 203 // SIZE)
    for h in range(2):
        for c in set(range(203 // SIZE)) - set(chosen[h]):
            own["k"][0, h, c * SIZE : (c + 1) * SIZE] = np.nan
            own["v"][0, h, c * SIZE : (c + 1) * SIZE] = np.nan
    for path, result in mechanisms.run_all(DECODE, "main", **own, **tables(64)):
        mechanisms.assert_close(result["o"], wanted, atol(203), path)


def prefill_inputs(length):
    q, k, v = tensors(length)
    whole = length // SIZE * SIZE
    r = oracle.summary(*(x[:, :, :whole] for x in (q, k, v)), SIZE).astype(np.float32)
    return dict(q=q, k=k, v=v, r=r)


@pytest.mark.parametrize("length", [1, 8, 39, 40, 41, 48, 65, 130, 203])
def test_prefill(length):
    own = prefill_inputs(length)
    wanted = oracle.prefill(**own, size=SIZE, free=FREE)
    for path, result in mechanisms.run_all(PREFILL, "main", **own, **tables(256)):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [41, 66, 131])
def test_decoding_is_the_last_row_of_a_prefill(length):
    """Where the token's chunk is not whole: decoding has it as the rest."""
    own = prefill_inputs(length)
    token = own | {"q": own["q"][:, :, -1:]}
    for path in mechanisms.PATHS:
        rows = mechanisms.run(PREFILL, "main", path, **own, **tables(256))["o"]
        row = mechanisms.run(DECODE, "main", path, **token, **tables(64))["o"]
        mechanisms.assert_close(rows[:, :, -1:], row, atol(length), path)


def test_every_row_reads_the_first_chunk():
    own = prefill_inputs(130)
    other = own | {"v": own["v"] + (np.arange(130) < SIZE)[:, None].astype(np.float32)}
    for path in mechanisms.PATHS:
        a, b = (
            mechanisms.run(PREFILL, "main", path, **x, **tables(256))["o"] for x in (own, other)
        )
        assert (a != b).all()
