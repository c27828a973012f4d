//===- Blocks.cpp - Listed blocks of keys ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BlockLists.h"
#include "Operands.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult BlocksAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t qBlock, int64_t kvBlock,
                                 BlockLayout layout) {
  if (qBlock < 0 || qBlock > kMaxMaskDistance)
    return emitError() << "'q_block' is " << qBlock
                       << "; expected 0, for all rows together, to "
                       << kMaxMaskDistance;
  if (kvBlock < 1 || kvBlock > kMaxMaskDistance)
    return emitError() << "'kv_block' is " << kvBlock << "; expected 1 to "
                       << kMaxMaskDistance;
  return success();
}

unsigned BlocksAttr::getNumMaskOperands() const {
  switch (getLayout()) {
  case BlockLayout::Padded:
  case BlockLayout::Csr:
    return 2;
  case BlockLayout::Members:
    return 1;
  case BlockLayout::Sorted:
    return 3;
  }
  llvm_unreachable("unknown layout");
}

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// Number of blocks of `length` rows or keys; a block of size 0 is all rows.
static int64_t blocksOf(int64_t length, int64_t block) {
  if (!block)
    return 1;
  return ShapedType::isDynamic(length) ? length
                                       : llvm::divideCeil(length, block);
}

LogicalResult
BlocksAttr::verifyMask(const MaskUse &use,
                       function_ref<InFlightDiagnostic()> emit) const {
  SmallVector<MaskOperand, 3> expected;
  BlockLayout layout = getLayout();
  if (layout == BlockLayout::Padded)
    expected = {{"block numbers", 4, false}, {"block counts", 3, false}};
  else if (layout == BlockLayout::Csr)
    expected = {{"list begins", 3, false}, {"block numbers", 3, false}};
  else
    expected = {{"listed blocks", 4, true}};
  if (layout == BlockLayout::Sorted)
    llvm::append_range(expected,
                       ArrayRef<MaskOperand>{{"block numbers", 4, false},
                                             {"block counts", 3, false}});
  for (auto [type, part] : llvm::zip_equal(use.operandTypes, expected))
    if (failed(verifyMaskOperand(type, part, use, emit)))
      return failure();
  int64_t rows = blocksOf(use.entries, getQBlock());
  Type first = use.operandTypes[0];
  if (layout == BlockLayout::Csr) {
    if (!ShapedType::isDynamic(rows))
      ++rows;
    if (failed(verifyMaskDim(first, expected[0].name, 2, rows,
                             "one more than the query blocks", emit)))
      return failure();
  } else {
    for (auto [type, part] : llvm::zip_equal(use.operandTypes, expected))
      if (failed(verifyMaskDim(type, part.name, 2, rows,
                               "the number of query blocks", emit)))
        return failure();
  }
  if (expected[0].members &&
      failed(verifyMaskDim(first, expected[0].name, 3,
                           blocksOf(use.kvLen, getKvBlock()),
                           "the number of key blocks", emit)))
    return failure();
  // All operands are about the same lists.
  for (auto [type, part] :
       llvm::drop_begin(llvm::zip_equal(use.operandTypes, expected)))
    for (int64_t dim : {0, 1})
      if (failed(verifyMaskDim(type, part.name, dim,
                               cast<RankedTensorType>(first).getDimSize(dim),
                               "as in the " + expected[0].name.str(), emit)))
        return failure();
  return success();
}

int64_t BlocksAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return headsThatShare(types[0], heads);
}

int64_t BlocksAttr::getMaxKeys(const MaskRow &row) const {
  int64_t most = ShapedType::kDynamic;
  auto size = [&](unsigned operand, int64_t dim) {
    return cast<RankedTensorType>(row.operandTypes[operand]).getDimSize(dim);
  };
  switch (getLayout()) {
  case BlockLayout::Padded:
    most = size(0, 3);
    break;
  case BlockLayout::Csr:
    most = size(1, 2);
    break;
  case BlockLayout::Members:
    break;
  case BlockLayout::Sorted:
    most = size(1, 3);
    break;
  }
  if (ShapedType::isDynamic(most) || most > row.kvLen / getKvBlock())
    return row.kvLen;
  return most * getKvBlock();
}

//===----------------------------------------------------------------------===//
// Preparation: lists become members
//===----------------------------------------------------------------------===//

namespace {

/// Writes the lists of one operand pair into a tensor of members.
class MemberBuilder {
public:
  MemberBuilder(OpBuilder &builder, Location loc, BlocksAttr attr,
                const MaskSizes &sizes, ValueRange operands)
      : b(loc, builder), math(b, loc), attr(attr), operands(operands) {
    keyBlocks = math.max(math.ceilDiv(sizes.kvLen, attr.getKvBlock()),
                         math.constant(1));
  }

