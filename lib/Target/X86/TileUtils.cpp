//===- TileUtils.cpp - Shared by the lowerings of tiles -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileUtils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

Value mlir::attn::indexConstant(ImplicitLocOpBuilder &b, int64_t value) {
  return arith::ConstantIndexOp::create(b, value);
}

bool mlir::attn::hasUnitStride(Value buffer) {
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(buffer.getType());
  return type.getRank() &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

OpFoldResult mlir::attn::numRows(ImplicitLocOpBuilder &b, Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (!type.isDynamicDim(0))
    return b.getIndexAttr(type.getDimSize(0));
  if (auto collapse = buffer.getDefiningOp<memref::CollapseShapeOp>())
    if (collapse.getReassociationIndices()[0].size() == 1)
      return numRows(b, collapse.getSrc());
  if (auto expand = buffer.getDefiningOp<memref::ExpandShapeOp>())
    if (expand.getReassociationIndices()[0].size() == 1)
      return numRows(b, expand.getSrc());
  if (auto alloc = buffer.getDefiningOp<memref::AllocOp>())
    return alloc.getDynamicSizes()[0];
  if (auto view = buffer.getDefiningOp<memref::SubViewOp>()) {
    auto dropped = view.getDroppedDims();
    for (auto [dim, size] : llvm::enumerate(view.getMixedSizes()))
      if (!dropped.test(dim))
        return size;
  }
  return memref::DimOp::create(b, buffer, 0).getResult();
}

bool mlir::attn::isMultipleOf(OpFoldResult x, int64_t factor) {
  if (auto constant = getConstantIntValue(x))
    return *constant % factor == 0;
  auto value = cast<Value>(x);
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (isa<arith::MulIOp>(op))
    return isMultipleOf(op->getOperand(0), factor) ||
           isMultipleOf(op->getOperand(1), factor);
  if (isa<arith::MinSIOp, arith::MaxSIOp, arith::AddIOp, arith::SubIOp>(op))
    return isMultipleOf(op->getOperand(0), factor) &&
           isMultipleOf(op->getOperand(1), factor);
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return isMultipleOf(select.getTrueValue(), factor) &&
           isMultipleOf(select.getFalseValue(), factor);
  return false;
}

Value mlir::attn::rootOf(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

Value mlir::attn::prefixMask(ImplicitLocOpBuilder &b, int64_t lanes,
                             int64_t count) {
  SmallVector<bool> bits(lanes, false);
  std::fill_n(bits.begin(), count, true);
  auto type = VectorType::get({lanes}, b.getI1Type());
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, bits));
}

Value mlir::attn::prefixMask(ImplicitLocOpBuilder &b, int64_t lanes,
                             Value count) {
  auto type = VectorType::get({lanes}, b.getI32Type());
  SmallVector<int32_t> numbers(lanes);
  std::iota(numbers.begin(), numbers.end(), 0);
  Value lane = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
  // The count may be too large for the lanes' type.
  Value clamped = arith::MinSIOp::create(b, count, indexConstant(b, lanes));
  Value end = arith::IndexCastOp::create(b, b.getI32Type(), clamped);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lane,
                               vector::BroadcastOp::create(b, type, end));
}

Value mlir::attn::loadLanes(ImplicitLocOpBuilder &b, VectorType type,
                            Value buffer, ValueRange at, int64_t count) {
  int64_t lanes = type.getNumElements();
  if (count >= lanes)
    return vector::LoadOp::create(b, type, buffer, at);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, buffer, at,
                                      prefixMask(b, lanes, count), zero);
}

void mlir::attn::storeLanes(ImplicitLocOpBuilder &b, Value vector, Value buffer,
                            ValueRange at, int64_t count) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  if (count >= lanes)
    vector::StoreOp::create(b, vector, buffer, at);
  else
    vector::MaskedStoreOp::create(b, buffer, at, prefixMask(b, lanes, count),
                                  vector);
}

Value mlir::attn::splat(ImplicitLocOpBuilder &b, VectorType type,
                        double value) {
  auto number = b.getFloatAttr(type.getElementType(), value);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(type, number));
}
