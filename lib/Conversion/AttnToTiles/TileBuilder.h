//===- TileBuilder.h - What tile programs are made of -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_TILEBUILDER_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_TILEBUILDER_H

#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::attn {

/// A [B, H, S, D] tensor as it lies in memory: dimension `i` of the attention
/// is dimension `dims[i]` of `source`.
struct TensorView {
  Value source;
  SmallVector<int64_t, 4> dims = {0, 1, 2, 3};

  /// `indices` of the attention in the order of the source.
  template <typename T>
  SmallVector<T> permute(ArrayRef<T> indices) const {
    SmallVector<T> result(indices.size());
    for (auto [i, dim] : llvm::enumerate(dims))
      result[dim] = indices[i];
    return result;
  }
};

/// The tensor behind transposes. With `lastStays`, the last dimension remains
/// the last one of the source.
TensorView lookThroughTransposes(Value tensor, bool lastStays);

/// Sizes of queries, keys and values of which all but batch and lengths are
/// known.
struct StaticHeads {
  StaticHeads(OpBuilder &builder, Location loc, Value query, Value key,
              Value value);

  TensorView query, key, value; ///< features stay last
  OpFoldResult batches, queryLen, kvLen;
  int64_t heads, keyHeads, group, features, values;
  FloatType element;
};

/// Operations on tiles at the builder's place.
class TileBuilder {
protected:
  using Body = llvm::function_ref<Value(ValueRange elements)>;

  TileBuilder(OpBuilder &builder, Location loc)
      : b(loc, builder), math(b, loc), compute(b.getF32Type()) {}

  Value empty(ArrayRef<OpFoldResult> shape, Type element);
  Value fill(Value destination, double number);
  Value generic(ArrayRef<Value> inputs, Value destination,
                ArrayRef<ArrayRef<unsigned>> dims, unsigned loops,
                unsigned reductions, Body body);
  Value index(unsigned loop);
  Value number(double value);
  Value toCompute(Value element);
  /// Size of a dimension as the type has it.
  static int64_t sizeOf(Value tensor, int64_t dim) {
    return cast<RankedTensorType>(tensor.getType()).getDimSize(dim);
  }
  Value slice(Value source, ArrayRef<OpFoldResult> offsets,
              ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> kept);
  void insert(scf::ForallOp forall, Value tile, unsigned result,
              ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes);
  /// Runs `body` for each point of `bounds` in parallel.
  scf::ForallOp forall(ArrayRef<OpFoldResult> bounds, ValueRange destinations,
                       llvm::function_ref<void(scf::ForallOp)> body);
  OpFoldResult c(int64_t value) { return math.constant(value); }
  Value extract(Value source, ArrayRef<OpFoldResult> indices);
  /// `start` plus the product of two matrices.
  Value contract(Value left, Value right, Value start);
  /// An operand that is one number or one for each batch entry.
  OpFoldResult perBatch(Value operand, OpFoldResult batch);

  ImplicitLocOpBuilder b;
  IndexMath math;
  FloatType compute; ///< of what is computed
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_TILEBUILDER_H
