//===- KeyLists.cpp - Intervals of keys -----------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

KeyInterval mlir::attn::intersect(OpBuilder &builder, Location loc,
                                  const KeyInterval &a, const KeyInterval &b) {
  IndexMath math(builder, loc);
  return {math.max(a.begin, b.begin), math.min(a.end, b.end)};
}

OpFoldResult mlir::attn::isInside(OpBuilder &builder, Location loc,
                                  const KeyInterval &x,
                                  ArrayRef<KeyInterval> intervals) {
  IndexMath math(builder, loc);
  OpFoldResult inside = math.boolean(false);
  for (const KeyInterval &y : intervals)
    inside = math.logicalOr(
        inside, math.logicalAnd(
                    math.compare(arith::CmpIPredicate::sge, x.begin, y.begin),
                    math.compare(arith::CmpIPredicate::sle, x.end, y.end)));
  return inside;
}

MaskAttrInterface mlir::attn::prepareMask(OpBuilder &builder, Location loc,
                                          MaskAttrInterface mask,
                                          const MaskSizes &sizes,
                                          SmallVectorImpl<Value> &operands) {
  return cast<MaskAttrInterface>(mask.prepare(builder, loc, sizes, operands));
}
