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

KeyIntervals StridedAttr::visitIntervals(OpBuilder &, Location,
                                         const MaskTile &) const {
  return {};
}

KeyIntervals StridedAttr::fullIntervals(OpBuilder &, Location,
                                        const MaskTile &) const {
  return {};
}

KeyLists StridedAttr::visitLists(OpBuilder &builder, Location loc,
                                 const MaskTile &tile) const {
  // Candidate i is the run of `length` key blocks from first + i * stride on:
  // one for each query block of the tile.
  IndexMath math(builder, loc);
  StridedAttr self = *this;
  int64_t block = getBlock(), stride = getStride();
  OpFoldResult first = math.mod(math.constant(-getPhase()), stride);
  OpFoldResult length = math.constant(1);
  KeyList list;
  if (getAnchor() == StrideAnchor::Query) {
    OpFoldResult begin = math.floorDiv(tile.queryBegin, block);
    OpFoldResult last =
        math.floorDiv(math.sub(tile.queryEnd, math.constant(1)), block);
    length = math.min(math.add(math.sub(last, begin), math.constant(1)),
                      math.constant(stride));
    first =
        math.sub(math.mod(math.add(begin, math.constant(getPhase())), stride),
                 math.constant(stride));
    list.single = false;
  }
  list.granule = block;
  list.clip = {math.constant(0), tile.kvLen};
  list.candidates = [=](OpBuilder &b, Location loc, KeyInterval keys) {
    IndexMath math(b, loc);
    OpFoldResult end = math.sub(math.ceilDiv(keys.end, block), first);
    OpFoldResult begin = math.sub(math.floorDiv(keys.begin, block), first);
    begin = math.floorDiv(math.sub(begin, length), stride);
    begin = math.max(math.add(begin, math.constant(1)), math.constant(0));
    return KeyInterval{begin, math.ceilDiv(end, stride)};
  };
  list.entry = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    IndexMath math(b, loc);
    OpFoldResult begin = math.add(first, math.mul(i, math.constant(stride)));
    OpFoldResult end = math.add(begin, length);
    return KeyInterval{math.mul(begin, math.constant(block)),
                       math.mul(end, math.constant(block))};
  };
  list.present = [=](OpBuilder &b, Location loc, OpFoldResult) {
    return IndexMath(b, loc).boolean(true);
  };
  list.full = [=](OpBuilder &b, Location loc, OpFoldResult) {
    IndexMath math(b, loc);
    return math.compare(arith::CmpIPredicate::eq, length, math.constant(1));
  };
  bool sameForAll = getAnchor() == StrideAnchor::Origin;
  list.keep = [=](OpBuilder &b, Location loc, const MaskPoint &point,
                  std::optional<OpFoldResult> known) -> OpFoldResult {
    if (known && sameForAll)
      return IndexMath(b, loc).boolean(true);
    return self.keep(b, loc, point);
  };
  return {list};
}

Attribute StridedAttr::simplify(SmallVectorImpl<unsigned> &) const {
  if (getStride() == 1)
    return AllOfAttr::get(getContext(), {});
  return *this;
}
