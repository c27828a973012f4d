//===- SpanSearchTiles.cpp - Anchors of a tile of rows are a slice --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Decompose/SelectionRows.h"
#include "SelectionLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

class SearchBuilder {
public:
  SearchBuilder(OpBuilder &builder, SpanSearchOp op, int64_t tileRows)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        tileRows(tileRows), compute(b.getF32Type()),
        places(
            cast<RankedTensorType>(op.getAnchors().getType()).getDimSize(3)) {}

  SmallVector<Value> build();

private:
  OpFoldResult numberOf(Value operand, Value batch) {
    if (!operand)
      return b.getIndexAttr(0);
    if (operand.getType().isIndex())
      return operand;
    return convertToIndex(b, tensor::ExtractOp::create(b, operand, batch));
  }
  Value none(ImplicitLocOpBuilder &b) {
    return buildFloat(b, compute, -std::numeric_limits<double>::infinity());
  }
  /// One anchor of each row joins the best so far: `places` tensors of logits,
  /// then as many of anchors, all [rows].
  SmallVector<Value> visit(Value offset, Value query, ValueRange best);
  AffineMap rowMap() {
    return AffineMap::getMultiDimIdentityMap(1, b.getContext());
  }

  ImplicitLocOpBuilder b;
  IndexMath math;
  SpanSearchOp op;
  int64_t tileRows;
  FloatType compute;
  int64_t places;
  // Of the tile.
  Value batch, kvHead;
  OpFoldResult rows, firstPosition, start, numKeys, headDim;
};

SmallVector<Value> SearchBuilder::visit(Value offset, Value query,
                                        ValueRange best) {
  // Key of the tile's first row; the others follow it.
  OpFoldResult first =
      math.sub(math.add(firstPosition, math.constant(1)), offset);
  Value firstKey = math.materialize(first);
  OpFoldResult last = math.sub(numKeys, math.constant(1));
  AffineMap all = AffineMap::getMultiDimIdentityMap(2, b.getContext());
  AffineMap ofRow = all.getMajorSubMap(1);
  Value products = buildGeneric(
      b, {{query, all}}, {buildEmpty(b, {rows, headDim}, compute), all},
      /*reductions=*/0, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value row = linalg::IndexOp::create(b, 0);
        OpFoldResult key =
            math.min(math.max(math.add(firstKey, row), math.constant(0)), last);
        Value k = tensor::ExtractOp::create(
            b, op.getKey(),
            ValueRange{batch, kvHead, math.materialize(key),
                       linalg::IndexOp::create(b, 1)});
        return arith::MulFOp::create(b, x[0], convertFloat(b, k, compute));
      });
  Value sums = buildGeneric(
      b, {{products, all}}, {buildFilled(b, {rows}, compute, 0), ofRow},
      /*reductions=*/1, [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddFOp::create(b, x[0], x[1]);
      });
  Value logits = buildGeneric(
      b, {{sums, rowMap()}}, {buildEmpty(b, {rows}, compute), rowMap()},
      /*reductions=*/0, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        OpFoldResult key =
            math.add(firstKey, linalg::IndexOp::create(b, 0).getResult());
        OpFoldResult isKey =
            math.logicalAnd(math.compare(arith::CmpIPredicate::sge, key, start),
                            math.compare(arith::CmpIPredicate::sle, key, last));
        return arith::SelectOp::create(b, math.materialize(isKey), x[0],
                                       none(b));
      });
  // Which places the new anchor is better than; a NaN is better than none.
  SmallVector<Value> next(best);
  SmallVector<Value> isBetter;
  for (int64_t i = 0; i < places; ++i)
    isBetter.push_back(buildGeneric(
        b,
        {{logits, rowMap()}, {best[i], rowMap()}, {best[places + i], rowMap()}},
        {buildEmpty(b, {rows}, b.getI1Type()), rowMap()}, /*reductions=*/0,
        [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          IndexMath math(b, b.getLoc());
          OpFoldResult greater =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[0], x[1])
                  .getResult();
          OpFoldResult equal =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0], x[1])
                  .getResult();
          OpFoldResult key =
              math.add(firstKey, linalg::IndexOp::create(b, 0).getResult());
          OpFoldResult isLower =
              math.compare(arith::CmpIPredicate::slt, key, x[2]);
          return math.materialize(
              math.logicalOr(greater, math.logicalAnd(equal, isLower)));
        }));
  for (int64_t i = places; i-- > 0;)
    for (bool isAnchor : {false, true}) {
      unsigned slot = i + (isAnchor ? places : 0);
      SmallVector<MappedTensor> inputs = {{isBetter[i], rowMap()}};
      if (i > 0) {
        inputs.push_back({isBetter[i - 1], rowMap()});
        inputs.push_back({best[slot - 1], rowMap()});
      }
      if (!isAnchor)
        inputs.push_back({logits, rowMap()});
      next[slot] = buildGeneric(
          b, inputs, {best[slot], rowMap()}, /*reductions=*/0,
          [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
            Value own = x.back();
            Value fresh =
                isAnchor ? arith::AddIOp::create(b, firstKey,
                                                 linalg::IndexOp::create(b, 0))
                               .getResult()
                         : x[x.size() - 2];
            if (i > 0)
              fresh = arith::SelectOp::create(b, x[1], x[2], fresh);
            return arith::SelectOp::create(b, x[0], fresh, own);
          });
    }
  return next;
}

