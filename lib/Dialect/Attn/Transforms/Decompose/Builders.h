//===- Builders.h - What the decompositions are made of ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_BUILDERS_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_BUILDERS_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::attn {

/// A tensor and the map from the loops of a `linalg.generic` to its elements.
struct MappedTensor {
  Value tensor;
  AffineMap map;
};

/// Receives the elements of inputs and destination, returns the result's.
using ElementBody =
    llvm::function_ref<Value(ImplicitLocOpBuilder &, ValueRange elements)>;

/// A `linalg.generic` whose last `reductions` loops are reductions.
Value buildGeneric(ImplicitLocOpBuilder &b, ArrayRef<MappedTensor> inputs,
                   const MappedTensor &destination, unsigned reductions,
                   ElementBody body);

/// A new tensor of which each element is computed by itself.
Value buildElementwise(ImplicitLocOpBuilder &b, ArrayRef<MappedTensor> inputs,
                       ArrayRef<OpFoldResult> shape, Type elementType,
                       ElementBody body);

/// An uninitialised tensor.
Value buildEmpty(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> shape,
                 Type elementType);

/// A tensor of one repeated number.
Value buildFilled(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> shape,
                  FloatType elementType, double number);

Value buildFloat(ImplicitLocOpBuilder &b, FloatType type, double number);

/// `value` rounded or extended to `type`.
Value convertFloat(ImplicitLocOpBuilder &b, Value value, FloatType type);

/// `value` (an integer or index) as index.
Value convertToIndex(ImplicitLocOpBuilder &b, Value value);

/// `tensor` as `type`, which may know more or fewer dimensions.
Value castTensor(ImplicitLocOpBuilder &b, Value tensor, Type type);

/// A dimension of size 0 is known, at which no slice can begin.
bool isKnownEmpty(Value tensor);

FloatType elementTypeOf(Value tensor);

/// f64 stays, all others compute in f32.
FloatType computeTypeOf(Value tensor);

/// How dimension `i` of `tensor`, which may be 1, meets dimension `j` of
/// `whole`.
enum class DimExtent { One, Whole, OneOrWhole };
DimExtent classifyDim(Value tensor, int64_t i, Value whole, int64_t j);

/// Element of `tensor` at `indices`, where a dimension of size 1 is read at 0
/// whatever its index.
Value extractBroadcast(ImplicitLocOpBuilder &b, Value tensor,
                       ArrayRef<OpFoldResult> sizes, ValueRange indices);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_BUILDERS_H
