//===- Compose.cpp - Intersection, union and complement -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// Calls `visit` for each member with its share of the operands.
template <typename Use, typename Fn>
void forEachMember(ArrayRef<MaskAttrInterface> masks, const Use &use,
                   Fn visit) {
  unsigned firstOperand = 0;
  for (MaskAttrInterface mask : masks) {
    Use inner = use;
    unsigned count = mask.getNumMaskOperands();
    inner.operands = use.operands.slice(firstOperand, count);
    firstOperand += count;
    visit(mask, inner);
  }
}

unsigned countOperands(ArrayRef<MaskAttrInterface> masks) {
  unsigned count = 0;
  for (MaskAttrInterface mask : masks)
    count += mask.getNumMaskOperands();
  return count;
}

LogicalResult verifyMembers(ArrayRef<MaskAttrInterface> masks,
                            const MaskUse &use,
                            function_ref<InFlightDiagnostic()> emit) {
  unsigned firstOperand = 0;
  for (MaskAttrInterface mask : masks) {
    MaskUse inner = use;
    unsigned count = mask.getNumMaskOperands();
    inner.operandTypes = use.operandTypes.slice(firstOperand, count);
    firstOperand += count;
    if (failed(mask.verifyMask(inner, emit)))
      return failure();
  }
  return success();
}

KeyIntervals intersect(const IndexMath &math, const KeyIntervals &a,
                       const KeyIntervals &b) {
  KeyIntervals result;
  for (const KeyInterval &x : a)
    for (const KeyInterval &y : b)
      result.push_back({math.max(x.begin, y.begin), math.min(x.end, y.end)});
  return result;
}

/// The keys [0, kvLen) outside of `intervals`.
KeyIntervals complement(const IndexMath &math, const KeyIntervals &intervals,
                        OpFoldResult kvLen) {
  KeyIntervals result = {{math.constant(0), kvLen}};
  // An empty interval, whose end may lie before its begin, removes nothing.
  for (const KeyInterval &x : intervals)
    result =
        intersect(math, result, {{math.constant(0), x.begin}, {x.end, kvLen}});
  return result;
}

/// A mask and the numbers of the tensors that it reads.
struct Member {
  MaskAttrInterface mask;
  SmallVector<unsigned> operands;
  bool operator==(const Member &other) const {
    return mask == other.mask && operands == other.operands;
  }
};

/// `masks`, each with its share of `operands`.
SmallVector<Member> split(ArrayRef<MaskAttrInterface> masks,
                          ArrayRef<unsigned> operands) {
  SmallVector<Member> result;
  for (MaskAttrInterface mask : masks) {
    unsigned count = mask.getNumMaskOperands();
    result.push_back({mask, SmallVector<unsigned>(operands.take_front(count))});
    operands = operands.drop_front(count);
  }
  return result;
}

/// Simplified members, with nested lists of the same kind spliced in and
/// repetitions dropped.
template <typename ListAttr>
SmallVector<Member> flatten(ListAttr attr, ArrayRef<unsigned> operands) {
  SmallVector<Member> result;
  auto append = [&](const Member &member) {
    if (!llvm::is_contained(result, member))
      result.push_back(member);
  };
  for (Member &member : split(attr.getMasks(), operands)) {
    member.mask =
        cast<MaskAttrInterface>(member.mask.simplify(member.operands));
    if (auto nested = dyn_cast<ListAttr>(member.mask))
      llvm::for_each(split(nested.getMasks(), member.operands), append);
    else
      append(member);
  }
  return result;
}

/// A list attribute of `members`, or the only one.
template <typename ListAttr>
Attribute join(MLIRContext *context, ArrayRef<Member> members,
               SmallVectorImpl<unsigned> &operands) {
  SmallVector<MaskAttrInterface> masks;
  operands.clear();
  for (const Member &member : members) {
    masks.push_back(member.mask);
    llvm::append_range(operands, member.operands);
  }
  if (masks.size() == 1)
    return masks.front();
  return ListAttr::get(context, masks);
}

bool keepsNoPair(MaskAttrInterface mask) {
  auto any = dyn_cast<AnyOfAttr>(mask);
  return any && any.getMasks().empty();
}

} // namespace

bool mlir::attn::keepsEveryPair(MaskAttrInterface mask) {
  auto all = dyn_cast<AllOfAttr>(mask);
  return all && all.getMasks().empty();
}

//===----------------------------------------------------------------------===//
// AllOfAttr
//===----------------------------------------------------------------------===//

OpFoldResult AllOfAttr::keep(OpBuilder &builder, Location loc,
                             const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult kept = math.boolean(true);
  forEachMember(getMasks(), point,
                [&](MaskAttrInterface m, const MaskPoint &p) {
                  kept = math.logicalAnd(kept, m.keep(builder, loc, p));
                });
  return kept;
}

