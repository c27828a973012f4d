# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""NAtS-L against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
CHUNK, HL, HA, DK, DV = 64, 2, 4, 16, 32


def delta_inputs(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q, k = rng.standard_normal((2, batch, HL, length, DK))
    return dict(
        q=oracle.normalise(q).astype(np.float32),
        k=oracle.normalise(k).astype(np.float32),
        v=rng.standard_normal((batch, HL, length, DV), dtype=np.float32),
        decay=(-0.2 * rng.random((batch, HL, length))).astype(np.float32),
        beta=rng.random((batch, HL, length), dtype=np.float32),
    )


def softmax_inputs(batch, length, seed=1):
    rng = np.random.default_rng(seed + length)
    q, k = rng.standard_normal((2, batch, HA, length, DK // 2), dtype=np.float32)
    return dict(qs=q, ks=k, vs=rng.standard_normal((batch, HA, length, DV // 2), dtype=np.float32))


def chunk_types(batch, length, seed=2):
    rng = np.random.default_rng(seed + length)
    return rng.random((batch, HL, -(-length // CHUNK))) < 0.5


def delta(inputs, linear, decay_softmax=False):
    return oracle.delta_branch(**inputs, linear=linear, chunk=CHUNK, decay_softmax=decay_softmax)


def softmax(inputs, linear):
    return oracle.softmax_branch(inputs["qs"], inputs["ks"], inputs["vs"], linear, CHUNK)


def atol(length):
    """Unit keys never enlarge an error: each token adds that of its sums."""
    return mechanisms.tolerance(length * (DK + CHUNK), magnitude=4)


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 63), (1, 64), (2, 130), (1, 200)])
def test_prefill(batch, length):
    given, more = delta_inputs(batch, length), softmax_inputs(batch, length)
    linear = chunk_types(batch, length)
    output, state = delta(given, linear)
    for path, result in mechanisms.run_all(PREFILL, "main", **given, linear=linear, **more):
        mechanisms.assert_close(result["gdn"], output, atol(length), path)
        mechanisms.assert_close(result["state"], state, atol(length), path)
        mechanisms.assert_close(result["softmax"], softmax(more, linear), atol(length), path)


@pytest.mark.parametrize("length", [64, 200])
def test_unwritten_chunks_may_decay(length):
    given, linear = delta_inputs(2, length), chunk_types(2, length)
    output, state = delta(given, linear, decay_softmax=True)
    for path, result in mechanisms.run_all(PREFILL, "decayed", **given, linear=linear):
        mechanisms.assert_close(result["gdn"], output, atol(length), path)
        mechanisms.assert_close(result["state"], state, atol(length), path)


@pytest.mark.parametrize("length", [1, 64, 150])
def test_types(length):
    rng = np.random.default_rng(length)
    x = rng.standard_normal((2, length, 24), dtype=np.float32)
    w = rng.standard_normal((24, 2 * HL), dtype=np.float32)
    w[:, 1] = w[:, 0]  # the first head never decides: softmax
    wanted = oracle.types(x, w, CHUNK)
    assert not wanted[:, 0].any()
    for path, result in mechanisms.run_all(PREFILL, "types", x=x[:, None], w=w.reshape(24, 2, 2)):
        np.testing.assert_array_equal(result["linear"], wanted, err_msg=path)


def test_all_linear_is_the_plain_delta_rule():
    given, more = delta_inputs(1, 150), softmax_inputs(1, 150)
    linear = np.ones((1, HL, 3), bool)
    whole, state = oracle.delta_branch(
        **given, linear=np.ones((1, HL, 1), bool), chunk=150, decay_softmax=False
    )
    for path, result in mechanisms.run_all(PREFILL, "main", **given, linear=linear, **more):
        mechanisms.assert_close(result["gdn"], whole, atol(150), path)
        mechanisms.assert_close(result["state"], state, atol(150), path)
        # Softmax sees nothing but the own chunk.
        for begin in range(0, 150, CHUNK):
            part = slice(begin, begin + CHUNK)
            local = {name: x[:, :, part] for name, x in more.items()}
            wanted = softmax(local, np.zeros((1, HL, 1), bool))
            mechanisms.assert_close(result["softmax"][:, :, part], wanted, atol(150), path)


def test_all_softmax_restarts_the_delta_rule():
    given, more = delta_inputs(1, 150), softmax_inputs(1, 150)
    linear = np.zeros((1, HL, 3), bool)
    dense = oracle.softmax_branch(more["qs"], more["ks"], more["vs"], np.zeros((1, HL, 1), bool), 150)
    for path, result in mechanisms.run_all(PREFILL, "main", **given, linear=linear, **more):
        assert not result["state"].any()
        mechanisms.assert_close(result["softmax"], dense, atol(150), path)
        part = {name: x[:, :, CHUNK : 2 * CHUNK] for name, x in given.items()}
        wanted, _ = delta(part, np.zeros((1, HL, 1), bool))
        mechanisms.assert_close(result["gdn"][:, :, CHUNK : 2 * CHUNK], wanted, atol(150), path)


def test_beta_of_zero_writes_nothing():
    given, more = delta_inputs(1, 100), softmax_inputs(1, 100)
    given["beta"][:] = 0
    linear = chunk_types(1, 100)
    for path, result in mechanisms.run_all(PREFILL, "main", **given, linear=linear, **more):
        assert not result["gdn"].any() and not result["state"].any(), path


def test_orthonormal_keys_recall_exactly():
    given, more = delta_inputs(1, DK), softmax_inputs(1, DK)
    given["k"][:] = given["q"][:] = np.eye(DK, dtype=np.float32)
    given["decay"][:] = 0
    given["beta"][:] = 1
    linear = np.ones((1, HL, 1), bool)
    for path, result in mechanisms.run_all(PREFILL, "main", **given, linear=linear, **more):
        np.testing.assert_array_equal(result["gdn"], given["v"] / 4, err_msg=path)


def test_combine():
    rng = np.random.default_rng(0)
    a, c = rng.standard_normal((2, 1, HA, 70, 16), dtype=np.float32)
    a[:, :, 0] = 0  # the norm of nothing is nothing
    logits = rng.standard_normal((1, HA, 70, 2), dtype=np.float32)
    gamma1, gamma2 = rng.standard_normal((2, 16), dtype=np.float32)
    wanted = oracle.combine(a, c, logits, gamma1, gamma2)
    inputs = dict(gdn=a, softmax=c, logits=logits, gamma1=gamma1, gamma2=gamma2)
    for path, result in mechanisms.run_all(PREFILL, "combine", **inputs):
        mechanisms.assert_close(result["y"], wanted, mechanisms.tolerance(64, magnitude=16), path)


def test_decoding_with_caches_is_the_prefill():
    length = 150
    given, more = delta_inputs(1, length), softmax_inputs(1, length)
    linear = chunk_types(1, length)
    wanted, _ = delta(given, linear)
    dense = softmax(more, linear)
    group = HA // HL
    ks, vs = (more[n].reshape(HL, group, length, -1) for n in ("ks", "vs"))
    for path in mechanisms.PATHS:
        state = start = np.zeros((1, HL, DK, DV), np.float32)
        kept = [[] for _ in range(HL)]
        for t in range(length):
            if t % CHUNK == 0:
                start = state
            for cache in kept:
                cache.append(t)
            lengths = np.array([len(cache) for cache in kept])
            keys = np.full((HL, group, lengths.max(), DK // 2), np.nan, np.float32)
            values = np.full((HL, group, lengths.max(), DV // 2), np.nan, np.float32)
            for h, cache in enumerate(kept):
                keys[h, :, : len(cache)] = ks[h, :, cache].swapaxes(0, 1)
                values[h, :, : len(cache)] = vs[h, :, cache].swapaxes(0, 1)
            own = {name: x[:, :, t : t + 1] for name, x in given.items()}
            query = more["qs"][:, :, t].reshape(HL, group, 1, -1)
            result = mechanisms.run(
                DECODE, "main", path, **own, state=state, qs=query, keys=keys, values=values,
                lengths=lengths,
            )
            state = result["next"]
            mechanisms.assert_close(result["gdn"], wanted[:, :, t : t + 1], atol(length), path)
            mechanisms.assert_close(
                result["softmax"].reshape(1, HA, -1), dense[:, :, t], atol(length), path
            )
            if (t + 1) % CHUNK == 0:
                for h, cache in enumerate(kept):
                    if linear[0, h, t // CHUNK]:
                        del cache[-CHUNK:]
                    else:
                        state = np.array(state)
                        state[0, h] = start[0, h]
