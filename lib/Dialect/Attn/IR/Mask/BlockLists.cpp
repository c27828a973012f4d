//===- BlockLists.cpp - Sorted lists of key blocks ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "BlockLists.h"
#include "Operands.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// Sorts the lists of one operand pair.
class ListSorter {
public:
  ListSorter(OpBuilder &builder, Location loc, Value numbers, Value counts,
             Value members)
      : b(loc, builder), math(b, loc), numbers(numbers), counts(counts),
        members(members), capacity(tensor::getMixedSize(b, loc, numbers, 3)),
        keyBlocks(tensor::getMixedSize(b, loc, members, 3)) {}

  BlockLists build() {
    SmallVector<OpFoldResult> lists, shape;
    for (int64_t dim : {0, 1, 2}) {
      lists.push_back(tensor::getMixedSize(b, b.getLoc(), numbers, dim));
      // A place for reads even where there is no list.
      shape.push_back(math.max(lists.back(), math.constant(1)));
    }
    Value ofLists = tensor::EmptyOp::create(b, shape, b.getI32Type());
    shape.push_back(math.max(capacity, math.constant(1)));
    Value entries = tensor::EmptyOp::create(b, shape, b.getI32Type());
    SmallVector<Value> results = overLists(lists, {}, {entries, ofLists});
    return {results[0], results[1]};
  }

private:
  using Place = SmallVector<Value, 3>;
  using Body =
      llvm::function_ref<SmallVector<Value>(Value i, ValueRange state)>;

  SmallVector<Value> loop(OpFoldResult end, ValueRange state, Body body) {
    auto op = scf::ForOp::create(b, math.materialize(math.constant(0)),
                                 math.materialize(end),
                                 math.materialize(math.constant(1)), state);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    scf::YieldOp::create(b, body(op.getInductionVar(), op.getRegionIterArgs()));
    return llvm::to_vector_of<Value>(op.getResults());
  }

  SmallVector<Value> overLists(ArrayRef<OpFoldResult> sizes, Place place,
                               SmallVector<Value> state) {
    if (sizes.empty())
      return sortList(place, state[0], state[1]);
    return loop(sizes.front(), state, [&](Value i, ValueRange inner) {
      Place next = place;
      next.push_back(i);
      return overLists(sizes.drop_front(), next, llvm::to_vector(inner));
    });
  }

  Value readIndex(Value tensor, ValueRange at) {
    Value x = tensor::ExtractOp::create(b, tensor, at);
    if (x.getType().isIndex())
      return x;
    return arith::IndexCastOp::create(b, b.getIndexType(), x);
  }

  Value toNumber(OpFoldResult x) {
    return arith::IndexCastOp::create(b, b.getI32Type(), math.materialize(x));
  }

  static Place at(const Place &place, Value entry) {
    Place result = place;
    result.push_back(entry);
    return result;
  }

  SmallVector<Value> sortList(const Place &place, Value entries,
                              Value ofLists) {
    OpFoldResult count = math.min(
        math.max(readIndex(counts, place), math.constant(0)), capacity);
    // Copied as it is, while it is seen whether it rises from a block that
    // exists to a block that exists.
    SmallVector<Value> copied =
        loop(count,
             {entries, math.materialize(math.constant(-1)),
              math.materialize(math.boolean(true))},
             [&](Value i, ValueRange state) -> SmallVector<Value> {
               Value number = readIndex(numbers, at(place, i));
               Value all = tensor::InsertOp::create(b, toNumber(number),
                                                    state[0], at(place, i));
               OpFoldResult rises = math.logicalAnd(
                   math.compare(arith::CmpIPredicate::slt, state[1], number),
                   math.compare(arith::CmpIPredicate::slt, number, keyBlocks));
               return {all, number,
                       math.materialize(math.logicalAnd(state[2], rises))};
             });
    auto yield = [&](ValueRange results) { scf::YieldOp::create(b, results); };
    auto choice = scf::IfOp::create(
        b, copied[2],
        [&](OpBuilder &inner, Location) {
          OpBuilder::InsertionGuard guard(b);
          b.restoreInsertionPoint(inner.saveInsertionPoint());
          yield({copied[0], math.materialize(count)});
        },
        [&](OpBuilder &inner, Location) {
          OpBuilder::InsertionGuard guard(b);
          b.restoreInsertionPoint(inner.saveInsertionPoint());
          yield(listMembers(place, copied[0]));
        });
    Value ofList = toNumber(choice.getResult(1));
    return {choice.getResult(0),
            tensor::InsertOp::create(b, ofList, ofLists, place)};
  }

