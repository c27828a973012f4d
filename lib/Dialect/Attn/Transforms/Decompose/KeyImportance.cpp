//===- KeyImportance.cpp - The linalg meaning of attn.key_importance ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionRows.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

class ImportanceBuilder {
public:
  ImportanceBuilder(OpBuilder &builder, KeyImportanceOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(computeTypeOf(op.getQuery())) {}

  Value build();

private:
  AffineMap dims(ArrayRef<unsigned> which, unsigned loops = 4) {
    return AffineMap::getMultiDimMapWithTargets(loops, which, b.getContext());
  }
  static Value index(ImplicitLocOpBuilder &b, unsigned loop) {
    return linalg::IndexOp::create(b, loop);
  }
  Value none(ImplicitLocOpBuilder &b) {
    return buildFloat(b, compute, -std::numeric_limits<double>::infinity());
  }
  static Value combine(ImplicitLocOpBuilder &b, Reduction how, Value x,
                       Value y) {
    if (how == Reduction::Max)
      return arith::MaximumFOp::create(b, x, y);
    return arith::AddFOp::create(b, x, y);
  }
  /// Whether a pair counts, inside a body.
  Value isKept(ImplicitLocOpBuilder &b, Value head, Value entry, Value key);
  /// `score` of a kept pair, else minus infinity; loops over (batch, head, row,
  /// key).
  Value keptScore(ImplicitLocOpBuilder &b, Value score) {
    return arith::SelectOp::create(
        b, isKept(b, index(b, 1), index(b, 2), index(b, 3)), score, none(b));
  }
  Value buildLse(Value scores);
  Value reduceGroups(Value importance);

  ImplicitLocOpBuilder b;
  IndexMath math;
  KeyImportanceOp op;
  FloatType compute;
  SmallVector<OpFoldResult> sizes; ///< of the scores
  OpFoldResult queryLen;
  MaskAttrInterface mask;
  SmallVector<Value> maskOperands;
};

Value ImportanceBuilder::isKept(ImplicitLocOpBuilder &b, Value head,
                                Value entry, Value key) {
  IndexMath math(b, b.getLoc());
  auto less = arith::CmpIPredicate::slt;
  Value batch = index(b, 0);
  OpFoldResult kept = math.boolean(true), row = entry;
  if (op.getKvLengths())
    kept = math.compare(less, key, numberOf(b, op.getKvLengths(), batch));
  if (op.getRowList()) {
    ListedRow listed =
        readListedRow(b, b.getLoc(), op.getRowList(), op.getRowCounts(), batch,
                      head, entry, queryLen);
    kept = math.logicalAnd(kept, listed.exists);
    row = listed.row;
  }
  if (mask) {
    MaskPoint point;
    point.batch = batch;
    point.head = head;
    point.heads = sizes[1];
    point.kvLen = sizes[3];
    point.entry = entry;
    point.queryRow = row;
    point.query = math.add(row, numberOf(b, op.getQueryOffset(), batch));
    point.key = key;
    point.operands = maskOperands;
    kept = math.logicalAnd(kept, mask.keep(b, b.getLoc(), point));
  }
  return math.materialize(kept);
}

/// The logarithm of each row's sum of powers, by its maximum.
Value ImportanceBuilder::buildLse(Value scores) {
  AffineMap all = dims({0, 1, 2, 3}), ofRow = dims({0, 1, 2});
  SmallVector<OpFoldResult> shape(ArrayRef(sizes).drop_back());
  Value maximum = buildGeneric(
      b, {{scores, all}},
      {buildFilled(b, shape, compute, -std::numeric_limits<double>::infinity()),
       ofRow},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::MaximumFOp::create(b, x[1], keptScore(b, x[0]));
      });
  Value sum = buildGeneric(
      b, {{scores, all}, {maximum, ofRow}},
      {buildFilled(b, shape, compute, 0), ofRow}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value score = keptScore(b, x[0]);
        Value isNone =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, score, none(b));
        Value power =
            math::ExpOp::create(b, arith::SubFOp::create(b, score, x[1]));
        power = arith::SelectOp::create(b, isNone, buildFloat(b, compute, 0),
                                        power);
        return arith::AddFOp::create(b, x[2], power);
      });
  AffineMap own = dims({0, 1, 2}, 3);
  return buildElementwise(b, {{maximum, own}, {sum, own}}, shape, compute,
                          [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                            return arith::AddFOp::create(
                                b, x[0], math::LogOp::create(b, x[1]));
                          });
}

/// The heads of each group become one.
Value ImportanceBuilder::reduceGroups(Value heads) {
  SmallVector<OpFoldResult> shape = {
      sizes[0], tensor::getMixedSize(b, b.getLoc(), op.getKey(), 1), sizes[3]};
  OpFoldResult group;
  if (auto known = op.getGroupSize())
    group = math.constant(*known);
  else
    group = arith::DivUIOp::create(
                b, math.materialize(sizes[1]),
                math.materialize(math.max(shape[1], math.constant(1))))
                .getResult();
  // It only says how many heads a group has.
  Value extent = buildEmpty(b, {group}, b.getI8Type());
  return buildGeneric(
      b, {{extent, dims({3})}},
      {buildFilled(b, shape, compute, 0), dims({0, 1, 2})}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value head = arith::AddIOp::create(
            b, arith::MulIOp::create(b, index(b, 1), math.materialize(group)),
            index(b, 3));
        Value own = tensor::ExtractOp::create(
            b, heads, ValueRange{index(b, 0), head, index(b, 2)});
        return combine(b, op.getHeads(), x[1], own);
      });
}

Value ImportanceBuilder::build() {
  Location loc = b.getLoc();
  queryLen = tensor::getMixedSize(b, loc, op.getQuery(), 2);
  Value queries = op.getQuery();
  if (op.getRowList())
    queries = buildGatheredRows(b, queries, op.getRowList());
  Value scores =
      buildProducts(b, queries, op.getKey(), op.getEffectiveScale(), compute);
  sizes = tensor::getMixedSizes(b, loc, scores);
  if (MaskAttrInterface whole = op.getMaskAttr()) {
    maskOperands = op.getMaskOperands();
    mask = prepareMask(b, loc, whole, {sizes[0], sizes[1], sizes[2], sizes[3]},
                       maskOperands);
  }
  Value lse = op.getLse() ? op.getLse() : buildLse(scores);
  // Loops over (batch, head, key), then the row. Probabilities are not
  // negative: 0 begins both a sum and a maximum.
  Value importance = buildGeneric(
      b, {{scores, dims({0, 1, 3, 2})}, {lse, dims({0, 1, 3})}},
      {buildFilled(b, {sizes[0], sizes[1], sizes[3]}, compute, 0),
       dims({0, 1, 2})},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value zero = buildFloat(b, compute, 0);
        Value isNone =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1], none(b));
        Value weight =
            math::ExpOp::create(b, arith::SubFOp::create(b, x[0], x[1]));
        weight = arith::SelectOp::create(b, isNone, zero, weight);
        Value kept = isKept(b, index(b, 1), index(b, 3), index(b, 2));
        weight = arith::SelectOp::create(b, kept, weight, zero);
        return combine(b, op.getRows(), x[2], weight);
      });
  if (op.getHeads() != Reduction::Each)
    importance = reduceGroups(importance);
  return castTensor(b, importance, op.getImportance().getType());
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder,
                                         KeyImportanceOp op) {
  return {ImportanceBuilder(builder, op).build()};
}
