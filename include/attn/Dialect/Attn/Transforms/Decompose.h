//===- Decompose.h - The linalg meaning of attn operations ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_H
#define ATTN_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_H

#include "attn/Dialect/Attn/IR/Linear.h"
#include "attn/Dialect/Attn/IR/Selection.h"

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace mlir::attn {

/// Each function builds the textbook form of `op` where `builder` stands and
/// returns one value for each result, of its type. `op` itself stays.
SmallVector<Value> decompose(OpBuilder &builder, AttentionOp op);
SmallVector<Value> decompose(OpBuilder &builder, MergeOp op);
SmallVector<Value> decompose(OpBuilder &builder, RopeOp op);
SmallVector<Value> decompose(OpBuilder &builder, KVAppendOp op);
SmallVector<Value> decompose(OpBuilder &builder, TopKOp op);
SmallVector<Value> decompose(OpBuilder &builder, RouteHeadsOp op);
SmallVector<Value> decompose(OpBuilder &builder, ListRowsOp op);
SmallVector<Value> decompose(OpBuilder &builder, PoolOp op);
SmallVector<Value> decompose(OpBuilder &builder, SegmentOp op);
SmallVector<Value> decompose(OpBuilder &builder, GatherRowsOp op);
SmallVector<Value> decompose(OpBuilder &builder, LinearAttentionOp op);
SmallVector<Value> decompose(OpBuilder &builder, SpanSearchOp op);
SmallVector<Value> decompose(OpBuilder &builder, SpanBoundsOp op);
SmallVector<Value> decompose(OpBuilder &builder, SpanAttentionOp op);
SmallVector<Value> decompose(OpBuilder &builder, KeyImportanceOp op);
SmallVector<Value> decompose(OpBuilder &builder, LocalLinearAttentionOp op);
SmallVector<Value> decompose(OpBuilder &builder, MonotonicAlignOp op);
SmallVector<Value> decompose(OpBuilder &builder, ScatterRowsOp op);

/// One pattern for each operation that has a decomposition.
void populateDecomposePatterns(RewritePatternSet &patterns);

} // namespace mlir::attn

#endif // ATTN_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_H
