//===- Window.cpp - Keys within a distance of the query -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult WindowAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t left, int64_t right, int64_t block) {
  if (block < 1 || block > kMaxMaskDistance)
    return emitError() << "'block' of a window is " << block
                       << "; expected 1 to " << kMaxMaskDistance;
  for (auto [name, size] : {std::pair("left", left), {"right", right}})
    if (size < -1 || size > kMaxMaskDistance / block)
      return emitError() << "'" << name << "' of a window is " << size
                         << "; expected -1 (open) or a number of "
                         << (block == 1 ? "keys" : "blocks") << " up to "
                         << kMaxMaskDistance / block;
  return success();
}

OpFoldResult WindowAttr::keep(OpBuilder &builder, Location loc,
                              const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult kept = math.boolean(true);
  OpFoldResult query = math.floorDiv(point.query, getBlock());
  OpFoldResult key = math.floorDiv(point.key, getBlock());
  if (getLeft() >= 0)
    kept = math.compare(arith::CmpIPredicate::sge, key,
                        math.sub(query, math.constant(getLeft())));
  if (getRight() >= 0)
    kept = math.logicalAnd(
        kept, math.compare(arith::CmpIPredicate::sle, key,
                           math.add(query, math.constant(getRight()))));
  return kept;
}

/// Keys between `low - left` and `high + right`, open sides to the ends.
static KeyIntervals around(const IndexMath &math, const WindowAttr &window,
                           OpFoldResult low, OpFoldResult high,
                           OpFoldResult kvLen) {
  OpFoldResult begin = math.constant(0), end = kvLen;
  int64_t block = window.getBlock();
  auto firstOf = [&](OpFoldResult position, int64_t blocks) {
    return math.mul(
        math.add(math.floorDiv(position, block), math.constant(blocks)),
        math.constant(block));
  };
  if (window.getLeft() >= 0)
    begin = math.max(begin, firstOf(low, -window.getLeft()));
  if (window.getRight() >= 0)
    end = firstOf(high, window.getRight() + 1);
  return {{begin, end}};
}

KeyIntervals WindowAttr::visitIntervals(OpBuilder &builder, Location loc,
                                        const MaskTile &tile) const {
  IndexMath math(builder, loc);
  OpFoldResult last = math.sub(tile.queryEnd, math.constant(1));
  return around(math, *this, tile.queryBegin, last, tile.kvLen);
}

KeyIntervals WindowAttr::fullIntervals(OpBuilder &builder, Location loc,
                                       const MaskTile &tile) const {
  // The last query bounds the left side, the first one the right side.
  IndexMath math(builder, loc);
  OpFoldResult last = math.sub(tile.queryEnd, math.constant(1));
  return around(math, *this, last, tile.queryBegin, tile.kvLen);
}

Attribute WindowAttr::simplify(SmallVectorImpl<unsigned> &) const {
  if (getLeft() < 0 && getRight() < 0)
    return AllOfAttr::get(getContext(), {});
  if (getLeft() < 0 && getRight() == 0 && getBlock() == 1)
    return CausalAttr::get(getContext());
  return *this;
}
