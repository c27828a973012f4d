//===- Parts.cpp - The linalg meaning of operations on parts of rows ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionRows.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

class PoolBuilder {
public:
  PoolBuilder(OpBuilder &builder, PoolOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(computeTypeOf(op.getInput())),
        sizes(tensor::getMixedSizes(b, op.getLoc(), op.getInput())) {}

  Value build() { return op.getBlock() ? buildBlocks() : buildRagged(); }

private:
  double neutral() {
    double infinity = std::numeric_limits<double>::infinity();
    return op.getKind() == Pooling::Min   ? infinity
           : op.getKind() == Pooling::Max ? -infinity
                                          : 0;
  }
  Value combine(ImplicitLocOpBuilder &b, Value x, Value y) {
    if (op.getKind() == Pooling::Min)
      return arith::MinimumFOp::create(b, x, y);
    if (op.getKind() == Pooling::Max)
      return arith::MaximumFOp::create(b, x, y);
    return arith::AddFOp::create(b, x, y);
  }
  /// The part's element from that of all its `count` rows.
  Value finish(ImplicitLocOpBuilder &b, Value x, Value count) {
    FloatType element = elementTypeOf(op.getOutput());
    Value zero = arith::ConstantIndexOp::create(b, 0);
    Value isEmpty =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sle, count, zero);
    if (op.getKind() == Pooling::Mean || op.getKind() == Pooling::SqrtSum) {
      Value length = arith::SIToFPOp::create(
          b, compute, arith::IndexCastOp::create(b, b.getI32Type(), count));
      if (op.getKind() == Pooling::SqrtSum)
        length = math::SqrtOp::create(b, length);
      x = arith::DivFOp::create(b, x, length);
    }
    x = arith::SelectOp::create(b, isEmpty, buildFloat(b, compute, 0), x);
    return convertFloat(b, x, element);
  }
  /// Number of rows that count in a batch entry.
  OpFoldResult lengthOf(ImplicitLocOpBuilder &b, Value batch) {
    Value lengths = op.getLengths();
    if (!lengths)
      return sizes[2];
    if (!lengths.getType().isIndex())
      lengths = convertToIndex(b, tensor::ExtractOp::create(b, lengths, batch));
    IndexMath math(b, b.getLoc());
    return math.min(math.max(lengths, math.constant(0)), sizes[2]);
  }
  Value buildBlocks();
  Value buildRagged();

  ImplicitLocOpBuilder b;
  IndexMath math;
  PoolOp op;
  FloatType compute;
  SmallVector<OpFoldResult> sizes;
};

Value PoolBuilder::buildBlocks() {
  MLIRContext *context = b.getContext();
  int64_t block = *op.getBlock();
  SmallVector<OpFoldResult> shape = sizes;
  shape[2] = math.ceilDiv(sizes[2], block);
  SmallVector<AffineExpr> d(5);
  bindDimsList<AffineExpr>(context, d);
  AffineMap part = AffineMap::get(5, 0, ArrayRef(d).take_front(4), context);
  AffineMap ofRow = AffineMap::get(5, 0, {d[4]}, context);
  // It only says how many rows a block has.
  Value extent = buildEmpty(b, {b.getIndexAttr(block)}, b.getI8Type());
  auto endOf = [&](ImplicitLocOpBuilder &b, Value batch, Value index) {
    IndexMath math(b, b.getLoc());
    OpFoldResult last =
        math.mul(math.add(index, math.constant(1)), math.constant(block));
    return math.min(last, lengthOf(b, batch));
  };
  Value sums = buildGeneric(
      b, {{extent, ofRow}}, {buildFilled(b, shape, compute, neutral()), part},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        auto index = [&](unsigned loop) -> Value {
          return linalg::IndexOp::create(b, loop);
        };
        Value batch = index(0);
        OpFoldResult row =
            math.add(math.mul(index(2), math.constant(block)), index(4));
        OpFoldResult inside = math.compare(arith::CmpIPredicate::slt, row,
                                           endOf(b, batch, index(2)));
        OpFoldResult at = math.min(row, math.sub(sizes[2], math.constant(1)));
        Value element = tensor::ExtractOp::create(
            b, op.getInput(),
            ValueRange{batch, index(1), math.materialize(at), index(3)});
        Value more = convertFloat(b, element, compute);
        more = arith::SelectOp::create(b, math.materialize(inside), more,
                                       buildFloat(b, compute, neutral()));
        return combine(b, x[1], more);
      });
  AffineMap all = AffineMap::getMultiDimIdentityMap(4, context);
  Value output =
      buildElementwise(b, {{sums, all}}, shape, elementTypeOf(op.getOutput()),
                       [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                         IndexMath math(b, b.getLoc());
                         Value index = linalg::IndexOp::create(b, 2);
                         OpFoldResult count = math.sub(
                             endOf(b, linalg::IndexOp::create(b, 0), index),
                             math.mul(index, math.constant(block)));
                         return finish(b, x[0], math.materialize(count));
                       });
  return castTensor(b, output, op.getOutput().getType());
}

