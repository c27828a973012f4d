//===- TileUtils.h - Shared by the lowerings of tiles -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_X86_TILEUTILS_H
#define ATTN_LIB_TARGET_X86_TILEUTILS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::attn {

inline constexpr arith::FastMathFlags sumFlags =
    arith::FastMathFlags::contract | arith::FastMathFlags::reassoc |
    arith::FastMathFlags::nsz;
inline constexpr arith::FastMathFlags maxFlags =
    arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;

/// The larger of two numbers or vectors; which one if one is a NaN is open.
/// An LLVM operation at once: `arith-expand` would make comparisons of it.
Value buildMaximum(ImplicitLocOpBuilder &b, Value x, Value y);

Value indexConstant(ImplicitLocOpBuilder &b, int64_t value);

/// Whether neighbours in the last dimension are neighbours in memory.
bool hasUnitStride(Value buffer);

/// Number of rows (dimension 0): a constant, or the value that the buffer was
/// allocated or sliced with, or a new `memref.dim`.
OpFoldResult numRows(ImplicitLocOpBuilder &b, Value buffer);

/// Whether `value` is provably a multiple of `factor`.
bool isMultipleOf(OpFoldResult value, int64_t factor);

/// The allocation or argument behind views.
Value rootOf(Value buffer);

/// `lanes` constants true in the first `count` places.
Value prefixMask(ImplicitLocOpBuilder &b, int64_t lanes, int64_t count);
/// The same for a count that only the program knows.
Value prefixMask(ImplicitLocOpBuilder &b, int64_t lanes, Value count);

/// Load and store of the first `count` of `type`'s elements.
Value loadLanes(ImplicitLocOpBuilder &b, VectorType type, Value buffer,
                ValueRange at, int64_t count);
void storeLanes(ImplicitLocOpBuilder &b, Value vector, Value buffer,
                ValueRange at, int64_t count);

/// A vector constant of one repeated number.
Value splat(ImplicitLocOpBuilder &b, VectorType type, double value);

/// 2 to the power of a vector of f32 (TileMath.cpp).
Value buildExp2(ImplicitLocOpBuilder &b, Value x, bool scalef);

/// Transposes as many vectors as each has elements (TileMath.cpp).
SmallVector<Value> transposeSquare(ImplicitLocOpBuilder &b,
                                   ArrayRef<Value> rows);

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_X86_TILEUTILS_H
