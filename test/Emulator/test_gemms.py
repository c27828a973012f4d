# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Matrix products on the emulator: right ones give the right numbers, and each
fault is caught, by an error or by wrong numbers."""

import re

import numpy as np
import pytest
from attn.testing.emulate import bf16, f32, run
from attn.testing.gpu_gemms import layout_gemm, mma_gemm, wgmma_gemm

SEEDS = [0, 1, 2]


def random(*shape):
    rng = np.random.default_rng(sum(shape))
    return bf16(rng.standard_normal(shape))


def check(actual, expected, terms):
    """Sums of `terms` products of bf16 numbers: each addition rounds once."""
    bound = terms * 2.0**-24 * np.abs(expected[1]) + 1e-30
    assert np.all(np.abs(actual - expected[0]) <= bound), np.abs(actual - expected[0]).max()


def product(a, b):
    """The product, and that of the absolute values, in double."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b, np.abs(a) @ np.abs(b)


def run_mma(folder, seed=0, faults=(), **more):
    a, b = random(64, 96), random(32, 96)
    result = run(folder, mma_gemm(3, faults), a, b, np.zeros((64, 32), np.float32), seed=seed, **more)
    return result, product(f32(a), f32(b).T)


@pytest.mark.parametrize("seed", SEEDS)
def test_mma(tmp_path, seed):
    result, expected = run_mma(tmp_path, seed, statistics=True)
    assert result.error is None
    check(result.outputs[2], expected, 96)
    counts = result.statistics
    assert counts["mma"] == 4 * 3 * 2 * 4
    # The swizzle leaves no bank conflict.
    assert counts["shared_wavefronts"] == counts["shared_ideal"]
    assert counts["async_bytes"] == 3 * 6144


MMA_FAULTS = {
    "missing-wait": "a wait is missing",
    "missing-barrier": "nobody has written|a wait is missing|race: reads shared byte .*a barrier is missing",
    "missing-second-barrier": "race: writes shared byte .*a barrier is missing",
    "global-bounds": "nvvm.cp.async.shared.global .*: reads 16 bytes at global address .* out of bounds",
    "misaligned-copy": "nvvm.cp.async.shared.global .*: misaligned: copies 16 bytes",
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", MMA_FAULTS)
def test_mma_errors(tmp_path, fault, seed):
    result, _ = run_mma(tmp_path, seed, [fault])
    assert result.error is not None
    assert re.search(MMA_FAULTS[fault], result.error), result.error


@pytest.mark.parametrize("fault", ["wrong-swizzle", "wrong-fragment"])
def test_mma_wrong_numbers(tmp_path, fault):
    result, expected = run_mma(tmp_path, 0, [fault])
    assert result.error is None
    assert np.abs(result.outputs[2] - expected[0]).max() > 0.1


def run_wgmma(folder, seed=0, faults=(), values=64, tiles=3):
    q, k, v = random(64, 64), random(64 * tiles, 64), random(64 * tiles, values)
    result = run(
        folder, wgmma_gemm(tiles, values, faults), q, k, v, np.zeros((64, values), np.float32),
        "map:0:box=64x64:swizzle=128", "map:1:box=64x64:swizzle=128", "map:2:box=64x64:swizzle=128", seed=seed,
    )
    scores = product(f32(q), f32(k).T)[0]
    return result, product(f32(bf16(scores)), f32(v))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("values", [64, 128])
def test_wgmma(tmp_path, seed, values):
    result, expected = run_wgmma(tmp_path, seed, values=values)
    assert result.error is None
    # A score near the middle of two bf16 numbers may round the other way.
    assert np.all(np.abs(result.outputs[3] - expected[0]) <= 2.0**-8 * expected[1])
    assert np.abs(result.outputs[3] - expected[0]).max() < 0.2
    assert result.statistics["wgmma"] == 3 * 8


WGMMA_FAULTS = {
    "missing-full-wait": "a wait is missing|nobody has written|nothing orders the two",
    "missing-empty-wait": "a wait is missing|still reads it|arrives 1 times at an mbarrier|nothing orders the two",
    "missing-wgmma-wait": "computed from an accumulator in flight; wgmma_wait is missing",
    "missing-wgmma-fence": "no wgmma_fence",
    "wait-leaves-one": "still in flight",
    "early-release": "still reads it; a wait is missing|nothing orders the two",
    "missing-release": "deadlock: no thread can go on; .*thread 128 waits at attn_nv.mbarrier_wait .*awaits 4 of 4 arrivals",
    "arrive-count": "deadlock: no thread can go on.*awaits 1 of 2 arrivals",
    "wrong-bytes": "deadlock|a wait is missing",
    "missing-init-fence": "fence.mbarrier_init",
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", WGMMA_FAULTS)
def test_wgmma_errors(tmp_path, fault, seed):
    result, _ = run_wgmma(tmp_path, seed, [fault])
    assert result.error is not None
    assert re.search(WGMMA_FAULTS[fault], result.error), result.error


@pytest.mark.parametrize("fault", ["wrong-swizzle", "wrong-fragment"])
def test_wgmma_wrong_numbers(tmp_path, fault):
    result, expected = run_wgmma(tmp_path, 0, [fault])
    assert result.error is None
    assert np.abs(result.outputs[3] - expected[0]).max() > 1


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
def test_layouts(tmp_path, swizzle):
    depth = swizzle // 2 or 64
    q, k = random(64, depth), random(64, depth)[::-1].copy()
    box = f"box={depth if swizzle else 8}x64:swizzle={swizzle}"
    result = run(tmp_path, layout_gemm(swizzle), q, k, np.zeros((64, 64), np.float32), f"map:0:{box}", f"map:1:{box}")
    assert result.error is None
    check(result.outputs[2], product(f32(q), f32(k).T), depth)
