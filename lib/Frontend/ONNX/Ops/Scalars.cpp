//===- Scalars.cpp - Scalar arithmetic by ONNX element type ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <limits>

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

Value Scalars::add(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::AddFOp::create(b, l, x, y);
  return arith::AddIOp::create(b, l, x, y);
}
Value Scalars::sub(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::SubFOp::create(b, l, x, y);
  return arith::SubIOp::create(b, l, x, y);
}
Value Scalars::mul(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::MulFOp::create(b, l, x, y);
  return arith::MulIOp::create(b, l, x, y);
}
Value Scalars::max(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::MaximumFOp::create(b, l, x, y);
  if (isUnsigned(dataType) || dataType == Bool)
    return arith::MaxUIOp::create(b, l, x, y);
  return arith::MaxSIOp::create(b, l, x, y);
}
Value Scalars::min(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::MinimumFOp::create(b, l, x, y);
  if (isUnsigned(dataType) || dataType == Bool)
    return arith::MinUIOp::create(b, l, x, y);
  return arith::MinSIOp::create(b, l, x, y);
}
Value Scalars::less(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT, x, y);
  bool isUnsignedType = isUnsigned(dataType) || dataType == Bool;
  return arith::CmpIOp::create(b, l,
                               isUnsignedType ? arith::CmpIPredicate::ult
                                              : arith::CmpIPredicate::slt,
                               x, y);
}
Value Scalars::equal(Value x, Value y) const {
  if (isFloat(dataType))
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ, x, y);
  return arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, x, y);
}
Value Scalars::select(Value condition, Value x, Value y) const {
  return arith::SelectOp::create(b, l, condition, x, y);
}

Value Indices::number(int64_t value) const {
  return arith::ConstantIndexOp::create(b, l, value);
}
Value Indices::add(Value x, Value y) const {
  return arith::AddIOp::create(b, l, x, y);
}
Value Indices::sub(Value x, Value y) const {
  return arith::SubIOp::create(b, l, x, y);
}
Value Indices::mul(Value x, Value y) const {
  return arith::MulIOp::create(b, l, x, y);
}
Value Indices::div(Value x, Value y) const {
  return arith::DivUIOp::create(b, l, x, y);
}
Value Indices::rem(Value x, Value y) const {
  return arith::RemUIOp::create(b, l, x, y);
}
Value Indices::floorRem(Value x, Value y) const {
  Value rest = arith::RemSIOp::create(b, l, x, y);
  Value moved = add(rest, y);
  return select(less(rest, number(0)), moved, rest);
}
Value Indices::max(Value x, Value y) const {
  return arith::MaxSIOp::create(b, l, x, y);
}
Value Indices::min(Value x, Value y) const {
  return arith::MinSIOp::create(b, l, x, y);
}
Value Indices::less(Value x, Value y) const {
  return arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, x, y);
}
Value Indices::equal(Value x, Value y) const {
  return arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, x, y);
}
Value Indices::both(Value x, Value y) const {
  return arith::AndIOp::create(b, l, x, y);
}
Value Indices::select(Value condition, Value x, Value y) const {
  return arith::SelectOp::create(b, l, condition, x, y);
}
Value Indices::clamp(Value x, Value size) const {
  return max(min(x, sub(size, number(1))), number(0));
}
Value Indices::inside(Value x, Value size) const {
  // As an unsigned number, a negative one is larger than any size.
  return arith::CmpIOp::create(b, l, arith::CmpIPredicate::ult, x, size);
}
Value Indices::safe(Value raw, Value size) const {
  Value index = raw;
  if (!raw.getType().isIndex())
    index = arith::IndexCastOp::create(b, l, b.getIndexType(), raw);
  index = select(less(index, number(0)), add(index, size), index);
  return clamp(index, size);
}

Value onnx::extremeOf(Emitter &emit, int32_t dataType, bool isLargest) {
  Type type = emit.elementType(dataType);
  if (isFloat(dataType))
    return emit.scalarConstant(
        type, isLargest ? std::numeric_limits<double>::infinity()
                        : -std::numeric_limits<double>::infinity());
  unsigned width = type.getIntOrFloatBitWidth();
  bool isUnsignedType = isUnsigned(dataType) || dataType == Bool;
  APInt value = isUnsignedType ? (isLargest ? APInt::getMaxValue(width)
                                            : APInt::getMinValue(width))
                               : (isLargest ? APInt::getSignedMaxValue(width)
                                            : APInt::getSignedMinValue(width));
  return emit.scalarConstant(IntegerAttr::get(type, value));
}
