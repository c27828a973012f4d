//===- AttnSelectionOps.td - Which heads, keys and spans are visited ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_SELECTION_OPS_TD
#define ATTN_SELECTION_OPS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "attn/Dialect/Attn/IR/AttnInterfaces.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Attn_SelectionOp<string mnemonic> : Attn_Op<mnemonic, [
    Pure, DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                                    ["reifyResultShapes"]>]> {
  let hasVerifier = 1;
}
class Attn_ClauseOp<string mnemonic, list<Trait> traits = []>
    : Attn_Op<mnemonic, traits # [
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let hasVerifier = 1;
}

def Attn_IndexTensor : RankedTensorOf<[Attn_IndexLike]>;
def Attn_IndexTensor4D : TensorRankOf<[Attn_IndexLike], [4]>;
def Attn_IndexOrTensor : AnyTypeOf<[Index, Attn_IndexTensor],
                                   "index or tensor of i32, i64 or index">;
def Attn_IndexOrTensor1D : AnyTypeOf<[Index, Attn_IndexTensor1D],
                                     "index or 1D tensor of i32, i64 or index">;
def Attn_FloatTensor2D : TensorRankOf<[Attn_Float], [2]>;
def Attn_FloatTensor3DOr4D : TensorRankOf<[Attn_Float], [3, 4]>;

//===----------------------------------------------------------------------===//
// Choosing the best
//===----------------------------------------------------------------------===//

def Attn_Selection : I32EnumAttr<"Selection", "what ends a selection", [
  I32EnumAttrCase<"Count", 0, "count">,
  I32EnumAttrCase<"Threshold", 1, "threshold">,
  I32EnumAttrCase<"TopP", 2, "top_p">,
  I32EnumAttrCase<"Mass", 3, "mass">
]> {
  let cppNamespace = "::mlir::attn";
}

