//===- Sink.cpp - The first keys ------------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult SinkAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t size) {
  if (size < 0 || size > kMaxMaskDistance)
    return emitError() << "the size of a sink is " << size
                       << "; expected a number of keys up to "
                       << kMaxMaskDistance;
  return success();
}

OpFoldResult SinkAttr::keep(OpBuilder &builder, Location loc,
                            const MaskPoint &point) const {
  IndexMath math(builder, loc);
  return math.compare(arith::CmpIPredicate::slt, point.key,
                      math.constant(getSize()));
}

KeyIntervals SinkAttr::visitIntervals(OpBuilder &builder, Location loc,
                                      const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return {{math.constant(0), math.constant(getSize())}};
}

KeyIntervals SinkAttr::fullIntervals(OpBuilder &builder, Location loc,
                                     const MaskTile &tile) const {
  return visitIntervals(builder, loc, tile);
}

Attribute SinkAttr::simplify(SmallVectorImpl<unsigned> &) const {
  if (getSize() == 0)
    return AnyOfAttr::get(getContext(), {});
  return *this;
}
