//===- ScalarEmitter.h - Scalar code of one thread --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_KERNELS_SCALAREMITTER_H
#define ATTN_LIB_TARGET_NVIDIA_KERNELS_SCALAREMITTER_H

#include "Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <deque>

namespace mlir::attn::nvidia {

/// Emits scalar operations of a kernel on tensors as code of one thread. An
/// `index` becomes an i32; only addresses are computed in 64 bits.
class ScalarEmitter {
public:
  ScalarEmitter(func::FuncOp source, gpu::GPUFuncOp target);
  virtual ~ScalarEmitter() = default;

  /// Why the kernel cannot be emitted.
  const std::string &reason() const { return why; }

protected:
  LogicalResult fail(Operation *op, const Twine &reason);
  Type convert(Type type);
  Value constant(int64_t value); ///< i32
  Value wide(int64_t value);     ///< i64
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return b ? add(a, constant(b)) : a; }
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b) { return b == 1 ? a : mul(a, constant(b)); }
  Value divide(Value a, int64_t b); ///< of a number that is not negative
  Value modulo(Value a, int64_t b);
  Value minimum(Value a, Value b);
  Value less(Value a, Value b);
  Value both(Value a, Value b); ///< null counts as true
  Value valueOf(OpFoldResult x);
  Value lookup(Value x) { return scalars.lookup(x); }

  /// Makes buffers and scalars of the parameters.
  void bindParameters();
  /// The forall's induction variables for the point with a number.
  void bindPoint(scf::ForallOp loop, Value point);
  /// Number of points of a loop.
  Value countPoints(scf::ForallOp loop);

  Value address(const View &view, ArrayRef<Value> indices);
  Value load(const View &view, ArrayRef<Value> indices);
  void store(const View &view, ArrayRef<Value> indices, Value element);
  FailureOr<View> slice(tensor::ExtractSliceOp op, const View &source);
  View viewOf(const Buffer &buffer);

  /// Emits an operation on scalars.
  LogicalResult emitScalar(Operation *op);
  virtual FailureOr<Value> emitExtract(tensor::ExtractOp op);
  virtual Value emitIndex(linalg::IndexOp op) { return {}; }
  /// Emits the operations of a block but its terminator.
  virtual LogicalResult emitOp(Operation *op) { return emitScalar(op); }
  LogicalResult emitBlock(Block &block);

  func::FuncOp source;
  gpu::GPUFuncOp target;
  ImplicitLocOpBuilder b;
  DenseMap<Value, Value> scalars;
  DenseMap<Value, View> views;
  std::deque<Buffer> buffers;
  Value thread; ///< number in the block

private:
  std::string why;
};

} // namespace mlir::attn::nvidia

#endif // ATTN_LIB_TARGET_NVIDIA_KERNELS_SCALAREMITTER_H
