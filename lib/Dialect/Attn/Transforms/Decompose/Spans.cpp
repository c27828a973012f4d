//===- Spans.cpp - The linalg meaning of operations on spans --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionRows.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();

OpFoldResult mlir::attn::numberOf(ImplicitLocOpBuilder &b, Value operand,
                                  Value batch) {
  if (!operand)
    return b.getIndexAttr(0);
  if (operand.getType().isIndex())
    return operand;
  return convertToIndex(b, tensor::ExtractOp::create(b, operand, batch));
}

static Value loopIndex(ImplicitLocOpBuilder &b, unsigned loop) {
  return linalg::IndexOp::create(b, loop);
}

static AffineMap firstDims(ImplicitLocOpBuilder &b, unsigned loops,
                           unsigned count) {
  return AffineMap::getMultiDimIdentityMap(loops, b.getContext())
      .getMajorSubMap(count);
}

/// The key head of a query head, as a function of its index.
static std::function<Value(ImplicitLocOpBuilder &, Value)>
keyHeadOf(ImplicitLocOpBuilder &b, Value query, Value key) {
  IndexMath math(b, b.getLoc());
  OpFoldResult heads = tensor::getMixedSize(b, b.getLoc(), query, 1);
  OpFoldResult kvHeads = tensor::getMixedSize(b, b.getLoc(), key, 1);
  auto h = constantOf(heads), g = constantOf(kvHeads);
  Value group = h && g && *g
                    ? arith::ConstantIndexOp::create(b, *h / *g).getResult()
                    : arith::DivUIOp::create(
                          b, math.materialize(heads),
                          math.materialize(math.max(kvHeads, math.constant(1))))
                          .getResult();
  return [group](ImplicitLocOpBuilder &b, Value head) -> Value {
    return arith::DivUIOp::create(b, head, group);
  };
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, SpanSearchOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  IndexMath math(b, b.getLoc());
  FloatType compute = computeTypeOf(op.getQuery());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getQuery());
  OpFoldResult numKeys = tensor::getMixedSize(b, b.getLoc(), op.getKey(), 2);
  OpFoldResult count = tensor::getMixedSize(b, b.getLoc(), op.getOffsets(), 0);
  OpFoldResult places = b.getIndexAttr(
      cast<RankedTensorType>(op.getAnchors().getType()).getDimSize(3));
  auto keyHead = keyHeadOf(b, op.getQuery(), op.getKey());
  SmallVector<OpFoldResult> shape = {sizes[0], sizes[1], sizes[2], count};
  Type element =
      cast<RankedTensorType>(op.getAnchors().getType()).getElementType();

  // The keys; -1 where there is none.
  Value anchors = buildElementwise(
      b,
      {{op.getOffsets(),
        AffineMap::get(4, 0, {b.getAffineDimExpr(3)}, b.getContext())}},
      shape, b.getIndexType(),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value batch = loopIndex(b, 0);
        OpFoldResult position =
            math.add(loopIndex(b, 2), numberOf(b, op.getQueryOffset(), batch));
        OpFoldResult anchor = math.sub(math.add(position, math.constant(1)),
                                       convertToIndex(b, x[0]));
        OpFoldResult first =
            math.max(numberOf(b, op.getStarts(), batch), math.constant(0));
        OpFoldResult isKey = math.logicalAnd(
            math.compare(arith::CmpIPredicate::sge, anchor, first),
            math.logicalAnd(
                math.compare(arith::CmpIPredicate::sle, anchor, position),
                math.compare(arith::CmpIPredicate::slt, anchor, numKeys)));
        return math.materialize(math.select(isKey, anchor, math.constant(-1)));
      });
  AffineMap all = firstDims(b, 4, 4);
  Value none = buildFilled(b, shape, compute, -kInfinity);
  Value logits = buildFilled(b, shape, compute, 0);
  if (constantOf(numKeys) != 0) {
    AffineExpr d0, d1, d2, d3, d4;
    bindDims(b.getContext(), d0, d1, d2, d3, d4);
    logits = buildGeneric(
        b,
        {{op.getQuery(),
          AffineMap::get(5, 0, {d0, d1, d2, d4}, b.getContext())},
         {anchors, firstDims(b, 5, 4)}},
        {logits, firstDims(b, 5, 4)}, /*reductions=*/1,
        [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          IndexMath math(b, b.getLoc());
          Value row = math.materialize(math.max(x[1], math.constant(0)));
          Value key = tensor::ExtractOp::create(
              b, op.getKey(),
              ValueRange{loopIndex(b, 0), keyHead(b, loopIndex(b, 1)), row,
                         loopIndex(b, 4)});
          Value product = arith::MulFOp::create(
              b, convertFloat(b, x[0], compute), convertFloat(b, key, compute));
          return arith::AddFOp::create(b, x[2], product);
        });
  }
  logits = buildGeneric(
      b, {{logits, all}, {anchors, all}}, {none, all}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value isKey = math.materialize(
            math.compare(arith::CmpIPredicate::sge, x[1], math.constant(0)));
        Value isNumber =
            arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, x[0], x[0]);
        return arith::SelectOp::create(
            b, arith::AndIOp::create(b, isKey, isNumber), x[0], x[2]);
      });

  // The place of an anchor: how many are better.
  AffineExpr d0, d1, d2, d3, d4;
  bindDims(b.getContext(), d0, d1, d2, d3, d4);
  AffineMap own = firstDims(b, 5, 4);
  AffineMap other = AffineMap::get(5, 0, {d0, d1, d2, d4}, b.getContext());
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto filled = [&](ArrayRef<OpFoldResult> shape, Value number) -> Value {
    return linalg::FillOp::create(b, number,
                                  buildEmpty(b, shape, b.getIndexType()))
        .getResult(0);
  };
  Value order = buildGeneric(
      b, {{logits, own}, {logits, other}, {anchors, own}, {anchors, other}},
      {filled(shape, zero), own}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        OpFoldResult greater =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x[1], x[0])
                .getResult();
        OpFoldResult equal =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1], x[0])
                .getResult();
        OpFoldResult isLower = math.logicalOr(
            math.compare(arith::CmpIPredicate::slt, x[3], x[2]),
            math.logicalAnd(math.compare(arith::CmpIPredicate::eq, x[3], x[2]),
                            math.compare(arith::CmpIPredicate::slt,
                                         loopIndex(b, 4), loopIndex(b, 3))));
        OpFoldResult isBetter =
            math.logicalOr(greater, math.logicalAnd(equal, isLower));
        return addIf(b, math.materialize(isBetter), x[4], one);
      });
  SmallVector<OpFoldResult> resultShape = {sizes[0], sizes[1], sizes[2],
                                           places};
  auto isHere = [&](ImplicitLocOpBuilder &b, Value logit, Value order) {
    Value counts = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, logit,
                                         buildFloat(b, compute, -kInfinity));
    Value here = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, order,
                                       loopIndex(b, 3));
    return arith::AndIOp::create(b, counts, here).getResult();
  };
  Value found = buildGeneric(
      b, {{logits, other}, {order, other}, {anchors, other}},
      {filled(resultShape, arith::ConstantIndexOp::create(b, -1)), own},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::SelectOp::create(b, isHere(b, x[0], x[1]), x[2], x[3]);
      });
  found = buildElementwise(b, {{found, all}}, resultShape, element,
                           [&](ImplicitLocOpBuilder &b, ValueRange x) {
                             return convertFromIndex(b, x[0], element);
                           });
  Value best = buildGeneric(
      b, {{logits, other}, {order, other}},
      {buildFilled(b, resultShape, compute, -kInfinity), own},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::SelectOp::create(b, isHere(b, x[0], x[1]), x[0], x[2]);
      });
  return {castTensor(b, found, op.getAnchors().getType()),
          castTensor(b, best, op.getLogits().getType())};
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, SpanBoundsOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(b, b.getLoc(), op.getAnchors());
  FloatType f64 = b.getF64Type();
  // ceil(factor * n ^ power) for each row, [B, S].
  auto lengths = [&](double factor) {
    return buildElementwise(
        b, {}, {shape[0], shape[2]}, b.getIndexType(),
        [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
          IndexMath math(b, b.getLoc());
          Value batch = loopIndex(b, 0);
          OpFoldResult position = math.add(
              loopIndex(b, 1), numberOf(b, op.getQueryOffset(), batch));
          OpFoldResult start =
              math.max(numberOf(b, op.getStarts(), batch), math.constant(0));
          Value number = math.materialize(
              math.max(math.sub(math.add(position, math.constant(1)), start),
                       math.constant(0)));
          Value n = arith::SIToFPOp::create(
              b, f64, arith::IndexCastOp::create(b, b.getI64Type(), number));
          double power = op.getPower().convertToDouble();
          Value grown =
              power == 0.5
                  ? math::SqrtOp::create(b, n).getResult()
                  : math::PowFOp::create(b, n, buildFloat(b, f64, power))
                        .getResult();
          Value length =
              arith::MulFOp::create(b, buildFloat(b, f64, factor), grown);
          // No span is longer than this, and the number fits an integer.
          length = arith::MinNumFOp::create(
              b, math::CeilOp::create(b, length),
              buildFloat(b, f64, double(kMaxMaskDistance)));
          return arith::IndexCastOp::create(
              b, b.getIndexType(),
              arith::FPToSIOp::create(b, b.getI64Type(), length));
        });
  };
  Value back = lengths(op.getBackward().convertToDouble());
  Value ahead = lengths(op.getForward().convertToDouble());
  AffineMap all = firstDims(b, 4, 4);
  AffineMap ofRow = AffineMap::get(
      4, 0, {b.getAffineDimExpr(0), b.getAffineDimExpr(2)}, b.getContext());
  Type element =
      cast<RankedTensorType>(op.getAnchors().getType()).getElementType();
  auto build = [&](bool isEnd) {
    Value bounds = buildElementwise(
        b, {{op.getAnchors(), all}, {isEnd ? ahead : back, ofRow}}, shape,
        element, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          IndexMath math(b, b.getLoc());
          Value batch = loopIndex(b, 0);
          OpFoldResult position = math.add(
              loopIndex(b, 2), numberOf(b, op.getQueryOffset(), batch));
          OpFoldResult start =
              math.max(numberOf(b, op.getStarts(), batch), math.constant(0));
          Value anchor = convertToIndex(b, x[0]);
          OpFoldResult bound =
              isEnd ? math.add(math.min(math.add(anchor, x[1]), position),
                               math.constant(1))
                    : math.max(math.sub(anchor, x[1]), start);
          OpFoldResult isKey = math.logicalAnd(
              math.compare(arith::CmpIPredicate::sge, anchor, start),
              math.compare(arith::CmpIPredicate::sle, anchor, position));
          return convertFromIndex(
              b, math.materialize(math.select(isKey, bound, math.constant(0))),
              element);
        });
    return castTensor(b, bounds, op.getAnchors().getType());
  };
  Value begins = build(false);
  return {begins, build(true)};
}

