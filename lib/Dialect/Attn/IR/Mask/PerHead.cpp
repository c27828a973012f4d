//===- PerHead.cpp - One mask for each query head -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

LogicalResult PerHeadAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  ArrayRef<MaskAttrInterface> masks,
                                  ArrayRef<int64_t> indices) {
  if (indices.empty())
    return emitError() << "'per_head' lists no head; expected one index for "
                          "each query head";
  for (auto [head, index] : llvm::enumerate(indices))
    if (index < 0 || index >= static_cast<int64_t>(masks.size()))
      return emitError() << "'per_head' gives head " << head << " mask "
                         << index << ", but there are " << masks.size()
                         << " masks";
  return success();
}

unsigned PerHeadAttr::getNumMaskOperands() const {
  unsigned count = 0;
  for (MaskAttrInterface mask : getMasks())
    count += mask.getNumMaskOperands();
  return count;
}

/// Index of the mask of `head`, which may be known at run time only.
static OpFoldResult memberOf(const IndexMath &math, PerHeadAttr attr,
                             OpFoldResult head) {
  ArrayRef<int64_t> indices = attr.getIndices();
  if (auto constant = constantOf(head))
    return math.constant(indices[*constant]);
  // One comparison for each change along the heads.
  OpFoldResult member = math.constant(indices.front());
  for (size_t h = 1; h < indices.size(); ++h)
    if (indices[h] != indices[h - 1])
      member = math.select(
          math.compare(arith::CmpIPredicate::sge, head, math.constant(h)),
          math.constant(indices[h]), member);
  return member;
}

OpFoldResult PerHeadAttr::keep(OpBuilder &builder, Location loc,
                               const MaskPoint &point) const {
  IndexMath math(builder, loc);
  OpFoldResult member = memberOf(math, *this, point.head);
  auto known = constantOf(member);
  OpFoldResult kept = math.boolean(false);
  unsigned firstOperand = 0;
  for (auto [i, mask] : llvm::enumerate(getMasks())) {
    MaskPoint inner = point;
    inner.operands =
        point.operands.slice(firstOperand, mask.getNumMaskOperands());
    firstOperand += mask.getNumMaskOperands();
    if (known && *known != static_cast<int64_t>(i))
      continue;
    kept = math.select(
        math.compare(arith::CmpIPredicate::eq, member, math.constant(i)),
        mask.keep(builder, loc, inner), kept);
  }
  return kept;
}

/// The intervals of the head's member. Lists of different members are padded
/// with empty intervals to one length, then chosen one by one.
static KeyIntervals chosen(PerHeadAttr attr, OpBuilder &builder, Location loc,
                           const MaskTile &tile, bool full) {
  IndexMath math(builder, loc);
  OpFoldResult member = memberOf(math, attr, tile.head);
  auto known = constantOf(member);
  KeyIntervals result;
  KeyInterval none{math.constant(0), math.constant(0)};
  unsigned firstOperand = 0;
  for (auto [i, mask] : llvm::enumerate(attr.getMasks())) {
    MaskTile inner = tile;
    inner.operands =
        tile.operands.slice(firstOperand, mask.getNumMaskOperands());
    firstOperand += mask.getNumMaskOperands();
    if (known && *known != static_cast<int64_t>(i))
      continue;
    KeyIntervals own = full ? mask.fullIntervals(builder, loc, inner)
                            : mask.visitIntervals(builder, loc, inner);
    result.resize(std::max(result.size(), own.size()), none);
    own.resize(result.size(), none);
    OpFoldResult isMember =
        math.compare(arith::CmpIPredicate::eq, member, math.constant(i));
    for (auto [total, mine] : llvm::zip_equal(result, own)) {
      total.begin = math.select(isMember, mine.begin, total.begin);
      total.end = math.select(isMember, mine.end, total.end);
    }
  }
  return result;
}

KeyIntervals PerHeadAttr::visitIntervals(OpBuilder &builder, Location loc,
                                         const MaskTile &tile) const {
  return chosen(*this, builder, loc, tile, /*full=*/false);
}

