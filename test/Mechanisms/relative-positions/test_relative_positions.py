# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Relative positions and temperatures against their oracle, and invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D = 4, 16
LENGTHS = [1, 2, 33, 64, 65, 150, 300]


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def heads(rng, length, kv_heads=H, width=D, batch=2):
    return {
        "q": normal(rng, batch, H, length, D),
        "k": normal(rng, batch, kv_heads, length, D),
        "v": normal(rng, batch, kv_heads, length, width),
    }


def atol(length, magnitude=4.0):
    """A product of D terms, its bias, and the sum of values; ALiBi and T5 add
    numbers as large as `magnitude` to scores."""
    return mechanisms.tolerance(2 * D + length, magnitude=magnitude, depth=3)


def check(entry, wanted, length, magnitude=4.0, path=PREFILL, **inputs):
    for how, result in mechanisms.run_all(path, entry, **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(length, magnitude), f"{entry}, {how}")


SLOPES = np.array([0.5, 0.25, 0.125, 0.0625], np.float32)


def alibi_inputs(length, seed=0):
    return heads(np.random.default_rng(seed), length, kv_heads=2, width=24)


@pytest.mark.parametrize("length", LENGTHS)
def test_alibi(length):
    inputs = alibi_inputs(length)
    check("alibi", oracle.alibi(**inputs, slopes=SLOPES), length, **inputs, slopes=SLOPES)


def steps(entry, wanted, inputs, more, prompt, path, convert=lambda k: k):
    """Decodes the rows from `prompt` on; a cache holds `convert` of the keys."""
    cache = {"past_k": convert(inputs["k"][:, :, :prompt]), "past_v": inputs["v"][:, :, :prompt]}
    for t in range(prompt, inputs["q"].shape[2]):
        own = {name: x[:, :, t : t + 1] for name, x in inputs.items()}
        result = mechanisms.run(DECODE, entry, path, **own, **cache, **more)
        mechanisms.assert_close(result["o"], wanted[:, :, t : t + 1], atol(t), f"{entry}, {path}")
        cache = {"past_k": result["keys"], "past_v": result["values"]}


@pytest.mark.parametrize("prompt, length", [(0, 3), (63, 67), (200, 202)])
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_alibi_decodes(prompt, length, path):
    inputs = alibi_inputs(length)
    wanted = oracle.alibi(**inputs, slopes=SLOPES)
    steps("alibi", wanted, inputs, {"slopes": SLOPES}, prompt, path)


def test_alibi_without_slope_is_attention():
    inputs = alibi_inputs(70)
    s = oracle.products(inputs["q"], inputs["k"]) / 4
    none = np.zeros(H, np.float32)
    check("alibi", oracle.softmax_attention(s, inputs["v"]), 70, **inputs, slopes=none)


def t5_inputs(length, seed=0):
    rng = np.random.default_rng(seed)
    inputs = heads(rng, length)
    # Scores are not scaled.
    inputs["q"] /= 4
    return inputs, {"table": normal(rng, 32, H)}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("entry, both", [("t5_encoder", True), ("t5_decoder", False)])
def test_t5(entry, both, length):
    inputs, table = t5_inputs(length)
    check(entry, oracle.t5(**inputs, **table, both=both), length, **inputs, **table)


@pytest.mark.parametrize("prompt, length", [(0, 3), (63, 67), (200, 202)])
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_t5_decodes(prompt, length, path):
    inputs, table = t5_inputs(length)
    steps("t5_decoder", oracle.t5(**inputs, **table, both=False), inputs, table, prompt, path)


def test_buckets_of_the_released_code():
    """Its own formula in floating point, but for distances where the logarithm
    is a whole number and rounding decides."""
    for both, exact in [(True, 8), (False, 16)]:
        for d in range(-400, 401):
            n = abs(d) if both else max(-d, 0)
            if n < exact:
                continue
            x = np.log(n / exact) / np.log(128 / exact) * exact
            if abs(x - round(x)) < 1e-9:
                continue
            wanted = min(exact + int(x), 2 * exact - 1) + (2 * exact if both and d > 0 else 0)
            assert oracle.bucket(d, both) == wanted


def xl_inputs(length, past, seed=0):
    rng = np.random.default_rng(seed)
    inputs = heads(rng, length)
    inputs |= {"past_k": normal(rng, 2, H, past, D), "past_v": normal(rng, 2, H, past, D)}
    return inputs | {"r": normal(rng, length + past, H, D) / 4, "u": normal(rng, H, D), "w": normal(rng, H, D)}


@pytest.mark.parametrize("length, past", [(1, 0), (1, 70), (33, 0), (64, 64), (65, 130), (150, 3)])
def test_transformer_xl(length, past):
    inputs = xl_inputs(length, past)
    check("transformer_xl", oracle.transformer_xl(**inputs), length + past, 8.0, **inputs)


@pytest.mark.parametrize("past", [0, 1, 63, 200])
def test_transformer_xl_decodes(past):
    inputs = xl_inputs(1, past)
    check("transformer_xl", oracle.transformer_xl(**inputs), past + 1, 8.0, path=DECODE, **inputs)


def test_the_shift_is_an_index():
    rng = np.random.default_rng(0)
    for rows, keys in [(5, 5), (3, 8), (1, 4)]:
        x = rng.standard_normal((rows, keys))
        d = oracle.distances(rows, keys)
        seen = d <= 0
        at = np.minimum(d + keys - 1, keys - 1)
        np.testing.assert_array_equal(oracle.shift(x)[seen], np.take_along_axis(x, at, 1)[seen])


TEMPERATURE = np.array([1.0, 5.0, 10.0, -2.0], np.float32)


@pytest.mark.parametrize("length", LENGTHS)
def test_cosine(length):
    inputs = heads(np.random.default_rng(length), length)
    wanted = oracle.cosine(**inputs, temperature=TEMPERATURE)
    check("cosine", wanted, length, 10.0, **inputs, temperature=TEMPERATURE)


@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_cosine_decodes(path):
    inputs = heads(np.random.default_rng(0), 68)
    wanted = oracle.cosine(**inputs, temperature=TEMPERATURE)
    steps("cosine", wanted, inputs, {"temperature": TEMPERATURE}, 65, path,
          lambda k: oracle.normalized(k).astype(np.float32))


def test_lengths_of_vectors_do_not_matter():
    inputs = heads(np.random.default_rng(1), 70)
    for path in mechanisms.PATHS:
        a = mechanisms.run(PREFILL, "cosine", path, **inputs, temperature=TEMPERATURE)["o"]
        longer = inputs | {"q": inputs["q"] * 8, "k": inputs["k"] * 2}
        b = mechanisms.run(PREFILL, "cosine", path, **longer, temperature=TEMPERATURE)["o"]
        mechanisms.assert_close(a, b, atol(70, 10.0), path)
