//===- RouteHeads.cpp - The linalg meaning of routing operations ----------===//
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

/// Builds the gates as rows: tokens of all batch entries together.
class GateBuilder {
public:
  GateBuilder(OpBuilder &builder, RouteHeadsOp op)
      : b(op.getLoc(), builder), op(op), compute(computeTypeOf(op.getInput())) {
    AffineExpr d0, d1, d2;
    bindDims(b.getContext(), d0, d1, d2);
    all = AffineMap::get(2, 0, {d0, d1}, b.getContext());
    ofRow = AffineMap::get(2, 0, {d0}, b.getContext());
    pair = AffineMap::get(3, 0, {d0, d1}, b.getContext());
    other = AffineMap::get(3, 0, {d0, d2}, b.getContext());
    weightMap = AffineMap::get(3, 0, {d1, d2}, b.getContext());
  }

  Value build();

private:
  Value number(ImplicitLocOpBuilder &b, double x) {
    return buildFloat(b, compute, x);
  }
  /// [tokens, heads] in the compute type, minus infinity for NaN.
  Value logitsOf(Value operand);
  Value norms();
  Value reduce(Value input, double start, ElementBody body) {
    return buildGeneric(b, {{input, all}},
                        {buildFilled(b, {rows}, compute, start), ofRow},
                        /*reductions=*/1, body);
  }
  Value softmax(Value logits);
  Value routedGates(Value logits);

  ImplicitLocOpBuilder b;
  RouteHeadsOp op;
  FloatType compute;
  OpFoldResult rows;
  AffineMap all, ofRow, pair, other, weightMap;
};

double minusInfinity() { return -std::numeric_limits<double>::infinity(); }

Value GateBuilder::logitsOf(Value operand) {
  if (op.getKind() == Router::Linear) {
    Value input = joinLeading(b, op.getInput(), 1);
    OpFoldResult heads = tensor::getMixedSize(b, b.getLoc(), operand, 0);
    Value start = buildFilled(b, {rows, heads}, compute, 0);
    operand = linalg::ContractOp::create(
                  b, ValueRange{input, operand}, ValueRange{start},
                  b.getAffineMapArrayAttr({other, weightMap, pair}))
                  .getResult(0);
  } else {
    operand = joinLeading(b, operand, 1);
  }
  return buildElementwise(
      b, {{operand, all}}, tensor::getMixedSizes(b, b.getLoc(), operand),
      compute, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value none = number(b, minusInfinity());
        Value logit = convertFloat(b, x[0], compute);
        Value isNumber =
            arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, logit, logit);
        return arith::SelectOp::create(b, isNumber, logit, none);
      });
}

/// The norms of the routed heads over their standard deviation.
Value GateBuilder::norms() {
  int64_t first = op.getNumShared(), routed = op.getNumRouted();
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getInput());
  SmallVector<OpFoldResult> offsets(4, b.getIndexAttr(0)),
      strides(4, b.getIndexAttr(1));
  offsets[1] = b.getIndexAttr(first);
  sizes[1] = b.getIndexAttr(routed);
  Value query =
      tensor::ExtractSliceOp::create(b, op.getInput(), offsets, sizes, strides);
  AffineExpr d0, d1, d2, d3;
  bindDims(b.getContext(), d0, d1, d2, d3);
  SmallVector<OpFoldResult> shape = {sizes[0], sizes[2], sizes[1]};
  Value squares = buildGeneric(
      b, {{query, AffineMap::get(4, 0, {d0, d2, d1, d3}, b.getContext())}},
      {buildFilled(b, shape, compute, 0),
       AffineMap::get(4, 0, {d0, d1, d2}, b.getContext())},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value q = convertFloat(b, x[0], compute);
        return arith::AddFOp::create(b, x[1], arith::MulFOp::create(b, q, q));
      });
  squares = joinLeading(b, squares, 1);
  SmallVector<OpFoldResult> flat = {rows, sizes[1]};
  Value norms =
      buildElementwise(b, {{squares, all}}, flat, compute,
                       [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                         return math::SqrtOp::create(b, x[0]);
                       });
  auto add = [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
    return arith::AddFOp::create(b, x[0], x[1]);
  };
  Value sum = reduce(norms, 0, add);
  Value deviations = buildElementwise(
      b, {{norms, all}, {sum, ofRow}}, flat, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value mean = arith::MulFOp::create(b, x[1], number(b, 1.0 / routed));
        Value away = arith::SubFOp::create(b, x[0], mean);
        return arith::MulFOp::create(b, away, away);
      });
  Value variance = reduce(deviations, 0, add);
  return buildElementwise(
      b, {{norms, all}, {variance, ofRow}}, flat, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value deviation = math::SqrtOp::create(
            b, arith::MulFOp::create(
                   b, x[1], number(b, 1.0 / std::max<int64_t>(routed - 1, 1))));
        // Equal norms, or a single head: the order is all that there is.
        Value zero = number(b, 0);
        Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                             deviation, zero);
        Value divisor =
            arith::SelectOp::create(b, isZero, number(b, 1), deviation);
        Value logit =
            routed > 1 ? arith::DivFOp::create(b, x[0], divisor) : Value(x[0]);
        Value isNumber =
            arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, logit, logit);
        return arith::SelectOp::create(b, isNumber, logit,
                                       number(b, minusInfinity()));
      });
}

