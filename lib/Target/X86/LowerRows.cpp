//===- LowerRows.cpp - Neighbouring operations in one loop over rows ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "LoopEmitter.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERROWSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// The memory that a buffer is part of.
Value rootOf(Value buffer) {
  while (Operation *op = buffer.getDefiningOp()) {
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    if (!view)
      break;
    buffer = view.getViewSource();
  }
  return buffer;
}

/// Whether different roots of this kind are different memory.
bool isDistinctRoot(Value root) {
  if (auto argument = dyn_cast<BlockArgument>(root))
    return isa<FunctionOpInterface>(argument.getOwner()->getParentOp());
  return isa<memref::AllocOp, memref::AllocaOp, memref::GetGlobalOp,
             rt::WeightBufferOp>(root.getDefiningOp());
}

/// A loop nest that may become part of a group.
struct Member {
  mutable linalg::LinalgOp op;
  unsigned preferred = 0; ///< rows when a later dimension runs over lanes
  unsigned limit = 0;     ///< leading dimensions that can be rows at all

  Member(linalg::LinalgOp op, int64_t lanes) : op(op) {
    for (auto iterator : op.getIteratorTypesArray()) {
      if (iterator != utils::IteratorType::parallel)
        break;
      ++limit;
    }
    std::optional<unsigned> lane = LoopEmitter(op, 0, lanes).getVectorDim();
    preferred = lane ? std::min(limit, *lane) : limit;
  }
};

/// One use of a buffer by a member.
struct BufferUse {
  Value buffer;
  AffineMap map; ///< null for the whole buffer
  bool isWrite;
};

SmallVector<BufferUse> usesOf(linalg::LinalgOp op) {
  SmallVector<BufferUse> uses;
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()))
      uses.push_back({operand.get(), op.getMatchingIndexingMap(&operand),
                      op.isDpsInit(&operand)});
  op.getBlock()->walk([&](memref::LoadOp load) {
    uses.push_back({load.getMemRef(), AffineMap(), false});
  });
  return uses;
}

/// Whether the map's first results are the first `numRows` dimensions.
bool isRowWise(AffineMap map, unsigned numRows) {
  if (!map || map.getNumResults() < numRows)
    return false;
  for (unsigned i = 0; i < numRows; ++i)
    if (map.getResult(i) != getAffineDimExpr(i, map.getContext()))
      return false;
  // A row may not see others through later indices.
  for (AffineExpr expr : map.getResults().drop_front(numRows))
    for (unsigned i = 0; i < numRows; ++i)
      if (expr.isFunctionOfDim(i))
        return false;
  return true;
}

/// Operations that are emitted as one loop over rows, in their order.
class Group {
public:
  Group(MLIRContext *context, int64_t lanes) : lanes(lanes) {}

  bool isEmpty() const { return members.empty(); }
  bool add(Member member);
  void emit();

private:
  bool hasEqualRows(linalg::LinalgOp a, linalg::LinalgOp b,
                    unsigned count) const;
  bool isIndependent(unsigned count, linalg::LinalgOp next) const;
  bool canShrink(Value buffer) const;
  RowBuffers shrinkBuffers(ImplicitLocOpBuilder &b);
  OpFoldResult costOfRow(ImplicitLocOpBuilder &b,
                         ArrayRef<SmallVector<Value>> sizes) const;
  void emitRows(ImplicitLocOpBuilder &b, ArrayRef<SmallVector<Value>> sizes,
                ValueRange rows, const RowBuffers &buffers);

  int64_t lanes;
  SmallVector<Member> members;
  unsigned numRows = 0;
};

/// Every operand that has the dimension, and its index there.
SmallVector<std::pair<Value, int64_t>> findDims(linalg::LinalgOp op,
                                                unsigned dim) {
  SmallVector<std::pair<Value, int64_t>> found;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [i, expr] : llvm::enumerate(map.getResults()))
      if (expr == getAffineDimExpr(dim, op->getContext()))
        found.push_back({operand.get(), int64_t(i)});
  }
  return found;
}

