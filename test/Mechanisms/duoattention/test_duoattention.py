# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DuoAttention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
SINK, RECENT, D = 16, 64, 16
FULL = [True, True, False, False]


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    return q, k, v


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


@pytest.mark.parametrize("batch, length", [(1, 0), (1, 1), (2, 79), (1, 81), (1, 129), (1, 200)])
def test_prefill(batch, length):
    q, k, v = tensors(batch, length)
    wanted = oracle.prefill(q, k, v, FULL, SINK, RECENT)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("length", [1, 65, 150])
def test_gate_is_linear(length):
    q, k, v = tensors(1, length)
    gates = np.array([0, 1, 0.25, 1.5], np.float32)
    wanted = oracle.mixed(q, k, v, gates, SINK, RECENT)
    for path, result in mechanisms.run_all(PREFILL, "gated", q=q, k=k, v=v, gates=gates):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_dense_where_sink_and_window_hold_all():
    q, k, v = tensors(1, SINK + RECENT)
    wanted = oracle.prefill(q, k, v, [True] * 4, SINK, RECENT)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(SINK + RECENT), path)


def test_order_of_heads_does_not_matter():
    """Reordering heads in the weights moves outputs and changes nothing else."""
    q, k, v = tensors(1, 150)
    order = [2, 3, 0, 1]
    swapped = dict(q=q[:, order], k=k[:, ::-1], v=v[:, ::-1])
    wanted = oracle.prefill(q, k, v, FULL, SINK, RECENT)[:, order]
    for path, result in mechanisms.run_all(PREFILL, "reordered", **swapped):
        mechanisms.assert_close(result["o"], wanted, atol(150), path)


@pytest.mark.parametrize("past", [0, 1, 79, 80, 81, 300])
def test_decode_with_a_ring(past):
    """Whatever the order of the ring, decoding is masked dense attention."""
    q, k, v = tensors(1, past + 1)
    wanted = oracle.decode(q[:, :, -1:], k, v, FULL, SINK, RECENT)
    ring_k = np.full((1, 1, SINK + RECENT, D), np.nan, np.float32)
    ring_v = np.full((1, 1, SINK + RECENT, D), np.nan, np.float32)
    for j in range(past):
        place = j if j < SINK else SINK + (j - SINK) % RECENT
        ring_k[:, 0, place] = k[:, 1, j]
        ring_v[:, 0, place] = v[:, 1, j]
    inputs = dict(
        q=q[:, :, -1:],
        full_k=k[:, :1, :past], full_v=v[:, :1, :past],
        ring_k=ring_k, ring_v=ring_v,
        ring_lengths=np.array([1 + min(past, SINK + RECENT)]),
        k=k[:, :, -1:], v=v[:, :, -1:],
    )
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)
