# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lightning Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D, DV = 4, 16, 32
RATES = oracle.slopes(H, layer=0, layers=3)


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q, k = rng.standard_normal((2, batch, H, length, D), dtype=np.float32)
    return q, k, rng.standard_normal((batch, H, length, DV), dtype=np.float32)


def atol(q, k, v, rates=RATES):
    """Sums of D, then of all tokens; logarithms of decays add up over a chunk."""
    size = oracle.attention(np.abs(q), np.abs(k), np.abs(v), rates).max(initial=1)
    spread = 64 * np.max(rates)
    return mechanisms.tolerance(D + q.shape[2] + 2 * spread, magnitude=size, depth=2)


LENGTHS = [(1, 0), (1, 1), (2, 7), (1, 64), (1, 65), (2, 200)]


@pytest.mark.parametrize("batch, length", LENGTHS)
def test_prefill(batch, length):
    q, k, v = tensors(batch, length)
    wanted = oracle.attention(q, k, v, RATES)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(q, k, v), path)
        mechanisms.assert_close(
            result["state"], oracle.state(k, v, RATES), atol(np.ones_like(q), k, v), path
        )


@pytest.mark.parametrize("size", [1, 16, 64, 1000])
def test_the_size_of_blocks_changes_nothing(size):
    q, k, v = tensors(2, 150)
    output, carried = oracle.blocks(q, k, v, RATES, size)
    np.testing.assert_allclose(output, oracle.attention(q, k, v, RATES), atol=1e-10)
    own = np.exp(-RATES)[:, None, None] * oracle.state(k, v, RATES)
    np.testing.assert_allclose(carried, own, atol=1e-10)


@pytest.mark.parametrize("length", [1, 63, 150])
def test_no_decay_is_a_running_sum(length):
    q, k, v = tensors(1, length)
    wanted = oracle.attention(q, k, v, np.zeros(H))
    for path, result in mechanisms.run_all(PREFILL, "cumulative", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(q, k, v, np.zeros(H)), path)


def test_great_decay_leaves_the_token_itself():
    q, k, v = tensors(1, 130)
    wanted = (q.astype(np.float64) * k).sum(-1, keepdims=True) * v
    for path, result in mechanisms.run_all(PREFILL, "forgetful", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(q, k, v, np.full(H, 1e3)), path)


@pytest.mark.parametrize("prefix, steps", [(0, 5), (1, 3), (64, 2), (70, 9)])
def test_decoding_continues_a_prefill(prefix, steps):
    q, k, v = tensors(2, prefix + steps)
    wanted = oracle.attention(q, k, v, RATES)
    bound = atol(q, k, v)
    for path in mechanisms.PATHS:
        first = {name: x[:, :, :prefix] for name, x in (("q", q), ("k", k), ("v", v))}
        state = mechanisms.run(PREFILL, "main", path, **first)["state"]
        for t in range(prefix, prefix + steps):
            own = {name: x[:, :, t : t + 1] for name, x in (("q", q), ("k", k), ("v", v))}
            result = mechanisms.run(DECODE, "main", path, state=state, **own)
            state = result["next"]
            mechanisms.assert_close(result["o"], wanted[:, :, t : t + 1], bound, path)


def test_halves_of_the_features_add_up():
    q, k, v = tensors(1, 150)
    wanted = oracle.attention(q, k, v, RATES)
    for path in mechanisms.PATHS:
        parts = [
            mechanisms.run(PREFILL, "half", path, q=q[..., part], k=k[..., part], v=v)["o"]
            for part in (slice(0, 8), slice(8, 16))
        ]
        mechanisms.assert_close(parts[0] + parts[1], wanted, 2 * atol(q, k, v), path)


def test_layer():
    q, k, v = (np.ascontiguousarray(np.swapaxes(x, 1, 2)) for x in tensors(1, 100))
    gate = tensors(1, 100, seed=5)[2].swapaxes(1, 2)

    def silu(x):
        return x / (1 + np.exp(-x.astype(np.float64)))

    heads = [np.swapaxes(silu(x), 1, 2) for x in (q, k, v)]
    o = np.swapaxes(oracle.attention(*heads, RATES), 1, 2)
    root = np.sqrt((o**2).mean(axis=(2, 3), keepdims=True))
    wanted = o / root / (1 + np.exp(-gate.astype(np.float64)))
    # A norm divides the error by the size of what it normalises.
    bound = 4 * atol(*(np.abs(x) for x in heads)) / root.min() * (1 + np.abs(wanted).max())
    for path, result in mechanisms.run_all(PREFILL, "layer", q=q, k=k, v=v, gate=gate):
        mechanisms.assert_close(result["y"], wanted, bound, path)


@pytest.mark.parametrize("length", [256, 4096])
def test_memory_is_that_of_the_results(length):
    """The state lives on the stack of a thread; nothing grows with the text."""
    q, k, v = tensors(1, length)
    model = mechanisms.attn.load(PREFILL, entry="main", attention="tiles")
    results = model.run({"q": q, "k": k, "v": v})
    assert model.peak_bytes <= sum(x.nbytes for x in results.values()) + 65536
