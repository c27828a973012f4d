//===- AttnAttentionOps.td - Attention and the merge of its parts ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_ATTENTION_OPS_TD
#define ATTN_ATTENTION_OPS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "attn/Dialect/Attn/IR/AttnEnums.td"
include "attn/Dialect/Attn/IR/AttnInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Attn_AttentionOp : Attn_Op<"attention", [
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "scaled dot product attention under a mask";
  let description = [{
    For each batch `b`, head `h` and query row `i`, with `g = h / (H / Hkv)`
    and the position `p = i + query_offset[b]`:

        s[j] = softmax_scale * dot(query[b,h,i,:], key[b,g,j,:])
        s[j] = softcap * tanh(s[j] / softcap)                 if softcap
        s[j] = s[j] + bias[b,h,i,j]                           if bias
        s[j] = score(s[j], b, h, i, p, j)                     if score
        output[b,h,i,:] = sum_j softmax(s)[j] * value[b,g,j,:]

    where `j` runs over the keys that are kept: `j < kv_lengths[b]` (or the
    length of the head), `keep[b,h,i,j]`, and `mask` at `(p, j)`, as far as each
    is given. A row that keeps no key, or only scores of minus infinity, yields zeros and
    an `lse` of minus infinity (with `sinks` the head's sink logit).
    `bias_order = #attn.bias_order<before_softcap>` adds the bias before the
    softcap.

    The region `score` is code for one score, in the type of scores: what it
    yields is the score of a pair. Its arguments are the score after scale,
    softcap and bias, then as `index` the batch entry, the query head, the row
    of the query, the position of that row, and the key. It may use values from
    outside, above all tensors that it reads with `tensor.extract`: slopes of
    heads, tables of distances, products of the query with a table. Operations
    in it have scalar results, no effects and no regions. What is not kept is
    not kept, whatever the region yields, but a target may run the region for
    any pair of an existing row and key: reads have to be in range for all of
    them. A region that yields `log(w(s))` makes weights `w(s)` of any kind, such
    as relu, and `exp(lse)` is their sum. Relative positions of every kind are
    written so, and no tensor of all pairs is made (arXiv:2412.05496 names such a
    function `score_mod`).

    With `routing` a head works on a list of rows only: entry `n` of the results
    is row `rows[b,h,n]` of the query, at the position of that row, for
    `n < row_counts[b,h]`. Rows may come in any order and more than once. The
    entries past the count and those whose row does not exist are 0, their
    `lse` is minus infinity. What is not listed costs nothing (mixture of heads,
    arXiv:2410.11842); `attn.scatter_rows` brings the results back to their rows.
    Bias, keep and positions are those of the row; block lists and spans of a
    mask belong to the entries.

    With `pages` keys and values lie in pools of pages, which no batch entry
    owns: key `j` of entry `b` is row `j % page_size` of page
    `page_table[b, j / page_size]`, and `Skv` is `NP * page_size`. Where the
    table holds no number of a page, such as -1, there are no keys: none of them
    is kept and none is read. Entries may share pages (arXiv:2309.06180).

    `key_head_map` and `value_head_map` say which head of keys and of values
    query head `h` reads, instead of `g`; a head may serve any number of query
    heads, and there may be more or fewer heads of values than of keys
    (decoupled heads, arXiv:2406.06567).

    | Name           | Shape               | Meaning                          |
    |----------------|---------------------|----------------------------------|
    | `query`        | `[B, H, Sq, D]`     | `Hkv` divides `H`                |
    | `key`          | `[B, Hkv, Skv, D]`  | element type of `query`          |
    | `value`        | `[B, Hkv, Skv, Dv]` | element type of `query`          |
    | `page_table`   | `[B, NP]`           | makes `key` `[P, Hkv, page_size, D]` and `value` `[P, Hkv, page_size, Dv]`, `page_size` static |
    | `bias`         | `[B, H, Sq, Skv]`   | added to scores; any dimension may be 1 |
    | `keep`         | `[B, H, Sq, Skv]` i1| true = attend; any dimension may be 1 |
    | `kv_lengths`   | `[B]` or `[B, Hl]`  | valid keys of each batch entry; none below 1, all beyond `Skv`; `Hl` divides `H`, consecutive heads share a length |
    | `query_offset` | index or `[B]`      | position of query row 0; 0 when absent |
    | `rows`         | `[B, H, N]`         | the query rows of each head; dimension 1 may be 1 |
    | `row_counts`   | `[B, H]`            | number of them; none below 1, all beyond `N`; dimension 1 as that of `rows` |
    | `sink_logits`  | `[H]`               | one more logit in each softmax denominator |
    | `mask_operands`|                     | what `mask` reads at run time    |
    | `output`       | `[B, H, Sq, Dv]`    | element type of `query`; `N` for `Sq` with `rows` |
    | `lse`          | `[B, H, Sq]`        | natural log of the softmax denominator, sink included; f64 for f64 inputs, else f32 |

    A dimension of `bias` or `keep` that is dynamic may turn out to be 1 at
    run time. Scores, softmax and sums are computed in `softmax_precision`, by
    default f32 (f64 for f64 inputs). `softmax_scale` is `1 / sqrt(D)` when
    absent. A NaN in a row's kept scores makes that row NaN. A pair that is
    not kept has no part in the row, whatever its key and value hold, be it
    NaN or infinity; a kept pair whose weight underflows to 0 may count as such.

    Sources: arXiv:1706.03762 (attention), arXiv:2205.14135 (`lse`),
    arXiv:2305.13245 (grouped heads), arXiv:2408.00118 (softcap).

    Example: causal attention of 8 query heads over 2 key heads; a decoding
    step over a cache, whose new row stands at `%past`, with a bias for each
    head and the lse; the same over pages of 16 keys; and 4 query heads over 3
    heads of keys and 2 of values.
    ```mlir
    %o = attn.attention %q, %k, %v mask(#attn.causal)
      : tensor<1x8x512x64xf16>, tensor<1x2x512x64xf16>, tensor<1x2x512x64xf16>
      -> tensor<1x8x512x64xf16>
    %d, %lse = attn.attention %new, %keys, %values
      mask(#attn.window<left = 255, right = 0>)
      bias(%bias : tensor<1x8x1x?xf32>)
      kv_lengths(%lengths : tensor<?xi64>)
      query_offset(%past : index) {softcap = 50.0}
      : tensor<?x8x1x64xf32>, tensor<?x2x?x64xf32>, tensor<?x2x?x64xf32>
      -> tensor<?x8x1x64xf32>, tensor<?x8x1xf32>
    %p = attn.attention %new, %key_pages, %value_pages
      pages(%table : tensor<?x?xi32>) kv_lengths(%lengths : tensor<?xi64>)
      : tensor<?x8x1x64xf32>, tensor<?x2x16x64xf32>, tensor<?x2x16x64xf32>
      -> tensor<?x8x1x64xf32>
    %h = attn.attention %x, %y, %z
      {key_head_map = array<i64: 0, 0, 1, 2>,
       value_head_map = array<i64: 0, 1, 1, 0>}
      : tensor<1x4x8x64xf32>, tensor<1x3x8x64xf32>, tensor<1x2x8x64xf32>
      -> tensor<1x4x8x64xf32>
    ```

    Example: ALiBi (arXiv:2108.12409), a bias of `-slope * (p - j)`.
    ```mlir
    %a = attn.attention %q, %k, %v mask(#attn.causal)
      score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
        %slope = tensor.extract %slopes[%h] : tensor<8xf32>
        %apart = arith.subi %key, %position : index
        %int = arith.index_cast %apart : index to i32
        %distance = arith.sitofp %int : i32 to f32
        %bias = arith.mulf %slope, %distance : f32
        %biased = arith.addf %s, %bias : f32
        attn.yield %biased : f32
      }
      : tensor<1x8x512x64xf16>, tensor<1x2x512x64xf16>, tensor<1x2x512x64xf16>
      -> tensor<1x8x512x64xf16>
    ```
  }];
  let arguments = (ins
    Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
    Attn_FloatTensor4D:$value,
    Optional<Attn_FloatTensor4D>:$bias,
    Optional<Attn_BoolTensor4D>:$keep,
    Optional<Attn_IndexTensor1DOr2D>:$kv_lengths,
    Optional<AnyTypeOf<[Index, Attn_IndexTensor1D]>>:$query_offset,
    Optional<Attn_FloatTensor1D>:$sink_logits,
    Optional<Attn_IndexTensor3D>:$rows,
    Optional<Attn_IndexTensor2D>:$row_counts,
    Optional<Attn_IndexTensor2D>:$page_table,
    Variadic<AnyRankedTensor>:$mask_operands,
    OptionalAttr<Attn_MaskAttrInterface>:$mask,
    OptionalAttr<F64Attr>:$softmax_scale,
    OptionalAttr<F64Attr>:$softcap,
    DefaultValuedAttr<Attn_BiasOrderAttr,
                      "::mlir::attn::BiasOrder::AfterSoftcap">:$bias_order,
    OptionalAttr<TypeAttr>:$softmax_precision,
    OptionalAttr<DenseI64ArrayAttr>:$key_head_map,
    OptionalAttr<DenseI64ArrayAttr>:$value_head_map);
  let results = (outs Attn_FloatTensor4D:$output, Optional<Attn_LseTensor>:$lse);
  let regions = (region MaxSizedRegion<1>:$score);
  let assemblyFormat = [{
    $query `,` $key `,` $value
    oilist( `mask` `(` $mask (`,` $mask_operands^ `:` type($mask_operands))? `)`
          | `bias` `(` $bias `:` type($bias) `)`
          | `keep` `(` $keep `:` type($keep) `)`
          | `kv_lengths` `(` $kv_lengths `:` type($kv_lengths) `)`
          | `query_offset` `(` $query_offset `:` type($query_offset) `)`
          | `routing` `(` $rows `,` $row_counts `:` type($rows) `,` type($row_counts) `)`
          | `pages` `(` $page_table `:` type($page_table) `)`
          | `sinks` `(` $sink_logits `:` type($sink_logits) `)` )
    custom<ScoreRegion>($score)
    attr-dict `:` type($query) `,` type($key) `,` type($value)
    `->` type($output) (`,` type($lse)^)?
  }];
  let extraClassDeclaration = [{
    /// The scale in force: the attribute, or 1 / sqrt(D).
    double getEffectiveScale();
    /// The type in which scores and softmax are computed.
    ::mlir::FloatType getComputeType();
    /// The tensor and its dimension that say how many rows the results have.
    std::pair<::mlir::Value, int64_t> getResultRows();
    /// So many query heads, from a multiple of it on, share a key head and a
    /// value head, when the numbers of heads are static.
    std::optional<int64_t> getGroupSize();
    bool hasHeadMaps() { return getKeyHeadMap() || getValueHeadMap(); }
    /// Keys of a page, or 0 without pages.
    int64_t getPageSize();
    /// Number of keys of a batch entry in memory, `Skv`; as the types have it,
    /// and as a value.
    int64_t getStaticKeys();
    ::mlir::OpFoldResult getKeys(::mlir::OpBuilder &builder);
    /// Whether a region modifies the scores.
    bool hasScore() { return !getScore().empty(); }
    /// Whether positions of query rows matter, and so `query_offset`.
    bool readsPositions();
    /// What the region makes of `score` at the pair `point`: code at the
    /// builder's place. There is a region.
    ::mlir::Value buildScore(::mlir::OpBuilder &builder,
                             const ::mlir::attn::MaskPoint &point,
                             ::mlir::Value score);
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let hasCanonicalizer = 1;
}

def Attn_YieldOp : Attn_Op<"yield", [
    Pure, Terminator, HasParent<"AttentionOp">]> {
  let summary = "the score that a score region makes";
  let description = [{
    Ends the region `score` of `attn.attention`.

    Example:
    ```mlir
    %a = attn.attention %q, %k, %v
      score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
        %twice = arith.addf %s, %s : f32
        attn.yield %twice : f32
      }
      : tensor<1x8x512x64xf16>, tensor<1x2x512x64xf16>, tensor<1x2x512x64xf16>
      -> tensor<1x8x512x64xf16>
    ```
  }];
  let arguments = (ins Attn_Float:$score);
  let assemblyFormat = "$score attr-dict `:` type($score)";
}

def Attn_MergeOp : Attn_Op<"merge", [
    Pure, SameVariadicOperandSize,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "attention over the union of disjoint key sets";
  let description = [{
    Combines partial results over disjoint sets of keys:

        lse    = log(sum_n exp(lses[n]))
        output = sum_n exp(lses[n] - lse) * outputs[n]

    A part whose `lse` is minus infinity contributes nothing; where all are,
    the output is 0 and `lse` minus infinity. Split decoding and ring
    attention end with this step (arXiv:2205.14135 appendix B,
    arXiv:2310.01889).

    | Name      | Shape            |
    |-----------|------------------|
    | `outputs` | `[B, H, Sq, Dv]` |
    | `lses`    | `[B, H, Sq]` f32 (f64 for f64 outputs) |

    Example:
    ```mlir
    %o, %l = attn.merge (%o0, %l0), (%o1, %l1)
      : tensor<1x8x16x64xf32>, tensor<1x8x16xf32>
    ```
  }];
  let arguments = (ins Variadic<Attn_FloatTensor4D>:$outputs,
                       Variadic<Attn_LseTensor>:$lses);
  let results = (outs Attn_FloatTensor4D:$output, Attn_LseTensor:$lse);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasFolder = 1;
}

#endif // ATTN_ATTENTION_OPS_TD
