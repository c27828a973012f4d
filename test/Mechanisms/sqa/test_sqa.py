# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sparse Query Attention against its oracle, and its invariants."""

from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
oracle = mechanisms.oracle(__file__)
D, HQ, HKV, C = 8, 4, 2, 64


def weights(rng):
    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32) / np.sqrt(np.float32(shape[0]))

    return dict(
        wq=normal(C, HQ * D), wk=normal(C, HKV * D), wv=normal(C, HKV * D), wo=normal(HQ * D, C)
    )


@pytest.mark.parametrize("batch, length", [(1, 1), (2, 7), (1, 64), (3, 65), (1, 130), (1, 0)])
def test_layer(batch, length):
    rng = np.random.default_rng(length)
    w = weights(rng)
    x = rng.standard_normal((batch, length, C), dtype=np.float32)
    wanted = oracle.layer(*(a.astype(np.float64) for a in (x, *w.values())), D)
    atol = mechanisms.tolerance(C + length, magnitude=4, depth=4)
    for path, result in mechanisms.run_all(FOLDER / "prefill.mlir", x=x, **w):
        mechanisms.assert_close(result["y"], wanted, atol, path)


def test_equals_full_attention_without_its_other_heads():
    """As many heads whose rows of the output projection are zero change nothing."""
    rng = np.random.default_rng(0)
    w = {name: a.astype(np.float64) for name, a in weights(rng).items()}
    x = rng.standard_normal((1, 33, C))
    more = dict(w, wq=np.concatenate([w["wq"], rng.standard_normal((C, HQ * D))], axis=1),
                wk=np.concatenate([w["wk"], w["wk"]], axis=1),
                wv=np.concatenate([w["wv"], w["wv"]], axis=1),
                wo=np.concatenate([w["wo"], np.zeros((HQ * D, C))]))
    wanted = oracle.layer(x, **more, head_dim=D)
    single = {name: a.astype(np.float32) for name, a in w.items()}
    atol = mechanisms.tolerance(C + 33, magnitude=4, depth=4)
    for path, result in mechanisms.run_all(
        FOLDER / "prefill.mlir", x=x.astype(np.float32), **single
    ):
        mechanisms.assert_close(result["y"], wanted, atol, path)