KeyIntervals PerHeadAttr::fullIntervals(OpBuilder &builder, Location loc,
                                        const MaskTile &tile) const {
  return chosen(*this, builder, loc, tile, /*full=*/true);
}

/// The list that is `a` where `condition` holds, else `b`.
static KeyList either(OpBuilder &builder, Location loc, OpFoldResult condition,
                      const KeyList &a, const KeyList &b) {
  IndexMath math(builder, loc);
  auto interval = [=](OpBuilder &builder, Location loc, const KeyInterval &x,
                      const KeyInterval &y) {
    IndexMath math(builder, loc);
    return KeyInterval{math.select(condition, x.begin, y.begin),
                       math.select(condition, x.end, y.end)};
  };
  KeyList result;
  result.granule = std::gcd(a.granule, b.granule);
  result.single = a.single && b.single && a.granule == b.granule;
  if (a.capacity >= 0 && b.capacity >= 0)
    result.capacity = std::max(a.capacity, b.capacity);
  result.clip = interval(builder, loc, a.clip, b.clip);
  result.candidates = [=](OpBuilder &bb, Location loc, KeyInterval keys) {
    return interval(bb, loc, a.candidates(bb, loc, keys),
                    b.candidates(bb, loc, keys));
  };
  result.entry = [=](OpBuilder &bb, Location loc, OpFoldResult i) {
    return interval(bb, loc, a.entry(bb, loc, i), b.entry(bb, loc, i));
  };
  result.present = [=](OpBuilder &bb, Location loc, OpFoldResult i) {
    IndexMath math(bb, loc);
    return math.select(condition, a.present(bb, loc, i), b.present(bb, loc, i));
  };
  result.full = [=](OpBuilder &bb, Location loc, OpFoldResult i) {
    IndexMath math(bb, loc);
    return math.select(condition, a.full(bb, loc, i), b.full(bb, loc, i));
  };
  result.keep = [=](OpBuilder &bb, Location loc, const MaskPoint &point,
                    std::optional<OpFoldResult> known) {
    IndexMath math(bb, loc);
    return math.select(condition, a.keep(bb, loc, point, known),
                       b.keep(bb, loc, point, known));
  };
  return result;
}

KeyLists PerHeadAttr::visitLists(OpBuilder &builder, Location loc,
                                 const MaskTile &tile) const {
  IndexMath math(builder, loc);
  OpFoldResult member = memberOf(math, *this, tile.head);
  auto known = constantOf(member);
  KeyLists result;
  unsigned firstOperand = 0;
  for (auto [i, mask] : llvm::enumerate(getMasks())) {
    unsigned first = firstOperand, count = mask.getNumMaskOperands();
    firstOperand += count;
    if (known && *known != static_cast<int64_t>(i))
      continue;
    MaskTile inner = tile;
    inner.operands = tile.operands.slice(first, count);
    KeyLists own = mask.visitLists(builder, loc, inner);
    OpFoldResult isMember =
        math.compare(arith::CmpIPredicate::eq, member, math.constant(i));
    for (auto [n, list] : llvm::enumerate(own)) {
      auto keep = list.keep;
      int64_t number = i;
      PerHeadAttr self = *this;
      list.keep = [=](OpBuilder &b, Location loc, const MaskPoint &point,
                      std::optional<OpFoldResult> known) -> OpFoldResult {
        IndexMath math(b, loc);
        MaskPoint inner = point;
        inner.operands = point.operands.slice(first, count);
        // A point of another head asks another list.
        OpFoldResult here = math.compare(arith::CmpIPredicate::eq,
                                         memberOf(math, self, point.head),
                                         math.constant(number));
        return math.logicalAnd(here, keep(b, loc, inner, known));
      };
      if (n < result.size()) {
        result[n] = either(builder, loc, isMember, list, result[n]);
      } else if (constantOf(isMember) == 1) {
        result.push_back(list);
      } else {
        // Heads of other members have no keys here.
        OpFoldResult none = math.constant(0);
        list.clip = {math.select(isMember, list.clip.begin, none),
                     math.select(isMember, list.clip.end, none)};
        result.push_back(list);
      }
    }
  }
  return result;
}

