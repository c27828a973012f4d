# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""RazorAttention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
SINK, LEAST, FRACTION, D = 4, 32, 5, 16


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((1, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, 1, 2, length, D), dtype=np.float32)
    return q, k, v


def split(n):
    return oracle.split(n, SINK, LEAST, FRACTION)


def atol(length):
    """The mean, scores of size 8 and the sum of values."""
    return mechanisms.tolerance(D + length, magnitude=8, depth=3)


def step(q, k, v, cut):
    """Inputs of decoding: the last token is new, the second head dropped `cut`."""
    return {
        "q": q[:, :, -1:], "k": k[:, :, -1:], "v": v[:, :, -1:],
        "full_k": k[:, :1, :-1], "full_v": v[:, :1, :-1],
        "kept_k": oracle.compress(k[:, 1:, :-1], *cut).astype(np.float32),
        "kept_v": oracle.compress(v[:, 1:, :-1], *cut).astype(np.float32),
        "dropped": np.array([cut[1] - cut[0]]),
    }  # fmt: skip


def wanted_step(q, k, v, cut, multiplicity="count"):
    full = oracle.dense(q[:, :2, -1:], k[:, :1], v[:, :1])
    rest = oracle.compressed(q[:, 2:, -1:], k[:, 1:], v[:, 1:], *cut, multiplicity)
    return np.concatenate([full, rest], axis=1)


@pytest.mark.parametrize("length", [1, 4, 36, 37, 100, 213])
def test_prefill_is_dense_and_compresses(length):
    q, k, v = tensors(length)
    begin, end = split(length)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], oracle.dense(q, k, v), atol(length), path)
        for name, x in (("kept_k", k), ("kept_v", v)):
            kept = oracle.compress(x[:, 1:], begin, end)
            mechanisms.assert_close(result[name], kept, atol(length), path)
        np.testing.assert_array_equal(result["dropped"], [end - begin])


@pytest.mark.parametrize("past", [0, 3, 36, 37, 120, 300])
@pytest.mark.parametrize("entry, multiplicity", [("main", "count"), ("one", "one")])
def test_decode(past, entry, multiplicity):
    q, k, v = tensors(past + 1)
    cut = split(past)
    wanted = wanted_step(q, k, v, cut, multiplicity)
    for path, result in mechanisms.run_all(DECODE, entry, **step(q, k, v, cut)):
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)


@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_decoding_compresses_on(path):
    """The set that is dropped grows with the text; the running mean is the mean."""
    prompt, steps = 60, 12
    q, k, v = tensors(prompt + steps)
    first = {"q": q, "k": k, "v": v}
    first = {name: x[:, :, :prompt] for name, x in first.items()}
    cache = mechanisms.run(PREFILL, "main", path, **first)
    del cache["o"]
    for n in range(prompt + 1, prompt + steps + 1):
        cut = split(n)
        if cut[1] - cut[0] > cache["dropped"][0]:
            cache = mechanisms.run(DECODE, "absorb", path, **cache)
            cache = {name.removesuffix("_next"): x for name, x in cache.items()}
        own = step(q[:, :, :n], k[:, :, :n], v[:, :, :n], cut) | cache
        result = mechanisms.run(DECODE, "main", path, **own)
        wanted = wanted_step(q[:, :, :n], k[:, :, :n], v[:, :, :n], cut)
        mechanisms.assert_close(result["o"], wanted, atol(n), path)
        cache["kept_k"], cache["kept_v"] = result["kept_k_next"], result["kept_v_next"]
    assert cache["kept_k"].shape[2] == 1 + SINK + LEAST


@pytest.mark.parametrize("dropped", [0, 1])
def test_dense_without_loss(dropped):
    """Nothing dropped, or one key that is its own mean."""
    q, k, v = tensors(90)
    wanted = oracle.dense(q[:, :, -1:], k, v)
    for path, result in mechanisms.run_all(DECODE, "main", **step(q, k, v, (4, 4 + dropped))):
        mechanisms.assert_close(result["o"], wanted, atol(90), path)


def test_equal_keys_lose_nothing():
    """Whatever their values, by the multiplicity; counted once it would be wrong."""
    q, k, v = tensors(90)
    k[:, 1, 4:50] = k[:, 1, 4:5]
    wanted = oracle.dense(q[:, :, -1:], k, v)
    inputs = step(q, k, v, (4, 50))
    for path, result in mechanisms.run_all(DECODE, "main", **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(90), path)
    for path, result in mechanisms.run_all(DECODE, "one", **inputs):
        assert np.abs(result["o"] - wanted).max() > 0.01, path


def test_retrieval_heads_do_not_see_the_compression():
    q, k, v = tensors(90)
    for path in mechanisms.PATHS:
        some = mechanisms.run(DECODE, "main", path, **step(q, k, v, (4, 50)))["o"]
        none = mechanisms.run(DECODE, "main", path, **step(q, k, v, (4, 4)))["o"]
        np.testing.assert_array_equal(some[:, :2], none[:, :2])
