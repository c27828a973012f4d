//===- Compose.cpp - Intersection, union and complement -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include <numeric>

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

/// The same for a row at compile time.
template <typename Fn>
void forEachMemberRow(ArrayRef<MaskAttrInterface> masks, const MaskRow &row,
                      Fn visit) {
  TypeRange types = row.operandTypes;
  for (MaskAttrInterface mask : masks) {
    MaskRow inner = row;
    unsigned count = mask.getNumMaskOperands();
    inner.operandTypes = types.take_front(count);
    types = types.drop_front(count);
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

/// Members, prepared one by one.
SmallVector<MaskAttrInterface>
prepareMembers(ArrayRef<MaskAttrInterface> masks, OpBuilder &builder,
               Location loc, const MaskSizes &sizes,
               SmallVectorImpl<Value> &operands) {
  SmallVector<MaskAttrInterface> prepared;
  SmallVector<Value> all;
  ArrayRef<Value> rest = operands;
  for (MaskAttrInterface mask : masks) {
    unsigned count = mask.getNumMaskOperands();
    SmallVector<Value> own(rest.take_front(count));
    rest = rest.drop_front(count);
    prepared.push_back(prepareMask(builder, loc, mask, sizes, own));
    llvm::append_range(all, own);
  }
  operands.assign(all.begin(), all.end());
  return prepared;
}

int64_t alikeInAll(ArrayRef<MaskAttrInterface> masks, int64_t heads,
                   TypeRange types) {
  int64_t alike = 0;
  for (MaskAttrInterface mask : masks) {
    unsigned count = mask.getNumMaskOperands();
    alike = std::gcd(alike, mask.getHeadsAlike(heads, types.take_front(count)));
    types = types.drop_front(count);
  }
  return alike;
}

/// The smallest interval that holds all of `intervals`; an empty one does not
/// stretch it.
KeyInterval hullOf(const IndexMath &math, const KeyIntervals &intervals,
                   OpFoldResult kvLen) {
  if (intervals.size() == 1)
    return intervals.front();
  KeyInterval hull{kvLen, math.constant(0)};
  for (const KeyInterval &x : intervals) {
    OpFoldResult empty =
        math.compare(arith::CmpIPredicate::sge, x.begin, x.end);
    hull.begin = math.min(hull.begin, math.select(empty, kvLen, x.begin));
    hull.end = math.max(hull.end, math.select(empty, math.constant(0), x.end));
  }
  return hull;
}

using KeepFn =
    std::function<OpFoldResult(OpBuilder &, Location, const MaskPoint &)>;

/// `list` of a member whose operands are `count` from `first` on.
KeyList withOperands(KeyList list, unsigned first, unsigned count) {
  auto keep = list.keep;
  list.keep = [=](OpBuilder &b, Location loc, const MaskPoint &point,
                  std::optional<OpFoldResult> known) {
    MaskPoint inner = point;
    inner.operands = point.operands.slice(first, count);
    return keep(b, loc, inner, known);
  };
  return list;
}

/// `list`, where `keeps` must hold as well: a mask that keeps nothing outside
/// of `hull` and all pairs inside of `full`.
KeyList restricted(OpBuilder &builder, Location loc, KeyList list,
                   std::optional<KeyInterval> hull, const KeyIntervals &full,
                   KeepFn keeps) {
  KeyList result = list;
  if (hull)
    result.clip = intersect(builder, loc, list.clip, *hull);
  result.full = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    IndexMath math(b, loc);
    // Asked in this order, a constant answer saves the other question.
    OpFoldResult inside = isInside(b, loc, list.entry(b, loc, i), full);
    return constantOf(inside) == 0
               ? inside
               : math.logicalAnd(inside, list.full(b, loc, i));
  };
  result.keep = [=](OpBuilder &b, Location loc, const MaskPoint &point,
                    std::optional<OpFoldResult> known) {
    IndexMath math(b, loc);
    return math.logicalAnd(list.keep(b, loc, point, known),
                           keeps(b, loc, point));
  };
  return result;
}

KeyIntervals intersectAll(const IndexMath &math, const KeyIntervals &a,
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
    result = intersectAll(math, result,
                          {{math.constant(0), x.begin}, {x.end, kvLen}});
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
    result = intersectAll(math, result, m.visitIntervals(builder, loc, t));
  });
  return result;
}

KeyIntervals AllOfAttr::fullIntervals(OpBuilder &builder, Location loc,
                                      const MaskTile &tile) const {
  IndexMath math(builder, loc);
  KeyIntervals result = {{math.constant(0), tile.kvLen}};
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    result = intersectAll(math, result, m.fullIntervals(builder, loc, t));
  });
  return result;
}

