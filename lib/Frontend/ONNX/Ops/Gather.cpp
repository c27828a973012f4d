//===- Gather.cpp - Elements at places given by other tensors -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult checkIndices(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  int32_t type = n.input(1).dataType;
  if (type != Int32 && type != Int64)
    return n.invalid("its indices are " + dataTypeName(type));
  return success();
}

static LogicalResult importGather(NodeImporter &n) {
  if (failed(checkIndices(n)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue &data = n.input(0), &indices = n.input(1);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), data.rank());
  if (failed(axis))
    return failure();
  const Dim &size = data.shape[*axis];
  auto known = emit.constantInts(indices);
  if (known && size.isConstant())
    for (int64_t index : *known)
      if (index < -*size.constant() || index >= *size.constant())
        return n.invalid("index " + Twine(index) + " is outside of dimension " +
                         Twine(*size.constant()));

  // Elements of a shape.
  if (known && data.rank() == 1 && indices.rank() <= 1 &&
      (data.elements || data.constant) && isInteger(data.dataType)) {
    if (auto all = emit.elementsOf(data)) {
      SmallVector<Dim> some;
      for (int64_t index : *known)
        some.push_back(
            (*all)[index < 0 ? index + static_cast<int64_t>(all->size())
                             : index]);
      return n.result(
          emit.fromElements(some, indices.rank() == 0, data.dataType));
    }
  }
  if (failed(n.requireElements(0, *axis, indices.shape)))
    return failure();
  // One place that is known: a slice.
  if (known && known->size() == 1) {
    Dim offset =
        known->front() < 0 ? size + Dim(known->front()) : Dim(known->front());
    if (!size.isConstant())
      offset = emit.maxDim(emit.minDim(offset, size - Dim(1)), 0);
    TensorValue result = emit.sliceAlong(data, *axis, offset, 1);
    if (indices.rank() == 0)
      return n.result(emit.squeeze(result, {*axis}));
    for (int64_t i = 1; i < indices.rank(); ++i)
      result = emit.unsqueeze(result, {*axis});
    return n.result(result);
  }

  return n.result(emit.gather(data, indices, *axis));
}

static LogicalResult importGatherElements(NodeImporter &n) {
  if (failed(checkIndices(n)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue &data = n.input(0), &indices = n.input(1);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), data.rank());
  if (failed(axis))
    return failure();
  if (indices.rank() != data.rank())
    return n.invalid("its indices have another rank than its data");
  Value source = emit.materialize(data);
  SmallVector<Value> limits;
  for (const Dim &dim : data.shape)
    limits.push_back(emit.indexValue(dim));
  for (int64_t i = 0; i < data.rank(); ++i) {
    const Dim &size = indices.shape[i], &limit = data.shape[i];
    if (i == *axis)
      continue;
    if (size.isConstant() && limit.isConstant() && !emit.isAtLeast(limit, size))
      return n.invalid("its indices are larger than its data");
    emit.requireAtMost(size, limit);
  }
  if (failed(n.requireElements(0, *axis, indices.shape)))
    return failure();
  return n.result(
      emit.indexed(indices, indices.shape, data.dataType,
                   [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                     SmallVector<Value> where(v.begin() + 1, v.end());
                     where[*axis] = emit.safeIndex(b, l, v[0], limits[*axis]);
                     return tensor::ExtractOp::create(b, l, source, where);
                   }));
}

static LogicalResult importGatherND(NodeImporter &n) {
  if (failed(checkIndices(n)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue &data = n.input(0), &indices = n.input(1);
  int64_t batch = n.intAttr("batch_dims", 0);
  if (indices.rank() < 1 || batch < 0 || batch >= indices.rank() ||
      batch > data.rank())
    return n.invalid("batch_dims or the rank of its indices");
  std::optional<int64_t> depth = indices.shape.back().constant();
  if (!depth)
    return n.unsupported("the last dimension of its indices is dynamic");
  if (*depth < 1 || batch + *depth > data.rank())
    return n.invalid("its indices have more parts than its data dimensions");
  for (int64_t i = 0; i < batch; ++i) {
    if (!emit.broadcastDim(indices.shape[i], data.shape[i]))
      return n.invalid("its batch dimensions differ");
    emit.requireEqual(indices.shape[i], data.shape[i]);
  }
  Shape shape(indices.shape.begin(), indices.shape.end() - 1);
  int64_t lead = static_cast<int64_t>(shape.size());
  for (int64_t i = 0; i < *depth; ++i)
    if (failed(n.requireElements(0, batch + i, shape)))
      return failure();
  shape.append(data.shape.begin() + batch + *depth, data.shape.end());
  Value source = emit.materialize(data), places = emit.materialize(indices);
  SmallVector<Value> limits, parts;
  for (const Dim &dim : data.shape)
    limits.push_back(emit.indexValue(dim));
  for (int64_t i = 0; i < *depth; ++i)
    parts.push_back(emit.indexConstant(i));
  return n.result(emit.indexed(
      {}, shape, data.dataType,
      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        SmallVector<Value> where(at.begin(), at.begin() + batch);
        SmallVector<Value> from(at.begin(), at.begin() + lead);
        for (int64_t i = 0; i < *depth; ++i) {
          from.push_back(parts[i]);
          Value raw = tensor::ExtractOp::create(b, l, places, from);
          from.pop_back();
          where.push_back(emit.safeIndex(b, l, raw, limits[batch + i]));
        }
        where.append(at.begin() + lead, at.end());
        return tensor::ExtractOp::create(b, l, source, where);
      }));
}

void onnx::registerGatherOps(OpRegistry &registry) {
  registry.add("Gather", 1, importGather);
  registry.add("GatherElements", 11, importGatherElements);
  registry.add("GatherND", 11, importGatherND);
}
