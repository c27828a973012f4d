# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MoA against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D, UNIT = 4, 16, 16
# A fixed window, one that grows, nearly all keys, and all of them.
ALPHA, BETA = np.array([48.0, 0.0, -64.0, 0.0]), np.array([0.0, 0.375, 1.0, 1.0])


def tensors(batch, length):
    rng = np.random.default_rng(length)
    q, k, v = rng.standard_normal((3, batch, H, length, D), dtype=np.float32)
    return q, k, v


def totals(planned, alpha=ALPHA, beta=BETA):
    return [oracle.total(a, b, planned, UNIT) for a, b in zip(alpha, beta)]


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


def rules(alpha=ALPHA, beta=BETA, more=0):
    return dict(alpha=alpha, beta=beta, more=np.array([more]))


@pytest.mark.parametrize("batch, length", [(1, 0), (1, 1), (2, 15), (1, 65), (1, 130), (1, 200)])
@pytest.mark.parametrize("more", [0, 33])
def test_prefill(batch, length, more):
    q, k, v = tensors(batch, length)
    kept = totals(length + more)
    wanted = oracle.prefill(q, k, v, kept, UNIT)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, **rules(more=more)):
        np.testing.assert_array_equal(result["recent"], [[t // UNIT - 1 for t in kept]])
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [1, 65, 200])
def test_search(length):
    q, k, v = tensors(1, length)
    wanted = oracle.search(q, k, v, ALPHA, BETA, UNIT)
    blocks = -(-length // UNIT)
    recent = np.array([[int(a // UNIT + b * blocks) for a, b in zip(ALPHA, BETA)]])
    for path, result in mechanisms.run_all(PREFILL, "search", q=q, k=k, v=v, recent=recent):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_all_keys_are_attention():
    length = 100
    q, k, v = tensors(1, length)
    wanted = oracle.rows(q, k, v, lambda h, i, j: True)
    # One unit more, as the first one counts.
    alpha, beta = np.full(H, float(length + UNIT)), np.zeros(H)
    for path, result in mechanisms.run_all(
        PREFILL, "main", q=q, k=k, v=v, **rules(alpha, beta, more=UNIT)
    ):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_the_order_of_heads_changes_nothing():
    q, k, v = tensors(1, 130)
    order = [2, 0, 3, 1]
    for path in mechanisms.PATHS:
        own = mechanisms.run(PREFILL, "main", path, q=q, k=k, v=v, **rules())["o"]
        moved = mechanisms.run(
            PREFILL, "main", path, q=q[:, order], k=k[:, order], v=v[:, order],
            **rules(ALPHA[order], BETA[order]),
        )["o"]
        np.testing.assert_array_equal(moved, own[:, order])


@pytest.mark.parametrize("prefix, steps", [(0, 3), (15, 3), (47, 4), (200, 2)])
def test_decode_with_rings(prefix, steps):
    """Each head has a cache of its own size, planned for the end of the text."""
    q, k, v = tensors(2, prefix + steps)
    kept = totals(prefix + steps)
    for path in mechanisms.PATHS:
        for h in range(H):
            one = slice(h, h + 1)
            cache = {n: np.full((2, 1, kept[h], D), np.nan, np.float32) for n in "kv"}
            for j in range(prefix):
                ring = kept[h] - UNIT
                place = j if j < UNIT else UNIT + (j - UNIT) % ring
                cache["k"][:, 0, place], cache["v"][:, 0, place] = k[:, h, j], v[:, h, j]
            for t in range(prefix, prefix + steps):
                new = {n: x[:, one, t : t + 1] for n, x in (("q", q), ("k", k), ("v", v))}
                result = mechanisms.run(
                    DECODE, "main", path, ring_k=cache["k"], ring_v=cache["v"],
                    past=np.array([t]), **new,
                )
                cache = {"k": result["next_k"], "v": result["next_v"]}
                wanted = oracle.decode(
                    q[:, one, t : t + 1], k[:, one, : t + 1], v[:, one, : t + 1],
                    kept[one], UNIT,
                )
                mechanisms.assert_close(result["o"], wanted, atol(t + 1), path)