int64_t PerHeadAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  int64_t alike = 0;
  for (auto [h, index] : llvm::enumerate(getIndices()))
    if (h && index != getIndices()[h - 1])
      alike = std::gcd(alike, static_cast<int64_t>(h));
  for (MaskAttrInterface mask : getMasks()) {
    unsigned count = mask.getNumMaskOperands();
    alike = std::gcd(alike, mask.getHeadsAlike(heads, types.take_front(count)));
    types = types.drop_front(count);
  }
  return alike;
}

int64_t PerHeadAttr::getMaxKeys(const MaskRow &row) const {
  MaskRow inner = row;
  int64_t member = getIndices()[row.head];
  for (MaskAttrInterface mask : getMasks().take_front(member))
    inner.operandTypes =
        inner.operandTypes.drop_front(mask.getNumMaskOperands());
  MaskAttrInterface mask = getMasks()[member];
  inner.operandTypes = inner.operandTypes.take_front(mask.getNumMaskOperands());
  return mask.getMaxKeys(inner);
}

Attribute PerHeadAttr::prepare(OpBuilder &builder, Location loc,
                               const MaskSizes &sizes,
                               SmallVectorImpl<Value> &operands) const {
  SmallVector<MaskAttrInterface> masks;
  SmallVector<Value> all;
  ArrayRef<Value> rest = operands;
  for (MaskAttrInterface mask : getMasks()) {
    unsigned count = mask.getNumMaskOperands();
    SmallVector<Value> own(rest.take_front(count));
    rest = rest.drop_front(count);
    masks.push_back(prepareMask(builder, loc, mask, sizes, own));
    llvm::append_range(all, own);
  }
  operands.assign(all.begin(), all.end());
  return PerHeadAttr::get(getContext(), masks, getIndices());
}

LogicalResult
PerHeadAttr::verifyMask(const MaskUse &use,
                        function_ref<InFlightDiagnostic()> emit) const {
  if (!ShapedType::isDynamic(use.heads) &&
      use.heads != static_cast<int64_t>(getIndices().size()))
    return emit() << "expects 'per_head' to list one mask for each of the "
                  << use.heads << " query heads, but it lists "
                  << getIndices().size();
  unsigned firstOperand = 0;
  for (MaskAttrInterface mask : getMasks()) {
    MaskUse inner = use;
    inner.operandTypes =
        use.operandTypes.slice(firstOperand, mask.getNumMaskOperands());
    firstOperand += mask.getNumMaskOperands();
    if (failed(mask.verifyMask(inner, emit)))
      return failure();
  }
  return success();
}

Attribute PerHeadAttr::simplify(SmallVectorImpl<unsigned> &operands) const {
  SmallVector<SmallVector<unsigned>> shares;
  ArrayRef<unsigned> rest = operands;
  for (MaskAttrInterface mask : getMasks()) {
    unsigned count = mask.getNumMaskOperands();
    shares.emplace_back(rest.take_front(count));
    rest = rest.drop_front(count);
  }
  // Members in order of first use, each once with the tensors that it reads.
  SmallVector<std::pair<MaskAttrInterface, SmallVector<unsigned>>> members;
  SmallVector<int64_t> indices;
  for (int64_t index : getIndices()) {
    SmallVector<unsigned> share = shares[index];
    auto mask = cast<MaskAttrInterface>(getMasks()[index].simplify(share));
    std::pair member(mask, share);
    auto *it = llvm::find(members, member);
    indices.push_back(it - members.begin());
    if (it == members.end())
      members.push_back(member);
  }
  SmallVector<MaskAttrInterface> masks;
  operands.clear();
  for (auto &[mask, share] : members) {
    masks.push_back(mask);
    llvm::append_range(operands, share);
  }
  if (masks.size() == 1)
    return masks.front();
  return PerHeadAttr::get(getContext(), masks, indices);
}
