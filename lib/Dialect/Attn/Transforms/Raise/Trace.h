//===- Trace.h - From tensors to element expressions ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_TRACE_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_TRACE_H

#include "Expr.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::attn::raise {

/// Reads tensor programs: an element of a tensor is followed through
/// elementwise operations, broadcasts, transposes, reshapes, slices and
/// concatenations down to what computes it otherwise (a contraction, a
/// reduction, an argument), which becomes a `Load`.
class Tracer {
public:
  explicit Tracer(ExprArena &arena) : arena(arena) {}

  /// The element of `tensor` at `indices`.
  const Expr *elementOf(Value tensor, ArrayRef<AffineExpr> indices);
  /// The scalar `value`, outside of any structured operation.
  const Expr *scalarOf(Value value);

  /// A value in the body of `op` in the iteration `loops`; null when it has no
  /// expression.
  const Expr *bodyValue(linalg::LinalgOp op, ArrayRef<AffineExpr> loops,
                        Value value) {
    Body body;
    body.op = op;
    body.loops.assign(loops.begin(), loops.end());
    return evaluate(value, &body);
  }

  /// Follows reads at computed indices; otherwise what has them stays a load.
  void followGathers() { gathers = true; }

  /// Elements of `tensor` stay loads.
  void stopAt(Value tensor) { stops.insert(tensor); }

  ExprArena &getArena() { return arena; }

private:
  struct Body {
    linalg::LinalgOp op;
    SmallVector<AffineExpr> loops;
    llvm::DenseMap<Value, const Expr *> values;
  };
  const Expr *compute(Value tensor, ArrayRef<AffineExpr> indices);
  const Expr *elementOfStructured(linalg::LinalgOp op, unsigned result,
                                  ArrayRef<AffineExpr> indices);
  /// Null when the value has no expression.
  const Expr *evaluate(Value value, Body *body);

  ExprArena &arena;
  llvm::DenseSet<Value> stops;
  struct Entry {
    SmallVector<AffineExpr, 4> indices;
    const Expr *expr;
  };
  llvm::DenseMap<Value, SmallVector<Entry, 1>> memo;
  unsigned depth = 0;
  bool gathers = false;
};

/// True when every loop of `op` is parallel and result `result` is written
/// through a permutation of the loops.
bool isElementwise(linalg::LinalgOp op, unsigned result);

/// The single source of a reshape, cast or slice and the indices there of the
/// element `indices`; false for other operations.
bool stepThroughView(ExprArena &arena, Operation *op,
                     ArrayRef<AffineExpr> indices, Value &source,
                     SmallVectorImpl<AffineExpr> &sourceIndices);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_TRACE_H
