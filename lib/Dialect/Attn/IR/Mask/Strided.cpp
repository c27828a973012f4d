//===- Strided.cpp - Every stride-th block of keys ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult StridedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t stride, int64_t block, int64_t phase,
                                  StrideAnchor anchor) {
  for (auto [name, size] : {std::pair("stride", stride), {"block", block}})
    if (size < 1 || size > kMaxMaskDistance)
      return emitError() << "'" << name << "' is " << size << "; expected 1 to "
                         << kMaxMaskDistance;
  if (phase < -kMaxMaskDistance || phase > kMaxMaskDistance)
    return emitError() << "'phase' is " << phase << "; expected "
                       << -kMaxMaskDistance << " to " << kMaxMaskDistance;
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

Attribute StridedAttr::simplify(SmallVectorImpl<unsigned> &) const {
  if (getStride() == 1)
    return AllOfAttr::get(getContext(), {});
  return *this;
}
