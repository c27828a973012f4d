//===- ExpandSpans.cpp - Span attention as two attentions -----------------===//
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

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class SpanExpander {
public:
  SpanExpander(OpBuilder &builder, SpanAttentionOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(computeTypeOf(op.getQuery())),
        element(elementTypeOf(op.getQuery())) {}

  Value build();

private:
  OpFoldResult numberOf(ImplicitLocOpBuilder &b, Value operand, Value batch) {
    if (!operand)
      return b.getIndexAttr(0);
    if (operand.getType().isIndex())
      return operand;
    return convertToIndex(b, tensor::ExtractOp::create(b, operand, batch));
  }
  static Value index(ImplicitLocOpBuilder &b, unsigned loop) {
    return linalg::IndexOp::create(b, loop);
  }
  AffineMap identity(unsigned rank) {
    return AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  }
  Value bounds(bool isEnd);
  void sort(Value begins);
  Value gatherBounds(Value bounds);
  /// The row of each pair in sorted order, and their number in each head.
  std::pair<Value, Value> listRows();
  /// Attention of the listed rows, or of all.
  std::pair<Value, Value> attend(std::pair<Value, Value> listed, Value keep,
                                 Value offset, ValueRange operands,
                                 MaskAttrInterface mask);
  Value combine(std::pair<Value, Value> window, std::pair<Value, Value> spans);

  ImplicitLocOpBuilder b;
  IndexMath math;
  SpanAttentionOp op;
  FloatType compute, element;
  SmallVector<OpFoldResult> sizes; ///< of `begins`
  int64_t places;
  OpFoldResult numKeys, pairs;
  Value order, slots; ///< [B, H, pairs]: the pair of a place, and the reverse
};

/// [B, H, pairs], cut to what lies from the start up to the window.
Value SpanExpander::bounds(bool isEnd) {
  SmallVector<MappedTensor> inputs = {{op.getBegins(), identity(4)},
                                      {op.getEnds(), identity(4)}};
  Value bounds = buildElementwise(
      b, inputs, sizes, b.getI32Type(),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value batch = index(b, 0);
        OpFoldResult next = math.add(
            math.add(index(b, 2), numberOf(b, op.getQueryOffset(), batch)),
            math.constant(1));
        OpFoldResult start =
            math.max(numberOf(b, op.getStarts(), batch), math.constant(0));
        OpFoldResult window = math.min(
            math.max(math.sub(next, math.constant(std::min<int64_t>(
                                        op.getWindow(), kMaxMaskDistance))),
                     start),
            numKeys);
        OpFoldResult begin = math.max(convertToIndex(b, x[0]), start);
        OpFoldResult end = math.min(convertToIndex(b, x[1]), window);
        OpFoldResult isSome =
            math.compare(arith::CmpIPredicate::slt, begin, end);
        return arith::IndexCastOp::create(
            b, b.getI32Type(),
            math.materialize(
                math.select(isSome, isEnd ? end : begin, math.constant(0))));
      });
  SmallVector<ReassociationIndices> groups = {{0}, {1}, {2, 3}};
  return tensor::CollapseShapeOp::create(b, bounds, groups);
}

