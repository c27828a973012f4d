# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Superlinear attention against its oracle, and its invariants."""

import math
from pathlib import Path

import numpy as np
import pytest

from attn.testing import mechanisms

FOLDER = Path(__file__).parent
PREFILL, DECODE = FOLDER / "prefill.mlir", FOLDER / "decode.mlir"
oracle = mechanisms.oracle(__file__)
D = 16
ROOT = dict(size=15, count=3, backward=3.0, forward=1.0, power=0.5)
POWER = dict(size=11, count=3, backward=3.0, forward=1.0, power=0.55)


def tensors(batch, length):
    rng = np.random.default_rng(length)
    # Quarters and halves: products of the search are exact, and often equal.
    q1 = rng.integers(-3, 4, (batch, 4, length, D)).astype(np.float32) / 4
    k = rng.integers(-4, 5, (batch, 2, length, D)).astype(np.float32) / 2
    q2 = rng.standard_normal((batch, 4, length, D), dtype=np.float32)
    v = rng.standard_normal((batch, 2, length, D), dtype=np.float32)
    return dict(q1=q1, q2=q2, k=k, v=v)


def table(w0, length, p=0.5):
    # At least one entry.
    found = oracle.offsets(w0, length, p) or [length + 1]
    return np.array(found, np.int32)


def atol(length):
    """Values below 6; gates come from exact numbers and their sum is 1."""
    return mechanisms.tolerance(D + length, magnitude=12, depth=2)


@pytest.mark.parametrize("batch, length", [(1, 0), (1, 1), (2, 17), (1, 65), (1, 150)])
@pytest.mark.parametrize("entry, p, rule", [("main", 0.5, ROOT), ("power", 0.55, POWER)])
def test_prefill(batch, length, entry, p, rule):
    data = tensors(batch, length)
    starts = np.zeros(batch, np.int64)
    offsets = table(3, length, p)
    wanted, anchors = oracle.attention(**data, table=offsets, starts=starts, **rule)
    for path, result in mechanisms.run_all(PREFILL, entry, **data, offsets=offsets, starts=starts):
        np.testing.assert_array_equal(result["anchors"], anchors, err_msg=path)
        mechanisms.assert_close(result["o"], wanted, atol(length), path)


def test_left_padding():
    """What stands before the start of a text is never read; rows there are 0."""
    data, starts, offsets = tensors(2, 100), np.array([7, 40]), table(3, 100)
    wanted, anchors = oracle.attention(**data, table=offsets, starts=starts, **ROOT)
    for b, start in enumerate(starts):
        data["k"][b, :, :start] = data["v"][b, :, :start] = np.nan
    for path, result in mechanisms.run_all(
        PREFILL, "main", **data, offsets=offsets, starts=starts
    ):
        for b, start in enumerate(starts):
            np.testing.assert_array_equal(
                result["anchors"][b, :, start:], anchors[b, :, start:], err_msg=path
            )
            assert not result["o"][b, :, :start].any()
        mechanisms.assert_close(result["o"], wanted, atol(100), path)


def test_one_span_of_all_keys_is_attention():
    data = tensors(1, 120)
    wanted = oracle.causal(data["q2"], data["k"], data["v"])
    # An anchor right behind the window is there for every row that needs one.
    inputs = dict(offsets=np.array([16, 25, 36, 49], np.int32), starts=np.zeros(1, np.int64))
    for path, result in mechanisms.run_all(PREFILL, "one", **data, **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(120), path)


def test_published_window_that_holds_all_is_attention():
    assert oracle.window(65, 0.55) == 2032 and oracle.window(3, 0.5) == 15
    assert oracle.window(3, 0.55) == 11
    data = tensors(1, 90)
    wanted = oracle.causal(data["q2"], data["k"], data["v"])
    inputs = dict(offsets=table(65, 90, 0.55), starts=np.zeros(1, np.int64))
    for path, result in mechanisms.run_all(PREFILL, "published", **data, **inputs):
        mechanisms.assert_close(result["o"], wanted, atol(90), path)


def test_published_configuration():
    """Beyond the window: the last rows of a text with three anchors."""
    length, rows = 2200, slice(2140, 2200)
    data, offsets = tensors(1, length), table(65, length, 0.55)
    np.testing.assert_array_equal(offsets, [2033, 2089, 2147])
    starts = np.zeros(1, np.int64)
    wanted, anchors = oracle.attention(
        data["q1"][:, :, rows], data["q2"][:, :, rows], data["k"], data["v"], offsets,
        2032, 3, 3.0, 1.0, 0.55, starts,
    )
    for path, result in mechanisms.run_all(
        PREFILL, "published", **data, offsets=offsets, starts=starts
    ):
        np.testing.assert_array_equal(result["anchors"][:, :, rows], anchors, err_msg=path)
        mechanisms.assert_close(result["o"][:, :, rows], wanted, atol(length), path)


@pytest.mark.parametrize("batch, past", [(1, 0), (2, 14), (1, 15), (2, 149), (1, 700)])
def test_decode(batch, past):
    data, starts = tensors(batch, past + 1), np.arange(batch)
    offsets = table(3, past + 1)
    last = {n: data[n][:, :, -1:] for n in ("q1", "q2")}
    wanted, anchors = oracle.attention(
        **last, k=data["k"], v=data["v"], table=offsets, starts=starts, **ROOT
    )
    cache = {f"past_{n}": data[n][:, :, :-1] for n in "kv"}
    new = {n: data[n][:, :, -1:] for n in "kv"}
    for path, result in mechanisms.run_all(
        DECODE, "main", **last, **cache, **new, offsets=offsets, starts=starts
    ):
        np.testing.assert_array_equal(result["anchors"], anchors, err_msg=path)
        mechanisms.assert_close(result["o"], wanted, atol(past + 1), path)


@pytest.mark.parametrize("backward, whole", [(2.0, True), (1.5, False)])
def test_spans_of_all_anchors_cover_every_key(backward, whole):
    """Nothing is excluded by structure, if spans reach back far enough."""
    holes = 0
    for q in range(0, 1500, 7):
        seen = set(range(max(0, q - 14), q + 1))
        for off in oracle.offsets(3, q + 1, 0.5):
            seen.update(oracle.span(q + 1 - off, q, 0, backward, 0.0, 0.5, 15))
        holes += seen != set(range(q + 1))
        assert len(oracle.offsets(3, q + 1, 0.5)) == max(math.isqrt(q + 1) - 3, 0)
    assert (holes == 0) == whole


def test_spans_of_the_program_cover_every_key():
    """The last row, with queries and keys that make it choose three anchors at a time."""
    length, starts = 400, np.zeros(1, np.int64)
    offsets = table(3, length)
    anchors = [length - int(off) for off in offsets if off <= length]
    for path in mechanisms.PATHS:
        seen = set(range(length - 15, length))
        for first in range(0, len(anchors), 3):
            chosen = anchors[first : first + 3]
            data = tensors(1, length)
            data["q1"][:], data["k"][..., 0] = 0, 0
            data["q1"][..., 0], data["k"][:, :, chosen, 0] = 1, 1
            result = mechanisms.run(PREFILL, "main", path, **data, offsets=offsets, starts=starts)
            assert set(result["anchors"][0, 0, -1]) >= set(chosen), path
            for begin, end in zip(result["begins"][0, 0, -1], result["ends"][0, 0, -1]):
                seen.update(range(begin, end))
        assert seen == set(range(length)), path
