# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""RCMHA against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D, P = 2, 16, 200


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32) / np.float32(2)

    heads = {name: normal(1, H, length, D) for name in "qkv"}
    taps = {f"w{name}": normal(D, 3) for name in "qkv"} | {f"b{name}": normal(D) for name in "qkv"}
    return heads, taps | {"e": normal(2 * P, H, D), "be": normal(2 * P, H), "u": normal(H, D)}


def atol(length):
    """Convolutions, two products of D terms in a score, and the sum of values."""
    return mechanisms.tolerance(2 * D + 3 + length, magnitude=8, depth=3)


def check(heads, rest, wanted=None):
    wanted = oracle.attention(**heads, **rest) if wanted is None else wanted
    bound = atol(heads["q"].shape[2])
    for path, result in mechanisms.run_all(PREFILL, "main", **heads, **rest):
        for name, want in zip(("o", "keys", "values"), wanted):
            mechanisms.assert_close(result[name], want, bound, path)


@pytest.mark.parametrize("length", [1, 2, 3, 63, 65, 150])
def test_prefill(length):
    check(*tensors(length))


@pytest.mark.parametrize("prompt, steps", [(2, 5), (64, 3)])
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_decoding_continues_a_prefill(prompt, steps, path):
    heads, rest = tensors(prompt + steps)
    wanted = oracle.attention(**heads, **rest)
    first = {name: x[:, :, :prompt] for name, x in heads.items()}
    result = mechanisms.run(PREFILL, "main", path, **first, **rest)
    tails = {f"{name}_tail": x[:, :, prompt - 2 : prompt] for name, x in heads.items()}
    for t in range(prompt, prompt + steps):
        own = {name: x[:, :, t : t + 1] for name, x in heads.items()}
        cache = {"past_k": result["keys"], "past_v": result["values"]}
        result = mechanisms.run(DECODE, "main", path, **own, **rest, **tails, **cache)
        tails = {f"{name}_tail": result[f"{name}_next"] for name in "qkv"}
        want = wanted[0][:, :, t : t + 1]
        mechanisms.assert_close(result["o"], want, atol(prompt + steps), path)


def test_the_shift_is_an_index():
    heads, rest = tensors(30)
    q, e, be = heads["q"][0, 0].astype(np.float64), rest["e"][:, 0], rest["be"][:, 0]
    seen = np.tril(np.ones((30, 30), bool))
    shifted, closed = oracle.relative(q, e, be), oracle.closed(q, e, be)
    np.testing.assert_allclose(shifted[seen], closed[seen], atol=1e-12)


def test_plain_attention_without_its_parts():
    """The last tap alone, and no distances."""
    heads, rest = tensors(70)
    for name, x in rest.items():
        x[:] = 0
        if name[0] == "w":
            x[:, 2] = 1
    q, k, v = (heads[name].astype(np.float64) for name in "qkv")
    s = q @ np.swapaxes(k, -1, -2) / 4
    e = np.exp(s) * np.tril(np.ones((70, 70)))
    check(heads, rest, (e / e.sum(-1, keepdims=True) @ v, k, v))


def test_causal():
    heads, rest = tensors(70)
    later = {name: x.copy() for name, x in heads.items()}
    for x in later.values():
        x[:, :, 50] += 1
    for path in mechanisms.PATHS:
        a = mechanisms.run(PREFILL, "main", path, **heads, **rest)["o"]
        b = mechanisms.run(PREFILL, "main", path, **later, **rest)["o"]
        np.testing.assert_array_equal(a[:, :, :50], b[:, :, :50])
        assert (a[:, :, 50] != b[:, :, 50]).any()
