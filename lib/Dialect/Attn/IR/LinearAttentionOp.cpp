//===- LinearAttentionOp.cpp - Attention as a recurrence ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/Linear.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static RankedTensorType typeOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType());
}

static bool known(int64_t size) { return !ShapedType::isDynamic(size); }

double LinearAttentionOp::getEffectiveScale() {
  return getScale() ? getScale()->convertToDouble() : 1.0;
}

bool LinearAttentionOp::decaysByFeature() {
  return getDecay() && typeOf(getDecay()).getRank() == 4;
}

int64_t LinearAttentionOp::getGroupSize() {
  return typeOf(getQuery()).getDimSize(1) / typeOf(getKey()).getDimSize(1);
}

namespace {
/// A dimension of an operand or result and the one that it must be equal to.
struct Dimension {
  Value tensor;
  const char *name;
  int64_t dim;
};
} // namespace

/// `dimension` is of size `size`, or 1 if it may be broadcast.
static LogicalResult verifySize(LinearAttentionOp op, Dimension dimension,
                                Dimension whole, bool broadcasts = false) {
  int64_t size = typeOf(dimension.tensor).getDimSize(dimension.dim);
  int64_t expected = typeOf(whole.tensor).getDimSize(whole.dim);
  if (!known(size) || !known(expected) || size == expected ||
      (broadcasts && size == 1))
    return success();
  return op.emitOpError("expects dimension ")
         << dimension.dim << " of '" << dimension.name << "' to be "
         << (broadcasts ? "1 or " : "") << "the size " << expected
         << " of dimension " << whole.dim << " of '" << whole.name
         << "', but it is " << size;
}

static LogicalResult verifyStaticSizes(LinearAttentionOp op) {
  for (Dimension fixed :
       {Dimension{op.getQuery(), "query", 1},
        Dimension{op.getQuery(), "query", 3}, Dimension{op.getKey(), "key", 1},
        Dimension{op.getValue(), "value", 3}})
    if (!known(typeOf(fixed.tensor).getDimSize(fixed.dim)))
      return op.emitOpError("expects a static size of dimension ")
             << fixed.dim << " of '" << fixed.name
             << "', but it is dynamic; cast the operand to a type that has it";
  int64_t heads = typeOf(op.getQuery()).getDimSize(1);
  int64_t keyHeads = typeOf(op.getKey()).getDimSize(1);
  if (keyHeads == 0 || heads % keyHeads != 0)
    return op.emitOpError("expects the ")
           << heads << " query heads to be a multiple of the " << keyHeads
           << " key heads";
  return success();
}

static LogicalResult verifyElementTypes(LinearAttentionOp op) {
  Type element = typeOf(op.getQuery()).getElementType();
  for (auto [tensor, name] :
       {std::pair<Value, const char *>{op.getKey(), "key"},
        {op.getValue(), "value"},
        {op.getOutput(), "output"}})
    if (typeOf(tensor).getElementType() != element)
      return op.emitOpError("expects the element type of 'query', ")
             << element << ", for '" << name << "', but it is "
             << typeOf(tensor).getElementType();
  Type wide = element.isF64() ? element : Float32Type::get(op.getContext());
  for (auto [tensor, name] :
       {std::pair<Value, const char *>{op.getState(), "state"},
        {op.getNormalizer(), "normalizer"},
        {op.getStateOut(), "state_out"},
        {op.getNormalizerOut(), "normalizer_out"}})
    if (tensor && typeOf(tensor).getElementType() != wide)
      return op.emitOpError("expects the element type ")
             << wide << " for '" << name << "' with queries of " << element
             << ", but it is " << typeOf(tensor).getElementType();
  return success();
}