  Value build() {
    bool csr = attr.getLayout() == BlockLayout::Csr;
    SmallVector<OpFoldResult> shape;
    for (int64_t dim : {0, 1, 2})
      shape.push_back(tensor::getMixedSize(b, b.getLoc(), operands[0], dim));
    if (csr)
      shape[2] = math.sub(shape[2], math.constant(1));
    // A place for reads even where there is no list.
    SmallVector<OpFoldResult> lists = shape;
    for (OpFoldResult &size : shape)
      size = math.max(size, math.constant(1));
    shape.push_back(keyBlocks);
    Value none = arith::ConstantOp::create(b, b.getBoolAttr(false));
    Value members = tensor::EmptyOp::create(b, shape, b.getI1Type());
    members = linalg::FillOp::create(b, none, members).getResult(0);
    return overLists(lists, {}, members);
  }

private:
  using Place = SmallVector<Value, 3>;

  Value loop(OpFoldResult begin, OpFoldResult end, Value members,
             function_ref<Value(Value, Value)> body) {
    auto op =
        scf::ForOp::create(b, math.materialize(begin), math.materialize(end),
                           math.materialize(math.constant(1)), members);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    scf::YieldOp::create(b, body(op.getInductionVar(), op.getRegionIterArg(0)));
    return op.getResult(0);
  }

  Value overLists(ArrayRef<OpFoldResult> sizes, Place place, Value members) {
    if (sizes.empty())
      return addList(place, members);
    return loop(math.constant(0), sizes.front(), members,
                [&](Value i, Value inner) {
                  Place next = place;
                  next.push_back(i);
                  return overLists(sizes.drop_front(), next, inner);
                });
  }

  Value readIndex(Value tensor, ValueRange at) {
    Value x = tensor::ExtractOp::create(b, tensor, at);
    if (x.getType().isIndex())
      return x;
    return arith::IndexCastOp::create(b, b.getIndexType(), x);
  }

  OpFoldResult clamp(OpFoldResult x, OpFoldResult high) {
    return math.min(math.max(x, math.constant(0)), high);
  }

  Value addList(const Place &place, Value members) {
    bool csr = attr.getLayout() == BlockLayout::Csr;
    Value numbers = operands[csr ? 1 : 0];
    OpFoldResult capacity =
        tensor::getMixedSize(b, b.getLoc(), numbers, csr ? 2 : 3);
    OpFoldResult begin = math.constant(0), end;
    if (csr) {
      Place after = place;
      after[2] = math.materialize(math.add(place[2], math.constant(1)));
      begin = clamp(readIndex(operands[0], place), capacity);
      end = clamp(readIndex(operands[0], after), capacity);
    } else {
      end = clamp(readIndex(operands[1], place), capacity);
    }
    return loop(begin, end, members, [&](Value i, Value inner) {
      Place at = place;
      if (csr)
        at.back() = i;
      else
        at.push_back(i);
      Value number = readIndex(numbers, at);
      return addBlock(place, number, inner);
    });
  }

  Value addBlock(const Place &place, Value number, Value members) {
    OpFoldResult inside = math.logicalAnd(
        math.compare(arith::CmpIPredicate::sge, number, math.constant(0)),
        math.compare(arith::CmpIPredicate::slt, number, keyBlocks));
    // What is no block is stored where it changes nothing.
    Place at = place;
    at.push_back(
        math.materialize(clamp(number, math.sub(keyBlocks, math.constant(1)))));
    Value old = tensor::ExtractOp::create(b, members, at);
    Value now = arith::OrIOp::create(b, old, math.materialize(inside));
    return tensor::InsertOp::create(b, now, members, at);
  }

  ImplicitLocOpBuilder b;
  IndexMath math;
  BlocksAttr attr;
  ValueRange operands;
  OpFoldResult keyBlocks;
};

} // namespace

/// What the verifier could not see in the types.
static void checkSizes(BlocksAttr attr, OpBuilder &builder, Location loc,
                       const MaskSizes &sizes, ValueRange operands) {
  IndexMath math(builder, loc);
  BlockLayout layout = attr.getLayout();
  OpFoldResult rows = attr.getQBlock()
                          ? math.ceilDiv(sizes.entries, attr.getQBlock())
                          : math.constant(1);
  if (layout == BlockLayout::Csr)
    return checkMaskDim(builder, loc, operands[0], "list begins", 2,
                        math.add(rows, math.constant(1)),
                        "one more than the query blocks");
  if (layout == BlockLayout::Padded) {
    checkMaskDim(builder, loc, operands[0], "block numbers", 2, rows,
                 "the number of query blocks");
    return checkMaskDim(builder, loc, operands[1], "block counts", 2, rows,
                        "the number of query blocks");
  }
  checkMaskDim(builder, loc, operands[0], "listed blocks", 2, rows,
               "the number of query blocks");
  checkMaskDim(builder, loc, operands[0], "listed blocks", 3,
               math.ceilDiv(sizes.kvLen, attr.getKvBlock()),
               "the number of key blocks");
}

