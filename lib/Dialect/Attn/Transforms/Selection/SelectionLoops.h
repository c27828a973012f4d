//===- SelectionLoops.h - Selections as parallel loops ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_SELECTION_SELECTIONLOOPS_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_SELECTION_SELECTIONLOOPS_H

#include "attn/Dialect/Attn/IR/Selection.h"

namespace mlir::attn {

/// A parallel loop over rows: bisection of the worst selected score, then one
/// pass that lists the selected entries in order.
SmallVector<Value> buildTopKLoops(OpBuilder &builder, TopKOp op);

/// A parallel loop over tiles of query rows: anchors with one offset are a
/// slice of neighbouring keys. Nothing for an element type it cannot take.
FailureOr<SmallVector<Value>>
buildSpanSearchTiles(OpBuilder &builder, SpanSearchOp op, int64_t tileRows);

/// One attention over the window and one over the spans as rows of their own,
/// which are sorted by where the spans begin, so that the rows of a tile share
/// keys; their results are merged and weighted.
Value expandSpanAttention(OpBuilder &builder, SpanAttentionOp op);

/// The lse of an attention whose output nobody uses, for an importance that has
/// none.
Value buildImportanceLse(OpBuilder &builder, KeyImportanceOp op);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_SELECTION_SELECTIONLOOPS_H