/// A counting sort, for each head by itself.
void SpanExpander::sort(Value begins) {
  Type type = b.getI32Type();
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value none = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value unit = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
  SmallVector<OpFoldResult> shape = {sizes[0], sizes[1], pairs};
  order = buildEmpty(b, shape, type);
  slots = buildEmpty(b, shape, type);
  if (isKnownEmpty(order))
    return;
  Value last = math.materialize(math.add(numKeys, math.constant(1)));
  OpFoldResult bins = math.add(numKeys, math.constant(2));
  auto heads =
      scf::ForallOp::create(b, ArrayRef<OpFoldResult>{sizes[0], sizes[1]},
                            ValueRange{order, slots}, std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(heads.getBody());
  Value batch = heads.getInductionVar(0), head = heads.getInductionVar(1);
  SmallVector<OpFoldResult> offsets = {batch, head, b.getIndexAttr(0)};
  SmallVector<OpFoldResult> extents = {b.getIndexAttr(1), b.getIndexAttr(1),
                                       pairs};
  SmallVector<OpFoldResult> strides(3, b.getIndexAttr(1));
  auto ofHead = [&](Value whole) -> Value {
    auto list = RankedTensorType::get(
        {constantOf(pairs).value_or(ShapedType::kDynamic)}, type);
    return tensor::ExtractSliceOp::create(b, list, whole, offsets, extents,
                                          strides);
  };
  Value own = ofHead(begins);
  Value end = math.materialize(pairs);
  auto beginOf = [&](Value pair) {
    return convertToIndex(b, tensor::ExtractOp::create(b, own, pair));
  };
  Value counts =
      linalg::FillOp::create(b, none, buildEmpty(b, {bins}, type)).getResult(0);
  auto add = [&](Value tensor, Value at, Value x) -> Value {
    Value sum =
        arith::AddIOp::create(b, tensor::ExtractOp::create(b, tensor, at), x);
    return tensor::InsertOp::create(b, sum, tensor, at);
  };
  auto count = scf::ForOp::create(b, zero, end, one, counts);
  b.setInsertionPointToStart(count.getBody());
  Value bin = arith::AddIOp::create(b, beginOf(count.getInductionVar()), one);
  scf::YieldOp::create(b, add(count.getRegionIterArg(0), bin, unit));
  b.setInsertionPointAfter(count);
  auto sums = scf::ForOp::create(b, zero, last, one, count.getResult(0));
  b.setInsertionPointToStart(sums.getBody());
  Value before = tensor::ExtractOp::create(b, sums.getRegionIterArg(0),
                                           sums.getInductionVar());
  Value next = arith::AddIOp::create(b, sums.getInductionVar(), one);
  scf::YieldOp::create(b, add(sums.getRegionIterArg(0), next, before));
  b.setInsertionPointAfter(sums);
  Value orders = ofHead(heads.getRegionIterArgs()[0]);
  Value places = ofHead(heads.getRegionIterArgs()[1]);
  auto place = scf::ForOp::create(
      b, zero, end, one, ValueRange{sums.getResult(0), orders, places});
  b.setInsertionPointToStart(place.getBody());
  Value pair = place.getInductionVar();
  Value begin = beginOf(pair);
  Value slot = tensor::ExtractOp::create(b, place.getRegionIterArg(0), begin);
  Value left = add(place.getRegionIterArg(0), begin, unit);
  Value nextOrder = tensor::InsertOp::create(b, convertFromIndex(b, pair, type),
                                             place.getRegionIterArg(1),
                                             convertToIndex(b, slot));
  Value nextSlots =
      tensor::InsertOp::create(b, slot, place.getRegionIterArg(2), pair);
  scf::YieldOp::create(b, ValueRange{left, nextOrder, nextSlots});
  b.setInsertionPointToStart(heads.getTerminator().getBody());
  for (unsigned i = 0; i < 2; ++i)
    tensor::ParallelInsertSliceOp::create(b, place.getResult(i + 1),
                                          heads.getRegionIterArgs()[i], offsets,
                                          extents, strides);
  order = heads.getResult(0);
  slots = heads.getResult(1);
}

Value SpanExpander::gatherBounds(Value bounds) {
  return buildElementwise(
      b, {{order, identity(3)}}, {sizes[0], sizes[1], pairs}, b.getI32Type(),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return tensor::ExtractOp::create(
            b, bounds,
            ValueRange{index(b, 0), index(b, 1), convertToIndex(b, x[0])});
      });
}

std::pair<Value, Value> SpanExpander::listRows() {
  Value rows = buildElementwise(
      b, {{order, identity(3)}}, {sizes[0], sizes[1], pairs}, b.getI32Type(),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        IndexMath math(b, b.getLoc());
        Value row =
            math.materialize(math.floorDiv(convertToIndex(b, x[0]), places));
        return arith::IndexCastOp::create(b, b.getI32Type(), row);
      });
  Value counts = buildElementwise(
      b, {}, {sizes[0], sizes[1]}, b.getI32Type(),
      [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
        return arith::IndexCastOp::create(
            b, b.getI32Type(), IndexMath(b, b.getLoc()).materialize(pairs));
      });
  return {rows, counts};
}

std::pair<Value, Value> SpanExpander::attend(std::pair<Value, Value> listed,
                                             Value keep, Value offset,
                                             ValueRange operands,
                                             MaskAttrInterface mask) {
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  SmallVector<int64_t> shape(type.getShape());
  if (listed.first)
    shape[2] = cast<RankedTensorType>(listed.first.getType()).getDimSize(2);
  shape[3] = cast<RankedTensorType>(op.getValue().getType()).getDimSize(3);
  auto attention = AttentionOp::create(
      b, RankedTensorType::get(shape, element),
      RankedTensorType::get(ArrayRef(shape).drop_back(), compute),
      op.getQuery(), op.getKey(), op.getValue(), /*bias=*/Value(), keep,
      /*kv_lengths=*/Value(), offset, /*sink_logits=*/Value(), listed.first,
      listed.second, /*page_table=*/Value(), operands, mask,
      op.getSoftmaxScaleAttr(),
      /*softcap=*/FloatAttr(),
      BiasOrderAttr::get(b.getContext(), BiasOrder::AfterSoftcap),
      /*softmax_precision=*/TypeAttr(), /*key_head_map=*/DenseI64ArrayAttr(),
      /*value_head_map=*/DenseI64ArrayAttr());
  return {attention.getOutput(), attention.getLse()};
}

