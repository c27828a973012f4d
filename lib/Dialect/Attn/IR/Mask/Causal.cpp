//===- Causal.cpp - Keys at or before the query ---------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

OpFoldResult CausalAttr::keep(OpBuilder &builder, Location loc,
                              const MaskPoint &point) const {
  IndexMath math(builder, loc);
  return math.compare(arith::CmpIPredicate::sle, point.key, point.query);
}

KeyIntervals CausalAttr::visitIntervals(OpBuilder &builder, Location loc,
                                        const MaskTile &tile) const {
  // The last query of the tile sees the most.
  IndexMath math(builder, loc);
  return {{math.constant(0), tile.queryEnd}};
}

KeyIntervals CausalAttr::fullIntervals(OpBuilder &builder, Location loc,
                                       const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return {{math.constant(0), math.add(tile.queryBegin, math.constant(1))}};
}
