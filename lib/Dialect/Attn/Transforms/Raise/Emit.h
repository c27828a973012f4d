//===- Emit.h - From element expressions back to tensors --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EMIT_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EMIT_H

#include "Expr.h"
#include "mlir/IR/Builders.h"

namespace mlir::attn::raise {

/// Builds tensors of expressions. What was built once is used again by later
/// requests in the same block, so layers share their masks.
class Emitter {
public:
  Emitter(ExprArena &arena, OpBuilder &builder, Location loc)
      : arena(arena), builder(builder), loc(loc) {}
  void setLocation(Location location) { loc = location; }

  /// The index value of an expression over symbols alone.
  OpFoldResult indexValue(AffineExpr expr);

  /// A tensor with one dimension for each axis in `axes`, in that order, that
  /// holds `expr` (which depends on no other axis).
  Value tensorOf(const Expr *expr, ArrayRef<unsigned> axes);

  /// `any` over `axis` of the boolean tensor `tensor` over `axes`.
  Value anyOver(Value tensor, ArrayRef<unsigned> axes, unsigned axis);

  /// Whether every element of the boolean tensor `tensor` holds: a scalar.
  Value allOf(Value tensor);

  /// `tensor` over `axes` as rank 4: [batch, head, query, key], with 1 for
  /// the axes it does not depend on.
  Value asScores(Value tensor, ArrayRef<unsigned> axes);

  /// An elementwise operation on tensors over subsets of `axes`; `inputAxes`
  /// says which each has.
  Value map(ArrayRef<Value> inputs, ArrayRef<SmallVector<unsigned>> inputAxes,
            ArrayRef<unsigned> axes, Type elementType,
            llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> body);

  /// The axes in `mask`, ascending.
  static SmallVector<unsigned> axesIn(unsigned mask);

  /// Code for `expr` at values of the axes; `done` has what is known already.
  Value scalarOf(const Expr *expr, OpBuilder &b,
                 llvm::function_ref<Value(unsigned)> axisValue,
                 llvm::DenseMap<const Expr *, Value> &done);

private:
  Value emptyOver(ArrayRef<unsigned> axes, Type elementType);

  ExprArena &arena;
  OpBuilder &builder;
  Location loc;
  struct Built {
    SmallVector<unsigned> axes;
    SmallVector<AffineExpr> sizes;
    Value value;
  };
  llvm::DenseMap<const Expr *, SmallVector<Built, 1>> built;
  llvm::DenseMap<std::pair<Value, unsigned>, Value> anyBuilt;
  llvm::DenseMap<Value, Value> allBuilt;
};

/// `tensor` without the unit dimensions `dims`.
Value dropUnitDims(OpBuilder &builder, Location loc, Value tensor,
                   ArrayRef<int64_t> dims);
/// `tensor` with unit dimensions inserted, so that dimension `positions[k]`
/// of the result is dimension `k` of `tensor`.
Value insertUnitDims(OpBuilder &builder, Location loc, Value tensor,
                     ArrayRef<int64_t> positions, int64_t rank);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EMIT_H