Attribute BlocksAttr::prepare(OpBuilder &builder, Location loc,
                              const MaskSizes &sizes,
                              SmallVectorImpl<Value> &operands) const {
  checkSizes(*this, builder, loc, sizes, operands);
  if (getLayout() == BlockLayout::Members || getLayout() == BlockLayout::Sorted)
    return *this;
  Value members = MemberBuilder(builder, loc, *this, sizes, operands).build();
  if (getLayout() == BlockLayout::Padded) {
    BlockLists lists =
        sortBlockLists(builder, loc, operands[0], operands[1], members);
    operands.assign({members, lists.numbers, lists.counts});
    return BlocksAttr::get(getContext(), getQBlock(), getKvBlock(),
                           BlockLayout::Sorted);
  }
  operands.assign(1, members);
  return BlocksAttr::get(getContext(), getQBlock(), getKvBlock(),
                         BlockLayout::Members);
}

//===----------------------------------------------------------------------===//
// Members
//===----------------------------------------------------------------------===//

/// The query block of a row.
static OpFoldResult queryBlockOf(const IndexMath &math, BlocksAttr attr,
                                 OpFoldResult row) {
  return attr.getQBlock() ? math.floorDiv(row, attr.getQBlock())
                          : math.constant(0);
}

OpFoldResult BlocksAttr::keep(OpBuilder &builder, Location loc,
                              const MaskPoint &point) const {
  IndexMath math(builder, loc);
  return readOfHead(builder, loc, point.operands[0], point.batch, point.head,
                    point.heads,
                    {queryBlockOf(math, *this, point.entry),
                     math.floorDiv(point.key, getKvBlock())});
}

KeyIntervals BlocksAttr::visitIntervals(OpBuilder &, Location,
                                        const MaskTile &) const {
  return {};
}

KeyIntervals BlocksAttr::fullIntervals(OpBuilder &, Location,
                                       const MaskTile &) const {
  return {};
}

KeyLists BlocksAttr::visitLists(OpBuilder &builder, Location loc,
                                const MaskTile &tile) const {
  IndexMath math(builder, loc);
  BlocksAttr self = *this;
  int64_t rows = getQBlock(), keys = getKvBlock();
  Value members = tile.operands[0];
  OpFoldResult batch = tile.batch, head = tile.head, heads = tile.heads;
  OpFoldResult firstRows = queryBlockOf(math, *this, tile.entryBegin);
  OpFoldResult endRows =
      rows ? math.ceilDiv(tile.entryEnd, rows) : math.constant(1);
  // All rows of the tile have one list.
  bool oneList = !rows || (tile.alignedRows && rows % tile.alignedRows == 0) ||
                 (constantOf(firstRows) && constantOf(endRows) &&
                  *constantOf(firstRows) + 1 == *constantOf(endRows)) ||
                 cast<RankedTensorType>(members.getType()).getDimSize(2) == 1;
  // Over the query blocks of the tile: is one, or are all of them members?
  auto reduce = [=](OpBuilder &b, Location loc, OpFoldResult block,
                    bool all) -> OpFoldResult {
    IndexMath math(b, loc);
    if (oneList)
      return readOfHead(b, loc, members, batch, head, heads,
                        {firstRows, block});
    auto loop = scf::ForOp::create(b, loc, math.materialize(firstRows),
                                   math.materialize(endRows),
                                   math.materialize(math.constant(1)),
                                   math.materialize(math.boolean(all)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    OpFoldResult one = readOfHead(b, loc, members, batch, head, heads,
                                  {loop.getInductionVar(), block});
    OpFoldResult before = loop.getRegionIterArg(0);
    OpFoldResult after =
        all ? math.logicalAnd(before, one) : math.logicalOr(before, one);
    scf::YieldOp::create(b, loc, math.materialize(after));
    return OpFoldResult(loop.getResult(0));
  };
  KeyList list;
  list.granule = keys;
  list.clip = {math.constant(0), tile.kvLen};
  list.candidates = [=](OpBuilder &b, Location loc, KeyInterval range) {
    IndexMath math(b, loc);
    return KeyInterval{math.floorDiv(range.begin, keys),
                       math.ceilDiv(range.end, keys)};
  };
  list.entry = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    IndexMath math(b, loc);
    OpFoldResult begin = math.mul(i, math.constant(keys));
    return KeyInterval{begin, math.add(begin, math.constant(keys))};
  };
  list.present = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    return reduce(b, loc, i, /*all=*/false);
  };
  list.full = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    return reduce(b, loc, i, /*all=*/true);
  };
  list.keep = [=](OpBuilder &b, Location loc, const MaskPoint &point,
                  std::optional<OpFoldResult> known) -> OpFoldResult {
    if (!known)
      return self.keep(b, loc, point);
    IndexMath math(b, loc);
    if (oneList)
      return math.boolean(true);
    return readOfHead(b, loc, members, point.batch, point.head, point.heads,
                      {queryBlockOf(math, self, point.entry), *known});
  };
  if (oneList && getLayout() == BlockLayout::Sorted)
    followBlockList(builder, loc, list, {tile.operands[1], tile.operands[2]},
                    tile, firstRows);
  return {list};
}
