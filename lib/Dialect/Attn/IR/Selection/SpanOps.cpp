//===- SpanOps.cpp - Spans and what an attention has looked at ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Checks.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// Keys fit the query: batch, heads in groups, features.
static LogicalResult checkKeys(Operation *op, NamedTensor query,
                               NamedTensor key) {
  if (failed(checkEqual(op, key, 0, query, 0)) ||
      failed(checkEqual(op, key, 3, query, 3)) ||
      failed(checkElement(op, key, query)))
    return failure();
  int64_t heads = query.type.getDimSize(1), kvHeads = key.type.getDimSize(1);
  if (!ShapedType::isDynamic(heads) && !ShapedType::isDynamic(kvHeads) &&
      (kvHeads == 0 || heads % kvHeads != 0))
    return op->emitOpError("expects kv_heads to divide heads, but dimension 1 "
                           "of 'key' is ")
           << kvHeads << " and dimension 1 of 'query' is " << heads;
  return success();
}

/// The first `count` dimensions are equal.
static LogicalResult checkFirst(Operation *op, NamedTensor a, NamedTensor b,
                                unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    if (failed(checkEqual(op, a, i, b, i)))
      return failure();
  return success();
}

static LogicalResult checkWide(Operation *op, NamedTensor wide,
                               NamedTensor query) {
  Type expected = query.type.getElementType().isF64()
                      ? query.type.getElementType()
                      : Float32Type::get(op->getContext());
  if (wide.type.getElementType() == expected)
    return success();
  return op->emitOpError("expects '")
         << wide.name << "' to be of " << expected
         << ", but its element type is " << wide.type.getElementType();
}

LogicalResult SpanSearchOp::verify() {
  Operation *op = *this;
  NamedTensor query(getQuery(), "query"), key(getKey(), "key"),
      anchors(getAnchors(), "anchors"), logits(getLogits(), "logits"),
      queryOffset(getQueryOffset(), "query_offset"),
      starts(getStarts(), "starts");
  if (failed(checkKeys(op, query, key)) ||
      failed(checkFirst(op, anchors, query, 3)) ||
      failed(checkFirst(op, logits, anchors, 4)) ||
      failed(checkEqual(op, queryOffset, 0, query, 0)) ||
      failed(checkEqual(op, starts, 0, query, 0)) ||
      failed(checkWide(op, logits, query)))
    return failure();
  for (NamedTensor result : {anchors, logits})
    if (result.type.isDynamicDim(3))
      return emitOpError("expects a static number of anchors, but dimension 3 "
                         "of '")
             << result.name << "' is dynamic";
  return success();
}

LogicalResult
SpanSearchOp::reifyResultShapes(OpBuilder &builder,
                                ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getQuery());
  shape[3] = builder.getIndexAttr(
      cast<RankedTensorType>(getAnchors().getType()).getDimSize(3));
  reifiedShapes = {shape, shape};
  return success();
}

LogicalResult SpanBoundsOp::verify() {
  Operation *op = *this;
  NamedTensor anchors(getAnchors(), "anchors"),
      queryOffset(getQueryOffset(), "query_offset"),
      starts(getStarts(), "starts");
  if (failed(checkEqual(op, queryOffset, 0, anchors, 0)) ||
      failed(checkEqual(op, starts, 0, anchors, 0)))
    return failure();
  for (auto [name, value] : {std::pair<StringRef, double>(
                                 "backward", getBackward().convertToDouble()),
                             {"forward", getForward().convertToDouble()},
                             {"power", getPower().convertToDouble()}})
    if (!(value >= 0) || !std::isfinite(value))
      return emitOpError("expects '")
             << name << "' to be finite and not negative, but it is " << value;
  return success();
}

LogicalResult
SpanBoundsOp::reifyResultShapes(OpBuilder &builder,
                                ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getAnchors());
  reifiedShapes = {shape, shape};
  return success();
}

LogicalResult SpanAttentionOp::verify() {
  Operation *op = *this;
  NamedTensor query(getQuery(), "query"), key(getKey(), "key"),
      value(getValue(), "value"), begins(getBegins(), "begins"),
      logits(getLogits(), "logits"), output(getOutput(), "output"),
      queryOffset(getQueryOffset(), "query_offset"),
      starts(getStarts(), "starts");
  if (failed(checkKeys(op, query, key)) ||
      failed(checkFirst(op, value, key, 3)) ||
      failed(checkElement(op, value, query)) ||
      failed(checkFirst(op, begins, query, 3)) ||
      failed(checkFirst(op, logits, begins, 4)) ||
      failed(checkFirst(op, output, query, 3)) ||
      failed(checkEqual(op, output, 3, value, 3)) ||
      failed(checkElement(op, output, query)) ||
      failed(checkEqual(op, queryOffset, 0, query, 0)) ||
      failed(checkEqual(op, starts, 0, query, 0)) ||
      failed(checkAtLeast(op, "window", getWindow(), 0)))
    return failure();
  if (query.type.isDynamicDim(3) || value.type.isDynamicDim(3))
    return emitOpError("expects static head dimensions, but dimension 3 of '")
           << (query.type.isDynamicDim(3) ? "query" : "value")
           << "' is dynamic; cast the operands";
  if (query.type.getDimSize(3) == 0)
    return emitOpError("expects a head dimension of at least 1, but dimension "
                       "3 of 'query' is 0");
  if (begins.type.isDynamicDim(3))
    return emitOpError("expects a static number of spans, but dimension 3 of "
                       "'begins' is dynamic");
  if (begins.type.getDimSize(3) == 0)
    return emitOpError("expects at least one span, but dimension 3 of 'begins' "
                       "is 0");
  if (auto scale = getSoftmaxScale())
    if (!scale->isFinite())
      return emitOpError("expects 'softmax_scale' to be finite, but it is ")
             << scale->convertToDouble();
  return success();
}

