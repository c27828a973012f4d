# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SpAtten against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D, E, LAYERS = 4, 16, 64, 4


def tensors(length, keys=None, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((1, H, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, 1, H, keys or length, D), dtype=np.float32)
    return q, k, v


def atol(length, depth=2):
    return mechanisms.tolerance(D + length, magnitude=8, depth=depth)


def encoder(path, x, weights, keep_tokens, keep_heads):
    """The model by its two functions; projections are NumPy's."""
    rows = x[None, None]
    alive = np.ones((1, H), np.int64)
    tokens, heads = np.zeros((1, len(x)), np.float32), np.zeros((1, H), np.float32)
    names = np.arange(len(x))
    for (wq, wk, wv, wo), tokens_left, heads_left in zip(weights, keep_tokens, keep_heads):
        left = mechanisms.run(
            PREFILL, "prune", path, x=rows, alive=alive, tokens=tokens, heads=heads,
            keep_tokens=np.array([tokens_left]), keep_heads=np.array([heads_left]),
        )  # fmt: skip
        rows, alive, tokens = left["x_next"], left["alive_next"], left["tokens_next"]
        names = names[left["kept"][0]]
        q, k, v = (rows @ w for w in (wq, wk, wv))
        result = mechanisms.run(
            PREFILL, "main", path, q=q, k=k, v=v, alive=alive, tokens=tokens, heads=heads
        )
        tokens, heads = result["tokens_next"], result["heads_next"]
        assert (result["o"][0, alive[0] == 0] == 0).all()
        rows = rows + np.einsum("bhid,hde->bie", result["o"], wo)[:, None]
    return names, rows[0, 0], np.flatnonzero(alive[0]), tokens[0], heads[0]


@pytest.mark.parametrize(
    "length, keep_tokens, keep_heads",
    [
        (16, [16] * 4, [4] * 4),
        (16, [16, 12, 7, 3], [4, 4, 3, 2]),
        (70, [70, 66, 40, 17], [4, 3, 3, 1]),
    ],
)
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_cascade(length, keep_tokens, keep_heads, path):
    """Tokens and heads that leave stay away; with all kept it is the dense model."""
    rng = np.random.default_rng(length)
    x = rng.standard_normal((length, E), dtype=np.float32)
    weights = [
        [rng.standard_normal(shape, dtype=np.float32) / np.float32(8) for shape in shapes]
        for shapes in [[(H, E, D)] * 3 + [(H, D, E)]] * LAYERS
    ]
    rows, heads, token_sums, head_sums = oracle.encoder(x, weights, keep_tokens, keep_heads)
    got = encoder(path, x, weights, keep_tokens, keep_heads)
    np.testing.assert_array_equal(got[0], sorted(rows), path)
    np.testing.assert_array_equal(got[2], heads, path)
    # A layer adds to the rounding of those before, through projections and softmax.
    bound = atol(E + length, depth=4 * LAYERS)
    mechanisms.assert_close(got[1], np.stack([rows[t] for t in sorted(rows)]), bound, path)
    sums = np.array([token_sums[t] for t in sorted(rows)])
    mechanisms.assert_close(got[3], sums, bound * H, path)
    every = np.array([head_sums[h] for h in range(H)])
    mechanisms.assert_close(got[4], every, bound * length * D, path)


def test_probabilities_are_shared_out():
    """What tokens receive in a layer adds up to the rows of the heads alive."""
    q, k, v = tensors(65)
    alive = np.array([[1, 0, 1, 1]])
    zeros = {"tokens": np.zeros((1, 65), np.float32), "heads": np.zeros((1, H), np.float32)}
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, alive=alive, **zeros):
        total = result["tokens_next"].astype(np.float64).sum()
        mechanisms.assert_close(total, np.array(3 * 65.0), 65 * atol(65), path)
        assert result["heads_next"][0, 1] == 0, path


def test_ties_keep_the_first():
    x = np.arange(6 * E, dtype=np.float32).reshape(1, 1, 6, E)
    inputs = dict(
        x=x, alive=np.array([[0, 1, 1, 1]]), tokens=np.array([[1, 2, 1, 2, 1, 0]], np.float32),
        heads=np.array([[9, 1, 1, 1]], np.float32), keep_tokens=np.array([4]),
        keep_heads=np.array([2]),
    )  # fmt: skip
    for path, result in mechanisms.run_all(PREFILL, "prune", **inputs):
        np.testing.assert_array_equal(result["kept"], [[0, 1, 2, 3]], path)
        np.testing.assert_array_equal(result["alive_next"], [[0, 1, 1, 0]], path)
        np.testing.assert_array_equal(result["x_next"], x[:, :, :4], path)


@pytest.mark.parametrize("rows, keys", [(1, 1), (3, 6), (5, 7), (40, 65)])
def test_local_values(rows, keys):
    """Up to 6 keys it is dense attention; beyond, probabilities do not grow."""
    q, k, v = tensors(rows, keys)
    wanted = oracle.local_values(q, k, v, 6)
    for path, result in mechanisms.run_all(PREFILL, "values", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(keys, 3), path)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2, 1.5])
@pytest.mark.parametrize("keys", [1, 30, 130])
def test_progressive(threshold, keys):
    """12 bits, of which the upper 8 come first; sums of them are exact."""
    rng = np.random.default_rng(keys)
    q = rng.integers(-2048, 2048, (1, H, 1, D))
    k = rng.integers(-2048, 2048, (1, H, keys, D))
    v = rng.standard_normal((1, H, keys, D), dtype=np.float32)
    # Some heads are surer than others.
    unit = np.array([0.5, 1, 1.5, 2], np.float32)[None, :, None, None] / 1024
    full = {"q": q * unit, "k": k * unit}
    upper = {"q_upper": q // 16 * 16 * unit, "k_upper": k // 16 * 16 * unit}
    inputs = {name: x.astype(np.float32) for name, x in (full | upper).items()} | {"v": v}
    wanted, refine = oracle.progressive(**inputs, threshold=threshold)
    assert threshold > 0 or not refine.any()
    assert threshold < 1 or refine.all()
    bound = np.array([threshold], np.float32)
    for path, result in mechanisms.run_all(DECODE, "main", threshold=bound, **inputs):
        np.testing.assert_array_equal(result["refined"], refine[..., 0], path)
        # Entries go up to 4, so logits to 16 * 4 * 4 / 4 and not 8.
        mechanisms.assert_close(result["o"], wanted, 8 * atol(keys), path)