KeyIntervals AllOfAttr::visitIntervals(OpBuilder &builder, Location loc,
                                       const MaskTile &tile) const {
  IndexMath math(builder, loc);
  KeyIntervals result = {{math.constant(0), tile.kvLen}};
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    result = intersect(math, result, m.visitIntervals(builder, loc, t));
  });
  return result;
}

KeyIntervals AllOfAttr::fullIntervals(OpBuilder &builder, Location loc,
                                      const MaskTile &tile) const {
  IndexMath math(builder, loc);
  KeyIntervals result = {{math.constant(0), tile.kvLen}};
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    result = intersect(math, result, m.fullIntervals(builder, loc, t));
  });
  return result;
}

unsigned AllOfAttr::getNumMaskOperands() const {
  return countOperands(getMasks());
}

LogicalResult
AllOfAttr::verifyMask(const MaskUse &use,
                      function_ref<InFlightDiagnostic()> emit) const {
  return verifyMembers(getMasks(), use, emit);
}

Attribute AllOfAttr::simplify(SmallVectorImpl<unsigned> &operands) const {
  SmallVector<Member> members = flatten(*this, operands);
  llvm::erase_if(members,
                 [](const Member &m) { return keepsEveryPair(m.mask); });
  for (const Member &member : members)
    if (keepsNoPair(member.mask))
      return join<AnyOfAttr>(getContext(), {}, operands);
  return join<AllOfAttr>(getContext(), members, operands);
}

//===----------------------------------------------------------------------===//
// AnyOfAttr
//===----------------------------------------------------------------------===//

OpFoldResult AnyOfAttr::keep(OpBuilder &builder, Location loc,
                             const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult kept = math.boolean(false);
  forEachMember(getMasks(), point,
                [&](MaskAttrInterface m, const MaskPoint &p) {
                  kept = math.logicalOr(kept, m.keep(builder, loc, p));
                });
  return kept;
}

KeyIntervals AnyOfAttr::visitIntervals(OpBuilder &builder, Location loc,
                                       const MaskTile &tile) const {
  KeyIntervals result;
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    llvm::append_range(result, m.visitIntervals(builder, loc, t));
  });
  return result;
}

KeyIntervals AnyOfAttr::fullIntervals(OpBuilder &builder, Location loc,
                                      const MaskTile &tile) const {
  KeyIntervals result;
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    llvm::append_range(result, m.fullIntervals(builder, loc, t));
  });
  return result;
}

unsigned AnyOfAttr::getNumMaskOperands() const {
  return countOperands(getMasks());
}

LogicalResult
AnyOfAttr::verifyMask(const MaskUse &use,
                      function_ref<InFlightDiagnostic()> emit) const {
  return verifyMembers(getMasks(), use, emit);
}

Attribute AnyOfAttr::simplify(SmallVectorImpl<unsigned> &operands) const {
  SmallVector<Member> members = flatten(*this, operands);
  llvm::erase_if(members, [](const Member &m) { return keepsNoPair(m.mask); });
  for (const Member &member : members)
    if (keepsEveryPair(member.mask))
      return join<AllOfAttr>(getContext(), {}, operands);
  return join<AnyOfAttr>(getContext(), members, operands);
}

//===----------------------------------------------------------------------===//
// NotAttr
//===----------------------------------------------------------------------===//

OpFoldResult NotAttr::keep(OpBuilder &builder, Location loc,
                           const MaskPoint &point) const {
  IndexMath math(builder, loc);
  return math.logicalNot(getMask().keep(builder, loc, point));
}

KeyIntervals NotAttr::visitIntervals(OpBuilder &builder, Location loc,
                                     const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return complement(math, getMask().fullIntervals(builder, loc, tile),
                    tile.kvLen);
}

KeyIntervals NotAttr::fullIntervals(OpBuilder &builder, Location loc,
                                    const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return complement(math, getMask().visitIntervals(builder, loc, tile),
                    tile.kvLen);
}

unsigned NotAttr::getNumMaskOperands() const {
  return getMask().getNumMaskOperands();
}

LogicalResult
NotAttr::verifyMask(const MaskUse &use,
                    function_ref<InFlightDiagnostic()> emit) const {
  return getMask().verifyMask(use, emit);
}

Attribute NotAttr::simplify(SmallVectorImpl<unsigned> &operands) const {
  auto inner = cast<MaskAttrInterface>(getMask().simplify(operands));
  if (auto twice = dyn_cast<NotAttr>(inner))
    return twice.getMask();
  if (keepsEveryPair(inner))
    return AnyOfAttr::get(getContext(), {});
  if (keepsNoPair(inner))
    return AllOfAttr::get(getContext(), {});
  return NotAttr::get(getContext(), inner);
}
