# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What selections and lists hold that they should not: results are defined."""

import numpy as np
import pytest

import attn

Q, KV = "tensor<1x2x48x16xf32>", "tensor<1x2x96x16xf32>"

ROUTED = f"""
func.func @main(%logits: tensor<1x48x2xf32> {{attn.name = "logits"}}, %q: {Q} {{attn.name = "q"}},
                %k: {KV} {{attn.name = "k"}}) -> ({Q} {{attn.name = "o"}}, tensor<1x2xi32> {{attn.name = "counts"}}) {{
  %g = attn.route_heads logits %logits {{top_k = 1}} : tensor<1x48x2xf32> -> tensor<1x48x2xf32>
  %rows, %counts, %weights = attn.list_rows %g
    : tensor<1x48x2xf32> -> tensor<1x2x48xi32>, tensor<1x2xi32>, tensor<1x2x48xf32>
  %part = attn.attention %q, %k, %k routing(%rows, %counts : tensor<1x2x48xi32>, tensor<1x2xi32>)
    : {Q}, {KV}, {KV} -> {Q}
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {Q}
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : {Q}) -> {Q}
  %o = attn.scatter_rows %part, %rows, %counts weights(%weights : tensor<1x2x48xf32>) into %zeros
    : {Q}, tensor<1x2x48xi32>, tensor<1x2xi32> into {Q}
  return %o, %counts : {Q}, tensor<1x2xi32>
}}
"""

SELECTED = f"""
func.func @main(%scores: tensor<1x2x3x6xf32> {{attn.name = "scores"}}, %q: {Q} {{attn.name = "q"}},
                %k: {KV} {{attn.name = "k"}}) -> ({Q} {{attn.name = "o"}}, tensor<1x2x48xf32> {{attn.name = "lse"}},
                tensor<1x2x3x9xi32> {{attn.name = "blocks"}}) {{
  %blocks, %counts = attn.top_k %scores : tensor<1x2x3x6xf32> -> tensor<1x2x3x9xi32>, tensor<1x2x3xi32>
  %o, %lse = attn.attention %q, %k, %k
    mask(#attn.blocks<q_block = 16, kv_block = 16>, %blocks, %counts : tensor<1x2x3x9xi32>, tensor<1x2x3xi32>)
    : {Q}, {KV}, {KV} -> {Q}, tensor<1x2x48xf32>
  return %o, %lse, %blocks : {Q}, tensor<1x2x48xf32>, tensor<1x2x3x9xi32>
}}
"""

LISTED = f"""
func.func @main(%blocks: tensor<1x2x3x4xi32> {{attn.name = "blocks"}}, %counts: tensor<1x2x3xi32> {{attn.name = "counts"}},
                %q: {Q} {{attn.name = "q"}}, %k: {KV} {{attn.name = "k"}}) -> ({Q} {{attn.name = "o"}}) {{
  %o = attn.attention %q, %k, %k
    mask(#attn.blocks<q_block = 16, kv_block = 16>, %blocks, %counts : tensor<1x2x3x4xi32>, tensor<1x2x3xi32>)
    : {Q}, {KV}, {KV} -> {Q}
  return %o : {Q}
}}
"""


def tensors():
    rng = np.random.default_rng(0)
    return {"q": rng.standard_normal((1, 2, 48, 16), dtype=np.float32),
            "k": rng.standard_normal((1, 2, 96, 16), dtype=np.float32)}


@pytest.fixture(params=["plain", "tiles"])
def run(request, tmp_path):
    def run(text, **inputs):
        path = tmp_path / "case.mlir"
        path.write_text(text)
        return attn.load(path, attention=request.param).run(inputs)

    return run


def test_a_token_without_logits_uses_no_head(run):
    logits = np.full((1, 48, 2), np.nan, np.float32)
    result = run(ROUTED, logits=logits, **tensors())
    assert not result["counts"].any() and not result["o"].any()
    logits[0, 7, 1] = 3
    result = run(ROUTED, logits=logits, **tensors())
    np.testing.assert_array_equal(result["counts"], [[0, 1]])
    assert result["o"][0, 1, 7].all() and np.count_nonzero(result["o"]) == 16


def test_scores_of_nan_select_nothing(run):
    scores = np.full((1, 2, 3, 6), np.nan, np.float32)
    result = run(SELECTED, scores=scores, **tensors())
    assert (result["blocks"] == -1).all() and not result["o"].any()
    assert (result["lse"] == -np.inf).all()


def test_more_places_than_candidates_select_all(run):
    scores = np.random.default_rng(1).standard_normal((1, 2, 3, 6)).astype(np.float32)
    result = run(SELECTED, scores=scores, **tensors())
    wanted = [*range(6), -1, -1, -1]
    np.testing.assert_array_equal(result["blocks"], np.broadcast_to(wanted, (1, 2, 3, 9)))
    assert np.isfinite(result["lse"]).all()


def test_lists_are_sets(run):
    """Out of range, repeated, in no order, and counts beyond the list or below 0."""
    odd = np.zeros((1, 2, 3, 4), np.int32)
    odd[0, 0] = [[5, 1, 5, -7], [2**31 - 1, 3, -(2**31), 0], [4, 4, 4, 4]]
    odd[0, 1] = [[0, 1, 2, 3], [6, 7, 8, 9], [1, 0, 1, 0]]
    counts = np.array([[[99, 4, 2**31 - 1], [-3, 4, 3]]], np.int32)
    clean = np.full(odd.shape, -1, np.int32)
    clean[0, 0, 0, :2], clean[0, 0, 1, :2], clean[0, 0, 2, 0] = [1, 5], [0, 3], 4
    clean[0, 1, 2, :2] = [0, 1]
    exact = np.array([[[2, 2, 1], [0, 0, 2]]], np.int32)
    found = run(LISTED, blocks=odd, counts=counts, **tensors())["o"]
    wanted = run(LISTED, blocks=clean, counts=exact, **tensors())["o"]
    np.testing.assert_array_equal(found, wanted)
    assert not found[0, 1, :32].any() and found[0, 1, 32:].all()