/// The gated sum over a row's spans, each merged with the row's window.
Value SpanExpander::combine(std::pair<Value, Value> window,
                            std::pair<Value, Value> spans) {
  SmallVector<OpFoldResult> rowShape(ArrayRef(sizes).take_front(3));
  OpFoldResult features = tensor::getMixedSize(b, b.getLoc(), op.getValue(), 3);
  // What the results of the spans weigh, [B, H, S, K], and that of the window
  // beside each.
  AffineMap all = identity(4), ofRow = all.getMajorSubMap(3);
  auto [powers, total] = buildGate(b, op.getLogits(), sizes, compute);
  auto slotOf = [&](ImplicitLocOpBuilder &b, Value span) -> Value {
    IndexMath math(b, b.getLoc());
    OpFoldResult pair =
        math.add(math.mul(index(b, 2), math.constant(places)), span);
    return convertToIndex(
        b, tensor::ExtractOp::create(
               b, slots,
               ValueRange{index(b, 0), index(b, 1), math.materialize(pair)}));
  };
  auto weigh = [&](bool ofWindow) {
    SmallVector<MappedTensor> inputs = {{powers, all}, {total, ofRow}};
    if (window.second)
      inputs.push_back({window.second, ofRow});
    return buildElementwise(
        b, inputs, sizes, compute,
        [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          Value none = buildFloat(b, compute, -kInfinity);
          Value lse = tensor::ExtractOp::create(
              b, spans.second,
              ValueRange{index(b, 0), index(b, 1), slotOf(b, index(b, 3))});
          Value other = window.second ? x[2] : none;
          Value top = arith::MaximumFOp::create(b, lse, other);
          Value isEmpty =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, top, none);
          Value shift = arith::SelectOp::create(b, isEmpty,
                                                buildFloat(b, compute, 0), top);
          Value a =
              math::ExpOp::create(b, arith::SubFOp::create(b, lse, shift));
          Value c =
              math::ExpOp::create(b, arith::SubFOp::create(b, other, shift));
          Value sum = arith::AddFOp::create(b, a, c);
          Value gate = arith::DivFOp::create(b, x[0], x[1]);
          Value share = arith::DivFOp::create(b, ofWindow ? c : a, sum);
          share = arith::SelectOp::create(b, isEmpty, buildFloat(b, compute, 0),
                                          share);
          return arith::MulFOp::create(b, gate, share);
        });
  };
  Value spanWeights = weigh(false);
  SmallVector<MappedTensor> inputs;
  if (window.first) {
    Value windowWeight = buildGeneric(
        b, {{weigh(true), all}}, {buildFilled(b, rowShape, compute, 0), ofRow},
        /*reductions=*/1, [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
          return arith::AddFOp::create(b, x[0], x[1]);
        });
    inputs = {{window.first, all}, {windowWeight, ofRow}};
  }
  SmallVector<OpFoldResult> shape = rowShape;
  shape.push_back(features);
  return buildElementwise(
      b, inputs, shape, element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value sum = buildFloat(b, compute, 0);
        if (window.first)
          sum = arith::MulFOp::create(b, convertFloat(b, x[0], compute), x[1]);
        for (int64_t i = 0; i < places; ++i) {
          Value span = arith::ConstantIndexOp::create(b, i);
          Value weight = tensor::ExtractOp::create(
              b, spanWeights,
              ValueRange{index(b, 0), index(b, 1), index(b, 2), span});
          Value part = tensor::ExtractOp::create(
              b, spans.first,
              ValueRange{index(b, 0), index(b, 1), slotOf(b, span),
                         index(b, 3)});
          sum = arith::AddFOp::create(
              b, sum,
              arith::MulFOp::create(b, convertFloat(b, part, compute), weight));
        }
        return convertFloat(b, sum, element);
      });
}

Value SpanExpander::build() {
  Location loc = b.getLoc();
  sizes = tensor::getMixedSizes(b, loc, op.getBegins());
  places = *constantOf(sizes[3]);
  numKeys = tensor::getMixedSize(b, loc, op.getKey(), 2);
  pairs = math.mul(sizes[2], sizes[3]);
  Value begins = bounds(false), ends = bounds(true);
  sort(begins);
  std::pair<Value, Value> window;
  if (op.getWindow() > 0) {
    Value keep;
    if (op.getStarts())
      keep = buildElementwise(
          b, {}, {sizes[0], b.getIndexAttr(1), b.getIndexAttr(1), numKeys},
          b.getI1Type(), [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
            IndexMath math(b, b.getLoc());
            return math.materialize(
                math.compare(arith::CmpIPredicate::sge, index(b, 3),
                             numberOf(b, op.getStarts(), index(b, 0))));
          });
    window = attend(/*listed=*/{}, keep, op.getQueryOffset(), {},
                    op.getWindowMask());
  }
  std::pair<Value, Value> spans =
      attend(listRows(), /*keep=*/Value(), /*offset=*/Value(),
             {gatherBounds(begins), gatherBounds(ends)}, op.getSpanMask());
  return castTensor(b, combine(window, spans), op.getOutput().getType());
}

} // namespace

Value mlir::attn::expandSpanAttention(OpBuilder &builder, SpanAttentionOp op) {
  return SpanExpander(builder, op).build();
}
