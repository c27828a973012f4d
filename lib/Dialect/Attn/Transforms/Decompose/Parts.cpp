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
  if (isKnownEmpty(output))
    return castTensor(b, output, op.getOutput().getType());
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto parts = scf::ForallOp::create(b, ArrayRef(shape).take_front(3), output,
                                     /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(parts.getBody());
  Value batch = parts.getInductionVar(0), head = parts.getInductionVar(1),
        index = parts.getInductionVar(2);
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
  SmallVector<OpFoldResult> sliceSizes(4, math.constant(1));
  sliceSizes[3] = sizes[3];
  auto inputType = cast<RankedTensorType>(op.getInput().getType());
  auto rowType = RankedTensorType::get({inputType.getDimSize(3)},
                                       inputType.getElementType());
  AffineMap all = AffineMap::getMultiDimIdentityMap(1, context);
  // Row by row, whose features lie together.
  auto sum = scf::ForOp::create(
      b, math.materialize(begin), math.materialize(math.max(begin, end)), one,
      buildFilled(b, {sizes[3]}, compute, neutral()),
      [&](OpBuilder &inner, Location loc, Value row, ValueRange state) {
        ImplicitLocOpBuilder b(loc, inner);
        Value features = tensor::ExtractSliceOp::create(
            b, rowType, op.getInput(),
            SmallVector<OpFoldResult>{batch, head, row, b.getIndexAttr(0)},
            sliceSizes, strides);
        Value next = buildGeneric(
            b, {{features, all}}, {state[0], all}, /*reductions=*/0,
            [&](ImplicitLocOpBuilder &b, ValueRange x) {
              return combine(b, x[1], convertFloat(b, x[0], compute));
            });
        scf::YieldOp::create(b, next);
      });
  Value counted = math.materialize(count);
  Value part =
      buildElementwise(b, {{sum.getResult(0), all}}, {sizes[3]}, element,
                       [&](ImplicitLocOpBuilder &b, ValueRange x) {
                         return finish(b, x[0], counted);
                       });
  b.setInsertionPointToStart(parts.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(
      b, part, parts.getRegionIterArgs()[0],
      SmallVector<OpFoldResult>{batch, head, index, b.getIndexAttr(0)},
      sliceSizes, strides);
  b.setInsertionPointAfter(parts);
  return castTensor(b, parts.getResult(0), op.getOutput().getType());
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, PoolOp op) {
  return {PoolBuilder(builder, op).build()};
}

namespace {

/// One batch entry of `attn.segment`.
class Segmenter {
public:
  Segmenter(ImplicitLocOpBuilder &b, SegmentOp op, Value logits, Value most)
      : b(b), math(b, b.getLoc()), op(op), logits(logits), most(most),
        element(elementTypeOf(logits)),
        size(tensor::getMixedSize(b, b.getLoc(), logits, 0)),
        zero(arith::ConstantIndexOp::create(b, 0)),
        one(arith::ConstantIndexOp::create(b, 1)),
        length(math.materialize(size)) {}

  /// `bounds` with its boundaries, and the number of chunks.
  std::pair<Value, Value> build(Value bounds, Type type) {
    return list(takeGaps(), bounds, type);
  }

private:
  Value none(ImplicitLocOpBuilder &b) {
    return buildFloat(b, element, -std::numeric_limits<double>::infinity());
  }
  AffineMap map(bool reduced) {
    return reduced ? AffineMap::get(1, 0, b.getContext())
                   : AffineMap::getMultiDimIdentityMap(1, b.getContext());
  }
  Value takeGaps();
  std::pair<Value, Value> list(Value taken, Value bounds, Type type);

  ImplicitLocOpBuilder &b;
  IndexMath math;
  SegmentOp op;
  Value logits, most; ///< most cuts
  FloatType element;
  OpFoldResult size;
  Value zero, one, length;
};

/// Which gaps are taken: the best one, again and again, without its
/// neighbours.
Value Segmenter::takeGaps() {
  // Minus infinity marks gaps that cannot be taken.
  Value open = buildElementwise(
      b, {{logits, map(false)}}, {size}, element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isGood = arith::CmpFOp::create(
            b, arith::CmpFPredicate::OGT, x[0],
            buildFloat(b, element, op.getThreshold().convertToDouble()));
        return arith::SelectOp::create(b, isGood, x[0], none(b));
      });
  Value isFalse = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value isTrue = arith::ConstantOp::create(b, b.getBoolAttr(true));
  Value taken =
      linalg::FillOp::create(b, isFalse, buildEmpty(b, {size}, b.getI1Type()))
          .getResult(0);
  SmallVector<Value> start = {zero, open, taken};
  auto loop = scf::WhileOp::create(
      b, ValueRange(start).getTypes(), start,
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        Value best =
            buildGeneric(b, {{state[1], map(false)}},
                         {buildFilled(b, {}, element,
                                      -std::numeric_limits<double>::infinity()),
                          map(true)},
                         /*reductions=*/1,
                         [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                           return arith::MaximumFOp::create(b, x[0], x[1]);
                         });
        Value isOpen =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT,
                                  tensor::ExtractOp::create(b, best), none(b));
        Value isMore =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, state[0], most);
        scf::ConditionOp::create(b, arith::AndIOp::create(b, isOpen, isMore),
                                 state);
      },
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        // The first of the largest ones.
        auto find = scf::ForOp::create(
            b, zero, length, one, ValueRange{zero, none(b)},
            [&](OpBuilder &inner, Location loc, Value gap, ValueRange best) {
              ImplicitLocOpBuilder b(loc, inner);
              Value x = tensor::ExtractOp::create(b, state[1], gap);
              Value isBetter = arith::CmpFOp::create(
                  b, arith::CmpFPredicate::OGT, x, best[1]);
              Value where = arith::SelectOp::create(b, isBetter, gap, best[0]);
              Value top = arith::SelectOp::create(b, isBetter, x, best[1]);
              scf::YieldOp::create(b, ValueRange{where, top});
            });
        Value where = find.getResult(0);
        OpFoldResult distance = math.constant(
            std::min<int64_t>(op.getDistance(), kMaxMaskDistance));
        OpFoldResult from =
            math.max(math.sub(where, distance), math.constant(0));
        OpFoldResult to = math.min(
            math.add(math.add(where, distance), math.constant(1)), length);
        auto close = scf::ForOp::create(
            b, math.materialize(from), math.materialize(to), one, state[1],
            [&](OpBuilder &inner, Location loc, Value gap, ValueRange open) {
              ImplicitLocOpBuilder b(loc, inner);
              Value next = tensor::InsertOp::create(b, none(b), open[0], gap);
              scf::YieldOp::create(b, next);
            });
        Value taken = tensor::InsertOp::create(b, isTrue, state[2], where);
        scf::YieldOp::create(b,
                             ValueRange{arith::AddIOp::create(b, state[0], one),
                                        close.getResult(0), taken});
      });
  return loop.getResult(2);
}