/// Where a size comes from: a buffer and a dimension of it, or a value and -1.
/// Looks through views, so that equal origins mean equal sizes.
std::pair<Value, int64_t> originOf(Value buffer, int64_t dim) {
  while (Operation *op = buffer.getDefiningOp()) {
    OpFoldResult size;
    if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
      if (!alloc.getType().isDynamicDim(dim))
        break;
      size = alloc.getDynamicSizes()[alloc.getType().getDynamicDimIndex(dim)];
    } else if (auto expand = dyn_cast<memref::ExpandShapeOp>(op)) {
      size = expand.getMixedOutputShape()[dim];
    } else if (auto collapse = dyn_cast<memref::CollapseShapeOp>(op)) {
      ReassociationIndices group = collapse.getReassociationIndices()[dim];
      if (group.size() != 1)
        break;
      buffer = collapse.getSrc();
      dim = group.front();
      continue;
    } else if (auto cast = dyn_cast<memref::CastOp>(op)) {
      if (!isa<MemRefType>(cast.getSource().getType()))
        break;
      buffer = cast.getSource();
      continue;
    }
    auto value = dyn_cast_if_present<Value>(size);
    if (!value)
      break;
    auto dimOp = value.getDefiningOp<memref::DimOp>();
    std::optional<int64_t> index =
        dimOp ? dimOp.getConstantIndex() : std::nullopt;
    if (!index)
      return {value, -1};
    buffer = dimOp.getSource();
    dim = *index;
  }
  return {buffer, dim};
}

bool isEqualSize(linalg::LinalgOp a, linalg::LinalgOp b, unsigned dim) {
  auto aDims = findDims(a, dim), bDims = findDims(b, dim);
  if (aDims.empty() || bDims.empty())
    return false;
  for (auto x : aDims)
    for (auto y : bDims)
      if (originOf(x.first, x.second) == originOf(y.first, y.second))
        return true;
  FailureOr<bool> isEqual = ValueBoundsConstraintSet::areEqual(
      {aDims.back().first, aDims.back().second},
      {bDims.back().first, bDims.back().second});
  return succeeded(isEqual) && *isEqual;
}

bool Group::hasEqualRows(linalg::LinalgOp a, linalg::LinalgOp b,
                         unsigned count) const {
  SmallVector<int64_t> aSizes = a.getStaticLoopRanges();
  SmallVector<int64_t> bSizes = b.getStaticLoopRanges();
  for (unsigned i = 0; i < count; ++i) {
    if (!ShapedType::isDynamic(aSizes[i]) &&
        !ShapedType::isDynamic(bSizes[i])) {
      if (aSizes[i] != bSizes[i])
        return false;
      continue;
    }
    if (!isEqualSize(a, b, i))
      return false;
  }
  return true;
}

bool Group::isIndependent(unsigned count, linalg::LinalgOp next) const {
  SmallVector<BufferUse> nextUses = usesOf(next);
  for (const Member &member : members)
    for (const BufferUse &a : usesOf(member.op))
      for (const BufferUse &b : nextUses) {
        if (!a.isWrite && !b.isWrite)
          continue;
        if (a.buffer == b.buffer && isRowWise(a.map, count) &&
            isRowWise(b.map, count))
          continue;
        Value aRoot = rootOf(a.buffer), bRoot = rootOf(b.buffer);
        if (aRoot == bRoot || !isDistinctRoot(aRoot) || !isDistinctRoot(bRoot))
          return false;
      }
  return true;
}

bool Group::add(Member member) {
  if (members.empty()) {
    numRows = member.preferred;
    members.push_back(member);
    return true;
  }
  unsigned wanted = member.preferred, limit = member.limit;
  for (const Member &other : members) {
    wanted = std::max(wanted, other.preferred);
    limit = std::min(limit, other.limit);
  }
  unsigned count = std::min(wanted, limit);
  // One row dimension where two are usual would leave threads without work.
  if (count == 0 || (count < wanted && count < 2))
    return false;
  for (const Member &other : members)
    if (!hasEqualRows(other.op, member.op, count))
      return false;
  // With other rows the earlier members must still fit together.
  if (count != numRows) {
    Group trial(member.op->getContext(), lanes);
    for (const Member &other : members) {
      if (!trial.isIndependent(count, other.op))
        return false;
      trial.members.push_back(other);
    }
  }
  if (!isIndependent(count, member.op))
    return false;
  numRows = count;
  members.push_back(member);
  return true;
}

/// Whether only this group uses `buffer`, row by row, and a row is small.
bool Group::canShrink(Value buffer) const {
  auto alloc = buffer.getDefiningOp<memref::AllocOp>();
  if (!alloc || !alloc.getType().getLayout().isIdentity() ||
      alloc.getType().getRank() < numRows)
    return false;
  constexpr int64_t maxRowBytes = 1 << 15;
  Type element = alloc.getType().getElementType();
  int64_t bytes = element.isIndex()
                      ? 8
                      : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  for (int64_t size : alloc.getType().getShape().drop_front(numRows)) {
    if (ShapedType::isDynamic(size))
      return false;
    bytes *= size;
  }
  if (bytes > maxRowBytes)
    return false;
  for (Operation *user : buffer.getUsers()) {
    if (isa<memref::DimOp, memref::DeallocOp>(user))
      continue;
    const Member *found = llvm::find_if(
        members, [&](const Member &member) { return member.op == user; });
    if (found == members.end())
      return false;
    for (const BufferUse &use : usesOf(found->op))
      if (use.buffer == buffer && !isRowWise(use.map, numRows))
        return false;
  }
  return true;
}

