//===- LoopEmitter.h - One linalg operation as vector loops -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_X86_LOOPEMITTER_H
#define ATTN_LIB_TARGET_X86_LOOPEMITTER_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::attn {

/// A buffer of one row only that stands for a whole one: the first `numRows`
/// indices are dropped.
struct RowBuffers {
  unsigned numRows = 0;
  llvm::DenseMap<Value, Value> scratch;
};

/// Emits the loops of a linalg operation on buffers. Its first dimensions may
/// be fixed by the caller (rows); of the others one is vectorized if that is
/// possible.
class LoopEmitter {
public:
  LoopEmitter(linalg::LinalgOp op, unsigned numRows, int64_t lanes);

  /// The dimension that runs over the lanes of vectors, if any.
  std::optional<unsigned> getVectorDim() const { return vectorDim; }

  /// Emits at `b` the loops over all dimensions but the rows. `sizes` are those
  /// of all dimensions, `rows` the indices of the rows.
  void emit(ImplicitLocOpBuilder &b, ValueRange sizes, ValueRange rows,
            const RowBuffers &buffers);

private:
  bool canVectorize(unsigned dim);
  void emitInner(ImplicitLocOpBuilder &b);
  void emitLanesParallel(ImplicitLocOpBuilder &b);
  void emitLanesReduced(ImplicitLocOpBuilder &b);
  void emitPoint(ImplicitLocOpBuilder &b, Value mask);
  SmallVector<Value> emitBody(ImplicitLocOpBuilder &b, Value mask,
                              ValueRange outs);
  /// Loops over `dims` with values carried along; `body` emits one iteration.
  SmallVector<Value> emitCarriedLoops(
      ImplicitLocOpBuilder &b, ArrayRef<unsigned> dims, ValueRange carried,
      llvm::function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)>
          body);

  struct Access {
    Value buffer;
    SmallVector<Value> indices;
    bool isVector;
  };
  Access access(ImplicitLocOpBuilder &b, OpOperand &operand);
  Value load(ImplicitLocOpBuilder &b, OpOperand &operand, Value mask);
  void store(ImplicitLocOpBuilder &b, OpOperand &operand, Value value,
             Value mask);
  VectorType vectorOf(Type element) const;
  Value toVector(ImplicitLocOpBuilder &b, Value value) const;

  linalg::LinalgOp op;
  unsigned numRows;
  int64_t lanes;
  std::optional<unsigned> vectorDim;
  SmallVector<unsigned> otherReductions;

  // While emitting.
  SmallVector<Value> sizes, indices;
  const RowBuffers *buffers = nullptr;
};

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_X86_LOOPEMITTER_H
