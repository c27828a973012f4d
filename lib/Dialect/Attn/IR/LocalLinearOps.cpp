//===- LocalLinearOps.cpp - Local linear attention, alignment -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/Linear.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static RankedTensorType typeOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType());
}

static bool known(int64_t size) { return !ShapedType::isDynamic(size); }

namespace {
struct Dimension {
  Value tensor;
  const char *name;
  int64_t dim;
};
} // namespace

static LogicalResult verifyEqual(Operation *op, Dimension own,
                                 Dimension other) {
  int64_t size = typeOf(own.tensor).getDimSize(own.dim);
  int64_t expected = typeOf(other.tensor).getDimSize(other.dim);
  if (!known(size) || !known(expected) || size == expected)
    return success();
  return op->emitOpError("expects dimension ")
         << own.dim << " of '" << own.name << "' to be the size " << expected
         << " of dimension " << other.dim << " of '" << other.name
         << "', but it is " << size;
}

double LocalLinearAttentionOp::getEffectiveScale() {
  if (getScale())
    return getScale()->convertToDouble();
  return 1 / std::sqrt(static_cast<double>(typeOf(getQuery()).getDimSize(3)));
}

int64_t LocalLinearAttentionOp::getGroupSize() {
  return typeOf(getQuery()).getDimSize(1) / typeOf(getKey()).getDimSize(1);
}

LogicalResult LocalLinearAttentionOp::verify() {
  RankedTensorType query = typeOf(getQuery()), key = typeOf(getKey());
  for (auto [tensor, name] : {std::pair<Value, const char *>{getKey(), "key"},
                              {getValue(), "value"},
                              {getOutput(), "output"}})
    if (typeOf(tensor).getElementType() != query.getElementType())
      return emitOpError("expects the element type of 'query', ")
             << query.getElementType() << ", for '" << name << "', but it is "
             << typeOf(tensor).getElementType();
  for (Dimension fixed :
       {Dimension{getQuery(), "query", 1}, Dimension{getQuery(), "query", 3},
        Dimension{getKey(), "key", 1}, Dimension{getValue(), "value", 3}})
    if (!known(typeOf(fixed.tensor).getDimSize(fixed.dim)))
      return emitOpError("expects a static size of dimension ")
             << fixed.dim << " of '" << fixed.name
             << "', but it is dynamic; cast the operand to a type that has it";
  if (key.getDimSize(1) == 0 || query.getDimSize(1) % key.getDimSize(1) != 0)
    return emitOpError("expects the ")
           << query.getDimSize(1) << " query heads to be a multiple of the "
           << key.getDimSize(1) << " key heads";
  Dimension pairs[][2] = {
      {{getKey(), "key", 0}, {getQuery(), "query", 0}},
      {{getKey(), "key", 3}, {getQuery(), "query", 3}},
      {{getValue(), "value", 0}, {getQuery(), "query", 0}},
      {{getValue(), "value", 1}, {getKey(), "key", 1}},
      {{getValue(), "value", 2}, {getKey(), "key", 2}},
      {{getOutput(), "output", 0}, {getQuery(), "query", 0}},
      {{getOutput(), "output", 1}, {getQuery(), "query", 1}},
      {{getOutput(), "output", 2}, {getQuery(), "query", 2}},
      {{getOutput(), "output", 3}, {getValue(), "value", 3}}};
  for (auto &[own, other] : pairs)
    if (failed(verifyEqual(*this, own, other)))
      return failure();
  int64_t rows = query.getDimSize(2), keys = key.getDimSize(2);
  if (known(rows) && known(keys) && rows > keys)
    return emitOpError("expects no more queries than keys, the last of which "
                       "is the last query's own, but there are ")
           << rows << " and " << keys;
  if (getRidge().isNegative() || !getRidge().isFinite())
    return emitOpError("expects a finite 'ridge' that is not negative, but it "
                       "is ")
           << getRidge().convertToDouble();
  if (getIterations() && *getIterations() < 1)
    return emitOpError("expects positive 'iterations', but they are ")
           << *getIterations() << "; leave them out to solve directly";
  if (auto block = getFeatureBlock())
    if (*block < 1 || query.getDimSize(3) % *block != 0)
      return emitOpError("expects 'feature_block' to divide the ")
             << query.getDimSize(3) << " features, but it is " << *block;
  return success();
}

LogicalResult LocalLinearAttentionOp::reifyResultShapes(
    OpBuilder &builder, ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getQuery());
  shape[3] = tensor::getMixedSize(builder, getLoc(), getValue(), 3);
  reifiedShapes.push_back(shape);
  return success();
}

LogicalResult MonotonicAlignOp::verify() {
  if (!getPrevious())
    return success();
  for (auto [own, other] : {std::pair(0, 0), std::pair(1, 1), std::pair(2, 3)})
    if (failed(verifyEqual(*this, {getPrevious(), "previous", own},
                           {getChoose(), "choose", other})))
      return failure();
  Type element = typeOf(getChoose()).getElementType();
  Type wide = element.isF64() ? element : Float32Type::get(getContext());
  if (typeOf(getPrevious()).getElementType() != wide)
    return emitOpError("expects the element type ")
           << wide << " for 'previous' with 'choose' of " << element
           << ", but it is " << typeOf(getPrevious()).getElementType();
  return success();
}

LogicalResult MonotonicAlignOp::reifyResultShapes(
    OpBuilder &builder, ReifiedRankedShapedTypeDims &reifiedShapes) {
  reifiedShapes.push_back(
      tensor::getMixedSizes(builder, getLoc(), getChoose()));
  return success();
}
