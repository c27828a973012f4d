//===- Strided.cpp - Every stride-th block of keys ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult StridedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t stride, int64_t block, int64_t phase,
                                  StrideAnchor anchor) {
  if (stride < 1)
    return emitError() << "'stride' is " << stride << "; expected at least 1";
  if (block < 1)
    return emitError() << "'block' is " << block << "; expected at least 1";
  return success();
}

OpFoldResult StridedAttr::keep(OpBuilder &builder, Location loc,
                               const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult distance = math.floorDiv(point.key, getBlock());
  if (getAnchor() == StrideAnchor::Query)
    distance = math.sub(math.floorDiv(point.query, getBlock()), distance);
  distance = math.add(distance, math.constant(getPhase()));
  return math.compare(arith::CmpIPredicate::eq, math.mod(distance, getStride()),
                      math.constant(0));
}

KeyIntervals StridedAttr::visitIntervals(OpBuilder &builder, Location loc,
                                         const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return {{math.constant(0), tile.kvLen}};
}

KeyIntervals StridedAttr::fullIntervals(OpBuilder &, Location,
                                        const MaskTile &) const {
  return {};
}

Attribute StridedAttr::simplify() const {
  if (getStride() == 1)
    return AllOfAttr::get(getContext(), {});
  return *this;
}