def Attn_TopKOp : Attn_ClauseOp<"top_k"> {
  let summary = "the best entries of each row, in rising order";
  let description = [{
    Selects entries of the last dimension of `scores`, best first, until a rule
    ends the selection:

    | `by`        | ends when                                               |
    |-------------|---------------------------------------------------------|
    | `count`     | the budget is spent (default)                           |
    | `threshold` | no score is above `bound`                               |
    | `top_p`     | softmax(scores) of the selected entries adds up to `bound` |
    | `mass`      | the positive scores selected add up to `bound` of all positive scores |

    The budget is `K`, the last dimension of `indices`, or less by the operand
    `budget`; it holds for every rule. Of equal scores the one with the smallest
    index is better. The result is stored by rising index; places that are not
    used hold -1.

    Candidates are the entries below `limits`. A NaN or minus infinity is never
    selected. The first `forced_first` candidates, the last `forced_last` ones
    and entry `own` are better than any score, whatever theirs is, and count in
    the budget; where it does not hold all of them, the smallest indices remain.
    A rule never ends before them, and their weights count in `top_p` and
    `mass`. A budget or limit beyond its range is cut to it, an `own` that is no
    candidate is ignored. A row without candidates has count 0.

    | Name       | Shape        |
    |------------|--------------|
    | `scores`   | `[..., N]`   |
    | `budget`, `limits`, `own` | index, or `[...]` where a dimension may be 1 |
    | `capacity` | index: `K`, where the result type does not say; 0 below it |
    | `indices`  | `[..., K]`   |
    | `counts`   | `[...]`      |

    Example: 16 blocks of keys for each block of queries, the first and the
    last one before the query's own always among them.
    ```mlir
    %blocks, %counts = attn.top_k %scores limits(%own : tensor<1x1x?xi32>)
      {forced_first = 1, forced_last = 1}
      : tensor<2x8x?x?xf32> -> tensor<2x8x?x16xi32>, tensor<2x8x?xi32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor:$scores,
                       Optional<Attn_IndexOrTensor>:$budget,
                       Optional<Attn_IndexOrTensor>:$limits,
                       Optional<Attn_IndexOrTensor>:$own,
                       Optional<Index>:$capacity,
                       DefaultValuedAttr<Attn_Selection,
                           "::mlir::attn::Selection::Count">:$by,
                       OptionalAttr<F64Attr>:$bound,
                       DefaultValuedAttr<I64Attr, "0">:$forced_first,
                       DefaultValuedAttr<I64Attr, "0">:$forced_last);
  let results = (outs Attn_IndexTensor:$indices, Attn_IndexTensor:$counts);
  let assemblyFormat = [{
    $scores (`by` $by^)?
    oilist( `budget` `(` $budget `:` type($budget) `)`
          | `limits` `(` $limits `:` type($limits) `)`
          | `own` `(` $own `:` type($own) `)`
          | `capacity` `(` $capacity `)` )
    attr-dict `:` type($scores) `->` type($indices) `,` type($counts)
  }];
}

//===----------------------------------------------------------------------===//
// Which heads a token uses
//===----------------------------------------------------------------------===//

def Attn_Router : I32EnumAttr<"Router", "where routing logits come from", [
  I32EnumAttrCase<"Linear", 0, "linear">,
  I32EnumAttrCase<"Norm", 1, "qnorm">,
  I32EnumAttrCase<"Logits", 2, "logits">
]> {
  let cppNamespace = "::mlir::attn";
}

def Attn_RouteHeadsOp : Attn_ClauseOp<"route_heads"> {
  let summary = "how much each token uses each head";
  let description = [{
    A gate for each token and head. The first `H - E` heads are shared, the last
    `E` ones are routed: of them each token uses the `top_k` with the largest
    logits (of equal ones the first), and the others have the gate 0. A NaN or
    minus infinity is never used.

    | kind     | `input`        | routing logits                              |
    |----------|----------------|---------------------------------------------|
    | `linear` | `[B, S, C]`    | `input` times `routed` `[E, C]`             |
    | `qnorm`  | `[B, H, S, D]` queries | norms of the routed heads, divided by their standard deviation (n - 1) |
    | `logits` | `[B, S, E]`    | `input`                                     |

    With `p` the softmax of a token's routing logits and `r` the sum of `p` over
    the heads it uses,

        gate of a routed head in use = a1 * routed_scale * p,  or p / r with
                                       `renormalize`,  or 1 instead of p with `hard`
        gate of a shared head        = a0 * shared_scale * softmax(shared logits)

    Shared logits come from `shared` (`[H - E, C]`, or `[B, S, H - E]` for
    `logits`), without which the softmax is 1; `(a0, a1)` is `alpha_scale` times
    the softmax of two logits that come from `alpha` (`[2, C]` or `[B, S, 2]`),
    without which both are 1. Computed in f32 (f64 for f64).

    Sources: MoH, arXiv:2410.11842, section 3.2; `qnorm` and `hard` are the
    router of its language models. `top_k = 1` without scales is the router of
    arXiv:2512.20635.

    Example: 2 shared and 6 routed heads of which a token uses 4.
    ```mlir
    %gates = attn.route_heads linear %x routed(%w : tensor<6x512xf32>)
      shared(%ws : tensor<2x512xf32>) alpha(%wa : tensor<2x512xf32>)
      {top_k = 4, renormalize, routed_scale = 4.0, shared_scale = 2.0,
       alpha_scale = 2.0}
      : tensor<1x?x512xf32> -> tensor<1x?x8xf32>
    ```
  }];
  let arguments = (ins Attn_Router:$kind, Attn_FloatTensor3DOr4D:$input,
                       Optional<Attn_FloatTensor2D>:$routed,
                       Optional<Attn_FloatTensor>:$shared,
                       Optional<Attn_FloatTensor>:$alpha,
                       I64Attr:$top_k, UnitAttr:$renormalize, UnitAttr:$hard,
                       DefaultValuedAttr<I64Attr, "0">:$num_shared,
                       DefaultValuedAttr<F64Attr, "1.0">:$routed_scale,
                       DefaultValuedAttr<F64Attr, "1.0">:$shared_scale,
                       DefaultValuedAttr<F64Attr, "1.0">:$alpha_scale);
  let results = (outs Attn_FloatTensor3D:$gates);
  let assemblyFormat = [{
    $kind $input
    oilist( `routed` `(` $routed `:` type($routed) `)`
          | `shared` `(` $shared `:` type($shared) `)`
          | `alpha` `(` $alpha `:` type($alpha) `)` )
    attr-dict `:` type($input) `->` type($gates)
  }];
  let extraClassDeclaration = [{
    /// Heads that are routed: all but the shared ones.
    int64_t getNumRouted();
  }];
}

def Attn_ListRowsOp : Attn_SelectionOp<"list_rows"> {
  let summary = "the tokens that use each head";
  let description = [{
    For each head the rows whose gate is not 0, in rising order, with their
    gates as weights; behind the last one -1 and 0. NaN is a gate like others. A
    head that nobody uses has the count 0.

    | Name      | Shape       |
    |-----------|-------------|
    | `gates`   | `[B, S, H]` |
    | `rows`    | `[B, H, S]` |
    | `counts`  | `[B, H]`    |
    | `weights` | `[B, H, S]`, element type of `gates` |

    Example:
    ```mlir
    %rows, %counts, %weights = attn.list_rows %gates
      : tensor<1x?x8xf32> -> tensor<1x8x?xi32>, tensor<1x8xi32>, tensor<1x8x?xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor3D:$gates);
  let results = (outs Attn_IndexTensor3D:$rows, Attn_IndexTensor2D:$counts,
                      Attn_FloatTensor3D:$weights);
  let assemblyFormat = [{
    $gates attr-dict `:` type($gates) `->` type($rows) `,` type($counts) `,`
    type($weights)
  }];
}

//===----------------------------------------------------------------------===//
// Parts of a sequence
//===----------------------------------------------------------------------===//

def Attn_Pooling : I32EnumAttr<"Pooling", "what stands for a part of the rows", [
  I32EnumAttrCase<"Mean", 0, "mean">,
  I32EnumAttrCase<"Sum", 1, "sum">,
  I32EnumAttrCase<"SqrtSum", 2, "sqrt_sum">,
  I32EnumAttrCase<"Min", 3, "min">,
  I32EnumAttrCase<"Max", 4, "max">
]> {
  let cppNamespace = "::mlir::attn";
}

def Attn_PoolOp : Attn_ClauseOp<"pool"> {
  let summary = "one row for each part of the rows";
  let description = [{
    Parts are blocks of `block` rows, the last one maybe shorter, or, with
    `bounds`, the rows `[bounds[n], bounds[n + 1])` as far as they exist. Rows at
    and beyond `lengths` are in no part. A part without rows is 0. `sqrt_sum` is
    the sum divided by the square root of the number of rows. Sums are computed
    in f32 (f64 for f64); NaN spreads in its part.

    | Name      | Shape                                |
    |-----------|--------------------------------------|
    | `input`   | `[B, H, S, D]`                       |
    | `bounds`  | `[B, N + 1]`, the first may be 1     |
    | `lengths` | index or `[B]`                       |
    | `output`  | `[B, H, N, D]`, N = ceil(S / block)  |

    Sources: blocks arXiv:2510.24606 (current code), ragged chunks with
    `sqrt_sum` its section 3, pages arXiv:2506.05333.

    Example:
    ```mlir
    %m = attn.pool mean %k {block = 64}
      : tensor<1x8x?x128xf32> -> tensor<1x8x?x128xf32>
    ```
  }];
  let arguments = (ins Attn_Pooling:$kind, Attn_FloatTensor4D:$input,
                       Optional<Attn_IndexTensor2D>:$bounds,
                       Optional<Attn_IndexOrTensor1D>:$lengths,
                       OptionalAttr<I64Attr>:$block);
  let results = (outs Attn_FloatTensor4D:$output);
  let assemblyFormat = [{
    $kind $input
    oilist( `bounds` `(` $bounds `:` type($bounds) `)`
          | `lengths` `(` $lengths `:` type($lengths) `)` )
    attr-dict `:` type($input) `->` type($output)
  }];
}

def Attn_SegmentOp : Attn_SelectionOp<"segment"> {
  let summary = "boundaries of chunks by suppression of neighbours";
  let description = [{
    Cuts each sequence behind its best gaps. Gap `t` lies behind token `t`; its
    logit counts when above `threshold`. Gaps are taken by falling logit, of
    equal ones the first, each only if it is more than `distance` away from all
    taken before, until there are `max_cuts`, or as many as the operand `cuts`
    says where their number grows with the text. `bounds` holds 0, the cuts
    (gap + 1) in rising order, and `L` from there to its end: two entries more
    than there may be cuts, so that chunks past the last are empty. `counts` is
    the number of chunks. A cut behind the last token makes no chunk. NaN never
    counts. A negative `cuts` is 0.

    | Name     | Shape               |
    |----------|---------------------|
    | `logits` | `[B, L]`            |
    | `cuts`   | index               |
    | `bounds` | `[B, max_cuts + 2]`, dimension 1 dynamic with `cuts` |
    | `counts` | `[B]`               |

    Source: arXiv:2510.24606, section 3.1.

    Example:
    ```mlir
    %bounds, %counts = attn.segment %logits
      {threshold = 0.0, distance = 8, max_cuts = 62}
      : tensor<1x?xf32> -> tensor<1x64xi32>, tensor<1xi32>
    %more, %chunks = attn.segment %logits cuts(%share)
      {threshold = 0.0, distance = 8}
      : tensor<1x?xf32> -> tensor<1x?xi32>, tensor<1xi32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor2D:$logits, Optional<Index>:$cuts,
                       F64Attr:$threshold, I64Attr:$distance,
                       OptionalAttr<I64Attr>:$max_cuts);
  let results = (outs Attn_IndexTensor2D:$bounds, Attn_IndexTensor1D:$counts);
  let assemblyFormat = [{
    $logits (`cuts` `(` $cuts^ `)`)? attr-dict `:` type($logits) `->`
    type($bounds) `,` type($counts)
  }];
  let extraClassDeclaration = [{
    /// Size of dimension 1 of `bounds`.
    ::mlir::OpFoldResult getNumBounds(::mlir::OpBuilder &builder);
  }];
}

def Attn_GatherRowsOp : Attn_SelectionOp<"gather_rows"> {
  let summary = "rows by their index";
  let description = [{
    `output[b, h, n] = input[b, h, rows[b, h, n]]`; zeros where the index is
    negative or past the end. A dimension of `rows` may be 1 where that of
    `input` is not. With the result of `attn.top_k` on token scores this is the
    compaction of a pruned sequence.

    | Name     | Shape          |
    |----------|----------------|
    | `input`  | `[B, H, S, D]` |
    | `rows`   | `[B, H, N]`    |
    | `output` | `[B, H, N, D]` |

    Example:
    ```mlir
    %kept = attn.gather_rows %k, %rows
      : tensor<1x8x?x64xf32>, tensor<1x1x128xi32> -> tensor<1x8x128x64xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$input, Attn_IndexTensor3D:$rows);
  let results = (outs Attn_FloatTensor4D:$output);
  let assemblyFormat = [{
    $input `,` $rows attr-dict `:` type($input) `,` type($rows) `->`
    type($output)
  }];
}

//===----------------------------------------------------------------------===//
// Spans
//===----------------------------------------------------------------------===//

def Attn_SpanSearchOp : Attn_ClauseOp<"span_search"> {
  let summary = "the best of a few keys at given distances";
  let description = [{
    Row `i` stands at position `q = i + query_offset` and compares its query
    with the keys at `q + 1 - offsets[n]` (anchors) by the plain product, without
    a scale, summed in f32 (f64 for f64). The `K` best anchors follow each other
    by falling product, of equal ones the lowest key first. An anchor counts if
    it is a key from `starts` (0 when absent) up to `q`; NaN and minus infinity
    never count. Places that are left hold -1 and minus infinity. The order of
    `offsets` does not matter; equal entries count as often as they occur.

    | Name           | Shape              |
    |----------------|--------------------|
    | `query`        | `[B, H, S, D]`     |
    | `key`          | `[B, Hkv, Skv, D]` |
    | `offsets`      | `[A]`              |
    | `query_offset`, `starts` | index or `[B]` |
    | `anchors`      | `[B, H, S, K]`     |
    | `logits`       | `[B, H, S, K]` f32 (f64 for f64) |

    Source: the search step of arXiv:2601.18401, section 3, with `offsets[n] =
    floor((w0 + 1 + n) ^ (1 / p))`.

    Example:
    ```mlir
    %anchors, %logits = attn.span_search %q, %k, %table query_offset(%past : index)
      : tensor<1x8x?x128xf32>, tensor<1x8x?x128xf32>, tensor<256xi32>
      -> tensor<1x8x?x3xi32>, tensor<1x8x?x3xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
                       Attn_IndexTensor1D:$offsets,
                       Optional<Attn_IndexOrTensor1D>:$query_offset,
                       Optional<Attn_IndexOrTensor1D>:$starts);
  let results = (outs Attn_IndexTensor4D:$anchors, Attn_FloatTensor4D:$logits);
  let assemblyFormat = [{
    $query `,` $key `,` $offsets
    oilist( `query_offset` `(` $query_offset `:` type($query_offset) `)`
          | `starts` `(` $starts `:` type($starts) `)` )
    attr-dict `:` type($query) `,` type($key) `,` type($offsets) `->`
    type($anchors) `,` type($logits)
  }];
}

def Attn_SpanBoundsOp : Attn_ClauseOp<"span_bounds", [
    AllTypesMatch<["anchors", "begins", "ends"]>]> {
  let summary = "spans of keys around anchors";
  let description = [{
    The keys `[begins, ends)` around each anchor of a row at position `q`, with
    `n = q + 1 - start` positions so far:

        begins = max(anchor - ceil(backward * n ^ power), start)
        ends   = min(anchor + ceil(forward * n ^ power), q) + 1

    computed in f64. Both are 0 for an anchor that lies before `start`, such as
    -1, or after `q`. Source: arXiv:2601.18401, released code.

    | Name      | Shape          |
    |-----------|----------------|
    | `anchors` | `[B, H, S, K]` |
    | `query_offset`, `starts` | index or `[B]`, 0 when absent |
    | `begins`, `ends` | type of `anchors` |

    Example:
    ```mlir
    %begins, %ends = attn.span_bounds %anchors
      {backward = 3.0, forward = 1.0, power = 0.5} : tensor<1x8x?x3xi32>
    ```
  }];
  let arguments = (ins Attn_IndexTensor4D:$anchors,
                       Optional<Attn_IndexOrTensor1D>:$query_offset,
                       Optional<Attn_IndexOrTensor1D>:$starts,
                       F64Attr:$backward, F64Attr:$forward, F64Attr:$power);
  let results = (outs Attn_IndexTensor4D:$begins, Attn_IndexTensor4D:$ends);
  let assemblyFormat = [{
    $anchors
    oilist( `query_offset` `(` $query_offset `:` type($query_offset) `)`
          | `starts` `(` $starts `:` type($starts) `)` )
    attr-dict `:` type($anchors)
  }];
}

def Attn_SpanAttentionOp : Attn_ClauseOp<"span_attention", [
    AllTypesMatch<["begins", "ends"]>]> {
  let summary = "a gated sum of attentions over a window and one span each";
  let description = [{
    Each row attends `K` times: to the last `window` keys up to its own position
    `q`, and to one of its spans `[begins, ends)`. Scores are scaled products;
    each attention has a softmax of its own:

        O = sum_j softmax_j(logits) * attention over (window and span j)

    Spans are cut to what lies from `starts` up to the window, so that no key is
    seen twice. A key before `starts` or after `q` is never seen. Logits of NaN
    or minus infinity have no weight; where none has, all have the same. An
    attention without keys is 0.

    | Name     | Shape               |
    |----------|---------------------|
    | `query`  | `[B, H, S, D]`      |
    | `key`, `value` | `[B, Hkv, Skv, D]`, `[B, Hkv, Skv, Dv]` |
    | `begins`, `ends` | `[B, H, S, K]` |
    | `logits` | `[B, H, S, K]`      |
    | `query_offset`, `starts` | index or `[B]`, 0 when absent |
    | `output` | `[B, H, S, Dv]`     |

    Source: arXiv:2601.18401, section 3.

    Example:
    ```mlir
    %o = attn.span_attention %q, %k, %v spans(%begins, %ends, %logits
        : tensor<1x8x?x3xi32>, tensor<1x8x?x3xf32>) {window = 15}
      : tensor<1x8x?x128xf32>, tensor<1x8x?x128xf32>, tensor<1x8x?x128xf32>
      -> tensor<1x8x?x128xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
                       Attn_FloatTensor4D:$value, Attn_IndexTensor4D:$begins,
                       Attn_IndexTensor4D:$ends, Attn_FloatTensor4D:$logits,
                       Optional<Attn_IndexOrTensor1D>:$query_offset,
                       Optional<Attn_IndexOrTensor1D>:$starts,
                       I64Attr:$window, OptionalAttr<F64Attr>:$softmax_scale);
  let results = (outs Attn_FloatTensor4D:$output);
  let assemblyFormat = [{
    $query `,` $key `,` $value
    `spans` `(` $begins `,` $ends `,` $logits `:` type($begins) `,`
    type($logits) `)`
    oilist( `query_offset` `(` $query_offset `:` type($query_offset) `)`
          | `starts` `(` $starts `:` type($starts) `)` )
    attr-dict `:` type($query) `,` type($key) `,` type($value) `->`
    type($output)
  }];
  let extraClassDeclaration = [{
    /// The mask of the window, and that of a span for each row, which reads
    /// `begins` and `ends`.
    ::mlir::attn::MaskAttrInterface getWindowMask();
    ::mlir::attn::MaskAttrInterface getSpanMask();
  }];
}

//===----------------------------------------------------------------------===//
// What an attention has looked at
//===----------------------------------------------------------------------===//

def Attn_Reduction : I32EnumAttr<"Reduction", "how numbers become one", [
  I32EnumAttrCase<"Sum", 0, "sum">,
  I32EnumAttrCase<"Max", 1, "max">,
  I32EnumAttrCase<"Each", 2, "each">
]> {
  let cppNamespace = "::mlir::attn";
}

def Attn_KeyImportanceOp : Attn_ClauseOp<"key_importance"> {
  let summary = "how much attention each key received";
  let description = [{
    The probabilities `exp(scale * query . key - lse)` of the pairs that `mask`
    and `kv_lengths` keep, reduced over the rows of a head by `rows` (`sum` or
    `max`) and then over the query heads of a key head by `heads` (`sum`, `max`,
    or `each` to keep them apart). `lse` is that of the attention whose
    probabilities these are; without it, it is computed first, from the same
    scores. A row with an lse of minus infinity has none; NaN in a kept pair or
    its lse spreads. A key that no row keeps has 0. Computed in f32 (f64 for
    f64).

    With `routing` the rows of a head are those of its list, as in
    `attn.attention`: row `row_list[b,h,n]` for `n < row_counts[b,h]`, with the
    entry's `lse[b,h,n]`. Entries whose row does not exist have no
    probabilities; what is not listed costs nothing.

    | Name       | Shape                                           |
    |------------|-------------------------------------------------|
    | `query`    | `[B, H, Sq, D]`                                 |
    | `key`      | `[B, Hkv, Skv, D]`                              |
    | `lse`      | `[B, H, Sq]`; `N` for `Sq` with `routing`       |
    | `row_list` | `[B, H, N]`; dimension 1 may be 1               |
    | `row_counts` | `[B, H]`; none below 1, all beyond `N`; dimension 1 as that of `row_list` |
    | `kv_lengths` | `[B]`; none below 1, all beyond `Skv`       |
    | `query_offset` | index or `[B]`                            |
    | `importance` | `[B, Hkv, Skv]`, or `[B, H, Skv]` for `each` |

    Sources: token importance of arXiv:2012.09852 (sums), page scores of DELTA
    (arXiv:2510.09883, maximum over heads).

    Example:
    ```mlir
    %i = attn.key_importance sum, max %q, %k, %lse mask(#attn.causal)
      : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x8x?xf32>
      -> tensor<1x2x?xf32>
    ```
  }];
  let arguments = (ins Attn_Reduction:$rows, Attn_Reduction:$heads,
                       Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
                       Optional<Attn_LseTensor>:$lse,
                       Optional<Attn_IndexTensor1D>:$kv_lengths,
                       Optional<Attn_IndexOrTensor1D>:$query_offset,
                       Optional<Attn_IndexTensor3D>:$row_list,
                       Optional<Attn_IndexTensor2D>:$row_counts,
                       Variadic<AnyRankedTensor>:$mask_operands,
                       OptionalAttr<Attn_MaskAttrInterface>:$mask,
                       OptionalAttr<F64Attr>:$softmax_scale);
  let results = (outs Attn_LseTensor:$importance);
  let assemblyFormat = [{
    $rows `,` $heads $query `,` $key (`,` $lse^)?
    oilist( `mask` `(` $mask (`,` $mask_operands^ `:` type($mask_operands))? `)`
          | `kv_lengths` `(` $kv_lengths `:` type($kv_lengths) `)`
          | `query_offset` `(` $query_offset `:` type($query_offset) `)`
          | `routing` `(` $row_list `,` $row_counts `:` type($row_list) `,`
            type($row_counts) `)` )
    attr-dict `:` type($query) `,` type($key) (`,` type($lse)^)? `->`
    type($importance)
  }];
  let extraClassDeclaration = [{
    /// The scale in force: the attribute, or 1 / sqrt(D).
    double getEffectiveScale();
    /// The tensor and its dimension that say how many rows a head has.
    std::pair<::mlir::Value, int64_t> getRowsOfHead();
    /// Query heads per key head, when both are static.
    std::optional<int64_t> getGroupSize();
  }];
}

#endif // ATTN_SELECTION_OPS_TD
