//===- Loss.cpp - Losses by class labels ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// Over dimension 1, in the type of `x`.
static TensorValue logSoftmax(Emitter &emit, const TensorValue &x) {
  int32_t type = x.dataType;
  TensorValue top = emit.reduce(x, {1}, true, extremeOf(emit, type, false),
                                [&](OpBuilder &b, Location l, ValueRange v) {
                                  return Scalars{b, l, type}.max(v[0], v[1]);
                                });
  TensorValue shifted = emit.elementwise(
      {x, top}, x.shape, type, [&](OpBuilder &b, Location l, ValueRange v) {
        return Scalars{b, l, type}.sub(v[0], v[1]);
      });
  TensorValue powers = emit.map(
      shifted, type, [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return math::ExpOp::create(b, l, v[0]);
      });
  return emit.elementwise({shifted, emit.reduceSum(powers, {1}, true)}, x.shape,
                          type, [&](OpBuilder &b, Location l, ValueRange v) {
                            Value log = math::LogOp::create(b, l, v[1]);
                            return Scalars{b, l, type}.sub(v[0], log);
                          });
}

/// Logarithms of probabilities [N, C, d...] and labels [N, d...].
static LogicalResult lossOf(NodeImporter &n, const TensorValue &x) {
  Emitter &emit = n.emit;
  const TensorValue &labels = n.input(1);
  int32_t type = x.dataType;
  if (labels.rank() + 1 != x.rank() ||
      (labels.dataType != Int32 && labels.dataType != Int64))
    return n.invalid("its labels do not fit");
  for (int64_t d = 0; d < labels.rank(); ++d) {
    const Dim &other = x.shape[d == 0 ? 0 : d + 1];
    if (other.isConstant() && labels.shape[d].isConstant() &&
        other != labels.shape[d])
      return n.invalid("its labels do not fit");
    emit.requireEqual(labels.shape[d], other);
  }
  if (failed(n.requireElements(0, 1, labels.shape)))
    return failure();
  std::string reduction = n.stringAttr("reduction", "mean");
  if (reduction != "none" && reduction != "sum" && reduction != "mean")
    return n.invalid("reduction '" + reduction + "'");
  Value scores = emit.materialize(x), weights;
  if (n.hasInput(2)) {
    const TensorValue &given = n.input(2);
    if (given.rank() != 1 || given.dataType != n.input(0).dataType ||
        (given.shape[0].isConstant() && x.shape[1].isConstant() &&
         given.shape[0] != x.shape[1]))
      return n.invalid("its weights do not fit");
    emit.requireEqual(given.shape[0], x.shape[1]);
    weights = emit.materialize(emit.cast(given, type));
  }
  Value classes = emit.indexValue(x.shape[1]);
  Type element = emit.elementType(type);
  Value zero = emit.scalarConstant(element, 0);
  Value one = emit.scalarConstant(element, 1);
  bool ignores = n.attribute("ignore_index") != nullptr;
  Value ignored = emit.scalarConstant(IntegerAttr::get(
      emit.elementType(labels.dataType), n.intAttr("ignore_index", 0)));
  TensorValue factor = emit.map(
      labels, type, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Indices i{b, l};
        Value w = one;
        if (weights)
          w = tensor::ExtractOp::create(b, l, weights, i.safe(v[0], classes));
        if (ignores)
          w = i.select(i.equal(v[0], ignored), zero, w);
        return w;
      });
  TensorValue loss =
      emit.indexed({labels, factor}, labels.shape, type,
                   [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                     Indices i{b, l};
                     SmallVector<Value> from(v.begin() + 2, v.end());
                     from.insert(from.begin() + 1, i.safe(v[0], classes));
                     Value score =
                         tensor::ExtractOp::create(b, l, scores, from);
                     Value negated = arith::NegFOp::create(b, l, score);
                     return arith::MulFOp::create(b, l, negated, v[1]);
                   });
  if (reduction != "none") {
    auto axes = llvm::to_vector(llvm::seq<int64_t>(0, labels.rank()));
    TensorValue sum = emit.reduceSum(loss, axes, false);
    loss = sum;
    if (reduction == "mean")
      loss =
          emit.elementwise({sum, emit.reduceSum(factor, axes, false)}, {}, type,
                           [](OpBuilder &b, Location l, ValueRange v) -> Value {
                             return arith::DivFOp::create(b, l, v[0], v[1]);
                           });
  }
  return n.result(emit.cast(loss, n.input(0).dataType));
}

static LogicalResult importLoss(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() < 2 || !isFloat(x.dataType))
    return n.invalid("expects floats of rank 2 or more");
  TensorValue wide = emit.cast(x, accumulatorOf(x.dataType));
  if (n.opType() == "SoftmaxCrossEntropyLoss") {
    wide = logSoftmax(emit, wide);
    n.setOutput(1, emit.cast(wide, x.dataType));
  }
  return lossOf(n, wide);
}

void onnx::registerLossOps(OpRegistry &registry) {
  registry.add("NegativeLogLikelihoodLoss", 12, importLoss);
  registry.add("SoftmaxCrossEntropyLoss", 12, importLoss);
}
