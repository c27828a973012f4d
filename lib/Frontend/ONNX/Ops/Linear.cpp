//===- Linear.cpp - Linear attention and the convolution before it --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/Linear.h"
#include "AttentionParts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// The type in which a state of inputs of type `type` is kept.
static int32_t stateType(int32_t type) {
  return type == Float64 ? Float64 : Float32;
}

/// [B, T, Hkv] to [B, Hkv, T]; [B, T, Hkv * D] to [B, Hkv, T, D].
static FailureOr<TensorValue> alignDecay(NodeImporter &n, const TensorValue &x,
                                         int64_t heads, const Dim &features) {
  if (x.rank() != 3)
    return n.invalid("expects a decay of rank 3");
  if (x.shape[2] == Dim(heads))
    return n.emit.transpose(x, {0, 2, 1});
  if (x.shape[2] != Dim(heads) * features)
    return n.invalid("expects kv_num_heads or kv_num_heads * d_k decays for "
                     "each token");
  return splitHeads(n, x, heads);
}

static LogicalResult importLinearAttention(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  int32_t type = n.input(0).dataType;
  for (size_t i = 0; i < 3; ++i)
    if (n.input(i).rank() != 3 || n.input(i).dataType != type || !isFloat(type))
      return n.invalid("expects query, key and value of rank 3 and of one "
                       "float type");
  int64_t heads = n.intAttr("q_num_heads", 0);
  int64_t kvHeads = n.intAttr("kv_num_heads", 0);
  if (heads < 1 || kvHeads < 1 || heads % kvHeads != 0)
    return n.invalid("expects q_num_heads to be a multiple of kv_num_heads");
  auto query = splitHeads(n, n.input(0), heads);
  auto key = splitHeads(n, n.input(1), kvHeads);
  auto value = splitHeads(n, n.input(2), kvHeads);
  if (failed(query) || failed(key) || failed(value))
    return failure();
  const Dim &features = query->shape[3];
  if (!features.isConstant() || !key->shape[3].isConstant() ||
      !value->shape[3].isConstant())
    return n.unsupported("a dynamic head dimension");
  if (features != key->shape[3])
    return n.invalid("query and key differ in their head dimension");
  const Dim &batch = query->shape[0], &length = query->shape[2];
  for (const TensorValue *x : {&*key, &*value}) {
    emit.requireEqual(x->shape[0], batch);
    emit.requireEqual(x->shape[2], length);
  }

  std::string rule = n.stringAttr("update_rule", "gated_delta");
  bool gated = rule == "gated" || rule == "gated_delta";
  bool delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear")
    return n.invalid("unknown update_rule '" + Twine(rule) + "'");
  Value decay, beta, state;
  if (gated) {
    if (!n.hasInput(4))
      return n.invalid("update_rule '" + Twine(rule) + "' needs decay");
    auto aligned = alignDecay(n, n.input(4), kvHeads, features);
    if (failed(aligned))
      return failure();
    emit.requireEqual(aligned->shape[0], batch);
    emit.requireEqual(aligned->shape[2], length);
    decay = emit.materialize(*aligned);
  }
  if (delta) {
    if (!n.hasInput(5))
      return n.invalid("update_rule '" + Twine(rule) + "' needs beta");
    const TensorValue &x = n.input(5);
    if (x.rank() != 3 || (x.shape[2] != Dim(kvHeads) && x.shape[2] != Dim(1)))
      return n.invalid("expects kv_num_heads values of beta for each token, "
                       "or one");
    TensorValue aligned = emit.transpose(x, {0, 2, 1});
    emit.requireEqual(aligned.shape[0], batch);
    emit.requireEqual(aligned.shape[2], length);
    beta = emit.materialize(aligned);
  }
  Shape stateShape = {batch, Dim(kvHeads), features, value->shape[3]};
  int32_t stored = type;
  if (n.hasInput(3)) {
    const TensorValue &past = n.input(3);
    stored = past.dataType;
    if (past.rank() != 4 || !isFloat(stored))
      return n.invalid("expects a past_state of floats and rank 4");
    for (size_t i = 1; i < 4; ++i)
      if (past.shape[i].isConstant() && past.shape[i] != stateShape[i])
        return n.invalid("past_state does not fit");
    for (size_t i = 0; i < 4; ++i)
      emit.requireEqual(past.shape[i], stateShape[i]);
    state = emit.materialize(
        emit.reshape(emit.cast(past, stateType(type)), stateShape));
  }
  double scale = n.floatAttr("scale", 0);
  if (scale == 0)
    scale = 1 / std::sqrt(static_cast<double>(*features.constant()));
  if (!std::isfinite(scale))
    return n.invalid("scale is not finite");
  int64_t chunk = n.intAttr("chunk_size", 64);

  OpBuilder &b = emit.getBuilder();
  Shape shape = query->shape;
  shape[3] = value->shape[3];
  auto op = attn::LinearAttentionOp::create(
      b, emit.getLoc(), emit.tensorType(shape, type),
      emit.tensorType(stateShape, stateType(type)), Type(),
      emit.materialize(*query), emit.materialize(*key),
      emit.materialize(*value), decay, beta, state, /*normalizer=*/Value(),
      /*writes=*/Value(), /*log_decay=*/DenseF64ArrayAttr(),
      b.getF64FloatAttr(scale), static_cast<uint64_t>(chunk < 1 ? 64 : chunk),
      /*decay_unwritten=*/false);
  n.setOutput(0, joinHeads(emit, emit.fromValue(op.getOutput(), type, shape)));
  n.setOutput(1, emit.cast(emit.fromValue(op.getStateOut(), stateType(type),
                                          stateShape),
                           stored));
  return success();
}

