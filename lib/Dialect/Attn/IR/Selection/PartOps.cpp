//===- PartOps.cpp - Parts of a sequence ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Checks.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult PoolOp::verify() {
  Operation *op = *this;
  NamedTensor input(getInput(), "input"), bounds(getBounds(), "bounds"),
      lengths(getLengths(), "lengths"), output(getOutput(), "output");
  if (bool(getBlock()) == bool(getBounds()))
    return emitOpError("expects either 'block' or 'bounds', but ")
           << (getBlock() ? "both are given" : "both are absent");
  for (unsigned i : {0u, 1u, 3u})
    if (failed(checkEqual(op, output, i, input, i)))
      return failure();
  if (failed(checkElement(op, output, input)) ||
      failed(checkEqual(op, lengths, 0, input, 0)) ||
      failed(checkOneOrEqual(op, bounds, 0, input, 0)))
    return failure();
  if (getBlock()) {
    if (failed(checkAtLeast(op, "block", *getBlock(), 1)))
      return failure();
    int64_t rows = input.type.getDimSize(2);
    if (ShapedType::isDynamic(rows))
      return success();
    return checkSize(op, output, 2, llvm::divideCeil(rows, *getBlock()),
                     "the number of blocks");
  }
  int64_t numBounds = bounds.type.getDimSize(1);
  if (ShapedType::isDynamic(numBounds))
    return success();
  if (numBounds == 0)
    return emitOpError("expects at least one bound, but dimension 1 of "
                       "'bounds' is 0");
  return checkSize(op, output, 2, numBounds - 1, "one less than the bounds");
}

LogicalResult
PoolOp::reifyResultShapes(OpBuilder &builder,
                          ReifiedRankedShapedTypeDims &reifiedShapes) {
  IndexMath math(builder, getLoc());
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getInput());
  if (getBlock())
    shape[2] = math.ceilDiv(shape[2], *getBlock());
  else
    shape[2] = math.max(
        math.sub(tensor::getMixedSize(builder, getLoc(), getBounds(), 1),
                 math.constant(1)),
        math.constant(0));
  reifiedShapes.push_back(shape);
  return success();
}

LogicalResult SegmentOp::verify() {
  Operation *op = *this;
  NamedTensor logits(getLogits(), "logits"), bounds(getBounds(), "bounds"),
      counts(getCounts(), "counts");
  if (failed(checkEqual(op, bounds, 0, logits, 0)) ||
      failed(checkEqual(op, counts, 0, logits, 0)) ||
      failed(checkElement(op, counts, bounds)) ||
      failed(checkAtLeast(op, "distance", getDistance(), 0)) ||
      failed(checkAtLeast(op, "max_cuts", getMaxCuts().value_or(0), 0)))
    return failure();
  if (std::isnan(getThreshold().convertToDouble()))
    return emitOpError("expects 'threshold' to be a number, but it is NaN");
  if (!getCuts() == !getMaxCuts())
    return emitOpError("expects either 'max_cuts' or an operand 'cuts', but "
                       "there are ")
           << (getCuts() ? "both" : "none");
  bool isDynamic = bounds.type.isDynamicDim(1);
  if (getCuts()) {
    if (isDynamic)
      return success();
    return emitOpError("expects dimension 1 of 'bounds' to be dynamic with "
                       "'cuts', but it is ")
           << bounds.type.getDimSize(1) << "; cast the result";
  }
  if (isDynamic)
    return emitOpError("expects 'bounds' to have a static dimension 1 of ")
           << *getMaxCuts() + 2 << ", but it is dynamic";
  return checkSize(op, bounds, 1, *getMaxCuts() + 2,
                   "'max_cuts' and both ends");
}

OpFoldResult SegmentOp::getNumBounds(OpBuilder &builder) {
  IndexMath math(builder, getLoc());
  OpFoldResult cuts = getCuts()
                          ? math.max(getCuts(), math.constant(0))
                          : math.constant(static_cast<int64_t>(*getMaxCuts()));
  return math.add(cuts, math.constant(2));
}

LogicalResult
SegmentOp::reifyResultShapes(OpBuilder &builder,
                             ReifiedRankedShapedTypeDims &reifiedShapes) {
  OpFoldResult batch = tensor::getMixedSize(builder, getLoc(), getLogits(), 0);
  reifiedShapes = {{batch, getNumBounds(builder)}, {batch}};
  return success();
}

LogicalResult GatherRowsOp::verify() {
  Operation *op = *this;
  NamedTensor input(getInput(), "input"), rows(getRows(), "rows"),
      output(getOutput(), "output");
  return success(succeeded(checkElement(op, output, input)) &&
                 succeeded(checkEqual(op, output, 0, input, 0)) &&
                 succeeded(checkEqual(op, output, 1, input, 1)) &&
                 succeeded(checkEqual(op, output, 3, input, 3)) &&
                 succeeded(checkEqual(op, output, 2, rows, 2)) &&
                 succeeded(checkOneOrEqual(op, rows, 0, input, 0)) &&
                 succeeded(checkOneOrEqual(op, rows, 1, input, 1)));
}

LogicalResult
GatherRowsOp::reifyResultShapes(OpBuilder &builder,
                                ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getInput());
  shape[2] = tensor::getMixedSize(builder, getLoc(), getRows(), 2);
  reifiedShapes.push_back(shape);
  return success();
}