LogicalResult LinearAttentionOp::verify() {
  if (failed(verifyStaticSizes(*this)) || failed(verifyElementTypes(*this)))
    return failure();
  auto dim = [](Value tensor, const char *name, int64_t dim) {
    return Dimension{tensor, name, dim};
  };
  Dimension batch = dim(getQuery(), "query", 0);
  Dimension heads = dim(getQuery(), "query", 1);
  Dimension length = dim(getQuery(), "query", 2);
  Dimension features = dim(getQuery(), "query", 3);
  Dimension keyHeads = dim(getKey(), "key", 1);
  Dimension valueFeatures = dim(getValue(), "value", 3);
  struct Shape {
    Value tensor;
    const char *name;
    SmallVector<std::optional<Dimension>> dims;
    bool headsMayBeOne = false;
  };
  Shape shapes[] = {
      {getKey(), "key", {batch, std::nullopt, length, features}},
      {getValue(), "value", {batch, keyHeads, length, std::nullopt}},
      {getOutput(), "output", {batch, heads, length, valueFeatures}},
      {getDecay(), "decay", {batch, keyHeads, length, features}},
      {getBeta(), "beta", {batch, keyHeads, length}, true},
      {getState(), "state", {batch, keyHeads, features, valueFeatures}},
      {getStateOut(), "state_out", {batch, keyHeads, features, valueFeatures}},
      {getNormalizer(), "normalizer", {batch, keyHeads, features}},
      {getNormalizerOut(), "normalizer_out", {batch, keyHeads, features}},
      {getWrites(), "writes", {batch, keyHeads, std::nullopt}, true}};
  for (const Shape &shape : shapes) {
    if (!shape.tensor)
      continue;
    for (int64_t i = 0, e = typeOf(shape.tensor).getRank(); i < e; ++i)
      if (shape.dims[i] &&
          failed(verifySize(*this, {shape.tensor, shape.name, i},
                            *shape.dims[i], shape.headsMayBeOne && i == 1)))
        return failure();
  }

  int64_t chunk = getChunkSize(), tokens = typeOf(getQuery()).getDimSize(2);
  if (chunk < 1)
    return emitOpError("expects a positive 'chunk_size', but it is ") << chunk;
  if (getWrites()) {
    int64_t chunks = typeOf(getWrites()).getDimSize(2);
    if (known(chunks) && known(tokens) &&
        chunks != llvm::divideCeilSigned(tokens, chunk))
      return emitOpError("expects one entry of 'writes' for each of the ")
             << llvm::divideCeilSigned(tokens, chunk) << " chunks of " << chunk
             << " tokens, but there are " << chunks;
  } else if (getDecayUnwritten()) {
    return emitOpError("expects 'writes' with 'decay_unwritten', which says "
                       "what an unwritten chunk does");
  }
  if (auto decays = getLogDecay()) {
    if (getDecay())
      return emitOpError("expects 'decay' or 'log_decay', but has both; add "
                         "the constants to 'decay'");
    int64_t count = typeOf(getKey()).getDimSize(1);
    if (static_cast<int64_t>(decays->size()) != count)
      return emitOpError("expects one number in 'log_decay' for each of the ")
             << count << " key heads, but there are " << decays->size();
  }
  if (getNormalizer() && !getNormalizerOut())
    return emitOpError("expects a third result with 'normalizer', which holds "
                       "it after the last token");
  if (getNormalizerOut() && getBeta())
    return emitOpError("expects no 'beta' where outputs are normalised: the "
                       "delta rule has no normaliser");
  return success();
}

LogicalResult LinearAttentionOp::reifyResultShapes(
    OpBuilder &builder, ReifiedRankedShapedTypeDims &reifiedShapes) {
  auto size = [&](Value tensor, int64_t dim) {
    return tensor::getMixedSize(builder, getLoc(), tensor, dim);
  };
  OpFoldResult batch = size(getQuery(), 0), heads = size(getKey(), 1);
  OpFoldResult features = size(getQuery(), 3), values = size(getValue(), 3);
  reifiedShapes.push_back(
      {batch, size(getQuery(), 1), size(getQuery(), 2), values});
  reifiedShapes.push_back({batch, heads, features, values});
  if (getNormalizerOut())
    reifiedShapes.push_back({batch, heads, features});
  return success();
}
