# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Flux Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, POOL = 8, 10
SHAPES = [(8, 64), (64, 16), (16, 32), (32, 8), (8, 2)]
STREAMING = dict(block=16, sink=1, local=2)


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)
    return rng.standard_normal((4, 1, 4, length, D), dtype=np.float32)


def network(seed):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s, dtype=np.float32) / np.float32(np.sqrt(s[0])) for s in SHAPES]
    return weights, [rng.standard_normal(s[1], dtype=np.float32) for s in SHAPES]


def named(weights, biases):
    return {f"{n}{i}": x for n, xs in (("w", weights), ("b", biases)) for i, x in enumerate(xs)}


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


@pytest.mark.parametrize("length", [1, 7, 10, 19, 20, 65, 130])
def test_router(length):
    raw = tensors(length)[0]
    gates = set()
    for seed in range(8):
        net = network(seed)
        wanted = oracle.router(raw, *net, POOL)
        gates.add(wanted[1] > wanted[0])
        for path, result in mechanisms.run_all(PREFILL, "router", q=raw, **named(*net)):
            # Five products of at most 8 * 10 * D and 64 terms.
            bound = mechanisms.tolerance(160, magnitude=8, depth=5)
            mechanisms.assert_close(result["logits"], wanted, bound, path)
            assert result["gate"][0] == (wanted[1] > wanted[0]), path
    assert len(gates) == 2


@pytest.mark.parametrize("length", [1, 33, 65, 150])
@pytest.mark.parametrize("full", [False, True])
def test_the_gate_chooses(length, full):
    raw, q, k, v = tensors(length)
    weights, biases = network(0)
    weights[4][:], biases[4][:] = 0, [not full, full]
    wanted = oracle.attention(q, k, v, full, **STREAMING)
    net = named(weights, biases)
    for path, result in mechanisms.run_all(PREFILL, "main", raw=raw, q=q, k=k, v=v, **net):
        assert result["gate"][0] == full, path
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_equal_logits_are_streaming():
    weights, biases = network(0)
    weights[4][:], biases[4][:] = 0, 0
    net = named(weights, biases)
    for path, result in mechanisms.run_all(PREFILL, "router", q=tensors(30)[0], **net):
        assert result["gate"][0] == 0, path


@pytest.mark.parametrize("gate", [0, 1])
def test_decode_keeps_the_gate(gate):
    _, q, k, v = tensors(130)
    wanted = oracle.attention(q, k, v, bool(gate), **STREAMING)[:, :, -1:]
    own = dict(q=q[:, :, -1:], k=k, v=v, gate=np.array([gate], np.int32))
    for path, result in mechanisms.run_all(PREFILL, "attend", **own):
        mechanisms.assert_close(result["o"], wanted, atol(130), path)


def test_dense_where_sink_and_window_hold_all():
    _, q, k, v = tensors(48)
    wanted = oracle.attention(q, k, v, True, **STREAMING)
    own = dict(q=q, k=k, v=v, gate=np.zeros(1, np.int32))
    for path, result in mechanisms.run_all(PREFILL, "attend", **own):
        mechanisms.assert_close(result["o"], wanted, atol(48), path)


def test_streaming_does_not_see_the_middle():
    _, q, k, v = tensors(130)
    wanted = oracle.attention(q, k, v, False, **STREAMING)[:, :, -1:]
    k[:, :, 16:112], v[:, :, 16:112] = np.nan, np.inf
    own = dict(q=q[:, :, -1:], k=k, v=v, gate=np.zeros(1, np.int32))
    for path, result in mechanisms.run_all(PREFILL, "attend", **own):
        mechanisms.assert_close(result["o"], wanted, atol(130), path)


@pytest.mark.parametrize("prompt, steps", [(1, 3), (14, 6), (46, 4), (100, 40)])
def test_streaming_decodes_from_a_cache_of_48(prompt, steps):
    """Over the edges of blocks and ring; what was dropped is not there."""
    _, q, k, v = tensors(prompt + steps)
    wanted = oracle.attention(q, k, v, False, **STREAMING)
    for path in mechanisms.PATHS:
        cache = mechanisms.run(DECODE, "drop", path, k=k[:, :, :prompt], v=v[:, :, :prompt])
        for at in range(prompt, prompt + steps):
            new = {n: x[:, :, at : at + 1] for n, x in (("q", q), ("k", k), ("v", v))}
            result = mechanisms.run(
                DECODE, "main", path, **new, past_k=cache["keys"], past_v=cache["values"],
                gate=np.zeros(1, np.int32), position=np.array([at]),
            )
            mechanisms.assert_close(result["o"], wanted[:, :, at : at + 1], atol(at), f"{path} {at}")
            assert result["keys"].shape[2] == 48, path
            cache = result


def test_full_decodes_from_all_keys():
    _, q, k, v = tensors(70)
    wanted = oracle.attention(q, k, v, True, **STREAMING)[:, :, -1:]
    new = {n: x[:, :, -1:] for n, x in (("q", q), ("k", k), ("v", v))}
    own = dict(past_k=k[:, :, :-1], past_v=v[:, :, :-1], gate=np.ones(1, np.int32), position=np.array([69]))
    for path, result in mechanisms.run_all(DECODE, "main", **new, **own):
        mechanisms.assert_close(result["o"], wanted, atol(70), path)
        np.testing.assert_array_equal(result["keys"], k, path)
