//===- BlockLists.h - Sorted lists of key blocks ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_IR_MASK_BLOCKLISTS_H
#define ATTN_LIB_DIALECT_ATTN_IR_MASK_BLOCKLISTS_H

#include "attn/Dialect/Attn/IR/AttnDialect.h"

namespace mlir::attn {

/// Lists of block numbers, each in rising order and without repetition:
/// numbers [B, H, NQ, K] and how many of them there are [B, H, NQ].
struct BlockLists {
  Value numbers, counts;
};

/// The lists of a padded mask. `members` [B, H, NQ, NK] says which blocks they
/// hold; a list that stands in order already is only copied.
BlockLists sortBlockLists(OpBuilder &builder, Location loc, Value numbers,
                          Value counts, Value members);

/// Makes the candidates of `list` the entries of one of `lists`, that of
/// `queryBlock`: none of them is absent, and every pair of them is kept.
void followBlockList(OpBuilder &builder, Location loc, KeyList &list,
                     const BlockLists &lists, const MaskTile &tile,
                     OpFoldResult queryBlock);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_IR_MASK_BLOCKLISTS_H
