//===- ListReads.h - Elements of lists of rows, heads and pages -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_UTILS_LISTREADS_H
#define ATTN_DIALECT_ATTN_UTILS_LISTREADS_H

#include "attn/Dialect/Attn/Utils/IndexMath.h"

namespace mlir::attn {

/// An element of `tensor`, [B, H, ...], where consecutive heads share what
/// they read: its dimension 1 divides `heads`, and its dimension 0 may be 1.
/// `at` are the indices after batch and head. Indices are clamped to the
/// tensor, integers become indices.
OpFoldResult readOfHead(OpBuilder &builder, Location loc, Value tensor,
                        OpFoldResult batch, OpFoldResult head,
                        OpFoldResult heads, ArrayRef<OpFoldResult> at);

/// How many entries of a head's row list count, at most `capacity`; it may be
/// negative. `counts` is [B, H], where H may be 1.
OpFoldResult readRowCount(OpBuilder &builder, Location loc, Value counts,
                          OpFoldResult batch, OpFoldResult head,
                          OpFoldResult capacity);

/// The row that an entry of a row list names, or the nearest of the `length`
/// rows; it exists if the entry counts and the row is one of these. `rows` is
/// [B, H, N], where H may be 1.
struct ListedRow {
  OpFoldResult row, exists;
};
OpFoldResult readListedRow(OpBuilder &builder, Location loc, Value rows,
                           OpFoldResult batch, OpFoldResult head,
                           OpFoldResult entry, OpFoldResult length);
ListedRow readListedRow(OpBuilder &builder, Location loc, Value rows,
                        Value counts, OpFoldResult batch, OpFoldResult head,
                        OpFoldResult entry, OpFoldResult length);

/// Page `number` of a batch entry in a pool of `pages` pages, or the nearest
/// that there is, and whether the table names one. `table` is [B, NP].
struct Page {
  OpFoldResult place, exists;
};
Page readPage(OpBuilder &builder, Location loc, Value table, OpFoldResult batch,
              OpFoldResult number, OpFoldResult pages);

} // namespace mlir::attn

#endif // ATTN_DIALECT_ATTN_UTILS_LISTREADS_H
