# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ReLU attention with random features against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

PREFILL = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
M, D = 16, 6


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    x0 = rng.standard_normal((batch, D), dtype=np.float32)
    x = rng.standard_normal((batch, length, D), dtype=np.float32)
    x0[..., -1] = x[..., -1] = 1
    w = rng.standard_normal((M, D, D), dtype=np.float32)
    return {"x0": x0, "x": x, "w": w, "v": rng.standard_normal((M, D), dtype=np.float32)}


def atol(x0, x, w, v):
    """Sums of D, D, N and M D terms; ReLU does not enlarge an error. The bound is
    relative to the sum of absolute values."""
    size = oracle.layer(np.abs(x0), np.abs(x), np.abs(w), np.abs(v)).max()
    return mechanisms.tolerance(2 * D + x.shape[1] + M * D, magnitude=size)


def check(x, wanted, bound):
    for path, result in mechanisms.run_all(PREFILL, "main", **x):
        mechanisms.assert_close(result["f"], wanted, bound, path)


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 7), (3, 65), (1, 200)])
def test_layer(batch, length):
    x = tensors(batch, length)
    check(x, oracle.layer(**x), atol(**x))


def test_features_are_linear_in_what_is_trained():
    x = tensors(2, 30)
    wanted = oracle.features(x["x0"], x["x"], x["w"])
    for path, result in mechanisms.run_all(PREFILL, "main", **x):
        mechanisms.assert_close(result["features"], wanted, atol(**x), path)


def test_order_and_number_of_keys_do_not_matter():
    x = tensors(1, 50)
    wanted, bound = oracle.layer(**x), atol(**x)
    order = np.random.default_rng(1).permutation(50)
    check(x | {"x": x["x"][:, order]}, wanted, bound)
    check(x | {"x": np.tile(x["x"], (1, 2, 1))}, wanted, 2 * bound)


def test_opposite_heads_are_linear():
    """relu(s) - relu(-s) = s, whose sum over the keys has a closed form."""
    x = tensors(2, 60)
    half = M // 2
    x["w"][half:] = -x["w"][:half]
    x["v"][half:] = -x["v"][:half]
    keys = x["x"].astype(np.float64)
    second = np.einsum("bid,bie->bde", keys, keys) / 60
    wanted = np.einsum("md,bde,mfe,bf->b", x["v"][:half], second, x["w"][:half], x["x0"])
    check(x, wanted, atol(**x))


def test_scores_below_zero_give_nothing():
    x = tensors(1, 40)
    x["w"][:] = 0
    x["w"][:, -1, -1] = -1
    for path, result in mechanisms.run_all(PREFILL, "main", **x):
        np.testing.assert_array_equal(result["f"], 0, path)


def test_regression_finds_the_layer():
    """With its own features a target of this form is learned exactly."""
    x = tensors(150, 20)
    feature = oracle.features(x["x0"], x["x"], x["w"]).reshape(150, M * D)
    target = oracle.layer(**x)
    found = np.linalg.lstsq(feature, target, rcond=None)[0]
    np.testing.assert_allclose(feature @ found, target, atol=1e-8)
    learned = x | {"v": found.reshape(M, D).astype(np.float32)}
    check(learned, target, atol(**learned) + 1e-8)
