//===- Elastic.cpp - The first and the recent keys of each head -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Operands.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult ElasticAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t block) {
  if (block < 1 || block > kMaxMaskDistance)
    return emitError() << "'block' is " << block << "; expected 1 to "
                       << kMaxMaskDistance;
  return success();
}

unsigned ElasticAttr::getNumMaskOperands() const { return 2; }

LogicalResult
ElasticAttr::verifyMask(const MaskUse &use,
                        function_ref<InFlightDiagnostic()> emit) const {
  StringRef names[] = {"numbers of first keys", "numbers of recent keys"};
  for (auto [type, name] : llvm::zip_equal(use.operandTypes, names))
    if (failed(verifyMaskOperand(type, {name, 2}, use, emit)))
      return failure();
  return verifyAlike(use.operandTypes, names[0], names[1], emit);
}

int64_t ElasticAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return headsThatShare(types[0], heads);
}

/// A width of the head, bounded so that products with `block` do not overflow.
template <typename Use>
static OpFoldResult widthOf(OpBuilder &builder, Location loc, const Use &use,
                            unsigned operand, int64_t block) {
  IndexMath math(builder, loc);
  OpFoldResult width = readOfHead(builder, loc, use.operands[operand],
                                  use.batch, use.head, use.heads, {});
  return math.min(math.max(width, math.constant(0)),
                  math.constant(kMaxMaskDistance / block));
}

OpFoldResult ElasticAttr::keep(OpBuilder &builder, Location loc,
                               const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult first = widthOf(builder, loc, point, 0, getBlock());
  OpFoldResult recent = widthOf(builder, loc, point, 1, getBlock());
  OpFoldResult key = math.floorDiv(point.key, getBlock());
  OpFoldResult query = math.floorDiv(point.query, getBlock());
  return math.logicalOr(
      math.compare(arith::CmpIPredicate::slt, key, first),
      math.compare(arith::CmpIPredicate::sgt, key, math.sub(query, recent)));
}

/// Where the recent keys of a query begin.
static OpFoldResult recentBegin(const IndexMath &math, OpFoldResult query,
                                OpFoldResult recent, int64_t block) {
  OpFoldResult before = math.sub(math.floorDiv(query, block), recent);
  return math.max(
      math.mul(math.add(before, math.constant(1)), math.constant(block)),
      math.constant(0));
}

KeyIntervals ElasticAttr::visitIntervals(OpBuilder &builder, Location loc,
                                         const MaskTile &tile) const {
  IndexMath math(builder, loc);
  OpFoldResult first = widthOf(builder, loc, tile, 0, getBlock());
  OpFoldResult recent = widthOf(builder, loc, tile, 1, getBlock());
  return {{math.constant(0), math.mul(first, math.constant(getBlock()))},
          {recentBegin(math, tile.queryBegin, recent, getBlock()), tile.kvLen}};
}

KeyIntervals ElasticAttr::fullIntervals(OpBuilder &builder, Location loc,
                                        const MaskTile &tile) const {
  // The last query sees the fewest keys.
  MaskTile last = tile;
  IndexMath math(builder, loc);
  last.queryBegin = math.sub(tile.queryEnd, math.constant(1));
  return visitIntervals(builder, loc, last);
}
