# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""S2-Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, G, BLOCK, LOCAL, STRIDE = 16, 4, 16, 2, 4


def tensors(batch, length):
    rng = np.random.default_rng(length)
    q = rng.standard_normal((batch, 2 * G, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, G, length, D), dtype=np.float32)
    return q, k, v


def mask(length, **more):
    return oracle.pattern(G, length, BLOCK, LOCAL, STRIDE, **more)


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


@pytest.mark.parametrize("batch, length", [(1, 0), (1, 1), (2, 17), (1, 64), (1, 150), (1, 257)])
@pytest.mark.parametrize("entry, dense", [("main", 0), ("hybrid", 1)])
def test_prefill(batch, length, entry, dense):
    q, k, v = tensors(batch, length)
    wanted = oracle.attention(q, k, v, mask(length, dense=dense))
    for path, result in mechanisms.run_all(PREFILL, entry, q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_stride_of_one_block_is_dense():
    q, k, v = tensors(1, 101)
    wanted = oracle.attention(q, k, v, mask(101, dense=G))
    for path, result in mechanisms.run_all(PREFILL, "dense", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(101), path)


def test_local_blocks_that_hold_all_are_dense():
    length = LOCAL * BLOCK
    q, k, v = tensors(1, length)
    wanted = oracle.attention(q, k, v, mask(length, dense=G))
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def blocks_seen(path, count):
    """[G, count, count]: which blocks of keys the last row of each block sees, found out
    by values that tell D blocks at a time apart."""
    q, k, v = tensors(1, count * BLOCK)
    seen = np.zeros((G, count, count), bool)
    for first in range(0, count, D):
        v[:] = 0
        for n in range(first, min(first + D, count)):
            v[:, :, n * BLOCK : (n + 1) * BLOCK, n - first] = 1
        found = mechanisms.run(PREFILL, "main", path, q=q, k=k, v=v)["o"][0, ::2]
        last = found[:, BLOCK - 1 :: BLOCK]
        seen[:, :, first : first + D] = last[..., : min(D, count - first)] > 0
    return seen


def test_heads_together_see_everything():
    assert (mask(300).any(axis=0) == np.tri(300, dtype=bool)).all()
    fewer = oracle.blocks(2, 20, LOCAL, STRIDE)
    assert not (fewer.any(axis=0) == np.tri(20, dtype=bool)).all()
    for path in mechanisms.PATHS:
        seen = blocks_seen(path, 20)
        np.testing.assert_array_equal(seen, oracle.blocks(G, 20, LOCAL, STRIDE), path)
        np.testing.assert_array_equal(seen.any(axis=0), np.tri(20, dtype=bool), path)


def test_a_block_once_dropped_is_never_seen_again():
    for seen in [oracle.blocks(G, 20, LOCAL, STRIDE)] + [
        blocks_seen(path, 20) for path in mechanisms.PATHS
    ]:
        later = seen[:, 1:] & ~seen[:, :-1]
        assert not (later & (np.arange(20) < np.arange(1, 20)[:, None])).any()


@pytest.mark.parametrize("batch, past", [(1, 0), (2, 15), (1, 16), (1, 149), (2, 600)])
def test_decode_of_an_evicted_cache(batch, past):
    """What a head has dropped is overwritten; nothing of it may be read."""
    q, k, v = tensors(batch, past + 1)
    seen = mask(past + 1)[:, -1:]
    wanted = oracle.attention(q[:, :, -1:], k, v, seen)
    k[:, ~seen[:, 0]] = v[:, ~seen[:, 0]] = np.nan
    for path, result in mechanisms.run_all(
        DECODE, "main", q=q[:, :, -1:], past_k=k[:, :, :-1], past_v=v[:, :, :-1],
        k=k[:, :, -1:], v=v[:, :, -1:],
    ):
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)
