//===- Scatter.cpp - Writing to places given by other tensors -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

using PlaceOf =
    llvm::function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)>;

/// One update after the other, in order: `place` says where in the data an
/// update goes.
static LogicalResult scatter(NodeImporter &n, const TensorValue &updates,
                             PlaceOf place) {
  Emitter &emit = n.emit;
  const TensorValue &data = n.input(0);
  std::string reduction = n.stringAttr("reduction", "none");
  if (reduction != "none" && reduction != "add" && reduction != "mul" &&
      reduction != "min" && reduction != "max")
    return n.invalid("reduction '" + reduction + "'");
  Value start = emit.materialize(data), source = emit.materialize(updates);
  SmallVector<Value> lower, upper, step;
  for (const Dim &dim : updates.shape) {
    lower.push_back(emit.indexConstant(0));
    upper.push_back(emit.indexValue(dim));
    step.push_back(emit.indexConstant(1));
  }
  scf::LoopNest nest = scf::buildLoopNest(
      emit.getBuilder(), emit.getLoc(), lower, upper, step, start,
      [&](OpBuilder &b, Location l, ValueRange at,
          ValueRange carried) -> scf::ValueVector {
        SmallVector<Value> to = place(b, l, at);
        Value update = tensor::ExtractOp::create(b, l, source, at);
        if (reduction != "none") {
          Value old = tensor::ExtractOp::create(b, l, carried[0], to);
          Scalars s{b, l, data.dataType};
          update = reduction == "add"   ? s.add(old, update)
                   : reduction == "mul" ? s.mul(old, update)
                   : reduction == "min" ? s.min(old, update)
                                        : s.max(old, update);
        }
        return {tensor::InsertOp::create(b, l, update, carried[0], to)};
      });
  return n.result(
      emit.fromValue(nest.results.front(), data.dataType, data.shape));
}

static LogicalResult requireScatter(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  int32_t type = n.input(1).dataType;
  if (type != Int32 && type != Int64)
    return n.invalid("its indices are " + dataTypeName(type));
  if (n.input(0).dataType != n.input(2).dataType)
    return n.invalid("its updates have another element type than its data");
  return success();
}

static LogicalResult importScatterElements(NodeImporter &n) {
  if (failed(requireScatter(n)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &data = n.input(0), &indices = n.input(1);
  const TensorValue &updates = n.input(2);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), data.rank());
  if (failed(axis))
    return failure();
  if (indices.rank() != data.rank() || updates.rank() != data.rank())
    return n.invalid("data, indices and updates differ in rank");
  for (int64_t i = 0; i < data.rank(); ++i) {
    if (!emit.broadcastDim(indices.shape[i], updates.shape[i]) ||
        (indices.shape[i].isConstant() && updates.shape[i].isConstant() &&
         indices.shape[i] != updates.shape[i]))
      return n.invalid("its indices and updates differ in shape");
    if (i != *axis && indices.shape[i].isConstant() &&
        data.shape[i].isConstant() &&
        !emit.isAtLeast(data.shape[i], indices.shape[i]))
      return n.invalid("its indices are larger than its data");
    emit.requireEqual(indices.shape[i], updates.shape[i]);
    if (i != *axis)
      emit.requireAtMost(indices.shape[i], data.shape[i]);
  }
  if (failed(n.requireElements(0, *axis, indices.shape)))
    return failure();
  Value places = emit.materialize(indices);
  SmallVector<Value> limits;
  for (const Dim &dim : data.shape)
    limits.push_back(emit.indexValue(dim));
  return scatter(n, updates, [&](OpBuilder &b, Location l, ValueRange at) {
    Indices i{b, l};
    SmallVector<Value> to(at.begin(), at.end());
    Value raw = tensor::ExtractOp::create(b, l, places, at);
    to[*axis] = i.safe(raw, limits[*axis]);
    return to;
  });
}

static LogicalResult importScatterND(NodeImporter &n) {
  if (failed(requireScatter(n)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &data = n.input(0), &indices = n.input(1);
  const TensorValue &updates = n.input(2);
  if (indices.rank() < 1)
    return n.invalid("its indices have rank 0");
  std::optional<int64_t> depth = indices.shape.back().constant();
  if (!depth)
    return n.unsupported("the last dimension of its indices is dynamic");
  int64_t lead = indices.rank() - 1;
  if (*depth < 1 || *depth > data.rank() ||
      updates.rank() != lead + data.rank() - *depth)
    return n.invalid("its data, indices and updates do not fit together");
  Shape expected(indices.shape.begin(), indices.shape.end() - 1);
  expected.append(data.shape.begin() + *depth, data.shape.end());
  for (auto [a, b] : llvm::zip(expected, updates.shape)) {
    if (a.isConstant() && b.isConstant() && a != b)
      return n.invalid("the shape of its updates does not fit");
    emit.requireEqual(a, b);
  }
  for (int64_t d = 0; d < *depth; ++d)
    if (failed(n.requireElements(0, d, ArrayRef(expected).take_front(lead))))
      return failure();
  Value places = emit.materialize(indices);
  SmallVector<Value> limits, parts;
  for (const Dim &dim : data.shape)
    limits.push_back(emit.indexValue(dim));
  for (int64_t i = 0; i < *depth; ++i)
    parts.push_back(emit.indexConstant(i));
  return scatter(n, updates, [&](OpBuilder &b, Location l, ValueRange at) {
    Indices i{b, l};
    SmallVector<Value> to;
    SmallVector<Value> from(at.begin(), at.begin() + lead);
    for (int64_t d = 0; d < *depth; ++d) {
      from.push_back(parts[d]);
      Value raw = tensor::ExtractOp::create(b, l, places, from);
      from.pop_back();
      to.push_back(i.safe(raw, limits[d]));
    }
    to.append(at.begin() + lead, at.end());
    return to;
  });
}

void onnx::registerScatterOps(OpRegistry &registry) {
  registry.add("Scatter", 9, importScatterElements);
  registry.add("ScatterElements", 11, importScatterElements);
  registry.add("ScatterND", 11, importScatterND);
}