/// Uniform where all logits are minus infinity.
Value GateBuilder::softmax(Value logits) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(b, b.getLoc(), logits);
  Value largest = reduce(logits, minusInfinity(),
                         [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                           return arith::MaximumFOp::create(b, x[0], x[1]);
                         });
  Value powers = buildElementwise(
      b, {{logits, all}, {largest, ofRow}}, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isLargest =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0], x[1]);
        Value power =
            math::ExpOp::create(b, arith::SubFOp::create(b, x[0], x[1]));
        return arith::SelectOp::create(b, isLargest, number(b, 1), power);
      });
  Value sum =
      reduce(powers, 0, [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddFOp::create(b, x[0], x[1]);
      });
  return buildElementwise(b, {{powers, all}, {sum, ofRow}}, shape, compute,
                          [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                            return arith::DivFOp::create(b, x[0], x[1]);
                          });
}

Value GateBuilder::routedGates(Value logits) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(b, b.getLoc(), logits);
  Type count = b.getI32Type();
  Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
  Value zeros =
      linalg::FillOp::create(b, zero, buildEmpty(b, shape, count)).getResult(0);
  Value places = buildGeneric(
      b, {{logits, pair}, {logits, other}}, {zeros, pair}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value greater =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[1], x[0]);
        Value equal =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1], x[0]);
        Value before = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             linalg::IndexOp::create(b, 2),
                                             linalg::IndexOp::create(b, 1));
        return addIf(b,
                     arith::OrIOp::create(
                         b, greater, arith::AndIOp::create(b, equal, before)),
                     x[2], one);
      });
  SmallVector<MappedTensor> inputs = {{logits, all}, {places, all}};
  if (!op.getHard())
    inputs.push_back({softmax(logits), all});
  int64_t top = std::min<int64_t>(op.getTopK(), 1 << 30);
  Value used = buildElementwise(
      b, inputs, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isFirst = arith::CmpIOp::create(
            b, arith::CmpIPredicate::slt, x[1],
            arith::ConstantOp::create(b, b.getI32IntegerAttr(top)));
        Value isGood = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[0],
                                             number(b, minusInfinity()));
        return arith::SelectOp::create(
            b, arith::AndIOp::create(b, isFirst, isGood),
            op.getHard() ? number(b, 1) : x[2], number(b, 0));
      });
  double scale = op.getRoutedScale().convertToDouble();
  if (!op.getRenormalize() && scale == 1)
    return used;
  SmallVector<MappedTensor> parts = {{used, all}};
  if (op.getRenormalize())
    parts.push_back({reduce(used, 0,
                            [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                              return arith::AddFOp::create(b, x[0], x[1]);
                            }),
                     ofRow});
  return buildElementwise(
      b, parts, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value gate = x[0];
        if (op.getRenormalize()) {
          // A token that uses no head: all of its gates are 0.
          Value isNone = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                               x[1], number(b, 0));
          Value divisor =
              arith::SelectOp::create(b, isNone, number(b, 1), x[1]);
          gate = arith::DivFOp::create(b, gate, divisor);
        }
        return arith::MulFOp::create(b, gate, number(b, scale));
      });
}

