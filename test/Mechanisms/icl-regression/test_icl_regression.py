# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""In-context regression against its oracle, and what it should converge to."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

PREFILL = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
H, D = 4, 5


def task(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    x = rng.standard_normal((batch, length, D), dtype=np.float32)
    w = rng.standard_normal((batch, D), dtype=np.float32)
    y = np.einsum("bld,bd->bl", x, w)
    return x, y, rng.standard_normal((batch, D), dtype=np.float32)


def pattern(gamma, mu):
    """Two pairs of heads of opposite scales."""
    signs = np.array([1, -1, 1, -1])
    kq = (signs * gamma)[:, None, None] * np.eye(D)
    return kq.astype(np.float32), (signs * mu).astype(np.float32)


def run(x, y, xq, kq, mu):
    inputs = dict(x=x[:, None], y=y[:, None, :, None], xq=xq, kq=kq, mu=mu)
    return mechanisms.run_all(PREFILL, "main", **inputs)


def atol(length, y, mu):
    """Heads cancel, so the error is that of each head, times mu."""
    return mechanisms.tolerance(D + length, magnitude=8 * np.abs(y).max() * np.abs(mu).sum())


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 40), (1, 65), (3, 400)])
def test_any_matrices(batch, length):
    x, y, xq = task(batch, length)
    rng = np.random.default_rng(5)
    kq = rng.standard_normal((H, D, D), dtype=np.float32) / 4
    mu = rng.standard_normal(H, dtype=np.float32)
    wanted = oracle.layer(x, y, xq, *oracle.matrices(kq, mu))
    for path, result in run(x, y, xq, kq, mu):
        mechanisms.assert_close(result["yq"], wanted, atol(length, y, mu), path)


@pytest.mark.parametrize("gamma, off", [(0.01, 1e-3), (0.1, 0.03)])
def test_a_pair_of_heads_descends(gamma, off):
    """Two pairs give 4 mu gamma / L sum_l y_l (x_l - mean) . x_q up to the third
    order in gamma."""
    x, y, xq = task(2, 400)
    mu = 1 / (4 * gamma)
    wanted = oracle.descent(x, y, xq, 4 * mu * gamma)
    kq, mus = pattern(gamma, mu)
    exact = oracle.layer(x, y, xq, *oracle.matrices(kq, mus))
    assert np.abs(exact - wanted).max() < off * np.abs(y).max()
    for path, result in run(x, y, xq, kq, mus):
        mechanisms.assert_close(result["yq"], exact, atol(400, y, mus), path)


def test_examples_shown_twice_change_nothing():
    """The answer is a mean, not a sum."""
    x, y, xq = task(1, 90)
    kq, mu = pattern(0.2, 1.0)
    wanted = oracle.layer(x, y, xq, *oracle.matrices(kq, mu))
    for path, result in run(np.tile(x, (1, 2, 1)), np.tile(y, (1, 2)), xq, kq, mu):
        mechanisms.assert_close(result["yq"], wanted, atol(180, y, mu), path)


def test_dummy_heads_and_equal_answers_give_nothing():
    """Scale 0 is the mean of y, which a pair cancels; so does one y for all."""
    x, y, xq = task(1, 90)
    for kq, answers in ((pattern(0.0, 1.0)[0], y), (pattern(0.3, 1.0)[0], np.ones_like(y))):
        mu = pattern(0.0, 1.0)[1]
        for path, result in run(x, answers, xq, kq, mu):
            mechanisms.assert_close(result["yq"], np.zeros(1), atol(90, answers, mu), path)
