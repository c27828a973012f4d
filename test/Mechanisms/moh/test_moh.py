# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mixture of heads against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, C = 8, 16
SHAPES = [(1, 0), (1, 1), (2, 7), (1, 65), (2, 130)]


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def atol(length):
    """Gates stay below 2 * 2 * 2, values below 6."""
    return mechanisms.tolerance(C + D + length, magnitude=8 * 6, depth=2)


def vision(batch, length):
    rng = np.random.default_rng(length)
    heads = rng.standard_normal((3, batch, 6, length, D), dtype=np.float32)
    # Quarters: their products are exact, so that a choice is the same everywhere.
    x = rng.integers(-4, 5, (batch, length, C)).astype(np.float32) / 4
    weights = [rng.integers(-4, 5, (n, C)).astype(np.float32) / 4 for n in (4, 2, 2)]
    return dict(x=x, **dict(zip(("wr", "ws", "wa"), weights)), **dict(zip("qkv", heads)))


def llama(batch, length):
    rng = np.random.default_rng(length)
    q = rng.standard_normal((batch, 8, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 4, length, D), dtype=np.float32)
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(D // 2) / (D // 2))
    return q, k, v, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


@pytest.mark.parametrize("batch, length", SHAPES)
def test_vision(batch, length):
    data = vision(batch, length)
    x, wr, ws, wa, q, k, v = wide(*data.values())
    gates = oracle.vision_gates(x, wr, ws, wa, 2)
    wanted = oracle.gated(gates, oracle.attention(q, k, v, causal=False))
    for path, result in mechanisms.run_all(PREFILL, "main", **data):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)
        mechanisms.assert_close(result["gates"], gates, atol(0), path)
        np.testing.assert_array_equal(result["counts"], (gates != 0).sum(axis=1))
        sums = result["gates"].sum(axis=-1) - 4
        # a0 * 2 + a1 * 2 with a0 + a1 = 2
        assert np.all(np.abs(sums) <= 8 * atol(0))


def test_equal_gates_of_all_heads_are_attention():
    data = vision(2, 9)
    for path, result in mechanisms.run_all(
        PREFILL, "all", x=data["x"], **{n: 0 * data[n] for n in ("wr", "ws", "wa")}
    ):
        np.testing.assert_array_equal(result["gates"], 1, err_msg=path)


def test_unused_heads_are_zero():
    data = vision(1, 65)
    for path, result in mechanisms.run_all(PREFILL, "main", **data):
        unused = np.moveaxis(result["gates"], 2, 1) == 0
        assert unused.any() and not result["o"][unused].any(), path


def test_a_head_without_tokens():
    """A router that never takes the last two heads; their keys are never read."""
    data = vision(1, 33)
    data["x"] = np.abs(data["x"]) + 1
    data["wr"] = np.array([[3], [2], [1], [0]], np.float32) * np.ones((4, C), np.float32)
    x, wr, ws, wa, q, k, v = wide(*data.values())
    gates = oracle.vision_gates(x, wr, ws, wa, 2)
    wanted = oracle.gated(gates, oracle.attention(q, k, v, causal=False))
    data["k"][:, 4:] = data["v"][:, 4:] = np.nan
    for path, result in mechanisms.run_all(PREFILL, "main", **data):
        mechanisms.assert_close(result["o"], wanted, atol(33), path)
        np.testing.assert_array_equal(result["counts"], [[33, 33, 33, 33, 0, 0]])


@pytest.mark.parametrize("batch, length", SHAPES)
def test_llama(batch, length):
    q, k, v, cos, sin = llama(batch, length)
    gates = oracle.llama_gates(*wide(q), 4, 2)
    qr, kr = oracle.rotate(*wide(q, cos, sin)), oracle.rotate(*wide(k, cos, sin))
    wanted = oracle.gated(gates, oracle.attention(qr, kr, v, causal=True))
    for path, result in mechanisms.run_all(PREFILL, "llama", q=q, k=k, v=v, cos=cos, sin=sin):
        np.testing.assert_array_equal(result["gates"], gates, err_msg=path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("batch, past", [(1, 0), (2, 3), (1, 64), (2, 600)])
def test_decoding_continues_a_prefill(batch, past):
    q, k, v, cos, sin = llama(batch, past + 1)
    gates = oracle.llama_gates(*wide(q), 4, 2)
    qr, kr = oracle.rotate(*wide(q, cos, sin)), oracle.rotate(*wide(k, cos, sin))
    wanted = oracle.gated(gates[:, -1:], oracle.attention(qr[:, :, -1:], kr, v, causal=False))
    old = dict(past_k=kr[:, :, :-1].astype(np.float32), past_v=v[:, :, :-1])
    new = dict(q=q[:, :, -1:], k=k[:, :, -1:], v=v[:, :, -1:], cos=cos[-1:], sin=sin[-1:])
    for path, result in mechanisms.run_all(DECODE, "main", **old, **new):
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)
        assert result["keys"].shape[2] == past + 1
