# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compressed convolutional attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, G, D, R = 4, 2, 16, 8
TOKENS = ("q0", "k0", "v1", "v2")


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(R // 2) / (R // 2))
    return {
        "q0": normal(length, H * D), "k0": normal(length, G * D),
        "v1": normal(length, G * D // 2), "v2": normal(length, G * D // 2),
        "w0": normal((H + G) * D, 2), "b0": normal((H + G) * D),
        "w1": normal(H + G, D, D, 2) / 4, "b1": normal(H + G, D),
        "temp": np.array([0.5, 1.5], np.float32),
        "cos": np.cos(angle).astype(np.float32), "sin": np.sin(angle).astype(np.float32),
    }  # fmt: skip


def wanted(x):
    x = dict(x)
    v1, v2 = x.pop("v1"), x.pop("v2")
    q, k = oracle.heads(**x)
    v = oracle.values(v1, v2, G)
    return oracle.attention(q, k, v), k, v


def given(x, rows):
    """Arguments for some of the tokens, with a batch of one."""
    part = {name: x[name][None, rows] for name in TOKENS}
    rest = {name: y for name, y in x.items() if name not in TOKENS}
    return rest | part | {"cos": x["cos"][rows], "sin": x["sin"][rows]}


def atol(length):
    """Convolutions of 4 D terms of size up to 16, a norm that divides their error by
    no less than 1, scores, and values."""
    return mechanisms.tolerance(4 * D + length, magnitude=16, depth=3)


def check(result, want, rows, path):
    o, k, v = want
    bound = atol(o.shape[0])
    mechanisms.assert_close(result["o"][0], o[rows], bound, path)
    mechanisms.assert_close(result["k"][0], k[:, : rows.stop], bound, path)
    mechanisms.assert_close(result["v"][0], v[:, : rows.stop], bound, path)


@pytest.mark.parametrize("length", [1, 2, 3, 65, 130])
def test_prefill(length):
    x = tensors(length)
    rows = slice(0, length)
    for path, result in mechanisms.run_all(PREFILL, "main", **given(x, rows)):
        check(result, wanted(x), rows, path)


@pytest.mark.parametrize("prompt, steps", [(1, 4), (2, 2), (70, 3)])
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_decoding_continues_a_prefill(prompt, steps, path):
    """With three states: keys and values, channels, and the value before."""
    x = tensors(prompt + steps)
    want = wanted(x)
    result = mechanisms.run(PREFILL, "main", path, **given(x, slice(0, prompt)))
    for t in range(prompt, prompt + steps):
        rows = slice(t, t + 1)
        states = {
            "past_k": result["k"], "past_v": result["v"],
            "tail": result["tail_next"], "v2_before": result["v2_next"],
        }  # fmt: skip
        result = mechanisms.run(DECODE, "main", path, **given(x, rows), **states)
        check(result, want, rows, path)


def test_two_convolutions_are_one():
    """Also in the first rows and by their biases."""
    x = tensors(9)
    conv = [x[name].astype(np.float64) for name in ("w0", "b0", "w1", "b1")]
    w, bias = oracle.fold(*conv)
    c = np.concatenate([np.zeros((2, (H + G) * D)), np.concatenate([x["q0"], x["k0"]], axis=1)])
    c = c.reshape(-1, H + G, D)
    folded = np.array([
        bias + sum(np.einsum("hoi,hi->ho", w[..., r], c[t + r]) for r in range(3))
        for t in range(9)
    ])  # fmt: skip
    np.testing.assert_allclose(folded, oracle.channels(x["q0"], x["k0"], *conv), atol=1e-12)
    parts = {name: y for name, y in x.items() if name not in ("v1", "v2")}
    _, keys = oracle.heads(**parts, y=folded)
    for path, result in mechanisms.run_all(PREFILL, "main", **given(x, slice(0, 9))):
        mechanisms.assert_close(result["k"][0], keys, atol(9), path)


def test_norms_are_fixed():
    x = tensors(33)
    for path, result in mechanisms.run_all(PREFILL, "main", **given(x, slice(0, 33))):
        norms = np.linalg.norm(result["k"][0], axis=-1)
        wanted_norms = np.broadcast_to(4 * x["temp"][:, None], norms.shape)
        mechanisms.assert_close(norms, wanted_norms, atol(33), path)


def test_without_convolution_it_is_attention_of_means():
    x = tensors(40)
    for name in ("w0", "b0", "w1", "b1"):
        x[name][:] = 0
    for path, result in mechanisms.run_all(PREFILL, "main", **given(x, slice(0, 40))):
        check(result, wanted(x), slice(0, 40), path)


def test_causal():
    """What a token holds is not seen before it."""
    x = tensors(70)
    y = {name: a.copy() for name, a in x.items()}
    for name in TOKENS:
        y[name][50] += 1
    for path in mechanisms.PATHS:
        a = mechanisms.run(PREFILL, "main", path, **given(x, slice(0, 70)))["o"]
        b = mechanisms.run(PREFILL, "main", path, **given(y, slice(0, 70)))["o"]
        np.testing.assert_array_equal(a[:, :50], b[:, :50])
        assert (a[:, 50] != b[:, 50]).any()
