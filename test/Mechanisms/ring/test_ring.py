# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ring attention against its oracle: any cut, any order, any number of devices."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

PREFILL = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
D = 16


def tensors(batch, length, seed=0):
    rng = np.random.default_rng(seed + length)
    q = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    k, v = rng.standard_normal((2, batch, 2, length, D), dtype=np.float32)
    return q, k, v


def atol(length, steps=1):
    """Each step rounds the running output once more."""
    return mechanisms.tolerance(D + length, magnitude=8, depth=2 + steps)


def close(result, wanted, bound, path):
    mechanisms.assert_close(result["o"], wanted[0], bound, path)
    mechanisms.assert_close(result["lse"], wanted[1], bound, path)


def travel(path, q, k, v, begin, blocks):
    """A device with the rows from `begin` on sees the blocks one by one."""
    o = np.zeros(q.shape, np.float32)
    lse = np.full(q.shape[:3], -np.inf, np.float32)
    for at, end in blocks:
        result = mechanisms.run(
            PREFILL, "main", path, q=q, k=k[:, :, at:end], v=v[:, :, at:end],
            offset=np.full(len(q), begin - at), o_before=o, lse_before=lse,
        )
        o, lse = result["o"], result["lse"]
    return {"o": o, "lse": lse}


def test_parts_of_the_oracle_merge_to_the_whole():
    q, k, v = tensors(2, 40)
    cuts = [0, 7, 7, 30, 40]
    parts = [
        oracle.part(q, k[:, :, a:b], v[:, :, a:b], [-a] * 2) for a, b in zip(cuts, cuts[1:])
    ]
    wanted = oracle.part(q, k, v, [0, 0])
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        o, lse = oracle.merge([parts[n] for n in order])
        np.testing.assert_allclose(o, wanted[0], atol=1e-12)
        np.testing.assert_allclose(lse, wanted[1], atol=1e-12)
    for path in mechanisms.PATHS:
        for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
            blocks = [(cuts[n], cuts[n + 1]) for n in order]
            close(travel(path, q, k, v, 0, blocks), wanted, atol(40, len(blocks)), path)


@pytest.mark.parametrize("offset", [-30, -1, 0, 5, 100])
def test_one_step(offset):
    """Also of a block that lies in the future, which changes nothing."""
    q, k, v = tensors(2, 30)
    rng = np.random.default_rng(7)
    o0 = rng.standard_normal(q.shape, dtype=np.float32)
    l0 = rng.standard_normal(q.shape[:3], dtype=np.float32)
    l0[:, 1] = -np.inf
    o0[:, 1] = 0
    offsets = np.array([offset, offset + 3])
    wanted = oracle.merge([(o0, l0.astype(np.float64)), oracle.part(q, k, v, offsets)])
    inputs = dict(q=q, k=k, v=v, offset=offsets, o_before=o0, lse_before=l0)
    for path, result in mechanisms.run_all(PREFILL, "main", **inputs):
        close(result, wanted, atol(30), path)
        if offset == -30:
            np.testing.assert_array_equal(result["o"][0], o0[0])


@pytest.mark.parametrize("length, devices", [(5, 3), (100, 4), (131, 3)])
@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_all_devices(length, devices, path):
    """Rank r begins with its own block and takes that of rank r - 1 next."""
    q, k, v = tensors(1, length)
    wanted = oracle.part(q, k, v, [0])
    cuts = [length * n // devices for n in range(devices + 1)]
    for rank in range(devices):
        rows = slice(cuts[rank], cuts[rank + 1])
        order = [(rank - step) % devices for step in range(devices)]
        result = travel(
            path, q[:, :, rows], k, v, cuts[rank], [(cuts[n], cuts[n + 1]) for n in order]
        )
        part = wanted[0][:, :, rows], wanted[1][:, :, rows]
        close(result, part, atol(length, devices), path)


@pytest.mark.parametrize("path", mechanisms.PATHS)
def test_zigzag(path):
    """The causal load balance: a rank holds one chunk of each end."""
    length, ranks = 120, 3
    q, k, v = tensors(1, length)
    wanted = oracle.part(q, k, v, [0])
    chunks = [(20 * n, 20 * n + 20) for n in range(2 * ranks)]
    for rank in range(ranks):
        for mine in (rank, 2 * ranks - 1 - rank):
            rows = slice(*chunks[mine])
            order = [chunks[n] for r in range(ranks) for n in (r, 2 * ranks - 1 - r)]
            result = travel(path, q[:, :, rows], k, v, rows.start, order)
            part = wanted[0][:, :, rows], wanted[1][:, :, rows]
            close(result, part, atol(length, 6), path)


@pytest.mark.parametrize("length", [0, 1, 48, 49, 130])
def test_loop_in_one_function(length):
    q, k, v = tensors(1, length)
    wanted = oracle.part(q, k, v, [0])
    for path, result in mechanisms.run_all(PREFILL, "ring", q=q, k=k, v=v):
        close(result, wanted, atol(length, 3), path)