  /// The members from first to last; no more than entries of the list.
  SmallVector<Value> listMembers(const Place &place, Value entries) {
    return loop(
        keyBlocks, {entries, math.materialize(math.constant(0))},
        [&](Value block, ValueRange state) -> SmallVector<Value> {
          Value isMember =
              tensor::ExtractOp::create(b, members, at(place, block));
          // What is no member is overwritten, or past the count.
          OpFoldResult last =
              math.sub(math.max(capacity, math.constant(1)), math.constant(1));
          Value slot = math.materialize(math.min(state[1], last));
          Value old = tensor::ExtractOp::create(b, state[0], at(place, slot));
          Value number =
              arith::SelectOp::create(b, isMember, toNumber(block), old);
          Value all =
              tensor::InsertOp::create(b, number, state[0], at(place, slot));
          OpFoldResult next = math.add(state[1], math.constant(1));
          return {all, math.materialize(math.select(isMember, next, state[1]))};
        });
  }

  ImplicitLocOpBuilder b;
  IndexMath math;
  Value numbers, counts, members;
  OpFoldResult capacity, keyBlocks;
};

} // namespace

BlockLists mlir::attn::sortBlockLists(OpBuilder &builder, Location loc,
                                      Value numbers, Value counts,
                                      Value members) {
  return ListSorter(builder, loc, numbers, counts, members).build();
}

void mlir::attn::followBlockList(OpBuilder &builder, Location loc,
                                 KeyList &list, const BlockLists &lists,
                                 const MaskTile &tile,
                                 OpFoldResult queryBlock) {
  int64_t keys = list.granule;
  Value numbers = lists.numbers, counts = lists.counts;
  OpFoldResult batch = tile.batch, head = tile.head, heads = tile.heads;
  OpFoldResult kvLen = tile.kvLen;
  auto number = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    return readOfHead(b, loc, numbers, batch, head, heads, {queryBlock, i});
  };
  // Entries before the first that is not less than `block`, by bisection.
  int64_t capacity = cast<RankedTensorType>(numbers.getType()).getDimSize(3);
  int64_t steps = ShapedType::isDynamic(capacity)
                      ? 32
                      : llvm::Log2_64_Ceil(std::max<int64_t>(capacity, 1)) + 1;
  auto place = [=](OpBuilder &b, Location loc, OpFoldResult count,
                   OpFoldResult block) -> OpFoldResult {
    IndexMath math(b, loc);
    if (auto known = constantOf(block); known && *known <= 0)
      return math.constant(0);
    auto loop =
        scf::ForOp::create(b, loc, math.materialize(math.constant(0)),
                           math.materialize(math.constant(steps)),
                           math.materialize(math.constant(1)),
                           ValueRange{math.materialize(math.constant(0)),
                                      math.materialize(count)});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    OpFoldResult first = loop.getRegionIterArg(0);
    OpFoldResult left = loop.getRegionIterArg(1);
    OpFoldResult half = math.floorDiv(left, 2);
    OpFoldResult middle = math.add(first, half);
    OpFoldResult after = math.logicalAnd(
        math.compare(arith::CmpIPredicate::sgt, left, math.constant(0)),
        math.compare(arith::CmpIPredicate::slt, number(b, loc, middle), block));
    OpFoldResult rest = math.sub(math.sub(left, half), math.constant(1));
    OpFoldResult next = math.add(middle, math.constant(1));
    scf::YieldOp::create(
        b, loc,
        ValueRange{math.materialize(math.select(after, next, first)),
                   math.materialize(math.select(after, rest, half))});
    return OpFoldResult(loop.getResult(0));
  };
  if (!ShapedType::isDynamic(capacity))
    list.capacity = capacity;
  list.candidates = [=](OpBuilder &b, Location loc, KeyInterval range) {
    IndexMath math(b, loc);
    OpFoldResult count =
        math.min(readOfHead(b, loc, counts, batch, head, heads, {queryBlock}),
                 tensor::getMixedSize(b, loc, numbers, 3));
    return KeyInterval{place(b, loc, count, math.floorDiv(range.begin, keys)),
                       place(b, loc, count, math.ceilDiv(range.end, keys))};
  };
  list.entry = [=](OpBuilder &b, Location loc, OpFoldResult i) {
    IndexMath math(b, loc);
    // Lists of a caller's own making may name blocks that do not exist.
    OpFoldResult block = math.max(
        math.constant(0),
        math.min(number(b, loc, i),
                 math.floorDiv(math.sub(kvLen, math.constant(1)), keys)));
    OpFoldResult begin = math.mul(block, math.constant(keys));
    return KeyInterval{begin, math.add(begin, math.constant(keys))};
  };
  list.present = [](OpBuilder &b, Location loc, OpFoldResult) {
    return IndexMath(b, loc).boolean(true);
  };
  list.full = list.present;
}