/// A depthwise convolution over past and present, as one multiplication for
/// each place of the kernel.
static LogicalResult importCausalConv(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &input = n.input(0), &weight = n.input(1);
  int32_t type = input.dataType;
  if (input.rank() != 3 || weight.rank() != 3 || !isFloat(type) ||
      weight.dataType != type)
    return n.invalid("expects input and weight of rank 3 and of one float "
                     "type");
  std::string activation = n.stringAttr("activation", "none");
  bool silu = activation == "silu" || activation == "swish";
  if (!silu && activation != "none")
    return n.invalid("unknown activation '" + Twine(activation) + "'");
  if (!weight.shape[2].isConstant())
    return n.unsupported("a dynamic kernel size");
  int64_t size = *weight.shape[2].constant();
  if (size < 1)
    return n.invalid("expects a kernel with elements");
  const Dim &batch = input.shape[0], &channels = input.shape[1],
            &length = input.shape[2];
  emit.requireEqual(weight.shape[0], channels);
  emit.requireEqual(weight.shape[1], Dim(1));

  TensorValue whole = input;
  if (size > 1 && n.hasInput(3)) {
    const TensorValue &past = n.input(3);
    if (past.rank() != 3 || past.dataType != type)
      return n.invalid("past_state does not fit");
    emit.requireEqual(past.shape[0], batch);
    emit.requireEqual(past.shape[1], channels);
    emit.requireEqual(past.shape[2], Dim(size - 1));
    whole = emit.concat(
        {emit.reshape(past, {batch, channels, Dim(size - 1)}), input}, 2);
  } else if (size > 1) {
    whole = emit.pad(input, {Dim(0), Dim(0), Dim(size - 1)},
                     {Dim(0), Dim(0), Dim(0)},
                     emit.scalarConstant(emit.elementType(type), 0));
  }
  n.setOutput(1, emit.sliceAlong(whole, 2, length, Dim(size - 1)));

  int32_t wide = stateType(type);
  TensorValues operands;
  for (int64_t i = 0; i < size; ++i) {
    operands.push_back(
        emit.cast(emit.sliceAlong(whole, 2, Dim(i), length), wide));
    operands.push_back(
        emit.cast(emit.reshape(emit.sliceAlong(weight, 2, Dim(i), Dim(1)),
                               {Dim(1), channels, Dim(1)}),
                  wide));
  }
  bool biased = n.hasInput(2);
  if (biased) {
    if (n.input(2).rank() != 1 || n.input(2).dataType != type)
      return n.invalid("bias does not fit");
    emit.requireEqual(n.input(2).shape[0], channels);
    operands.push_back(
        emit.cast(emit.reshape(n.input(2), {Dim(1), channels, Dim(1)}), wide));
  }
  TensorValue output = emit.elementwise(
      operands, input.shape, wide,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value sum = biased ? v.back() : Value();
        for (int64_t i = 0; i < size; ++i) {
          Value product = arith::MulFOp::create(b, l, v[2 * i], v[2 * i + 1]);
          sum = sum ? arith::AddFOp::create(b, l, sum, product).getResult()
                    : product;
        }
        if (!silu)
          return sum;
        Value one =
            arith::ConstantOp::create(b, l, b.getFloatAttr(sum.getType(), 1));
        Value power =
            math::ExpOp::create(b, l, arith::NegFOp::create(b, l, sum));
        return arith::DivFOp::create(b, l, sum,
                                     arith::AddFOp::create(b, l, one, power));
      });
  return n.result(emit.cast(output, type));
}

void onnx::registerLinearOps(OpRegistry &registry) {
  registry.add("LinearAttention", 27, importLinearAttention);
  registry.add("CausalConvWithState", 27, importCausalConv);
}
