# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""EMMA's alignment against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H = 2


def probabilities(batch, targets, sources, seed=0):
    rng = np.random.default_rng(seed + targets * sources)
    return rng.random((batch, H, targets, sources), dtype=np.float32)


def atol(targets, sources):
    """Each source and target multiplies and adds numbers of at most 1."""
    return mechanisms.tolerance(targets * 4 + 4 * sources)


@pytest.mark.parametrize(
    "batch, targets, sources", [(1, 1, 1), (2, 3, 5), (1, 5, 1), (1, 0, 4), (1, 17, 33), (2, 9, 40)]
)
def test_scan_is_the_product_of_matrices(batch, targets, sources):
    p = probabilities(batch, targets, sources)
    wanted = oracle.align(p)
    for path, result in mechanisms.run_all(PREFILL, "main", p=p):
        mechanisms.assert_close(result["alpha"], wanted, atol(targets, sources), path)


def test_certain_choice_stays_at_the_first_source():
    p = np.ones((1, H, 4, 9), np.float32)
    for path, result in mechanisms.run_all(PREFILL, "main", p=p):
        wanted = np.zeros(p.shape)
        wanted[..., 0] = 1
        np.testing.assert_array_equal(result["alpha"], wanted, err_msg=path)


def test_choice_of_the_last_source_alone():
    p = np.zeros((1, H, 4, 9), np.float32)
    p[..., -1] = 1
    for path, result in mechanisms.run_all(PREFILL, "main", p=p):
        np.testing.assert_array_equal(result["alpha"], p, err_msg=path)


def test_rows_add_up_to_one_if_none_may_pass_the_end():
    p = probabilities(2, 6, 20)
    for path, result in mechanisms.run_all(PREFILL, "main", p=p):
        assert (result["alpha"].sum(-1) <= 1 + atol(6, 20)).all(), path
    p[..., -1] = 1
    for path, result in mechanisms.run_all(PREFILL, "main", p=p):
        np.testing.assert_allclose(result["alpha"].sum(-1), 1, atol=20 * atol(6, 20), err_msg=path)


def test_sampling_converges_to_the_alignment():
    p = probabilities(1, 3, 6)
    p[..., -1] = 1
    found = {path: result["alpha"] for path, result in mechanisms.run_all(PREFILL, "main", p=p)}
    found["oracle"] = oracle.align(p)
    rng = np.random.default_rng(0)
    count = 20000
    at = np.zeros(count, int)
    for i in range(3):
        # Who goes on asks again at the next source; nobody passes the last one.
        going = rng.random(count) >= p[0, 0, i, at]
        while going.any():
            at[going] += 1
            going[going] = rng.random(going.sum()) >= p[0, 0, i, at[going]]
        share = np.bincount(at, minlength=6) / count
        # Five standard deviations of a share.
        for path, alpha in found.items():
            np.testing.assert_allclose(
                share, alpha[0, 0, i], atol=5 * 0.5 / np.sqrt(count), err_msg=path
            )


def test_decoding_goes_on_from_the_row_before():
    p = probabilities(2, 7, 12)
    wanted = oracle.align(p)
    for path in mechanisms.PATHS:
        previous = np.zeros((2, H, 12), np.float32)
        previous[..., 0] = 1
        for i in range(7):
            result = mechanisms.run(DECODE, "main", path, p=p[:, :, i : i + 1], previous=previous)
            previous = result["alpha"][:, :, 0]
            mechanisms.assert_close(previous, wanted[:, :, i], atol(7, 12), path)


def test_soft_attention():
    rng = np.random.default_rng(0)
    p, energy = probabilities(1, 5, 12), rng.standard_normal((1, H, 5, 12), dtype=np.float32)
    alpha = oracle.align(p).astype(np.float32)
    wanted = oracle.soft(alpha, energy)
    for path, result in mechanisms.run_all(PREFILL, "soft", alpha=alpha, energy=energy):
        mechanisms.assert_close(result["beta"], wanted, mechanisms.tolerance(40), path)
        np.testing.assert_allclose(result["beta"].sum(-1), alpha.sum(-1), atol=1e-5)
    # Where a target certainly stops, softmax of what lies before.
    alpha[:] = 0
    alpha[..., 7] = 1
    powers = np.exp(energy[..., :8].astype(np.float64))
    for path, result in mechanisms.run_all(PREFILL, "soft", alpha=alpha, energy=energy):
        mechanisms.assert_close(
            result["beta"][..., :8], powers / powers.sum(-1, keepdims=True),
            mechanisms.tolerance(40), path,
        )
        assert not result["beta"][..., 8:].any()


@pytest.mark.parametrize("length", [1, 4, 5])
def test_one_column_decides(length):
    rng = np.random.default_rng(length)
    q = rng.standard_normal((1, H, 3, 8), dtype=np.float32)
    keys = rng.standard_normal((1, H, length, 8), dtype=np.float32)
    wanted = oracle.choose(q, keys, -0.5, 0.2, 2)[:, :, -1, -1]
    window = keys[:, :, (length - 1) // 2 * 2 :]
    for path, result in mechanisms.run_all(DECODE, "choose", q=q[:, :, -1], window=window):
        # The temperature of 0.2 multiplies the error of the energy by 5.
        mechanisms.assert_close(result["p"], wanted, mechanisms.tolerance(8, magnitude=20), path)