Value mlir::attn::buildProducts(ImplicitLocOpBuilder &b, Value query, Value key,
                                double scale, FloatType compute) {
  auto keyHead = keyHeadOf(b, query, key);
  SmallVector<OpFoldResult> shape = tensor::getMixedSizes(b, b.getLoc(), query);
  shape[3] = tensor::getMixedSize(b, b.getLoc(), key, 2);
  AffineExpr d0, d1, d2, d3, d4;
  bindDims(b.getContext(), d0, d1, d2, d3, d4);
  Value products = buildGeneric(
      b, {{query, AffineMap::get(5, 0, {d0, d1, d2, d4}, b.getContext())}},
      {buildFilled(b, shape, compute, 0), firstDims(b, 5, 4)},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value k = tensor::ExtractOp::create(
            b, key,
            ValueRange{loopIndex(b, 0), keyHead(b, loopIndex(b, 1)),
                       loopIndex(b, 3), loopIndex(b, 4)});
        Value product = arith::MulFOp::create(b, convertFloat(b, x[0], compute),
                                              convertFloat(b, k, compute));
        return arith::AddFOp::create(b, x[1], product);
      });
  AffineMap all = firstDims(b, 4, 4);
  return buildElementwise(b, {{products, all}}, shape, compute,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                            return arith::MulFOp::create(
                                b, x[0], buildFloat(b, compute, scale));
                          });
}

