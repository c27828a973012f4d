//===- PerHead.cpp - One mask for each query head -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

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