Value PoolBuilder::buildRagged() {
  MLIRContext *context = b.getContext();
  SmallVector<OpFoldResult> shape = sizes;
  SmallVector<OpFoldResult> boundSizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getBounds());
  shape[2] =
      math.max(math.sub(boundSizes[1], math.constant(1)), math.constant(0));
  FloatType element = elementTypeOf(op.getOutput());
  Value output = buildEmpty(b, shape, element);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  SmallVector<scf::ForOp> loops;
  OpBuilder::InsertionGuard guard(b);
  for (unsigned i = 0; i < 3; ++i) {
    loops.push_back(
        scf::ForOp::create(b, zero, math.materialize(shape[i]), one, output));
    b.setInsertionPointToStart(loops.back().getBody());
    output = loops.back().getRegionIterArg(0);
  }
  Value batch = loops[0].getInductionVar(), head = loops[1].getInductionVar(),
        index = loops[2].getInductionVar();
  OpFoldResult length = lengthOf(b, batch);
  auto bound = [&](Value at) -> OpFoldResult {
    Value x = extractBroadcast(b, op.getBounds(), boundSizes, {batch, at});
    return math.min(math.max(convertToIndex(b, x), math.constant(0)), length);
  };
  // Only the dimension of the batch broadcasts; `index + 1` exists.
  OpFoldResult begin = bound(index);
  OpFoldResult end = bound(arith::AddIOp::create(b, index, one));
  OpFoldResult count = math.max(math.sub(end, begin), math.constant(0));
  SmallVector<OpFoldResult> strides(4, math.constant(1));
  SmallVector<OpFoldResult> sliceSizes = {math.constant(1), math.constant(1),
                                          count, sizes[3]};
  auto inputType = cast<RankedTensorType>(op.getInput().getType());
  Value rows = tensor::ExtractSliceOp::create(
      b,
      RankedTensorType::get({constantOf(count).value_or(ShapedType::kDynamic),
                             inputType.getDimSize(3)},
                            inputType.getElementType()),
      op.getInput(), SmallVector<OpFoldResult>{batch, head, begin, zero},
      sliceSizes, strides);
  AffineExpr d0, d1;
  bindDims(context, d0, d1);
  Value sum = buildGeneric(
      b, {{rows, AffineMap::get(2, 0, {d1, d0}, context)}},
      {buildFilled(b, {sizes[3]}, compute, neutral()),
       AffineMap::get(2, 0, {d0}, context)},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        return combine(b, x[1], convertFloat(b, x[0], compute));
      });
  Value counted = math.materialize(count);
  Value part = buildElementwise(b, {{sum, AffineMap::get(1, 0, {d0}, context)}},
                                {sizes[3]}, element,
                                [&](ImplicitLocOpBuilder &b, ValueRange x) {
                                  return finish(b, x[0], counted);
                                });
  sliceSizes[2] = math.constant(1);
  Value next = tensor::InsertSliceOp::create(
      b, part, output, SmallVector<OpFoldResult>{batch, head, index, zero},
      sliceSizes, strides);
  for (scf::ForOp loop : llvm::reverse(loops)) {
    scf::YieldOp::create(b, next);
    b.setInsertionPointAfter(loop);
    next = loop.getResult(0);
  }
  return castTensor(b, next, op.getOutput().getType());
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, PoolOp op) {
  return {PoolBuilder(builder, op).build()};
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, SegmentOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  MLIRContext *context = b.getContext();
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getLogits());
  FloatType element = elementTypeOf(op.getLogits());
  AffineExpr d0, d1;
  bindDims(context, d0, d1);
  AffineMap all = AffineMap::get(2, 0, {d0, d1}, context);
  AffineMap ofRow = AffineMap::get(2, 0, {d0}, context);
  double minusInf = -std::numeric_limits<double>::infinity();
  Type index = b.getIndexType();
  IndexMath math(b, b.getLoc());
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value length = math.materialize(sizes[1]);

  // Minus infinity marks gaps that cannot be taken.
  Value open = buildElementwise(
      b, {{op.getLogits(), all}}, sizes, element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isGood = arith::CmpFOp::create(
            b, arith::CmpFPredicate::OGT, x[0],
            buildFloat(b, element, op.getThreshold().convertToDouble()));
        return arith::SelectOp::create(b, isGood, x[0],
                                       buildFloat(b, element, minusInf));
      });
  Value taken =
      linalg::FillOp::create(b, zero, buildEmpty(b, sizes, index)).getResult(0);
  OpFoldResult numBounds = op.getNumBounds(b);
  Value most = math.materialize(math.sub(numBounds, math.constant(2)));
  auto cuts = scf::ForOp::create(b, zero, most, one, ValueRange{open, taken});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(cuts.getBody());
  open = cuts.getRegionIterArg(0);
  taken = cuts.getRegionIterArg(1);
  Value best = buildGeneric(
      b, {{open, all}}, {buildFilled(b, {sizes[0]}, element, minusInf), ofRow},
      /*reductions=*/1, [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::MaximumFOp::create(b, x[0], x[1]);
      });
  Value where = buildGeneric(
      b, {{open, all}, {best, ofRow}},
      {linalg::FillOp::create(b, length, buildEmpty(b, {sizes[0]}, index))
           .getResult(0),
       ofRow},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isBest =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0], x[1]);
        Value isOpen = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[0],
                                             buildFloat(b, element, minusInf));
        Value gap =
            arith::SelectOp::create(b, arith::AndIOp::create(b, isBest, isOpen),
                                    linalg::IndexOp::create(b, 1), length);
        return arith::MinSIOp::create(b, gap, x[2]);
      });
  Value nextTaken = buildGeneric(
      b, {{where, ofRow}}, {taken, all}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isHere = arith::CmpIOp::create(
            b, arith::CmpIPredicate::eq, linalg::IndexOp::create(b, 1), x[0]);
        return arith::SelectOp::create(b, isHere, one, x[1]);
      });
  Value nextOpen = buildGeneric(
      b, {{where, ofRow}}, {open, all}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        OpFoldResult gap = linalg::IndexOp::create(b, 1).getResult();
        OpFoldResult distance = math.constant(op.getDistance());
        OpFoldResult isNear =
            math.logicalAnd(math.compare(arith::CmpIPredicate::sge, gap,
                                         math.sub(x[0], distance)),
                            math.compare(arith::CmpIPredicate::sle, gap,
                                         math.add(x[0], distance)));
        // Nothing was taken when the best gap lies past the end.
        isNear = math.logicalAnd(
            isNear, math.compare(arith::CmpIPredicate::slt, x[0], length));
        return arith::SelectOp::create(b, math.materialize(isNear),
                                       buildFloat(b, element, minusInf), x[1]);
      });
  scf::YieldOp::create(b, ValueRange{nextOpen, nextTaken});
  b.setInsertionPointAfter(cuts);
  taken = cuts.getResult(1);

  Type boundType =
      cast<RankedTensorType>(op.getBounds().getType()).getElementType();
  Value bounds =
      linalg::FillOp::create(b, convertFromIndex(b, length, boundType),
                             buildEmpty(b, {sizes[0], numBounds}, boundType))
          .getResult(0);
  Value counts = buildEmpty(b, {sizes[0]}, boundType);
  auto batches = scf::ForOp::create(b, zero, math.materialize(sizes[0]), one,
                                    ValueRange{bounds, counts});
  b.setInsertionPointToStart(batches.getBody());
  Value batch = batches.getInductionVar();
  Value first = tensor::InsertOp::create(
      b, convertFromIndex(b, zero, boundType), batches.getRegionIterArg(0),
      ValueRange{batch, zero});
  // A cut behind the last token is none: gaps 0 to L - 2. The slot of the next
  // cut holds L until it is taken.
  Value lastGap = math.materialize(
      math.max(math.sub(length, math.constant(1)), math.constant(0)));
  auto gaps = scf::ForOp::create(b, zero, lastGap, one, ValueRange{first, one});
  b.setInsertionPointToStart(gaps.getBody());
  Value gap = gaps.getInductionVar(), slot = gaps.getRegionIterArg(1);
  Value isTaken = arith::CmpIOp::create(
      b, arith::CmpIPredicate::eq,
      tensor::ExtractOp::create(b, taken, ValueRange{batch, gap}), one);
  Value cut = arith::SelectOp::create(
      b, isTaken, arith::AddIOp::create(b, gap, one), length);
  Value next = tensor::InsertOp::create(b, convertFromIndex(b, cut, boundType),
                                        gaps.getRegionIterArg(0),
                                        ValueRange{batch, slot});
  scf::YieldOp::create(b, ValueRange{next, addIf(b, isTaken, slot, one)});
  b.setInsertionPointAfter(gaps);
  // `slot` is one more than the cuts; an empty sequence has no chunk.
  OpFoldResult number = math.min(gaps.getResult(1), sizes[1]);
  Value nextCounts = tensor::InsertOp::create(
      b, convertFromIndex(b, math.materialize(number), boundType),
      batches.getRegionIterArg(1), batch);
  scf::YieldOp::create(b, ValueRange{gaps.getResult(0), nextCounts});
  b.setInsertionPointAfter(batches);
  return {castTensor(b, batches.getResult(0), op.getBounds().getType()),
          castTensor(b, batches.getResult(1), op.getCounts().getType())};
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, GatherRowsOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  IndexMath math(b, b.getLoc());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getInput());
  SmallVector<OpFoldResult> rowSizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getRows());
  SmallVector<OpFoldResult> shape = sizes;
  shape[2] = rowSizes[2];
  FloatType element = elementTypeOf(op.getInput());
  auto gather = [&]() -> Value {
    return buildElementwise(
        b, {}, shape, element,
        [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
          IndexMath math(b, b.getLoc());
          SmallVector<Value> at;
          for (unsigned i = 0; i < 4; ++i)
            at.push_back(linalg::IndexOp::create(b, i));
          Value row = convertToIndex(
              b, extractBroadcast(b, op.getRows(), rowSizes,
                                  ArrayRef<Value>(at).take_front(3)));
          OpFoldResult last = math.sub(sizes[2], math.constant(1));
          OpFoldResult isRow = math.logicalAnd(
              math.compare(arith::CmpIPredicate::sge, row, math.constant(0)),
              math.compare(arith::CmpIPredicate::sle, row, last));
          at[2] =
              math.materialize(math.min(math.max(row, math.constant(0)), last));
          Value x = tensor::ExtractOp::create(b, op.getInput(), at);
          return arith::SelectOp::create(b, math.materialize(isRow), x,
                                         buildFloat(b, element, 0));
        });
  };
  Value output;
  if (auto known = constantOf(sizes[2])) {
    output = *known ? gather() : buildFilled(b, shape, element, 0);
  } else {
    // Without a row there is no place to read from.
    Value isEmpty = math.materialize(
        math.compare(arith::CmpIPredicate::eq, sizes[2], math.constant(0)));
    auto branch = [&](bool empty) {
      return [&, empty](OpBuilder &inner, Location) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        scf::YieldOp::create(b, empty ? buildFilled(b, shape, element, 0)
                                      : gather());
      };
    };
    output =
        scf::IfOp::create(b, isEmpty, branch(true), branch(false)).getResult(0);
  }
  return {castTensor(b, output, op.getOutput().getType())};
}
