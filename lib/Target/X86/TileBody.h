//===- TileBody.h - Vector code for the body of a row operation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_X86_TILEBODY_H
#define ATTN_LIB_TARGET_X86_TILEBODY_H

#include "TileUtils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::attn {

/// Evaluates the body of a `linalg.generic` with loops (row) or (row, column)
/// for one row, `lanes` columns at a time. What does not depend on the column
/// stays scalar and is computed once for the row; column indices are i32.
class TileBody {
public:
  /// `row` is the value of loop 0.
  TileBody(ImplicitLocOpBuilder &b, linalg::GenericOp op, Value row,
           int64_t lanes, bool scalef)
      : b(b), op(op), row(row), lanes(lanes), scalef(scalef) {
    columns = op.getNumLoops() == 2 ? op.getStaticLoopRanges()[1] : 0;
  }

  /// Value of body value `x` for columns [chunk * lanes, ...): a vector, or a
  /// scalar if it is the same for all columns. `argument` supplies the values
  /// of the body's arguments for this chunk.
  Value evaluate(Value x, int64_t chunk,
                 llvm::function_ref<Value(BlockArgument)> argument);

  /// `x` as a vector of `lanes`.
  Value widen(Value x);

  /// A load replaced by given values, one for each chunk.
  void replaceLoad(memref::LoadOp load, ArrayRef<Value> chunks) {
    replaced = load;
    replacement.assign(chunks.begin(), chunks.end());
  }

  /// Scalar value of `x` (an index expression) at one column.
  Value evaluateAt(Value x, int64_t column);

  /// `x` as an expression of d0 = row loop and d1 = column, if it is made of
  /// them and constants alone.
  AffineExpr asAffine(Value x);

  /// Value of `x` at one column, where the replaced load is its first chunk.
  Value evaluateMixed(Value x, int64_t column);

private:
  bool dependsOnColumn(Value x);
  /// d x / d column, if it is the same everywhere.
  std::optional<int64_t> slope(Value x);
  /// Whether `x` grows with the column, by one at a time, until it stays.
  bool runsToLimit(Value x);
  Value scalarOf(Value x, llvm::function_ref<Value(BlockArgument)> argument);
  Value evaluateLoad(memref::LoadOp load, int64_t chunk,
                     llvm::function_ref<Value(BlockArgument)> argument);
  Value loadContiguous(memref::LoadOp load, ArrayRef<Value> at, Value mask,
                       int64_t count);
  Value evaluateOp(Operation *inner, SmallVector<Value> operands);

  ImplicitLocOpBuilder &b;
  linalg::GenericOp op;
  Value row;
  int64_t lanes, columns;
  bool scalef;
  DenseMap<Value, Value> scalars;
  DenseMap<std::pair<Value, int64_t>, Value> vectors;
  DenseMap<Value, bool> columnDependence;
  memref::LoadOp replaced;
  SmallVector<Value> replacement;
};

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_X86_TILEBODY_H
