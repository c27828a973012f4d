# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LycheeDecode against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

DECODE = Path(__file__).parent / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D, COUNT = 16, 24
ROLES = ["RR", "RS", "SS"]


def tensors(length, seed=0):
    rng = np.random.default_rng(seed + length)
    qs = rng.standard_normal((3, 1, 4, 1, D), dtype=np.float32)
    ks, vs = rng.standard_normal((2, 3, 1, 2, length, D), dtype=np.float32)
    return qs, ks, vs


def named(qs, ks, vs):
    layers = zip(qs, ks, vs, strict=True)
    return {
        f"{n}{i}": x
        for i, layer in enumerate(layers)
        for n, x in zip("qkv", layer, strict=True)
    }


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


@pytest.mark.parametrize("length", [1, 23, 24, 25, 70, 131, 256])
def test_layers(length):
    inputs = tensors(length)
    outputs, passed = oracle.layers(*inputs, ROLES, COUNT)
    for path, result in mechanisms.run_all(DECODE, "main", **named(*inputs)):
        for layer, wanted in enumerate(outputs):
            mechanisms.assert_close(result[f"o{layer}"][0, :, 0], wanted, atol(length), path)
        for layer in (0, 1):
            for g, tokens in enumerate(passed[layer]):
                got = result[f"named{layer}"][0, g, 0]
                np.testing.assert_array_equal(got[: len(tokens)], tokens, path)
                assert (got[len(tokens) :] == -1).all(), path


@pytest.mark.parametrize("length", [5, COUNT])
def test_dense_where_all_are_named(length):
    inputs = tensors(length)
    outputs, _ = oracle.layers(*inputs, ["RR"] * 3, COUNT)
    for path, result in mechanisms.run_all(DECODE, "main", **named(*inputs)):
        for layer, wanted in enumerate(outputs):
            mechanisms.assert_close(result[f"o{layer}"][0, :, 0], wanted, atol(length), path)


def test_a_chain_without_retrieval_keeps_its_set():
    for path, result in mechanisms.run_all(DECODE, "main", **named(*tensors(131))):
        np.testing.assert_array_equal(result["named0"][:, 1], result["named1"][:, 1], path)
        assert (result["named0"][:, 0] != result["named1"][:, 0]).any(), path


def test_same_layers_give_top_k_attention():
    """A sparse head below a retrieval head with the same q and k reads the head's own best."""
    qs, ks, vs = tensors(131)
    qs[1:], ks[1:], vs[1:] = qs[0], ks[0], vs[0]
    wanted = []
    for g in range(2):
        rows = qs[0][0, 2 * g : 2 * g + 2, 0]
        _, weights = oracle.attend(rows, ks[0][0, g], vs[0][0, g])
        best = np.argsort(-weights.max(axis=0))[:COUNT]
        wanted.append(oracle.attend(rows, ks[0][0, g], vs[0][0, g], best)[0])
    for path, result in mechanisms.run_all(DECODE, "main", **named(qs, ks, vs)):
        mechanisms.assert_close(result["o2"][0, :, 0], np.concatenate(wanted), atol(131), path)


def test_tokens_that_are_not_named_are_not_seen():
    inputs = tensors(131)
    outputs, passed = oracle.layers(*inputs, ROLES, COUNT)
    for g in range(2):
        unseen = np.setdiff1d(np.arange(131), passed[1][g])
        inputs[1][2, 0, g, unseen] = np.nan
        inputs[2][2, 0, g, unseen] = np.inf
    for path, result in mechanisms.run_all(DECODE, "main", **named(*inputs)):
        mechanisms.assert_close(result["o2"][0, :, 0], outputs[2], atol(131), path)


@pytest.mark.parametrize("a, b", [(1.0, 1.0), (0.5, 2.0), (3.0, 0.7)])
def test_roles_are_those_of_the_distribution(a, b):
    """The bounds are five standard errors of a variable within [0, 1]."""
    n = 40000
    z = oracle.hard_kuma(np.random.default_rng(0).random(n), a, b, -0.1, 1.1)
    bound = 5 * 0.5 / np.sqrt(n)
    assert abs(z.mean() - oracle.hard_kuma_mean(a, b, -0.1, 1.1)) < bound
    assert abs((z == 0).mean() - oracle.hard_kuma_zero(a, b, -0.1, 1.1)) < bound
