//===- Passes.td - Passes on the attn dialect -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TRANSFORMS_PASSES_TD
#define ATTN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnDecomposePass : Pass<"attn-decompose", "::mlir::func::FuncOp"> {
  let summary = "replace attn operations by their meaning in linalg";
  let description = [{
    Pre:  any `attn` operation on tensors.
    Post: no `attn` operation is left.

    This is the meaning of each operation and the fallback for what no target
    takes. Attention becomes the textbook form, without tiling: products of
    queries and keys, one elementwise operation for scale, softcap, bias and
    mask (minus infinity where a pair is not kept), a softmax that yields zeros
    for a row without keys, and the weighted sum of the values. A value whose
    pair is not kept never enters the sum, so it may be NaN. Query heads
    that share a key head are grouped by a reshape; keys are not repeated,
    unless the number of heads is dynamic. The scores of all pairs exist in
    memory at once.

    ```mlir
    func.func @attention(%q: tensor<1x4x?x8xf32>, %kv: tensor<1x4x?x8xf32>)
        -> tensor<1x4x?x8xf32> {
      %o = attn.attention %q, %kv, %kv
        : tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
        -> tensor<1x4x?x8xf32>
      return %o : tensor<1x4x?x8xf32>
    }
    ```

    becomes `linalg.contract` (products), `linalg.generic` (scores),
    `linalg.generic` (row maximum), `linalg.generic` (weights),
    `linalg.generic` (row sum), `linalg.contract` and `linalg.generic` (the
    output).
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
    "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

def AttnExpandSelectionPass : Pass<"attn-expand-selection", "::mlir::func::FuncOp"> {
  let summary = "replace routers and span attention by simpler operations";
  let description = [{
    Pre:  tensors, before products are formed and operations are fused.
    Post: no `attn.route_heads` is left: its products and softmaxes are
          operations like those of the model around it. No
          `attn.span_attention` is left either: it is one `attn.attention` over
          the window and one in which each span of each row is a row of its
          own. These are sorted by the begin of their spans, so that the rows
          of a tile visit nearly the same keys, and both are merged by their
          `lse` and summed with the gates. An `attn.key_importance` without lse
          has that of an `attn.attention`.

    ```mlir
    func.func @gates(%x: tensor<1x16x64xf32>, %w: tensor<8x64xf32>) -> tensor<1x16x8xf32> {
      %g = attn.route_heads linear %x routed(%w : tensor<8x64xf32>) {top_k = 2}
        : tensor<1x16x64xf32> -> tensor<1x16x8xf32>
      return %g : tensor<1x16x8xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

def AttnLowerSelectionPass : Pass<"attn-lower-selection", "::mlir::func::FuncOp"> {
  let summary = "turn selections into parallel loops over rows and tiles";
  let description = [{
    Pre:  `attn.top_k` and `attn.span_search` on tensors; run with the other
          tile programs, after rewrites of linalg.
    Post: each is an `scf.forall`, except a search in f64, which stays for
          `attn-decompose`.

    `attn.top_k` looks at scores as integers of the same order. One parallel
    iteration takes one row: it finds the worst selected score bit by bit with
    reductions that count the better ones, stops when a count is what is wanted,
    and lists the selected entries in one pass in order.

    `attn.span_search` takes tiles of `query-tile` rows. The anchors of a tile
    at one offset are a slice of neighbouring keys, so that an offset costs an
    elementwise product of two tiles and a sum over features; the best anchors
    of each row are kept in order by comparisons.

    ```mlir
    func.func @blocks(%s: tensor<8x128xf32>) -> (tensor<8x16xi32>, tensor<8xi32>) {
      %i, %n = attn.top_k %s : tensor<8x128xf32> -> tensor<8x16xi32>, tensor<8xi32>
      return %i, %n : tensor<8x16xi32>, tensor<8xi32>
    }
    ```
  }];
  let options = [
    Option<"queryTile", "query-tile", "int64_t", "64", "query rows of a tile">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

def AttnRaisePass : Pass<"attn-raise", "::mlir::func::FuncOp"> {
  let summary = "recognise attention in linalg";
  let description = [{
    Pre:  tensor programs in `linalg`, `tensor`, `arith` and `math`, named
          operations or generics, from any frontend.
    Post: each softmax whose probabilities are contracted with values, and
          whose scores are a function of a product of queries and keys that
          `attn.attention` can express, is an `attn.attention`. Queries and
          keys that are rotated by position come from an `attn.rope`. Layout
          changes and caches around them stay operations of their own. Each
          attention says in `attn.origin` where it comes from.

    Declines with a remark when the probabilities have another use, the
    softmax is over another axis, or the scores are another function.

    The search starts at the softmax and works on what is computed, not on
    which operations compute it: constant factors of queries, keys and scores
    are one scale; repeated key heads are not repeated; conditions on rows and
    keys that provably form a causal or window mask become an attribute, those
    on keys a boolean mask, everything else a dense boolean mask or bias.

    An `attn.attention` that is there already gets the same treatment of its
    mask tensors.

    A bias that is computed from the distance of key and row alone (ALiBi,
    buckets of distances) becomes one number for each head and distance and a
    score region that reads it: no tensor of all pairs is left.

    A finite fill such as -10000 does not remove keys from a row that keeps
    none. Such rows keep the program's meaning: through the boolean mask and a
    bias, or, under a causal or window mask, by an `scf.if` behind the
    attention that is entered only when there is such a row.

    Three readings go beyond equality of the programs. An integer that a model
    loads as an additive mask, as in `(1 - m) * -10000`, is 0 or 1. A finite
    fill of -5000 or less is never near a score. A row in which infinite fills
    remove every key is zero, also where the program would compute NaN.

    ```mlir
    %s = linalg.batch_matmul
      ins(%q, %kt : tensor<4x?x8xf32>, tensor<4x8x?xf32>)
      outs(%zero : tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
    %p = linalg.softmax dimension(2) ins(%s : tensor<4x?x?xf32>)
      outs(%empty : tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
    %o = linalg.batch_matmul
      ins(%p, %v : tensor<4x?x?xf32>, tensor<4x?x8xf32>)
      outs(%start : tensor<4x?x8xf32>) -> tensor<4x?x8xf32>
    ==>
    %o = attn.attention %q, %k, %v {softmax_scale = 1.0}
      : tensor<4x1x?x8xf32>, tensor<4x1x?x8xf32>, tensor<4x1x?x8xf32>
      -> tensor<4x1x?x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numRaised", "num-raised", "number of attentions recognised">,
    Statistic<"numRotations", "num-rotations", "number of rotary embeddings recognised">,
    Statistic<"numRefined", "num-refined", "number of attentions whose mask tensors got structure">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::attn::AttnDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

#endif // ATTN_TRANSFORMS_PASSES_TD
