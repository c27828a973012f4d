# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SHRP against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FILE = Path(__file__).parent / "prefill.mlir"
oracle = mechanisms.oracle(__file__)
H, D, C, E = 4, 8, 16, 24


def tensors(batch, length):
    rng = np.random.default_rng(length)
    q, k, v = rng.standard_normal((3, batch, H, length, D), dtype=np.float32)
    return dict(
        # Quarters: their products are exact, so that the choice is the same everywhere.
        x=rng.integers(-4, 5, (batch, length, C)).astype(np.float32) / 4,
        router=rng.integers(-4, 5, (H, C)).astype(np.float32) / 4,
        q=q, k=k, v=v,
        w1=rng.standard_normal((D, E), dtype=np.float32) / np.float32(np.sqrt(D)),
        w2=rng.standard_normal((E, C), dtype=np.float32) / np.float32(np.sqrt(E)),
    )


def wide(data, *names):
    return [data[name].astype(np.float64) for name in names]


def atol(length, depth=2):
    """Values stay below 6; each product of the expander is one stage more."""
    return mechanisms.tolerance(C + E + length, magnitude=6, depth=depth)


@pytest.mark.parametrize("batch, length", [(1, 0), (1, 1), (2, 7), (1, 65), (2, 130)])
def test_routed(batch, length):
    data = tensors(batch, length)
    mixed, usage = oracle.routed(*wide(data, "x", "router", "q", "k", "v"))
    wanted = oracle.expander(mixed, *wide(data, "w1", "w2"))
    for path, result in mechanisms.run_all(FILE, "main", **data):
        mechanisms.assert_close(result["mixed"], mixed, atol(length), path)
        mechanisms.assert_close(result["y"], wanted, atol(length, depth=4), path)
        np.testing.assert_array_equal(result["usage"], usage)
        assert result["usage"].sum() == batch * length


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 7), (1, 130)])
def test_pruned_is_routed_to_the_kept_head(batch, length):
    """A router that is certain of one head, the others' keys unread."""
    data = tensors(batch, length)
    kept = 2
    data["x"] = np.ones_like(data["x"])
    data["router"] = np.where(np.arange(H)[:, None] == kept, 16, 0) * np.ones((1, C), np.float32)
    data["router"] = data["router"].astype(np.float32)
    one = {name: data[name][:, kept : kept + 1] for name in "qkv"}
    mixed = oracle.experts(*wide(one, "q", "k", "v"))[:, 0]
    wanted = oracle.expander(mixed, *wide(data, "w1", "w2"))
    for name in "kv":
        data[name][:, np.arange(H) != kept] = np.nan
    for path, result in mechanisms.run_all(FILE, "main", **data):
        mechanisms.assert_close(result["mixed"], mixed, atol(length), path)
    for path, result in mechanisms.run_all(FILE, "pruned", **one, w1=data["w1"], w2=data["w2"]):
        mechanisms.assert_close(result["y"], wanted, atol(length, depth=4), path)
