//===- IndexMath.cpp - Index arithmetic that folds constants --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;

std::optional<int64_t> mlir::attn::constantOf(OpFoldResult x) {
  if (auto attr = dyn_cast_if_present<Attribute>(x)) {
    auto integer = dyn_cast<IntegerAttr>(attr);
    if (!integer)
      return std::nullopt;
    if (integer.getType().isInteger(1))
      return integer.getValue().isZero() ? 0 : 1;
    return integer.getValue().getSExtValue();
  }
  return std::nullopt;
}

OpFoldResult IndexMath::constant(int64_t value) const {
  return builder.getIndexAttr(value);
}

OpFoldResult IndexMath::boolean(bool value) const {
  return builder.getBoolAttr(value);
}

Value IndexMath::materialize(OpFoldResult x) const {
  if (auto value = dyn_cast<Value>(x))
    return value;
  auto attr = cast<IntegerAttr>(cast<Attribute>(x));
  return arith::ConstantOp::create(builder, loc, attr);
}

OpFoldResult IndexMath::add(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return constant(*ca + *cb);
  if (ca && *ca == 0)
    return b;
  if (cb && *cb == 0)
    return a;
  return arith::AddIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::sub(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return constant(*ca - *cb);
  if (cb && *cb == 0)
    return a;
  if (a == b)
    return constant(0);
  return arith::SubIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::mul(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return constant(*ca * *cb);
  if ((ca && *ca == 0) || (cb && *cb == 0))
    return constant(0);
  if (ca && *ca == 1)
    return b;
  if (cb && *cb == 1)
    return a;
  return arith::MulIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::min(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return constant(std::min(*ca, *cb));
  if (a == b)
    return a;
  return arith::MinSIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::max(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return constant(std::max(*ca, *cb));
  if (a == b)
    return a;
  return arith::MaxSIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::floorDiv(OpFoldResult a, int64_t b) const {
  assert(b > 0 && "the divisor must be positive");
  if (auto ca = constantOf(a))
    return constant(llvm::divideFloorSigned(*ca, b));
  if (b == 1)
    return a;
  return arith::FloorDivSIOp::create(builder, loc, materialize(a),
                                     materialize(constant(b)))
      .getResult();
}

OpFoldResult IndexMath::ceilDiv(OpFoldResult a, int64_t b) const {
  assert(b > 0 && "the divisor must be positive");
  if (auto ca = constantOf(a))
    return constant(llvm::divideCeilSigned(*ca, b));
  if (b == 1)
    return a;
  return arith::CeilDivSIOp::create(builder, loc, materialize(a),
                                    materialize(constant(b)))
      .getResult();
}

OpFoldResult IndexMath::mod(OpFoldResult a, int64_t b) const {
  if (b == 1)
    return constant(0);
  return sub(a, mul(floorDiv(a, b), constant(b)));
}

OpFoldResult IndexMath::compare(arith::CmpIPredicate predicate, OpFoldResult a,
                                OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca && cb)
    return boolean(arith::applyCmpPredicate(predicate, APInt(64, *ca, true),
                                            APInt(64, *cb, true)));
  return arith::CmpIOp::create(builder, loc, predicate, materialize(a),
                               materialize(b))
      .getResult();
}

OpFoldResult IndexMath::logicalAnd(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca)
    return *ca ? b : a;
  if (cb)
    return *cb ? a : b;
  return arith::AndIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::logicalOr(OpFoldResult a, OpFoldResult b) const {
  auto ca = constantOf(a), cb = constantOf(b);
  if (ca)
    return *ca ? a : b;
  if (cb)
    return *cb ? b : a;
  return arith::OrIOp::create(builder, loc, materialize(a), materialize(b))
      .getResult();
}

OpFoldResult IndexMath::logicalNot(OpFoldResult a) const {
  if (auto ca = constantOf(a))
    return boolean(!*ca);
  return arith::XOrIOp::create(builder, loc, materialize(a),
                               materialize(boolean(true)))
      .getResult();
}

OpFoldResult IndexMath::select(OpFoldResult condition, OpFoldResult a,
                               OpFoldResult b) const {
  if (auto c = constantOf(condition))
    return *c ? a : b;
  if (a == b)
    return a;
  return arith::SelectOp::create(builder, loc, materialize(condition),
                                 materialize(a), materialize(b))
      .getResult();
}
