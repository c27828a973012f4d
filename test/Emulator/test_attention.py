# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A pipelined attention kernel on the emulator."""

import re

import numpy as np
import pytest
from attn.testing.emulate import bf16, f32, run
from attn.testing.gpu_attention import attention


def run_attention(folder, tiles, seed=0, faults=()):
    rng = np.random.default_rng(tiles)
    q, k, v = (bf16(rng.standard_normal((n, 64))) for n in (128, 64 * tiles, 64 * tiles))
    scale = 0.125 * np.log2(np.e)
    result = run(
        folder, attention(faults), q, k, v, np.zeros((128, 64), np.float32), f"i32:{tiles}", f"f32:{scale}",
        "map:0:box=64x128:swizzle=128", "map:1:box=64x64:swizzle=128", "map:2:box=64x64:swizzle=128", seed=seed,
    )
    q, k, v = (f32(x).astype(np.float64) for x in (q, k, v))
    s = q @ k.T * 0.125
    p = np.exp(s - s.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return result, p @ v, p @ np.abs(v)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tiles", [1, 2, 5])
def test_attention(tmp_path, tiles, seed):
    result, expected, size = run_attention(tmp_path, tiles, seed)
    assert result.error is None
    # The weights are rounded to bf16, and the exponentials to about 2^-20.
    assert np.all(np.abs(result.outputs[3] - expected) <= (2.0**-8 + 2.0**-18) * size)


FAULTS = {
    "missing-v-wait": "a wait is missing|nobody has written|nothing orders the two",
    "early-v-release": "still reads it; a wait is missing|nothing orders the two",
    "o-too-early": "still in flight: its group is among those that this wait leaves pending",
    "missing-v-release": "deadlock: .*thread 0 waits .*awaits 8 of 8 arrivals",
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path, fault, seed):
    result, *_ = run_attention(tmp_path, 5, seed, [fault])
    assert result.error is not None
    assert re.search(FAULTS[fault], result.error), result.error
