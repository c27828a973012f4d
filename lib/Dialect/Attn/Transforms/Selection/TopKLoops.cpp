//===- TopKLoops.cpp - The best entries of rows by bisection --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Decompose/SelectionRows.h"
#include "SelectionLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// One row of images inside the parallel loop.
class RowSelector {
public:
  RowSelector(ImplicitLocOpBuilder &b, const SelectionRows &rows, Value row)
      : b(b), math(b, b.getLoc()), rows(rows), row(row), type(rows.imageType) {
    images = sliceOf(rows.images);
    if (rows.weights)
      weights = sliceOf(rows.weights);
  }

  /// How many entries are to be selected: no more than there are candidates.
  Value countSelected();
  /// Writes the first `count` of the order to `list`, by rising index, and -1
  /// behind them.
  Value listSelected(Value count, Value list, Type element);

private:
  Value sliceOf(Value whole) {
    auto type = cast<RankedTensorType>(whole.getType());
    SmallVector<OpFoldResult> offsets = {row, b.getIndexAttr(0)};
    SmallVector<OpFoldResult> sizes = {b.getIndexAttr(1), rows.columns};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(
        b, RankedTensorType::get({type.getDimSize(1)}, type.getElementType()),
        whole, offsets, sizes, strides);
  }
  Value integer(APInt value) {
    return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
  }
  Value compareImages(ImplicitLocOpBuilder &b, arith::CmpIPredicate predicate,
                      Value x, Value y) {
    return arith::CmpIOp::create(b, predicate, x, y);
  }
  /// Number of images that compare so with `threshold`.
  Value count(arith::CmpIPredicate predicate, Value threshold);
  /// Sum of the weights of images of at least `threshold`.
  Value weigh(arith::CmpIPredicate predicate, Value threshold);
  /// The largest threshold for which `reaches` holds, from the highest bit
  /// down; `reaches` returns whether it does, and whether no more bits matter.
  Value bisect(Value isDone,
               function_ref<std::pair<Value, Value>(Value)> reaches);
  Value countByWeight();

  ImplicitLocOpBuilder &b;
  IndexMath math;
  const SelectionRows &rows;
  Value row;
  IntegerType type;
  Value images, weights;
};

Value RowSelector::count(arith::CmpIPredicate predicate, Value threshold) {
  Type i32 = b.getI32Type();
  Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value start =
      linalg::FillOp::create(b, zero, buildEmpty(b, {}, i32)).getResult(0);
  AffineMap all = AffineMap::getMultiDimIdentityMap(1, b.getContext());
  AffineMap none = AffineMap::get(1, 0, b.getContext());
  Value sum = buildGeneric(
      b, {{images, all}}, {start, none}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value counts = compareImages(b, predicate, x[0], threshold);
        return arith::AddIOp::create(b, x[1],
                                     arith::ExtUIOp::create(b, i32, counts));
      });
  return arith::IndexCastOp::create(b, b.getIndexType(),
                                    tensor::ExtractOp::create(b, sum));
}

Value RowSelector::weigh(arith::CmpIPredicate predicate, Value threshold) {
  FloatType compute = elementTypeOf(weights);
  AffineMap all = AffineMap::getMultiDimIdentityMap(1, b.getContext());
  AffineMap none = AffineMap::get(1, 0, b.getContext());
  Value sum =
      buildGeneric(b, {{images, all}, {weights, all}},
                   {buildFilled(b, {}, compute, 0), none}, /*reductions=*/1,
                   [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                     Value weight = arith::SelectOp::create(
                         b, compareImages(b, predicate, x[0], threshold), x[1],
                         buildFloat(b, compute, 0));
                     return arith::AddFOp::create(b, x[2], weight);
                   });
  return tensor::ExtractOp::create(b, sum);
}