LogicalResult
SpanAttentionOp::reifyResultShapes(OpBuilder &builder,
                                   ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getQuery());
  shape[3] = tensor::getMixedSize(builder, getLoc(), getValue(), 3);
  reifiedShapes.push_back(shape);
  return success();
}

double KeyImportanceOp::getEffectiveScale() {
  if (auto scale = getSoftmaxScale())
    return scale->convertToDouble();
  auto type = cast<RankedTensorType>(getQuery().getType());
  return 1 / std::sqrt(static_cast<double>(type.getDimSize(3)));
}

std::pair<Value, int64_t> KeyImportanceOp::getRowsOfHead() {
  return {getRowList() ? getRowList() : getQuery(), 2};
}

std::optional<int64_t> KeyImportanceOp::getGroupSize() {
  int64_t heads = cast<RankedTensorType>(getQuery().getType()).getDimSize(1);
  int64_t kvHeads = cast<RankedTensorType>(getKey().getType()).getDimSize(1);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads) ||
      kvHeads == 0)
    return std::nullopt;
  return heads / kvHeads;
}

LogicalResult KeyImportanceOp::verify() {
  Operation *op = *this;
  NamedTensor query(getQuery(), "query"), key(getKey(), "key"),
      lse(getLse(), "lse"), importance(getImportance(), "importance"),
      lengths(getKvLengths(), "kv_lengths"),
      queryOffset(getQueryOffset(), "query_offset"),
      rowList(getRowList(), "row_list"), counts(getRowCounts(), "row_counts");
  NamedTensor headsOf = getHeads() == Reduction::Each ? query : key;
  if (!rowList.type != !counts.type)
    return emitOpError("expects 'row_list' and 'row_counts' together");
  NamedTensor rowsOf = rowList.type ? rowList : query;
  if (failed(checkKeys(op, query, key)) ||
      failed(checkEqual(op, rowList, 0, query, 0)) ||
      failed(checkOneOrEqual(op, rowList, 1, query, 1)) ||
      failed(checkEqual(op, counts, 0, query, 0)) ||
      failed(checkEqual(op, counts, 1, rowList, 1)) ||
      failed(checkEqual(op, lse, 0, query, 0)) ||
      failed(checkEqual(op, lse, 1, query, 1)) ||
      failed(checkEqual(op, lse, 2, rowsOf, 2)) ||
      (lse.type && failed(checkWide(op, lse, query))) ||
      failed(checkWide(op, importance, query)) ||
      failed(checkEqual(op, importance, 0, query, 0)) ||
      failed(checkEqual(op, importance, 1, headsOf, 1)) ||
      failed(checkEqual(op, importance, 2, key, 2)) ||
      failed(checkEqual(op, lengths, 0, query, 0)) ||
      failed(checkEqual(op, queryOffset, 0, query, 0)))
    return failure();
  if (getRows() == Reduction::Each)
    return emitOpError("expects the rows to be reduced by 'sum' or 'max'");
  if (query.type.isDynamicDim(3) || query.type.getDimSize(3) == 0)
    return emitOpError("expects a static head dimension of at least 1");
  if (auto scale = getSoftmaxScale())
    if (!scale->isFinite())
      return emitOpError("expects 'softmax_scale' to be finite, but it is ")
             << scale->convertToDouble();
  unsigned wanted = getMask() ? getMaskAttr().getNumMaskOperands() : 0;
  if (wanted != getMaskOperands().size())
    return emitOpError("expects ")
           << wanted << " mask operand" << (wanted == 1 ? "" : "s")
           << " for its mask, but it has " << getMaskOperands().size();
  auto mask = getMaskAttr();
  if (!mask)
    return success();
  MaskUse use{query.type.getDimSize(0),  query.type.getDimSize(1),
              query.type.getDimSize(2),  key.type.getDimSize(2),
              rowsOf.type.getDimSize(2), getMaskOperands().getTypes()};
  return mask.verifyMask(use, [&] { return emitOpError(); });
}

LogicalResult
KeyImportanceOp::reifyResultShapes(OpBuilder &builder,
                                   ReifiedRankedShapedTypeDims &reifiedShapes) {
  Value heads = getHeads() == Reduction::Each ? getQuery() : getKey();
  reifiedShapes.push_back(
      {tensor::getMixedSize(builder, getLoc(), heads, 0),
       tensor::getMixedSize(builder, getLoc(), heads, 1),
       tensor::getMixedSize(builder, getLoc(), getKey(), 2)});
  return success();
}