RowBuffers Group::shrinkBuffers(ImplicitLocOpBuilder &b) {
  RowBuffers buffers;
  buffers.numRows = numRows;
  if (numRows == 0)
    return buffers;
  for (const Member &member : members)
    for (Value buffer : member.op.getDpsInits()) {
      if (buffers.scratch.contains(buffer) || !canShrink(buffer))
        continue;
      auto type = cast<MemRefType>(buffer.getType());
      buffers.scratch[buffer] = memref::AllocaOp::create(
          b,
          MemRefType::get(type.getShape().drop_front(numRows),
                          type.getElementType()),
          b.getI64IntegerAttr(64));
    }
  return buffers;
}

/// Elements that one row visits, dear functions counted several times.
OpFoldResult Group::costOfRow(ImplicitLocOpBuilder &b,
                              ArrayRef<SmallVector<Value>> sizes) const {
  OpFoldResult total = b.getIndexAttr(0);
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  for (auto [member, extents] : llvm::zip(members, sizes)) {
    int64_t weight = 1;
    for (Operation &inner : member.op.getBlock()->without_terminator())
      if (isa<math::MathDialect>(inner.getDialect()))
        weight += 4;
    bool isVector =
        LoopEmitter(member.op, numRows, lanes).getVectorDim().has_value();
    OpFoldResult cost = b.getIndexAttr(isVector ? weight : weight * 8);
    for (Value extent : ArrayRef(extents).drop_front(numRows))
      cost = affine::makeComposedFoldedAffineApply(
          b, b.getLoc(), s0 * s1, {cost, getAsOpFoldResult(extent)});
    total = affine::makeComposedFoldedAffineApply(b, b.getLoc(), s0 + s1,
                                                  {total, cost});
  }
  return total;
}

void Group::emitRows(ImplicitLocOpBuilder &b,
                     ArrayRef<SmallVector<Value>> sizes, ValueRange rows,
                     const RowBuffers &buffers) {
  for (auto [member, extents] : llvm::zip(members, sizes)) {
    OpBuilder::InsertionGuard guard(b);
    b.setLoc(member.op.getLoc());
    LoopEmitter(member.op, numRows, lanes).emit(b, extents, rows, buffers);
  }
}

void Group::emit() {
  if (members.empty())
    return;
  // Everything that a member reads comes before the last one.
  linalg::LinalgOp last = members.back().op;
  ImplicitLocOpBuilder b(last.getLoc(), last);
  SmallVector<SmallVector<Value>> sizes;
  for (const Member &member : members) {
    SmallVector<Value> extents;
    for (const Range &range : cast<linalg::LinalgOp>(member.op.getOperation())
                                  .createLoopRanges(b, member.op.getLoc()))
      extents.push_back(
          getValueOrCreateConstantIndexOp(b, b.getLoc(), range.size));
    sizes.push_back(extents);
  }
  SmallVector<Value> rowSizes(ArrayRef(sizes.front()).take_front(numRows));
  AffineExpr s0, s1;
  bindSymbols(b.getContext(), s0, s1);
  OpFoldResult numRowsInAll = b.getIndexAttr(1);
  for (Value size : rowSizes)
    numRowsInAll = affine::makeComposedFoldedAffineApply(
        b, b.getLoc(), s0 * s1, {numRowsInAll, getAsOpFoldResult(size)});
  // Enough work for a thread to be worth waking.
  constexpr int64_t grainCost = 1 << 16;
  OpFoldResult cost = costOfRow(b, sizes);
  OpFoldResult grain = affine::makeComposedFoldedAffineMax(
      b, b.getLoc(),
      AffineMap::get(
          0, 1,
          {getAffineConstantExpr(1, b.getContext()),
           getAffineConstantExpr(grainCost, b.getContext()).floorDiv(s0 + 1)},
          b.getContext()),
      {cost});
  OpFoldResult numChunks = affine::makeComposedFoldedAffineApply(
      b, b.getLoc(), s0.ceilDiv(s1), {numRowsInAll, grain});
  bool isParallel = numRows > 0 && getConstantIntValue(numChunks) != 1 &&
                    !last->getParentOfType<scf::ForallOp>();
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value begin = zero;
  Value end = getValueOrCreateConstantIndexOp(b, b.getLoc(), numRowsInAll);
  RowBuffers buffers;
  if (isParallel) {
    auto loop = scf::ForallOp::create(b, b.getLoc(), ArrayRef{numChunks},
                                      ValueRange(), std::nullopt);
    b.setInsertionPointToStart(loop.getBody());
    buffers = shrinkBuffers(b);
    Value grainValue = getValueOrCreateConstantIndexOp(b, b.getLoc(), grain);
    begin = arith::MulIOp::create(b, loop.getInductionVars()[0], grainValue);
    end = arith::MinSIOp::create(b, end,
                                 arith::AddIOp::create(b, begin, grainValue));
  } else {
    OpBuilder::InsertionGuard guard(b);
    auto function = last->getParentOfType<FunctionOpInterface>();
    b.setInsertionPointToStart(&function.getFunctionBody().front());
    buffers = shrinkBuffers(b);
  }
  if (numRows == 0) {
    emitRows(b, sizes, {}, buffers);
  } else {
    auto loop = scf::ForOp::create(b, begin, end, one);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> rows(numRows);
    Value rest = loop.getInductionVar();
    for (unsigned i = numRows; i-- > 1;) {
      rows[i] = arith::RemUIOp::create(b, rest, rowSizes[i]);
      rest = arith::DivUIOp::create(b, rest, rowSizes[i]);
    }
    rows[0] = rest;
    emitRows(b, sizes, rows, buffers);
  }
  DenseSet<Operation *> allocs;
  for (auto [buffer, scratch] : buffers.scratch)
    allocs.insert(buffer.getDefiningOp());
  for (const Member &member : members)
    member.op->erase();
  for (Operation *alloc : allocs)
    if (alloc->use_empty())
      alloc->erase();
  members.clear();
}