Value RowSelector::bisect(
    Value isDone, function_ref<std::pair<Value, Value>(Value)> reaches) {
  unsigned width = type.getWidth();
  Value lowest = integer(APInt::getSignedMinValue(width));
  // Unsigned bits, which order as the images do when the highest is flipped.
  SmallVector<Value> start = {integer(APInt::getZero(width)), lowest, isDone};
  auto loop = scf::WhileOp::create(
      b, ValueRange(start).getTypes(), start,
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        ImplicitLocOpBuilder b(loc, inner);
        Value hasBits = arith::CmpIOp::create(
            b, arith::CmpIPredicate::ne, state[1],
            arith::ConstantOp::create(b, b.getIntegerAttr(type, 0)));
        Value isOpen = arith::XOrIOp::create(
            b, state[2], arith::ConstantOp::create(b, b.getBoolAttr(true)));
        scf::ConditionOp::create(b, arith::AndIOp::create(b, hasBits, isOpen),
                                 state);
      },
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        Value bits = arith::OrIOp::create(b, state[0], state[1]);
        auto [isReached, isExact] =
            reaches(arith::XOrIOp::create(b, bits, lowest));
        Value next = arith::SelectOp::create(b, isReached, bits, state[0]);
        Value bit =
            arith::ShRUIOp::create(b, state[1], integer(APInt(width, 1)));
        scf::YieldOp::create(b, ValueRange{next, bit, isExact});
      });
  return arith::XOrIOp::create(b, loop.getResult(0), lowest);
}

/// How many entries, best first, make the weights reach the row's target.
Value RowSelector::countByWeight() {
  FloatType compute = elementTypeOf(weights);
  Value target = tensor::ExtractOp::create(b, rows.targets, row);
  Value isFalse = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value last = bisect(isFalse, [&](Value threshold) {
    Value isReached = arith::CmpFOp::create(
        b, arith::CmpFPredicate::OGE,
        weigh(arith::CmpIPredicate::sge, threshold), target);
    return std::pair<Value, Value>(isReached, isFalse);
  });
  // Of the entries at the threshold, which weigh the same, only so many.
  Value above = count(arith::CmpIPredicate::sgt, last);
  Value level = count(arith::CmpIPredicate::sge, last);
  Value equal = arith::SubIOp::create(b, level, above);
  Value missing =
      arith::SubFOp::create(b, target, weigh(arith::CmpIPredicate::sgt, last));
  Value each = arith::DivFOp::create(
      b, weigh(arith::CmpIPredicate::eq, last),
      arith::SIToFPOp::create(
          b, compute, arith::IndexCastOp::create(b, b.getI64Type(), equal)));
  Value needed =
      math::CeilOp::create(b, arith::DivFOp::create(b, missing, each));
  Value zero = buildFloat(b, compute, 0);
  Value isLess =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, needed, zero);
  needed = arith::SelectOp::create(b, isLess, needed, zero);
  needed = arith::MinNumFOp::create(
      b, needed,
      arith::SIToFPOp::create(
          b, compute, arith::IndexCastOp::create(b, b.getI64Type(), equal)));
  Value more = arith::IndexCastOp::create(
      b, b.getIndexType(), arith::FPToSIOp::create(b, b.getI64Type(), needed));
  // Forced entries belong to every selection.
  Value forced = count(arith::CmpIPredicate::eq, rows.forced(b));
  return math.materialize(
      math.max(arith::AddIOp::create(b, above, more).getResult(), forced));
}

Value RowSelector::countSelected() {
  Value budget = tensor::ExtractOp::create(b, rows.budgets, row);
  Value candidates = count(arith::CmpIPredicate::ne, rows.none(b));
  OpFoldResult selected = math.min(budget, candidates);
  if (weights)
    selected = math.min(selected, countByWeight());
  return math.materialize(selected);
}