SmallVector<Value> SearchBuilder::build() {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getQuery());
  SmallVector<OpFoldResult> keySizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getKey());
  OpFoldResult count = tensor::getMixedSize(b, b.getLoc(), op.getOffsets(), 0);
  numKeys = keySizes[2];
  headDim = sizes[3];
  Type element =
      cast<RankedTensorType>(op.getAnchors().getType()).getElementType();
  SmallVector<OpFoldResult> shape = {sizes[0], sizes[1], sizes[2],
                                     b.getIndexAttr(places)};
  SmallVector<Value> results = {buildEmpty(b, shape, element),
                                buildEmpty(b, shape, compute)};
  Value group = arith::DivUIOp::create(
      b, math.materialize(sizes[1]),
      math.materialize(math.max(keySizes[1], math.constant(1))));
  OpFoldResult tiles = math.ceilDiv(sizes[2], tileRows);
  auto loop =
      scf::ForallOp::create(b, b.getLoc(), ArrayRef{sizes[0], sizes[1], tiles},
                            results, std::nullopt);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> at = loop.getInductionVars();
    batch = at[0];
    kvHead = arith::DivUIOp::create(b, at[1], group);
    OpFoldResult firstRow = math.mul(at[2], math.constant(tileRows));
    rows = math.min(math.sub(sizes[2], firstRow), math.constant(tileRows));
    firstPosition = math.add(firstRow, numberOf(op.getQueryOffset(), batch));
    start = math.max(numberOf(op.getStarts(), batch), math.constant(0));
    OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
    auto queryType = cast<RankedTensorType>(op.getQuery().getType());
    Value source = tensor::ExtractSliceOp::create(
        b,
        RankedTensorType::get({constantOf(rows).value_or(ShapedType::kDynamic),
                               queryType.getDimSize(3)},
                              queryType.getElementType()),
        op.getQuery(), SmallVector<OpFoldResult>{batch, at[1], firstRow, zero},
        SmallVector<OpFoldResult>{one, one, rows, headDim},
        SmallVector<OpFoldResult>(4, one));
    AffineMap all = AffineMap::getMultiDimIdentityMap(2, b.getContext());
    Value query = buildGeneric(
        b, {{source, all}}, {buildEmpty(b, {rows, headDim}, compute), all},
        /*reductions=*/0, [&](ImplicitLocOpBuilder &b, ValueRange x) {
          return convertFloat(b, x[0], compute);
        });
    SmallVector<Value> best;
    for (int64_t i = 0; i < 2 * places; ++i) {
      bool isAnchor = i >= places;
      Value number = isAnchor
                         ? arith::ConstantIndexOp::create(b, -1).getResult()
                         : none(b);
      Value empty = buildEmpty(b, {rows}, number.getType());
      best.push_back(linalg::FillOp::create(b, number, empty).getResult(0));
    }
    Value c0 = arith::ConstantIndexOp::create(b, 0);
    Value c1 = arith::ConstantIndexOp::create(b, 1);
    auto visits = scf::ForOp::create(b, c0, math.materialize(count), c1, best);
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(visits.getBody());
      Value offset =
          convertToIndex(b, tensor::ExtractOp::create(
                                b, op.getOffsets(), visits.getInductionVar()));
      // Some row of the tile has this anchor, and none has it after itself.
      OpFoldResult lastKey = math.sub(math.add(firstPosition, rows), offset);
      OpFoldResult isVisited = math.logicalAnd(
          math.logicalAnd(
              math.compare(arith::CmpIPredicate::sge, offset, math.constant(1)),
              math.compare(arith::CmpIPredicate::sge, lastKey, start)),
          math.compare(
              arith::CmpIPredicate::slt,
              math.sub(math.add(firstPosition, math.constant(1)), offset),
              numKeys));
      isVisited =
          math.logicalAnd(isVisited, math.compare(arith::CmpIPredicate::sgt,
                                                  numKeys, math.constant(0)));
      auto choice = scf::IfOp::create(
          b, math.materialize(isVisited),
          [&](OpBuilder &nested, Location) {
            OpBuilder::InsertionGuard guard(b);
            b.restoreInsertionPoint(nested.saveInsertionPoint());
            scf::YieldOp::create(
                b, visit(offset, query, visits.getRegionIterArgs()));
          },
          [&](OpBuilder &nested, Location loc) {
            scf::YieldOp::create(nested, loc, visits.getRegionIterArgs());
          });
      scf::YieldOp::create(b, choice.getResults());
    }
    SmallVector<Value> lists(visits.getResults());
    // A free place may hold a negative anchor that equals it in its logit.
    for (int64_t i = 0; i < places; ++i)
      lists[places + i] = buildGeneric(
          b, {{lists[places + i], rowMap()}},
          {buildEmpty(b, {rows}, element), rowMap()}, /*reductions=*/0,
          [&](ImplicitLocOpBuilder &b, ValueRange x) {
            IndexMath math(b, b.getLoc());
            return convertFromIndex(
                b, math.materialize(math.max(x[0], math.constant(-1))),
                element);
          });
    // One slice for each result, in their order: a loop of one iteration is
    // taken apart by it.
    SmallVector<OpFoldResult> offsets = {batch, at[1], firstRow, zero};
    SmallVector<OpFoldResult> extents = {one, one, rows,
                                         b.getIndexAttr(places)};
    SmallVector<OpFoldResult> strides(4, one);
    SmallVector<Value> found;
    for (unsigned result : {0u, 1u}) {
      Value whole = loop.getRegionIterArgs()[result];
      Value tile = tensor::ExtractSliceOp::create(
          b,
          RankedTensorType::get(
              {constantOf(rows).value_or(ShapedType::kDynamic), places},
              cast<RankedTensorType>(whole.getType()).getElementType()),
          whole, offsets, extents, strides);
      for (int64_t i = 0; i < places; ++i)
        tile = tensor::InsertSliceOp::create(
            b, lists[result == 0 ? places + i : i], tile,
            SmallVector<OpFoldResult>{zero, b.getIndexAttr(i)},
            SmallVector<OpFoldResult>{rows, one},
            SmallVector<OpFoldResult>(2, one));
      found.push_back(tile);
    }
    b.setInsertionPointToStart(loop.getTerminator().getBody());
    for (unsigned result : {0u, 1u})
      tensor::ParallelInsertSliceOp::create(b, found[result],
                                            loop.getRegionIterArgs()[result],
                                            offsets, extents, strides);
  }
  return {castTensor(b, loop.getResult(0), op.getAnchors().getType()),
          castTensor(b, loop.getResult(1), op.getLogits().getType())};
}

} // namespace

FailureOr<SmallVector<Value>>
mlir::attn::buildSpanSearchTiles(OpBuilder &builder, SpanSearchOp op,
                                 int64_t tileRows) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  auto anchors = cast<RankedTensorType>(op.getAnchors().getType());
  // Without a key there is no row that a lane could read.
  if (query.getElementType().isF64() || query.isDynamicDim(3) ||
      query.getDimSize(3) == 0 || anchors.getDimSize(3) == 0)
    return failure();
  return SearchBuilder(builder, op, tileRows).build();
}