std::pair<Value, Value> Segmenter::list(Value taken, Value bounds, Type type) {
  Value end = convertFromIndex(b, length, type);
  bounds = linalg::FillOp::create(b, end, bounds).getResult(0);
  bounds = tensor::InsertOp::create(b, convertFromIndex(b, zero, type), bounds,
                                    zero);
  // A cut behind the last token is none: gaps 0 to L - 2. The slot of the next
  // cut holds L until it is taken.
  Value lastGap = math.materialize(
      math.max(math.sub(length, math.constant(1)), math.constant(0)));
  auto gaps = scf::ForOp::create(
      b, zero, lastGap, one, ValueRange{bounds, one},
      [&](OpBuilder &inner, Location loc, Value gap, ValueRange state) {
        ImplicitLocOpBuilder b(loc, inner);
        Value isTaken = tensor::ExtractOp::create(b, taken, gap);
        Value cut = arith::SelectOp::create(
            b, isTaken, arith::AddIOp::create(b, gap, one), length);
        Value next = tensor::InsertOp::create(b, convertFromIndex(b, cut, type),
                                              state[0], state[1]);
        scf::YieldOp::create(
            b, ValueRange{next, addIf(b, isTaken, state[1], one)});
      });
  // One more than the cuts; an empty sequence has no chunk.
  OpFoldResult number = math.min(gaps.getResult(1), length);
  return {gaps.getResult(0),
          convertFromIndex(b, math.materialize(number), type)};
}

} // namespace