Value RowSelector::listSelected(Value wanted, Value list, Type element) {
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value minusOne = arith::ConstantIndexOp::create(b, -1);
  Value candidates = count(arith::CmpIPredicate::ne, rows.none(b));
  auto equals = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
  };
  Value isAll = equals(candidates, wanted);
  Value isDone = arith::OrIOp::create(b, isAll, equals(wanted, zero));
  Value threshold = bisect(isDone, [&](Value threshold) {
    Value reached = count(arith::CmpIPredicate::sge, threshold);
    Value isReached =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sge, reached, wanted);
    return std::pair<Value, Value>(isReached, equals(reached, wanted));
  });
  // All candidates: everything above what is never selected.
  Value least = integer(APInt::getSignedMinValue(type.getWidth()) + 1);
  threshold = arith::SelectOp::create(b, isAll, least, threshold);
  Value above = count(arith::CmpIPredicate::sgt, threshold);
  Value ties = arith::SubIOp::create(b, wanted, above);

  // Every entry goes to the next free slot, which the next one takes over
  // unless it was a selected one.
  SmallVector<Value> start = {zero, zero, ties, list};
  auto loop = scf::WhileOp::create(
      b, ValueRange(start).getTypes(), start,
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        ImplicitLocOpBuilder b(loc, inner);
        Value isOpen = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             state[1], wanted);
        scf::ConditionOp::create(b, isOpen, state);
      },
      [&](OpBuilder &inner, Location loc, ValueRange state) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        Value column = state[0], slot = state[1], ties = state[2];
        Value image = tensor::ExtractOp::create(b, images, column);
        Value isAbove =
            compareImages(b, arith::CmpIPredicate::sgt, image, threshold);
        Value isTie = arith::AndIOp::create(
            b, equals(image, threshold),
            arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, ties, zero));
        Value next = tensor::InsertOp::create(
            b, convertFromIndex(b, column, element), state[3], slot);
        Value isSelected = arith::OrIOp::create(b, isAbove, isTie);
        auto asIndex = [&](Value condition) -> Value {
          return arith::IndexCastUIOp::create(b, b.getIndexType(), condition);
        };
        scf::YieldOp::create(
            b,
            ValueRange{arith::AddIOp::create(b, column, one),
                       arith::AddIOp::create(b, slot, asIndex(isSelected)),
                       arith::SubIOp::create(b, ties, asIndex(isTie)), next});
      });
  Value missing = convertFromIndex(b, minusOne, element);
  auto rest = scf::ForOp::create(
      b, wanted, math.materialize(rows.capacity), one, loop.getResult(3),
      [&](OpBuilder &inner, Location loc, Value slot, ValueRange lists) {
        ImplicitLocOpBuilder b(loc, inner);
        Value next = tensor::InsertOp::create(b, missing, lists[0], slot);
        scf::YieldOp::create(b, next);
      });
  return rest.getResult(0);
}

} // namespace

SmallVector<Value> mlir::attn::buildTopKLoops(OpBuilder &builder, TopKOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  SelectionRows rows = buildSelectionRows(b, op);
  Type element =
      cast<RankedTensorType>(op.getIndices().getType()).getElementType();
  Value indices = buildEmpty(b, {rows.rows, rows.capacity}, element);
  Value counts = buildEmpty(b, {rows.rows}, element);
  auto loop = scf::ForallOp::create(b, b.getLoc(), ArrayRef{rows.rows},
                                    ValueRange{indices, counts}, std::nullopt);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value row = loop.getInductionVars()[0];
    auto outs = loop.getRegionIterArgs();
    RowSelector selector(b, rows, row);
    SmallVector<OpFoldResult> offsets = {row, b.getIndexAttr(0)};
    SmallVector<OpFoldResult> sizes = {b.getIndexAttr(1), rows.capacity};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    int64_t capacity = cast<RankedTensorType>(indices.getType()).getDimSize(1);
    Value list = tensor::ExtractSliceOp::create(
        b, RankedTensorType::get({capacity}, element), outs[0], offsets, sizes,
        strides);
    Value count = selector.countSelected();
    list = selector.listSelected(count, list, element);
    SmallVector<OpFoldResult> countOffsets = {row}, one = {b.getIndexAttr(1)};
    Value own =
        tensor::ExtractSliceOp::create(b, outs[1], countOffsets, one, one);
    own = tensor::InsertOp::create(
        b, convertFromIndex(b, count, element), own,
        ValueRange{arith::ConstantIndexOp::create(b, 0)});
    b.setInsertionPointToStart(loop.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(b, list, outs[0], offsets, sizes,
                                          strides);
    tensor::ParallelInsertSliceOp::create(b, own, outs[1], countOffsets, one,
                                          one);
  }
  return restoreSelection(b, op, loop.getResult(0), loop.getResult(1));
}