Value GateBuilder::build() {
  auto type = cast<RankedTensorType>(op.getGates().getType());
  int64_t heads = type.getDimSize(2), routed = op.getNumRouted();
  int64_t shared = heads - routed;
  int64_t rowsDim = op.getKind() == Router::Norm ? 2 : 1;
  // Rows are the tokens of all batch entries; this tensor knows their number.
  SmallVector<OpFoldResult> tokens = {
      tensor::getMixedSize(b, b.getLoc(), op.getInput(), 0),
      tensor::getMixedSize(b, b.getLoc(), op.getInput(), rowsDim),
      b.getIndexAttr(heads)};
  FloatType element = elementTypeOf(op.getGates());
  Value like = buildEmpty(b, tokens, element);
  // Without a token there is no slice to take.
  if (isKnownEmpty(like))
    return castTensor(b, like, type);
  Value result = joinLeading(b, like, 1);
  rows = tensor::getMixedSize(b, b.getLoc(), result, 0);

  Value alphas;
  if (op.getAlpha())
    alphas = softmax(logitsOf(op.getAlpha()));
  // Puts one kind of head into place; `weights` may be absent for 1.
  auto place = [&](Value weights, int64_t first, int64_t count, int64_t kind,
                   double scale) {
    if (count == 0)
      return;
    SmallVector<OpFoldResult> shape = {rows, b.getIndexAttr(count)};
    SmallVector<MappedTensor> inputs;
    if (weights)
      inputs.push_back({weights, all});
    if (alphas)
      inputs.push_back({alphas, AffineMap::get(2, 0,
                                               {b.getAffineDimExpr(0),
                                                b.getAffineConstantExpr(kind)},
                                               b.getContext())});
    Value gates = buildElementwise(
        b, inputs, shape, element,
        [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          Value gate = weights ? x[0] : number(b, 1);
          if (scale != 1)
            gate = arith::MulFOp::create(b, gate, number(b, scale));
          if (alphas) {
            Value alpha = arith::MulFOp::create(
                b, x[weights ? 1 : 0],
                number(b, op.getAlphaScale().convertToDouble()));
            gate = arith::MulFOp::create(b, gate, alpha);
          }
          return convertFloat(b, gate, element);
        });
    SmallVector<OpFoldResult> offsets = {b.getIndexAttr(0),
                                         b.getIndexAttr(first)};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    result = tensor::InsertSliceOp::create(b, gates, result, offsets, shape,
                                           strides);
  };
  Value sharedWeights;
  if (op.getShared() && shared > 0)
    sharedWeights = softmax(logitsOf(op.getShared()));
  place(sharedWeights, 0, shared, 0, op.getSharedScale().convertToDouble());
  if (routed > 0) {
    Value logits = op.getKind() == Router::Norm     ? norms()
                   : op.getKind() == Router::Linear ? logitsOf(op.getRouted())
                                                    : logitsOf(op.getInput());
    place(routedGates(logits), shared, routed, 1, 1);
  }
  return splitLeading(b, result, like, 2, type);
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, RouteHeadsOp op) {
  return {GateBuilder(builder, op).build()};
}