static double scaleOf(std::optional<APFloat> given, Value query) {
  if (given)
    return given->convertToDouble();
  return 1 / std::sqrt(
                 double(cast<RankedTensorType>(query.getType()).getDimSize(3)));
}

Gate mlir::attn::buildGate(ImplicitLocOpBuilder &b, Value given,
                           ArrayRef<OpFoldResult> spans, FloatType compute) {
  AffineMap all = firstDims(b, 4, 4), ofRow = firstDims(b, 4, 3);
  ArrayRef<OpFoldResult> rowShape = spans.take_front(3);
  Value logits = buildElementwise(
      b, {{given, all}}, spans, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value logit = convertFloat(b, x[0], compute);
        Value isNumber =
            arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, logit, logit);
        return arith::SelectOp::create(b, isNumber, logit,
                                       buildFloat(b, compute, -kInfinity));
      });
  Value largest = buildGeneric(
      b, {{logits, all}},
      {buildFilled(b, rowShape, compute, -kInfinity), ofRow}, /*reductions=*/1,
      [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::MaximumFOp::create(b, x[0], x[1]);
      });
  Value powers = buildElementwise(
      b, {{logits, all}, {largest, ofRow}}, spans, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isLargest =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0], x[1]);
        Value power =
            math::ExpOp::create(b, arith::SubFOp::create(b, x[0], x[1]));
        return arith::SelectOp::create(b, isLargest, buildFloat(b, compute, 1),
                                       power);
      });
  Value total = buildGeneric(
      b, {{powers, all}}, {buildFilled(b, rowShape, compute, 0), ofRow},
      /*reductions=*/1, [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddFOp::create(b, x[0], x[1]);
      });
  return {powers, total};
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder,
                                         SpanAttentionOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  FloatType compute = computeTypeOf(op.getQuery());
  FloatType element = elementTypeOf(op.getOutput());
  Value scores =
      buildProducts(b, op.getQuery(), op.getKey(),
                    scaleOf(op.getSoftmaxScale(), op.getQuery()), compute);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), scores);
  SmallVector<OpFoldResult> spans =
      tensor::getMixedSizes(b, b.getLoc(), op.getBegins());
  AffineExpr d0, d1, d2, d3, d4;
  bindDims(b.getContext(), d0, d1, d2, d3, d4);
  // Loops over (batch, head, row, span), then the key.
  AffineMap ofPair = AffineMap::get(5, 0, {d0, d1, d2, d4}, b.getContext());
  AffineMap ofSpan = firstDims(b, 5, 4);
  auto isKept = [&](ImplicitLocOpBuilder &b, Value begin, Value end,
                    unsigned keyLoop) {
    IndexMath math(b, b.getLoc());
    Value batch = loopIndex(b, 0);
    OpFoldResult key = loopIndex(b, keyLoop);
    OpFoldResult position =
        math.add(loopIndex(b, 2), numberOf(b, op.getQueryOffset(), batch));
    OpFoldResult start = numberOf(b, op.getStarts(), batch);
    OpFoldResult window =
        math.max(math.sub(math.add(position, math.constant(1)),
                          math.constant(std::min<int64_t>(op.getWindow(),
                                                          kMaxMaskDistance))),
                 start);
    auto inside = [&](OpFoldResult from, OpFoldResult to) {
      return math.logicalAnd(math.compare(arith::CmpIPredicate::sge, key, from),
                             math.compare(arith::CmpIPredicate::slt, key, to));
    };
    OpFoldResult inSpan = inside(math.max(convertToIndex(b, begin), start),
                                 math.min(convertToIndex(b, end), window));
    OpFoldResult inWindow =
        inside(window, math.add(position, math.constant(1)));
    return math.materialize(math.logicalOr(inSpan, inWindow));
  };
  SmallVector<MappedTensor> inputs = {
      {scores, ofPair}, {op.getBegins(), ofSpan}, {op.getEnds(), ofSpan}};
  Value maximum = buildGeneric(
      b, inputs, {buildFilled(b, spans, compute, -kInfinity), ofSpan},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value score =
            arith::SelectOp::create(b, isKept(b, x[1], x[2], 4), x[0],
                                    buildFloat(b, compute, -kInfinity));
        return arith::MaximumFOp::create(b, score, x[3]);
      });
  auto weight = [&](ImplicitLocOpBuilder &b, Value score, Value begin,
                    Value end, Value maximum, unsigned keyLoop) -> Value {
    Value power =
        math::ExpOp::create(b, arith::SubFOp::create(b, score, maximum));
    // A kept score of minus infinity weighs nothing, whatever the maximum is.
    Value isNone = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, score,
                                         buildFloat(b, compute, -kInfinity));
    Value zero = buildFloat(b, compute, 0);
    power = arith::SelectOp::create(b, isNone, zero, power);
    return arith::SelectOp::create(b, isKept(b, begin, end, keyLoop), power,
                                   zero);
  };
  inputs.push_back({maximum, ofSpan});
  Value sum = buildGeneric(
      b, inputs, {buildFilled(b, spans, compute, 0), ofSpan}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddFOp::create(b, x[4],
                                     weight(b, x[0], x[1], x[2], x[3], 4));
      });

  // The softmax of the spans' logits, uniform where there is none.
  AffineMap all = firstDims(b, 4, 4), ofRow = firstDims(b, 4, 3);
  auto [powers, total] = buildGate(b, op.getLogits(), spans, compute);
  // Gate over sum: what each weight of a span counts in the output.
  Value factors = buildElementwise(
      b, {{powers, all}, {total, ofRow}, {sum, all}}, spans, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value zero = buildFloat(b, compute, 0);
        Value isNone =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[2], zero);
        Value gate = arith::DivFOp::create(b, x[0], x[1]);
        return arith::SelectOp::create(b, isNone, zero,
                                       arith::DivFOp::create(b, gate, x[2]));
      });
  // Loops over (batch, head, row, key), then the span.
  AffineMap ofOther = AffineMap::get(5, 0, {d0, d1, d2, d4}, b.getContext());
  Value weights = buildGeneric(
      b,
      {{scores, ofSpan},
       {op.getBegins(), ofOther},
       {op.getEnds(), ofOther},
       {maximum, ofOther},
       {factors, ofOther}},
      {buildFilled(b, sizes, compute, 0), ofSpan}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value part = weight(b, x[0], x[1], x[2], x[3], 3);
        return arith::AddFOp::create(b, x[5],
                                     arith::MulFOp::create(b, part, x[4]));
      });
  SmallVector<OpFoldResult> shape = sizes;
  shape[3] = tensor::getMixedSize(b, b.getLoc(), op.getValue(), 3);
  auto keyHead = keyHeadOf(b, op.getQuery(), op.getKey());
  Value output = buildGeneric(
      b, {{weights, ofOther}}, {buildFilled(b, shape, compute, 0), ofSpan},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value v = tensor::ExtractOp::create(
            b, op.getValue(),
            ValueRange{loopIndex(b, 0), keyHead(b, loopIndex(b, 1)),
                       loopIndex(b, 4), loopIndex(b, 3)});
        Value zero = buildFloat(b, compute, 0);
        // What has no weight may be anything.
        Value isNone =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0], zero);
        Value part =
            arith::MulFOp::create(b, x[0], convertFloat(b, v, compute));
        part = arith::SelectOp::create(b, isNone, zero, part);
        return arith::AddFOp::create(b, x[1], part);
      });
  output = buildElementwise(b, {{output, all}}, shape, element,
                            [&](ImplicitLocOpBuilder &b, ValueRange x) {
                              return convertFloat(b, x[0], element);
                            });
  return {castTensor(b, output, op.getOutput().getType())};
}
