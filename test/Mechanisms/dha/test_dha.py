# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DHA against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
H, D = 6, 8
KMAP, VMAP = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]


def tensors(batch, length, keys=2, values=3):
    rng = np.random.default_rng(length)
    q = rng.standard_normal((batch, H, length, D), dtype=np.float32)
    k = rng.standard_normal((batch, keys, length, D), dtype=np.float32)
    return q, k, rng.standard_normal((batch, values, length, D), dtype=np.float32)


def angles(length):
    turns = np.arange(length)[:, None] * 10000.0 ** (-np.arange(D // 2) / (D // 2))
    return np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)


def rotated(x, cos, sin):
    return oracle.rotate(*(a.astype(np.float64) for a in (x, cos, sin)))


def atol(length):
    return mechanisms.tolerance(D + length, magnitude=8, depth=2)


SHAPES = [(1, 0), (1, 1), (2, 7), (1, 65), (1, 130)]


@pytest.mark.parametrize("batch, length", SHAPES)
def test_prefill(batch, length):
    q, k, v = tensors(batch, length)
    cos, sin = angles(length)
    wanted = oracle.attention(rotated(q, cos, sin), rotated(k, cos, sin), v, KMAP, VMAP)
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, k=k, v=v, cos=cos, sin=sin):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("batch, length", SHAPES)
def test_maps_in_any_order(batch, length):
    q, k, v = tensors(batch, length)
    wanted = oracle.attention(q, k, v, [1, 0, 1, 0, 0, 1], [2, 0, 1, 1, 0, 2])
    for path, result in mechanisms.run_all(PREFILL, "mixed", q=q, k=k, v=v):
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


@pytest.mark.parametrize("batch, past", [(1, 0), (2, 5), (1, 64), (1, 300)])
def test_decode(batch, past):
    q, k, v = tensors(batch, past + 1)
    cos, sin = angles(past + 1)
    keys = rotated(k, cos, sin)
    wanted = oracle.attention(rotated(q, cos, sin)[:, :, -1:], keys, v, KMAP, VMAP)
    last = {n: x[:, :, -1:] for n, x in (("q", q), ("k", k), ("v", v))}
    for path, result in mechanisms.run_all(
        DECODE, "main", **last, past_k=keys[:, :, :-1].astype(np.float32),
        past_v=v[:, :, :-1], cos=cos[-1:], sin=sin[-1:],
    ):
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)
        assert result["keys"].shape[1:3] == (2, past + 1)
        assert result["values"].shape[1:3] == (3, past + 1)


def test_decode_over_pages():
    """Two requests of other lengths, whose pages lie anywhere."""
    past = np.array([37, 16], np.int32)
    q, k, v = tensors(2, 38)
    table = np.array([[6, 2, 4], [1, 5, -1]], np.int32)
    pools = {"past_k": k, "past_v": v}
    for name, x in pools.items():
        pools[name] = np.full((7, x.shape[1], 16, D), np.nan, np.float32)
        for b, j in ((b, j) for b in range(2) for j in range(past[b])):
            pools[name][table[b, j // 16], :, j % 16] = x[b, :, j]
    last = {n: np.stack([x[b, :, past[b] : past[b] + 1] for b in range(2)]) for n, x in
            (("q", q), ("k", k), ("v", v))}
    wanted = np.concatenate([
        oracle.attention(last["q"][b : b + 1], *(x[b : b + 1, :, : past[b] + 1] for x in (k, v)), KMAP, VMAP)
        for b in range(2)
    ])
    for path, result in mechanisms.run_all(
        DECODE, "paged", **last, **pools, table=table, past=past, lengths=past + 1
    ):
        mechanisms.assert_close(result["o"], wanted, atol(38), path)
        for name, new in (("keys", last["k"]), ("values", last["v"])):
            np.testing.assert_array_equal(result[name][4, :, 5], new[0, :, 0], path)
            np.testing.assert_array_equal(result[name][5, :, 0], new[1, :, 0], path)


def groups(heads, count):
    """Weights of random sums within the groups of a map, each of sum 1."""
    rng = np.random.default_rng(count)
    omega = rng.random((count, H)) * (np.arange(count)[:, None] == np.array(heads))
    return (omega / omega.sum(axis=1, keepdims=True)).astype(np.float32)


def test_fusion():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((H, 16, D), dtype=np.float32)
    omega = groups(KMAP, 2)
    wanted = oracle.fuse(w.astype(np.float64), omega.astype(np.float64))
    for path, result in mechanisms.run_all(PREFILL, "fuse", w=w, omega=omega):
        mechanisms.assert_close(
            result["fused"], wanted, mechanisms.tolerance(H, magnitude=6), path
        )
    # A sum of heads may be taken before or after the rotation.
    x, (cos, sin) = rng.standard_normal((33, 16)), angles(33)
    each = oracle.fuse(np.stack([oracle.rotate(x @ one, cos, sin) for one in w]), omega)
    once = np.stack([oracle.rotate(x @ one, cos, sin) for one in oracle.fuse(w, omega)])
    np.testing.assert_allclose(each, once, atol=1e-5)


def test_fusion_of_equal_heads_is_full_attention():
    """Heads of a group that are equal already: sums of them with weight 1 are exact."""
    q, k, v = tensors(1, 65)
    cos, sin = angles(65)
    full = oracle.attention(
        rotated(q, cos, sin), rotated(k[:, KMAP], cos, sin), v[:, VMAP], range(H), range(H)
    )
    fused = {}
    for name, x, heads in (("k", k, KMAP), ("v", v, VMAP)):
        fused[name] = mechanisms.run(
            PREFILL, "fuse", w=x[0, heads], omega=groups(heads, x.shape[1])
        )["fused"][None]
    for path, result in mechanisms.run_all(PREFILL, "main", q=q, **fused, cos=cos, sin=sin):
        mechanisms.assert_close(result["o"], full, 4 * atol(65), path)
