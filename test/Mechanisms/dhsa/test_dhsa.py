# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DHSA against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, CHUNKS = FOLDER / "prefill.mlir", FOLDER / "chunks.mlir"
oracle = mechanisms.oracle(__file__)
D = 16
FORMS = {
    "main": {},
    "causal_first": {"causal_first": True},
    "ashape": {"causal_first": True, "ends": True},
}


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    return q, k, v


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


def as_lists(chosen):
    return {index: [n for n in chosen[index] if n >= 0] for index in np.ndindex(chosen.shape[:-1])}


@pytest.mark.parametrize("batch, length", [(1, 1), (1, 16), (2, 63), (1, 130)])
@pytest.mark.parametrize("entry", FORMS)
def test_blocks(batch, length, entry):
    q, k, v = tensors(batch, length)
    lists = oracle.block_lists(q, k, 16, 8, 0.25, **FORMS[entry])
    wanted = oracle.blocks(q, k, v, lists, 16, 8)
    for path, result in mechanisms.run_all(PREFILL, entry, q=q, k=k, v=v):
        assert as_lists(result["chosen"]) == lists, path
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_choice_among_all_wastes_blocks_of_the_future():
    """What the code loses by not masking first: some rows see nothing."""
    q, k, v = tensors(1, 130)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        assert (result["chosen"][0, :, 0] > 1).any(), path
    for path, result in mechanisms.run_all(PREFILL, "causal_first", q=q, k=k, v=v):
        assert result["chosen"][0, :, 0].max() <= 1, path


@pytest.mark.parametrize("length", [1, 15, 17, 64, 101, 150])
def test_chunks(length):
    q, k, v = tensors(1, length)
    logits = np.random.default_rng(length).standard_normal((1, length), dtype=np.float32)
    bounds = oracle.boundaries(logits[0], 0.0, 3, length // 8)
    lists = oracle.token_lists(q, k, bounds, 16, 24, 4, 8)
    wanted = oracle.tokens(q, k, v, lists, 16, 16)
    for path, result in mechanisms.run_all(CHUNKS, "main", q=q, k=k, v=v, logits=logits):
        padded = bounds + [length] * (length // 8 + 2 - len(bounds))
        np.testing.assert_array_equal(result["bounds"][0], padded, path)
        found = as_lists(result["chosen"][0, 0])
        assert [found[(i,)] for i in range(len(lists))] == lists, path
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_dense_within_the_budget():
    q, k, v = tensors(1, 24)
    logits = np.ones((1, 24), np.float32)
    wanted = oracle.attention(q, k, v, np.ones((1, 4, 24, 24), bool))
    for path, result in mechanisms.run_all(CHUNKS, "main", q=q, k=k, v=v, logits=logits):
        mechanisms.assert_close(result["o"], wanted, atol(24), path)


def test_one_chunk_takes_the_first_tokens():
    """Tokens of a chunk have one score, and the smallest index wins."""
    q, k, v = tensors(1, 90)
    logits = np.full((1, 90), -1, np.float32)
    for path, result in mechanisms.run_all(CHUNKS, "main", q=q, k=k, v=v, logits=logits):
        wanted = [*range(16), *range(56, 64)]
        np.testing.assert_array_equal(result["chosen"][0, 0, 3], wanted, path)
