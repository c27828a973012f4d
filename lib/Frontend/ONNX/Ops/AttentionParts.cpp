//===- AttentionParts.cpp - What all attention operators need -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionParts.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

FailureOr<TensorValue> onnx::splitHeads(NodeImporter &n, const TensorValue &x,
                                        int64_t heads) {
  if (x.rank() == 4)
    return x;
  std::optional<Dim> headDim =
      heads > 0 ? x.shape[2].dividedBy(Dim(heads)) : std::nullopt;
  if (!headDim && !x.shape[2].isConstant())
    return n.unsupported("a dynamic head dimension");
  if (!headDim)
    return n.invalid("the number of heads (" + Twine(heads) +
                     ") does not divide the last dimension");
  TensorValue split =
      n.emit.reshape(x, {x.shape[0], x.shape[1], Dim(heads), *headDim});
  return n.emit.transpose(split, {0, 2, 1, 3});
}

TensorValue onnx::joinHeads(Emitter &emit, const TensorValue &x) {
  TensorValue rows = emit.transpose(x, {0, 2, 1, 3});
  return emit.reshape(
      rows, {rows.shape[0], rows.shape[1], rows.shape[2] * rows.shape[3]});
}

TensorValue onnx::appendRows(Emitter &emit, const TensorValue &past,
                             const TensorValue &update) {
  for (size_t i : {0, 1, 3})
    emit.requireEqual(update.shape[i], past.shape[i]);
  Shape shape = past.shape;
  shape[2] = past.shape[2] + update.shape[2];
  Value value = attn::KVAppendOp::create(
      emit.getBuilder(), emit.getLoc(), emit.tensorType(shape, past.dataType),
      emit.materialize(past), emit.materialize(update), /*at=*/Value(),
      /*page_table=*/Value());
  return emit.fromValue(value, past.dataType, shape);
}

FailureOr<TensorValue> onnx::rotate(NodeImporter &n, const TensorValue &heads,
                                    TensorValue cos, TensorValue sin,
                                    int64_t rotatedDim, bool isInterleaved) {
  Emitter &emit = n.emit;
  const Dim &half = cos.shape[2];
  Dim expected = rotatedDim ? Dim(rotatedDim) : heads.shape[3];
  if (half.isConstant() && expected.isConstant() && half * Dim(2) != expected)
    return n.invalid("the last dimension of its caches is not half of the "
                     "features to rotate");
  for (TensorValue *table : {&cos, &sin}) {
    emit.requireEqual(table->shape[0], heads.shape[0], /*orOne=*/true);
    emit.requireEqual(table->shape[1], heads.shape[2]);
    emit.requireAtMost(table->shape[2] * Dim(2), heads.shape[3]);
    *table = emit.cast(*table, heads.dataType);
  }
  Value value = attn::RopeOp::create(
      emit.getBuilder(), emit.getLoc(), emit.materialize(heads),
      emit.materialize(cos), emit.materialize(sin), isInterleaved);
  return emit.fromValue(value, heads.dataType, heads.shape);
}

Value onnx::buildAttention(Emitter &emit, const Attention &a) {
  OpBuilder &b = emit.getBuilder();
  Shape shape = a.query.shape;
  shape[3] = a.value.shape[3];
  attn::MaskAttrInterface mask;
  Value offset;
  if (a.isCausal) {
    mask = attn::CausalAttr::get(b.getContext());
    if (a.window >= 0)
      mask = attn::WindowAttr::get(b.getContext(), a.window, 0,
                                   /*block=*/1);
    if (a.offsets.dataType != Undefined)
      offset = emit.materialize(a.offsets);
    else if (!a.offset.is(0))
      offset = emit.indexValue(a.offset);
  }
  TypeAttr precision;
  if (a.precision != Undefined)
    precision = TypeAttr::get(emit.elementType(a.precision));
  auto op = attn::AttentionOp::create(
      b, emit.getLoc(), emit.tensorType(shape, a.query.dataType), Type(),
      emit.materialize(a.query), emit.materialize(a.key),
      emit.materialize(a.value), a.hasBias ? emit.materialize(a.bias) : Value(),
      a.hasKeep ? emit.materialize(a.keep) : Value(),
      a.hasLengths ? emit.materialize(a.lengths) : Value(), offset,
      a.hasSinks ? emit.materialize(a.sinks) : Value(), /*rows=*/Value(),
      /*row_counts=*/Value(), /*page_table=*/Value(), ValueRange(), mask,
      a.scale != 0 ? b.getF64FloatAttr(a.scale) : FloatAttr(),
      a.softcap > 0 ? b.getF64FloatAttr(a.softcap) : FloatAttr(),
      attn::BiasOrderAttr::get(b.getContext(), attn::BiasOrder::AfterSoftcap),
      precision, /*key_head_map=*/DenseI64ArrayAttr(),
      /*value_head_map=*/DenseI64ArrayAttr());
  return op.getOutput();
}