/// One iteration for each batch entry.
SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, SegmentOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getLogits());
  Type type = cast<RankedTensorType>(op.getBounds().getType()).getElementType();
  OpFoldResult numBounds = op.getNumBounds(b);
  IndexMath math(b, b.getLoc());
  Value most = math.materialize(math.sub(numBounds, math.constant(2)));
  Value bounds = buildEmpty(b, {sizes[0], numBounds}, type);
  Value counts = buildEmpty(b, {sizes[0]}, type);
  auto finish = [&](Value bounds, Value counts) -> SmallVector<Value> {
    return {castTensor(b, bounds, op.getBounds().getType()),
            castTensor(b, counts, op.getCounts().getType())};
  };
  if (isKnownEmpty(op.getLogits())) {
    Value zero =
        convertFromIndex(b, arith::ConstantIndexOp::create(b, 0), type);
    return finish(linalg::FillOp::create(b, zero, bounds).getResult(0),
                  linalg::FillOp::create(b, zero, counts).getResult(0));
  }
  auto batches =
      scf::ForallOp::create(b, ArrayRef{sizes[0]}, ValueRange{bounds, counts},
                            /*mapping=*/std::nullopt);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(batches.getBody());
    auto outs = batches.getRegionIterArgs();
    Value batch = batches.getInductionVar(0);
    SmallVector<OpFoldResult> at = {batch, b.getIndexAttr(0)};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    SmallVector<OpFoldResult> ofBounds = {b.getIndexAttr(1), numBounds};
    SmallVector<OpFoldResult> ofLogits = {b.getIndexAttr(1), sizes[1]};
    auto row = [&](Value whole, ArrayRef<OpFoldResult> extents) -> Value {
      auto type = cast<RankedTensorType>(whole.getType());
      return tensor::ExtractSliceOp::create(
          b, RankedTensorType::get({type.getDimSize(1)}, type.getElementType()),
          whole, at, extents, strides);
    };
    auto [own, number] = Segmenter(b, op, row(op.getLogits(), ofLogits), most)
                             .build(row(outs[0], ofBounds), type);
    SmallVector<OpFoldResult> place = {batch}, unit = {b.getIndexAttr(1)};
    Value count = tensor::ExtractSliceOp::create(
        b, RankedTensorType::get({}, type), outs[1], place, unit, unit);
    count = tensor::InsertOp::create(b, number, count, ValueRange());
    b.setInsertionPointToStart(batches.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(b, own, outs[0], at, ofBounds,
                                          strides);
    tensor::ParallelInsertSliceOp::create(b, count, outs[1], place, unit, unit);
  }
  return finish(batches.getResult(0), batches.getResult(1));
}

Value mlir::attn::buildGatheredRows(ImplicitLocOpBuilder &b, Value input,
                                    Value rows) {
  IndexMath math(b, b.getLoc());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, b.getLoc(), input);
  SmallVector<OpFoldResult> rowSizes =
      tensor::getMixedSizes(b, b.getLoc(), rows);
  SmallVector<OpFoldResult> shape = sizes;
  shape[2] = rowSizes[2];
  FloatType element = elementTypeOf(input);
  auto gather = [&]() -> Value {
    return buildElementwise(
        b, {}, shape, element,
        [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
          IndexMath math(b, b.getLoc());
          SmallVector<Value> at;
          for (unsigned i = 0; i < 4; ++i)
            at.push_back(linalg::IndexOp::create(b, i));
          Value row = convertToIndex(
              b, extractBroadcast(b, rows, rowSizes,
                                  ArrayRef<Value>(at).take_front(3)));
          OpFoldResult last = math.sub(sizes[2], math.constant(1));
          OpFoldResult isRow = math.logicalAnd(
              math.compare(arith::CmpIPredicate::sge, row, math.constant(0)),
              math.compare(arith::CmpIPredicate::sle, row, last));
          at[2] =
              math.materialize(math.min(math.max(row, math.constant(0)), last));
          Value x = tensor::ExtractOp::create(b, input, at);
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
  return output;
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, GatherRowsOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  Value output = buildGatheredRows(b, op.getInput(), op.getRows());
  return {castTensor(b, output, op.getOutput().getType())};
}