KeyLists AllOfAttr::visitLists(OpBuilder &builder, Location loc,
                               const MaskTile &tile) const {
  IndexMath math(builder, loc);
  // The members so far, as one mask.
  KeyIntervals visit = {{math.constant(0), tile.kvLen}}, full = visit;
  KeyLists lists;
  KeepFn keeps = [](OpBuilder &b, Location loc, const MaskPoint &) {
    return IndexMath(b, loc).boolean(true);
  };
  unsigned firstOperand = 0;
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    KeyIntervals ownVisit = m.visitIntervals(builder, loc, t);
    KeyIntervals ownFull = m.fullIntervals(builder, loc, t);
    KeyLists ownLists = m.visitLists(builder, loc, t);
    unsigned first = firstOperand, count = m.getNumMaskOperands();
    firstOperand += count;
    KeepFn ownKeeps = [=](OpBuilder &b, Location loc, const MaskPoint &point) {
      MaskPoint inner = point;
      inner.operands = point.operands.slice(first, count);
      return m.keep(b, loc, inner);
    };
    // Lists meet intervals and lists; only lists with intervals have a hull.
    KeyLists met;
    std::optional<KeyInterval> hull, ownHull;
    if (lists.empty())
      hull = hullOf(math, visit, tile.kvLen);
    if (ownLists.empty())
      ownHull = hullOf(math, ownVisit, tile.kvLen);
    for (const KeyList &list : lists)
      met.push_back(restricted(builder, loc, list, ownHull, ownFull, ownKeeps));
    // What both have in lists is visited by the first ones.
    if (!visit.empty())
      for (KeyList list : ownLists) {
        list = withOperands(list, first, count);
        met.push_back(restricted(builder, loc, list, hull, full, keeps));
      }
    lists = met;
    visit = intersectAll(math, visit, ownVisit);
    full = intersectAll(math, full, ownFull);
    keeps = [=](OpBuilder &b, Location loc, const MaskPoint &point) {
      IndexMath math(b, loc);
      return math.logicalAnd(keeps(b, loc, point), ownKeeps(b, loc, point));
    };
  });
  return lists;
}

int64_t AllOfAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return alikeInAll(getMasks(), heads, types);
}

Attribute AllOfAttr::prepare(OpBuilder &builder, Location loc,
                             const MaskSizes &sizes,
                             SmallVectorImpl<Value> &operands) const {
  return AllOfAttr::get(
      getContext(), prepareMembers(getMasks(), builder, loc, sizes, operands));
}

int64_t AllOfAttr::getMaxKeys(const MaskRow &row) const {
  int64_t most = countKeys(*this, row);
  if (getNumMaskOperands())
    forEachMemberRow(getMasks(), row,
                     [&](MaskAttrInterface m, const MaskRow &r) {
                       most = std::min(most, m.getMaxKeys(r));
                     });
  return most;
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

KeyLists AnyOfAttr::visitLists(OpBuilder &builder, Location loc,
                               const MaskTile &tile) const {
  KeyLists result;
  unsigned first = 0;
  forEachMember(getMasks(), tile, [&](MaskAttrInterface m, const MaskTile &t) {
    unsigned count = m.getNumMaskOperands();
    for (const KeyList &list : m.visitLists(builder, loc, t))
      result.push_back(withOperands(list, first, count));
    first += count;
  });
  return result;
}

int64_t AnyOfAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return alikeInAll(getMasks(), heads, types);
}

Attribute AnyOfAttr::prepare(OpBuilder &builder, Location loc,
                             const MaskSizes &sizes,
                             SmallVectorImpl<Value> &operands) const {
  return AnyOfAttr::get(
      getContext(), prepareMembers(getMasks(), builder, loc, sizes, operands));
}

int64_t AnyOfAttr::getMaxKeys(const MaskRow &row) const {
  if (!getNumMaskOperands())
    return countKeys(*this, row);
  int64_t sum = 0;
  forEachMemberRow(getMasks(), row, [&](MaskAttrInterface m, const MaskRow &r) {
    sum += m.getMaxKeys(r);
  });
  return std::min(sum, row.kvLen);
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
  if (!getMask().visitLists(builder, loc, tile).empty())
    return {};
  return complement(math, getMask().visitIntervals(builder, loc, tile),
                    tile.kvLen);
}

int64_t NotAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return getMask().getHeadsAlike(heads, types);
}

Attribute NotAttr::prepare(OpBuilder &builder, Location loc,
                           const MaskSizes &sizes,
                           SmallVectorImpl<Value> &operands) const {
  return NotAttr::get(getContext(),
                      prepareMask(builder, loc, getMask(), sizes, operands));
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
