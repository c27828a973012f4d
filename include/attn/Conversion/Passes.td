//===- Passes.td - Conversions between levels -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_CONVERSION_PASSES_TD
#define ATTN_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertAttnToTilesPass
    : Pass<"convert-attn-to-tiles", "::mlir::func::FuncOp"> {
  let summary = "turn attention into loops over tiles of queries and keys";
  let description = [{
    Pre:  `attn.attention` and the recurrences on tensors.
    Post: each of them is a tile program, or stays for `attn-decompose` with
    a remark that says why.

    A tile program is an `scf.forall` over batch entries, heads and tiles of
    query rows, with loops over exactly those key tiles that the mask
    interface and the key lengths yield: first the tiles that need the element
    mask, in steps of `key-step` keys, then the full ones of `key-tile` keys.
    Inside are only `linalg.generic` operations on tiles: loads (a
    `tensor.extract` at clamped indices), contractions, elementwise
    operations, row reductions; plus slices. The softmax is computed online in
    base 2 (arXiv:2205.14135, algorithm 1): the scale and log2(e) are folded
    into the query tile.

    Some masks keep lists of key blocks that are known at run time only. After
    the intervals come the listed blocks, each as one tile if its width is a
    multiple of `key-step`, without the element mask where every pair is kept;
    what an interval or an earlier list has visited is not visited again.
    Narrower blocks and single tokens are gathered, `key-step` or `key-tile`
    keys at a time.
    A gathered key costs more than one that stands in its place. Where the keys
    of a list are so many of those around it that testing all of these is
    faster, they are tested: how many there are is counted at run time, unless
    the list's type says that they are few. `sparse` forces one of both.

    With a list of rows, tiles are made of its entries: the query rows are
    gathered, the first and last position among them bound the keys that the
    tile visits, and a tile without entries visits none.

    Keys are packed once per key head into panels `[Skv / panel][D][panel]`,
    values into `[Dv / panel][Skv][panel]`, both widened to f32. With
    `bf16-pairs`, bf16 operands stay as they are, in pairs along the reduction,
    and the weights are rounded to bf16 before they meet the values; sums stay
    in f32.

    Keys in pages are packed through the page table. A decoding tile reads them
    where they lie, page by page, without a copy. Which pages of a batch entry
    exist is looked up once: tiles before the first that does not need no test,
    tiles behind the last that does are not visited.

    With `natural-layout`, for targets that hold tiles in registers, nothing is
    packed and tiles keep the type of their elements. All tiles are whole: rows
    past the end repeat the last one, keys past the end are zeros. A positive
    scale waits until the maximum of a row is known, then scale and maximum are
    one multiply-add.

    Past `kv_lengths` nothing is read. Any other pair of a visited tile that is
    not kept has the weight 0, and its value counts as long as it is finite.
    Once a tile of rows is done, one test of its result tells whether it met a
    NaN or infinity; only then its weighted sums are made again by a product
    that skips weights of 0.

    Operands that come from a `linalg.transpose` are read from its source; an
    output whose only user is a `linalg.transpose` is written in that layout.

    Attention of few query rows (decoding) becomes another program: the rows
    of all query heads of a group share each key that is loaded, nothing is
    packed, and the keys are split in parts of `key-split` that are merged in
    a second loop. Where a list is all that a mask keeps, each part gets the
    same number of its entries, wherever they stand.

    `key_importance` is parallel over tiles of keys, with a loop over the tiles
    of query rows that see some of them; `attn.attention` whose output is not
    used computes its `lse` alone and does not read the values.

    The recurrences become programs of the same vocabulary. `linear_attention`
    is a loop over chunks of at most 64 tokens, in parallel over batch entries,
    key heads and, where heads are few, slices of value features; it carries the
    state. Whole chunks come first, then blocks of 8 tokens, then single ones:
    none is padded, so that the state is exact. Inside a chunk two products
    with decays take the place of the recurrence (arXiv:2401.04658), and the
    delta rule solves a unit triangular system by blocks of 8 tokens, whose
    inverses are products of powers (the WY form of arXiv:2406.06484). Where
    each feature decays by its own number (arXiv:2312.06635), chunks have 16
    tokens, whose pairs are decayed relative to a token between both: level by
    level, neighbours first, so that no factor is above 1.
    `local_linear_attention` with
    `iterations` passes over the key tiles once for each step, and
    `monotonic_align` scans the sources once for each target.

    ```mlir
    func.func @attention(%q: tensor<1x4x64x8xf32>, %kv: tensor<1x4x64x8xf32>)
        -> tensor<1x4x64x8xf32> {
      %o = attn.attention %q, %kv, %kv
        : tensor<1x4x64x8xf32>, tensor<1x4x64x8xf32>, tensor<1x4x64x8xf32>
        -> tensor<1x4x64x8xf32>
      return %o : tensor<1x4x64x8xf32>
    }
    ```
  }];
  let options = [
    Option<"queryTile", "query-tile", "int64_t", "64",
           "query rows of a tile; a multiple of row-block">,
    Option<"keyTile", "key-tile", "int64_t", "128",
           "keys of a full tile; a multiple of key-step">,
    Option<"keyStep", "key-step", "int64_t", "32",
           "keys of a partial tile; a multiple of panel">,
    Option<"panel", "panel", "int64_t", "32", "keys of a packed panel">,
    Option<"rowBlock", "row-block", "int64_t", "8",
           "tiles have a multiple of this many rows">,
    Option<"keySplit", "key-split", "int64_t", "512",
           "keys that one thread visits when decoding">,
    Option<"decodeRows", "decode-rows", "int64_t", "16",
           "at most this many rows of a group count as decoding">,
    Option<"bf16Pairs", "bf16-pairs", "bool", "false",
           "pack bf16 in pairs along the reduction, for dot products of pairs">,
    Option<"naturalLayout", "natural-layout", "bool", "false",
           "tiles are whole and read where they lie; nothing is packed">,
    Option<"sparse", "sparse", "::mlir::attn::SparsePath",
           "::mlir::attn::SparsePath::Auto",
           "whether lists of keys are followed",
           [{::llvm::cl::values(
             clEnumValN(::mlir::attn::SparsePath::Auto, "auto",
                        "where that is expected to be faster"),
             clEnumValN(::mlir::attn::SparsePath::Always, "always",
                        "wherever there is a list"),
             clEnumValN(::mlir::attn::SparsePath::Never, "never",
                        "the keys around are tested one by one"))}]>
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
    "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // ATTN_CONVERSION_PASSES_TD
