//===- Scalars.h - Scalar arithmetic by ONNX element type -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds scalar expressions in bodies of operations, choosing between the
// float, signed and unsigned operations by the ONNX element type.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_OPS_SCALARS_H
#define ATTN_LIB_FRONTEND_ONNX_OPS_SCALARS_H

#include "../Emitter.h"

namespace mlir::attn::frontend::onnx {

struct Scalars {
  OpBuilder &b;
  Location l;
  int32_t dataType;

  Value add(Value x, Value y) const;
  Value sub(Value x, Value y) const;
  Value mul(Value x, Value y) const;
  Value max(Value x, Value y) const;
  Value min(Value x, Value y) const;
  Value less(Value x, Value y) const;
  Value equal(Value x, Value y) const;
  Value select(Value condition, Value x, Value y) const;
};

/// Index expressions in bodies.
struct Indices {
  OpBuilder &b;
  Location l;

  Value number(int64_t value) const;
  Value add(Value x, Value y) const;
  Value sub(Value x, Value y) const;
  Value mul(Value x, Value y) const;
  /// Truncating division and remainder of numbers that are not negative.
  Value div(Value x, Value y) const;
  Value rem(Value x, Value y) const;
  /// Remainder with the sign of the divisor.
  Value floorRem(Value x, Value y) const;
  Value max(Value x, Value y) const;
  Value min(Value x, Value y) const;
  Value less(Value x, Value y) const;
  Value equal(Value x, Value y) const;
  Value both(Value x, Value y) const;
  Value select(Value condition, Value x, Value y) const;
  /// `x` moved into [0, size - 1].
  Value clamp(Value x, Value size) const;
  /// Whether `x` lies in [0, size - 1].
  Value inside(Value x, Value size) const;
  /// An index read from a tensor: negative ones count from the end, and none
  /// leaves the dimension.
  Value safe(Value raw, Value size) const;
};

/// The smallest or largest value of a type, as the start of a maximum.
Value extremeOf(Emitter &emit, int32_t dataType, bool isLargest);

/// The type in which sums of `dataType` are kept.
inline int32_t accumulatorOf(int32_t dataType) {
  return dataType == Float16 || dataType == BFloat16 ? int32_t(Float32)
                                                     : dataType;
}

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_OPS_SCALARS_H
