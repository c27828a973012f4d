//===- Builders.cpp - What the decompositions are made of -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::attn;

Value mlir::attn::buildGeneric(ImplicitLocOpBuilder &b,
                               ArrayRef<MappedTensor> inputs,
                               const MappedTensor &destination,
                               unsigned reductions, ElementBody body) {
  SmallVector<Value> tensors;
  SmallVector<AffineMap> maps;
  for (const MappedTensor &input : inputs) {
    tensors.push_back(input.tensor);
    maps.push_back(input.map);
  }
  maps.push_back(destination.map);
  unsigned loops = destination.map.getNumDims();
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::parallel);
  for (unsigned i = loops - reductions; i < loops; ++i)
    iterators[i] = utils::IteratorType::reduction;
  auto generic = linalg::GenericOp::create(
      b, TypeRange{destination.tensor.getType()}, tensors,
      ValueRange{destination.tensor}, maps, iterators,
      [&](OpBuilder &nested, Location loc, ValueRange elements) {
        ImplicitLocOpBuilder inner(loc, nested);
        linalg::YieldOp::create(inner, body(inner, elements));
      });
  return generic.getResult(0);
}

Value mlir::attn::buildElementwise(ImplicitLocOpBuilder &b,
                                   ArrayRef<MappedTensor> inputs,
                                   ArrayRef<OpFoldResult> shape,
                                   Type elementType, ElementBody body) {
  AffineMap all =
      AffineMap::getMultiDimIdentityMap(shape.size(), b.getContext());
  return buildGeneric(b, inputs, {buildEmpty(b, shape, elementType), all},
                      /*reductions=*/0, body);
}

Value mlir::attn::buildEmpty(ImplicitLocOpBuilder &b,
                             ArrayRef<OpFoldResult> shape, Type elementType) {
  return tensor::EmptyOp::create(b, shape, elementType);
}

Value mlir::attn::buildFilled(ImplicitLocOpBuilder &b,
                              ArrayRef<OpFoldResult> shape,
                              FloatType elementType, double number) {
  Value scalar = buildFloat(b, elementType, number);
  Value empty = buildEmpty(b, shape, elementType);
  return linalg::FillOp::create(b, scalar, empty).getResult(0);
}

Value mlir::attn::buildFloat(ImplicitLocOpBuilder &b, FloatType type,
                             double number) {
  return arith::ConstantOp::create(b, b.getFloatAttr(type, number));
}

Value mlir::attn::convertFloat(ImplicitLocOpBuilder &b, Value value,
                               FloatType type) {
  auto from = cast<FloatType>(value.getType());
  if (from == type)
    return value;
  // The two 16-bit types meet in f32, which holds both.
  if (from.getWidth() == type.getWidth())
    return arith::TruncFOp::create(
        b, type, arith::ExtFOp::create(b, b.getF32Type(), value));
  if (from.getWidth() < type.getWidth())
    return arith::ExtFOp::create(b, type, value);
  return arith::TruncFOp::create(b, type, value);
}

Value mlir::attn::convertToIndex(ImplicitLocOpBuilder &b, Value value) {
  if (value.getType().isIndex())
    return value;
  return arith::IndexCastOp::create(b, b.getIndexType(), value);
}

Value mlir::attn::castTensor(ImplicitLocOpBuilder &b, Value tensor, Type type) {
  if (tensor.getType() == type)
    return tensor;
  return tensor::CastOp::create(b, type, tensor);
}

bool mlir::attn::isKnownEmpty(Value tensor) {
  return llvm::is_contained(cast<RankedTensorType>(tensor.getType()).getShape(),
                            0);
}

FloatType mlir::attn::elementTypeOf(Value tensor) {
  return cast<FloatType>(
      cast<RankedTensorType>(tensor.getType()).getElementType());
}

FloatType mlir::attn::computeTypeOf(Value tensor) {
  FloatType type = elementTypeOf(tensor);
  return type.isF64() ? type : Float32Type::get(type.getContext());
}

DimExtent mlir::attn::classifyDim(Value tensor, int64_t i, Value whole,
                                  int64_t j) {
  auto type = cast<RankedTensorType>(tensor.getType());
  auto wholeType = cast<RankedTensorType>(whole.getType());
  if (type.getDimSize(i) == 1)
    return DimExtent::One;
  if (!type.isDynamicDim(i) || wholeType.getDimSize(j) == 1)
    return DimExtent::Whole;
  FailureOr<bool> equal =
      ValueBoundsConstraintSet::areEqual({tensor, i}, {whole, j});
  return succeeded(equal) && *equal ? DimExtent::Whole : DimExtent::OneOrWhole;
}

Value mlir::attn::extractBroadcast(ImplicitLocOpBuilder &b, Value tensor,
                                   ArrayRef<OpFoldResult> sizes,
                                   ValueRange indices) {
  IndexMath math(b, b.getLoc());
  SmallVector<Value> at;
  for (auto [size, index] : llvm::zip_equal(sizes, indices)) {
    OpFoldResult last = math.sub(size, math.constant(1));
    auto known = constantOf(last);
    at.push_back(!known        ? math.materialize(math.min(index, last))
                 : *known == 0 ? math.materialize(math.constant(0))
                               : index);
  }
  return tensor::ExtractOp::create(b, tensor, at);
}