/// Operations that may lie between members: they touch no memory.
bool isTransparent(Operation *op) {
  return isMemoryEffectFree(op) || isa<memref::AllocOp>(op);
}

bool canLower(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics())
    return false;
  // Loops stand for index maps only when these can be applied.
  for (Operation &inner : op.getBlock()->without_terminator())
    if (inner.getNumRegions())
      return false;
  return true;
}

/// A reduction of one whole row, which is no operation of tiles.
bool isScan(linalg::LinalgOp op) {
  return op.getNumLoops() == 1 &&
         op.getIteratorTypesArray()[0] == utils::IteratorType::reduction &&
         canLower(op);
}

struct AttnLowerRowsPass final
    : impl::AttnLowerRowsPassBase<AttnLowerRowsPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Block *> blocks;
    SmallVector<scf::ForallOp> programs;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (auto program = dyn_cast<scf::ForallOp>(op))
        programs.push_back(program);
      // Tile programs are lowered in their own way.
      if (isa<scf::ForallOp, scf::ParallelOp, linalg::LinalgOp>(op))
        return WalkResult::skip();
      for (Region &region : op->getRegions())
        for (Block &block : region)
          blocks.push_back(&block);
      return WalkResult::advance();
    });
    for (scf::ForallOp program : programs)
      lowerScans(program);
    for (Block *block : blocks) {
      copiesToLinalg(*block);
      lower(*block);
    }
  }

  /// The reductions of rows inside of a tile program, each by itself.
  void lowerScans(scf::ForallOp program) {
    SmallVector<linalg::LinalgOp> scans;
    program.walk([&](linalg::LinalgOp op) {
      if (isScan(op))
        scans.push_back(op);
    });
    for (linalg::LinalgOp op : scans) {
      Group group(&getContext(), lanes);
      group.add(Member(op, lanes));
      group.emit();
    }
  }

  /// Copies join groups, too.
  static void copiesToLinalg(Block &block) {
    for (auto copy :
         llvm::make_early_inc_range(block.getOps<memref::CopyOp>())) {
      auto source = dyn_cast<MemRefType>(copy.getSource().getType());
      auto target = dyn_cast<MemRefType>(copy.getTarget().getType());
      if (!source || !target || source.getRank() == 0)
        continue;
      OpBuilder builder(copy);
      AffineMap map = builder.getMultiDimIdentityMap(source.getRank());
      linalg::GenericOp::create(
          builder, copy.getLoc(), copy.getSource(), copy.getTarget(),
          ArrayRef{map, map},
          SmallVector<utils::IteratorType>(source.getRank(),
                                           utils::IteratorType::parallel),
          [](OpBuilder &b, Location loc, ValueRange values) {
            linalg::YieldOp::create(b, loc, values.front());
          });
      copy.erase();
    }
  }

  void lower(Block &block) {
    Group group(&getContext(), lanes);
    for (Operation &op : llvm::make_early_inc_range(block)) {
      auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
      if (linalgOp && canLower(linalgOp)) {
        Member member(linalgOp, lanes);
        if (!group.add(member)) {
          group.emit();
          group.add(member);
        }
      } else if (!isTransparent(&op)) {
        group.emit();
      }
    }
    group.emit();
  }
};

} // namespace
} // namespace mlir::attn