/// One iteration for each batch entry and head.
SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, ListRowsOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getGates());
  FloatType element = elementTypeOf(op.getGates());
  Type rowType =
      cast<RankedTensorType>(op.getRows().getType()).getElementType();
  IndexMath math(b, b.getLoc());
  SmallVector<OpFoldResult> shape = {sizes[0], sizes[2], sizes[1]};
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value minusOne =
      convertFromIndex(b, arith::ConstantIndexOp::create(b, -1), rowType);
  SmallVector<Value> results = {buildEmpty(b, shape, rowType),
                                buildEmpty(b, {sizes[0], sizes[2]}, rowType),
                                buildEmpty(b, shape, element)};
  auto finish = [&](ValueRange found) {
    SmallVector<Value> wanted;
    for (auto [value, type] : llvm::zip(found, op->getResultTypes()))
      wanted.push_back(castTensor(b, value, type));
    return wanted;
  };
  if (isKnownEmpty(op.getGates())) {
    // No token uses a head.
    Value none = convertFromIndex(b, zero, rowType);
    results[1] = linalg::FillOp::create(b, none, results[1]).getResult(0);
    return finish(results);
  }
  auto heads =
      scf::ForallOp::create(b, ArrayRef<OpFoldResult>{sizes[0], sizes[2]},
                            results, /*mapping=*/std::nullopt);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(heads.getBody());
    Value batch = heads.getInductionVar(0), head = heads.getInductionVar(1);
    SmallVector<OpFoldResult> offsets = {batch, head, b.getIndexAttr(0)};
    SmallVector<OpFoldResult> extents = {b.getIndexAttr(1), b.getIndexAttr(1),
                                         sizes[1]};
    SmallVector<OpFoldResult> strides(3, b.getIndexAttr(1));
    auto outs = heads.getRegionIterArgs();
    auto ofHead = [&](Value whole, Type type, unsigned rank) -> Value {
      SmallVector<int64_t> list;
      if (rank == 3)
        list.push_back(constantOf(sizes[1]).value_or(ShapedType::kDynamic));
      return tensor::ExtractSliceOp::create(
          b, RankedTensorType::get(list, type), whole,
          ArrayRef(offsets).take_front(rank),
          ArrayRef(extents).take_front(rank),
          ArrayRef(strides).take_front(rank));
    };
    Value rows =
        linalg::FillOp::create(b, minusOne, ofHead(outs[0], rowType, 3))
            .getResult(0);
    Value none = buildFloat(b, element, 0);
    Value weights = linalg::FillOp::create(b, none, ofHead(outs[2], element, 3))
                        .getResult(0);
    auto tokens = scf::ForOp::create(b, zero, math.materialize(sizes[1]), one,
                                     ValueRange{rows, weights, zero});
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(tokens.getBody());
      Value token = tokens.getInductionVar(), slot = tokens.getRegionIterArg(2);
      Value gate = tensor::ExtractOp::create(b, op.getGates(),
                                             ValueRange{batch, token, head});
      Value isUsed =
          arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, gate, none);
      // The first free slot holds -1 and 0 until it is taken.
      Value row = arith::SelectOp::create(
          b, isUsed, convertFromIndex(b, token, rowType), minusOne);
      Value weight = arith::SelectOp::create(b, isUsed, gate, none);
      Value nextRows =
          tensor::InsertOp::create(b, row, tokens.getRegionIterArg(0), slot);
      Value nextWeights =
          tensor::InsertOp::create(b, weight, tokens.getRegionIterArg(1), slot);
      scf::YieldOp::create(
          b, ValueRange{nextRows, nextWeights, addIf(b, isUsed, slot, one)});
    }
    Value count = tensor::InsertOp::create(
        b, convertFromIndex(b, tokens.getResult(2), rowType),
        ofHead(outs[1], rowType, 2), ValueRange());
    b.setInsertionPointToStart(heads.getTerminator().getBody());
    SmallVector<Value> own = {tokens.getResult(0), count, tokens.getResult(1)};
    for (auto [i, value] : llvm::enumerate(own)) {
      unsigned rank = i == 1 ? 2 : 3;
      tensor::ParallelInsertSliceOp::create(b, value, outs[i],
                                            ArrayRef(offsets).take_front(rank),
                                            ArrayRef(extents).take_front(rank),
                                            ArrayRef(strides).take_front(rank));
    }
  }
  return finish(heads.getResults());
}
