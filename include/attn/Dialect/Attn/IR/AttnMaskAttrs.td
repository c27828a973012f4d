//===- AttnMaskAttrs.td - The mask algebra --------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_MASK_ATTRS_TD
#define ATTN_MASK_ATTRS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "attn/Dialect/Attn/IR/AttnEnums.td"
include "attn/Dialect/Attn/IR/AttnInterfaces.td"

/// `overrides` lists the interface methods with a default that the kind
/// implements itself.
class Attn_MaskAttr<string name, string attrMnemonic, list<string> overrides = []>
    : Attn_Attr<name, attrMnemonic, [
        DeclareAttrInterfaceMethods<Attn_MaskAttrInterface, overrides>]>;

def Attn_CausalAttr : Attn_MaskAttr<"Causal", "causal"> {
  let summary = "keys at or before the query";
  let description = [{
    Keeps a pair when `key <= query`, both as positions. The attention's
    `query_offset` says where the first query row stands.

    Example: `#attn.causal`
  }];
}

def Attn_WindowAttr : Attn_MaskAttr<"Window", "window", ["simplify"]> {
  let summary = "keys within a distance of the query";
  let description = [{
    Keeps a pair when `query - left <= key <= query + right`, in positions.
    `left` and `right` count keys besides the query's own; `-1` leaves the
    side open. Sliding window attention of `W` keys in all is
    `left = W - 1, right = 0` (Longformer, arXiv:2004.05150, section 3.1).
    With `block` all four count in blocks of positions, rounded down: the local
    blocks of S2-Attention (arXiv:2407.17678).

    Example: `#attn.window<left = 255, right = 0>`
  }];
  let parameters = (ins "int64_t":$left, "int64_t":$right,
                        DefaultValuedParameter<"int64_t", "1">:$block);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Attn_SinkAttr : Attn_MaskAttr<"Sink", "sink", ["simplify"]> {
  let summary = "the first keys";
  let description = [{
    Keeps a pair when `key < size`: the attention sink of streaming heads
    (StreamingLLM, arXiv:2309.17453). Causality is not implied.

    Example: `#attn.sink<4>`
  }];
  let parameters = (ins "int64_t":$size);
  let assemblyFormat = "`<` $size `>`";
  let genVerifyDecl = 1;
}

def Attn_StridedAttr : Attn_MaskAttr<"Strided", "strided", [
    "simplify", "visitLists"]> {
  let summary = "every stride-th block of keys";
  let description = [{
    Keeps a pair when `d mod stride == 0`, where `d` is

    - `query / block - key / block + phase` with `anchor = query`
      (Sparse Transformer, arXiv:1904.10509, section 4.2), or
    - `key / block + phase` with `anchor = origin`: vertical stripes, shifted
      by `phase` from head to head (S2-Attention, arXiv:2407.17678).

    Divisions round down and the remainder is never negative.

    Example: `#attn.strided<stride = 8, block = 64, phase = 0, anchor = origin>`
  }];
  let parameters = (ins
    "int64_t":$stride,
    DefaultValuedParameter<"int64_t", "1">:$block,
    DefaultValuedParameter<"int64_t", "0">:$phase,
    DefaultValuedParameter<"::mlir::attn::StrideAnchor",
                           "::mlir::attn::StrideAnchor::Query">:$anchor);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Attn_BlocksAttr : Attn_MaskAttr<"Blocks", "blocks", [
    "getNumMaskOperands", "verifyMask", "visitLists", "getHeadsAlike",
    "prepare", "getMaxKeys"]> {
  let summary = "listed blocks of keys for each block of query rows";
  let description = [{
    Query rows form blocks of `q_block` rows, keys blocks of `kv_block` keys;
    the last ones may be cut. Without `q_block`, or where it is 0, all rows are
    one block. A pair is kept when the list of its query block
    holds the number of its key block. Lists are sets: order, repetitions and
    numbers that are no block do not matter. Rows count by their place in the
    query tensor, whatever the `query_offset`. Causality is not implied.
    Selected blocks (arXiv:2006.06635), tokens (`kv_block = 1`) and masks of
    blocks have this form.

    | `layout`  | Operands                                                |
    |-----------|---------------------------------------------------------|
    | `padded`  | numbers `[B, H, NQ, K]`, how many of them count `[B, H, NQ]` |
    | `csr`     | begin of each list `[B, H, NQ + 1]`, numbers `[B, H, N]` |
    | `members` | true = listed, `[B, H, NQ, NK]` i1                      |
    | `sorted`  | as `members`; the same lists as numbers in rising order, without repetition, `[B, H, NQ, K]`, and their counts `[B, H, NQ]` |

    `NQ` and `NK` are the numbers of query and key blocks, `B` may be 1 and `H`
    any divisor of the number of heads: consecutive heads share a list. Counts
    and begins are clamped to what there is.

    One list of tokens for all rows is `#attn.blocks<kv_block = 1>`.

    Example: `#attn.blocks<q_block = 64, kv_block = 64, layout = padded>`
  }];
  let parameters = (ins
    DefaultValuedParameter<"int64_t", "0">:$q_block, "int64_t":$kv_block,
    DefaultValuedParameter<"::mlir::attn::BlockLayout",
                           "::mlir::attn::BlockLayout::Padded">:$layout);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Attn_SpansAttr : Attn_MaskAttr<"Spans", "spans", [
    "getNumMaskOperands", "verifyMask", "getHeadsAlike"]> {
  let summary = "an interval of keys for each query row";
  let description = [{
    Keeps a pair when `begin <= key < end`, where `begin` and `end` belong to
    the query's row. It reads two mask operands, `begin` and `end`, both
    `[B, H, Sq]` of one integer type; `B` may be 1 and `H` any divisor of the
    number of heads. Rows count by their place, whatever the `query_offset`.
    Spans of searched keys (arXiv:2601.18401) and packed sequences have this
    form.

    Example: `#attn.spans`
  }];
}

def Attn_ElasticAttr : Attn_MaskAttr<"Elastic", "elastic", [
    "getNumMaskOperands", "verifyMask", "getHeadsAlike"]> {
  let summary = "the first and the recent keys, as many as each head needs";
  let description = [{
    Keeps a pair when `key < first` or `key > query - recent`, in blocks of
    `block` positions, rounded down. It reads two mask operands, `first` and
    `recent`, both `[B, H]` of one integer type; `B` may be 1 and `H` any
    divisor of the number of heads. Causality is not implied. Heads whose span
    grows with the length (MoA, arXiv:2406.14909) compute `recent` from it.

    Example: `#attn.elastic<block = 64>`
  }];
  let parameters = (ins DefaultValuedParameter<"int64_t", "1">:$block);
  let assemblyFormat = "(`<` struct(params)^ `>`)?";
  let genVerifyDecl = 1;
}

def Attn_DocumentsAttr : Attn_MaskAttr<"Documents", "documents", [
    "getNumMaskOperands", "verifyMask"]> {
  let summary = "keys of the query's own document";
  let description = [{
    Keeps a pair when both rows carry the same document number. It reads two
    mask operands: the numbers of the query rows, `[B, Sq]`, and of the key
    rows, `[B, Skv]`, of one integer type.

    Example: `#attn.documents`
  }];
}

class Attn_MaskListAttr<string name, string attrMnemonic>
    : Attn_MaskAttr<name, attrMnemonic, [
        "getNumMaskOperands", "verifyMask", "simplify", "visitLists",
        "getHeadsAlike", "prepare", "getMaxKeys"]> {
  let parameters = (ins
    ArrayRefParameter<"::mlir::attn::MaskAttrInterface">:$masks);
}

def Attn_AllOfAttr : Attn_MaskListAttr<"AllOf", "all_of"> {
  let summary = "pairs that every member keeps";
  let description = [{
    The intersection of its members; with none it keeps every pair.

    Example: `#attn.all_of<[#attn.causal, #attn.window<left = 7, right = 0>]>`
  }];
  let assemblyFormat = "`<` custom<MaskList>($masks) `>`";
}

def Attn_AnyOfAttr : Attn_MaskListAttr<"AnyOf", "any_of"> {
  let summary = "pairs that at least one member keeps";
  let description = [{
    The union of its members; with none it keeps no pair.

    Example: `#attn.any_of<[#attn.sink<4>, #attn.window<left = 7, right = 0>]>`
  }];
  let assemblyFormat = "`<` custom<MaskList>($masks) `>`";
}

def Attn_NotAttr : Attn_MaskAttr<"Not", "not", [
    "getNumMaskOperands", "verifyMask", "simplify", "getHeadsAlike",
    "prepare"]> {
  let summary = "pairs that the member does not keep";
  let description = [{
    The complement of its member, among the keys that exist.

    Example: `#attn.not<#attn.sink<4>>`
  }];
  let parameters = (ins "::mlir::attn::MaskAttrInterface":$mask);
  let assemblyFormat = "`<` $mask `>`";
}

def Attn_PerHeadAttr : Attn_MaskListAttr<"PerHead", "per_head"> {
  let summary = "one mask for each query head";
  let description = [{
    Head `h` uses `masks[indices[h]]`. The list of indices has one entry for
    each query head (DuoAttention, arXiv:2410.10819: full heads and streaming
    heads side by side).

    Example: `#attn.per_head<[#attn.causal, #attn.sink<4>], [0, 0, 1, 1]>`
  }];
  let parameters = (ins
    ArrayRefParameter<"::mlir::attn::MaskAttrInterface">:$masks,
    ArrayRefParameter<"int64_t">:$indices);
  let assemblyFormat = "`<` custom<MaskList>($masks) `,` `[` $indices `]` `>`";
  let genVerifyDecl = 1;
}

#endif // ATTN_MASK_ATTRS_TD
