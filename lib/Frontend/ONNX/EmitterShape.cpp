//===- EmitterShape.cpp - Operations that move elements -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

using Group = SmallVector<int64_t, 2>;

static SmallVector<ReassociationIndices>
toReassociation(ArrayRef<Group> groups) {
  SmallVector<ReassociationIndices> result;
  for (const Group &group : groups)
    result.emplace_back(group.begin(), group.end());
  return result;
}

Value Emitter::empty(ArrayRef<Dim> shape, Type element) {
  return tensor::EmptyOp::create(builder, loc, foldResults(shape), element);
}

Value Emitter::filled(ArrayRef<Dim> shape, Value scalar) {
  Value init = empty(shape, scalar.getType());
  return linalg::FillOp::create(builder, loc, scalar, init).getResult(0);
}

Value Emitter::castTo(Value value, ArrayRef<Dim> shape) {
  auto type = cast<RankedTensorType>(value.getType());
  auto wanted = tensorType(shape, type.getElementType());
  if (type == wanted)
    return value;
  return tensor::CastOp::create(builder, loc, wanted, value);
}

TensorValue Emitter::transpose(const TensorValue &operand,
                               ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, operand.rank())))
    return operand;
  Shape shape;
  for (int64_t axis : perm)
    shape.push_back(operand.shape[axis]);
  Value input = materialize(operand);
  Value init = empty(shape, elementType(operand.dataType));
  auto op = linalg::TransposeOp::create(builder, loc, input, init, perm);
  return fromValue(op->getResult(0), operand.dataType, shape);
}

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

TensorValue Emitter::collapse(const TensorValue &operand,
                              ArrayRef<Group> groups, ArrayRef<Dim> shape) {
  Value value = tensor::CollapseShapeOp::create(
      builder, loc, tensorType(shape, operand.dataType), materialize(operand),
      toReassociation(groups));
  return fromValue(value, operand.dataType, shape);
}

TensorValue Emitter::expand(const TensorValue &operand, ArrayRef<Group> groups,
                            ArrayRef<Dim> shape) {
  Value value = tensor::ExpandShapeOp::create(
      builder, loc, tensorType(shape, operand.dataType), materialize(operand),
      toReassociation(groups), foldResults(shape));
  return fromValue(value, operand.dataType, shape);
}

/// Pairs runs of source and target dimensions of equal size. False when that
/// cannot be proved.
static bool pairGroups(ArrayRef<Dim> from, ArrayRef<Dim> to,
                       SmallVector<Group> &fromGroups,
                       SmallVector<Group> &toGroups) {
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    Group source{static_cast<int64_t>(i)}, target{static_cast<int64_t>(j)};
    Dim sourceSize = from[i++], targetSize = to[j++];
    while (sourceSize != targetSize) {
      bool growSource;
      std::optional<int64_t> a = sourceSize.constant(),
                             b = targetSize.constant();
      if (a && b)
        growSource = *a < *b;
      else if (targetSize.dividedBy(sourceSize))
        growSource = true;
      else if (sourceSize.dividedBy(targetSize))
        growSource = false;
      else
        return false;
      if (growSource ? i == from.size() : j == to.size())
        return false;
      if (growSource) {
        source.push_back(static_cast<int64_t>(i));
        sourceSize = sourceSize * from[i++];
      } else {
        target.push_back(static_cast<int64_t>(j));
        targetSize = targetSize * to[j++];
      }
    }
    fromGroups.push_back(source);
    toGroups.push_back(target);
  }
  if (fromGroups.empty())
    return false;
  for (; i < from.size(); ++i) {
    if (!from[i].is(1))
      return false;
    fromGroups.back().push_back(static_cast<int64_t>(i));
  }
  for (; j < to.size(); ++j) {
    if (!to[j].is(1))
      return false;
    toGroups.back().push_back(static_cast<int64_t>(j));
  }
  return true;
}

static Group allDims(int64_t rank) {
  return llvm::to_vector<2>(llvm::seq<int64_t>(0, rank));
}

TensorValue Emitter::reshape(const TensorValue &operand, ArrayRef<Dim> shape) {
  if (ArrayRef<Dim>(operand.shape) == shape)
    return operand;
  if (operand.constant) {
    auto type = tensorType(shape, operand.dataType);
    if (type.hasStaticShape() &&
        type.getNumElements() == operand.constant.getNumElements())
      return fromConstant(DenseElementsAttr(operand.constant).reshape(type),
                          operand.dataType);
  }
  if (operand.elements && shape.size() <= 1 &&
      product(shape).is(static_cast<int64_t>(operand.elements->size())))
    return fromElements(*operand.elements, shape.empty(), operand.dataType);

  Dim total = product(operand.shape);
  // A size of zero tells nothing about the groups.
  if (total.is(0))
    return fromValue(empty(shape, elementType(operand.dataType)),
                     operand.dataType, shape);
  bool fromUnits =
      llvm::all_of(operand.shape, [](const Dim &dim) { return dim.is(1); });
  bool toUnits = llvm::all_of(shape, [](const Dim &dim) { return dim.is(1); });
  if (fromUnits && toUnits) {
    TensorValue scalar = operand;
    if (operand.rank() != 0)
      scalar = collapse(operand, {}, {});
    return shape.empty() ? scalar : expand(scalar, {}, shape);
  }

  SmallVector<Group> fromGroups, toGroups;
  TensorValue source = operand;
  if (!pairGroups(operand.shape, shape, fromGroups, toGroups)) {
    // Through one dimension; the model promises equal sizes.
    fromGroups.assign(1, allDims(operand.rank()));
    toGroups.assign(1, allDims(static_cast<int64_t>(shape.size())));
    if (operand.rank() == 0)
      source = expand(operand, {}, {Dim(1)});
    TensorValue flat =
        source.rank() == 1 ? source : collapse(source, fromGroups, {total});
    Dim target = product(shape);
    requireEqual(total, target);
    flat.value = castTo(materialize(flat), {target});
    flat.constant = {};
    flat.elements.reset();
    flat.shape = {target};
    if (shape.size() == 1)
      return flat;
    return shape.empty() ? collapse(flat, {}, {})
                         : expand(flat, toGroups, shape);
  }
  Shape middle;
  for (const Group &group : fromGroups) {
    Dim size = 1;
    for (int64_t axis : group)
      size = size * operand.shape[axis];
    middle.push_back(size);
  }
  if (middle.size() != operand.shape.size())
    source = collapse(source, fromGroups, middle);
  if (middle.size() != shape.size())
    source = expand(source, toGroups, shape);
  return source;
}

TensorValue Emitter::unsqueeze(const TensorValue &operand,
                               ArrayRef<int64_t> axes) {
  Shape shape;
  size_t next = 0;
  size_t rank = operand.shape.size() + axes.size();
  for (size_t i = 0; i < rank; ++i) {
    if (llvm::is_contained(axes, static_cast<int64_t>(i)))
      shape.push_back(1);
    else
      shape.push_back(operand.shape[next++]);
  }
  return reshape(operand, shape);
}

TensorValue Emitter::squeeze(const TensorValue &operand,
                             ArrayRef<int64_t> axes) {
  Shape shape, ones = operand.shape;
  for (int64_t i = 0; i < operand.rank(); ++i)
    if (!llvm::is_contained(axes, i))
      shape.push_back(operand.shape[i]);
    else {
      requireEqual(operand.shape[i], 1);
      ones[i] = 1;
    }
  // A dynamic dimension that is removed can only be 1.
  TensorValue source = operand;
  if (ones != operand.shape) {
    source.value = castTo(materialize(operand), ones);
    source.shape = ones;
    source.constant = {};
    source.elements.reset();
  }
  return reshape(source, shape);
}

//===----------------------------------------------------------------------===//
// Slices, concatenation, padding, broadcast
//===----------------------------------------------------------------------===//

TensorValue Emitter::slice(const TensorValue &operand, ArrayRef<Dim> offsets,
                           ArrayRef<Dim> sizes, ArrayRef<int64_t> strides) {
  if (ArrayRef<Dim>(operand.shape) == sizes &&
      llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return operand;
  auto isZero = [](const Dim &size) { return size.is(0); };
  if (llvm::any_of(sizes, isZero) || llvm::any_of(operand.shape, isZero))
    return fromValue(empty(sizes, elementType(operand.dataType)),
                     operand.dataType, sizes);
  SmallVector<OpFoldResult> steps;
  for (int64_t stride : strides)
    steps.push_back(builder.getIndexAttr(stride));
  Value value = tensor::ExtractSliceOp::create(
      builder, loc, tensorType(sizes, operand.dataType), materialize(operand),
      foldResults(offsets), foldResults(sizes), steps);
  return fromValue(value, operand.dataType, sizes);
}

TensorValue Emitter::sliceAlong(const TensorValue &operand, int64_t axis,
                                const Dim &offset, const Dim &size) {
  Shape offsets(operand.shape.size(), 0), sizes = operand.shape;
  offsets[axis] = offset;
  sizes[axis] = size;
  return slice(operand, offsets, sizes,
               SmallVector<int64_t>(operand.shape.size(), 1));
}

TensorValue Emitter::concat(ArrayRef<TensorValue> operands, int64_t axis) {
  if (operands.size() == 1)
    return operands.front();
  Shape shape = operands.front().shape;
  for (const TensorValue &operand : operands.drop_front())
    for (int64_t i = 0; i < operand.rank(); ++i) {
      if (i == axis) {
        shape[i] = shape[i] + operand.shape[i];
        continue;
      }
      requireEqual(operand.shape[i], shape[i]);
      if (operand.shape[i].isConstant())
        shape[i] = operand.shape[i];
    }
  int32_t dataType = operands.front().dataType;
  Value result = empty(shape, elementType(dataType));
  Shape offsets(shape.size(), 0);
  SmallVector<OpFoldResult> strides(shape.size(), builder.getIndexAttr(1));
  for (const TensorValue &operand : operands) {
    if (!operand.shape[axis].is(0))
      result = tensor::InsertSliceOp::create(
          builder, loc, materialize(operand), result, foldResults(offsets),
          foldResults(operand.shape), strides);
    offsets[axis] = offsets[axis] + operand.shape[axis];
  }
  return fromValue(result, dataType, shape);
}

TensorValue Emitter::pad(const TensorValue &operand, ArrayRef<Dim> low,
                         ArrayRef<Dim> high, Value scalar) {
  Shape shape;
  bool isNothing = true;
  for (auto [dim, before, after] : llvm::zip(operand.shape, low, high)) {
    shape.push_back(dim + before + after);
    isNothing &= before.is(0) && after.is(0);
  }
  if (isNothing)
    return operand;
  Value value = tensor::PadOp::create(
      builder, loc, tensorType(shape, operand.dataType), materialize(operand),
      foldResults(low), foldResults(high), scalar);
  return fromValue(value, operand.dataType, shape);
}

TensorValue Emitter::broadcastTo(const TensorValue &operand,
                                 ArrayRef<Dim> shape) {
  if (ArrayRef<Dim>(operand.shape) == shape)
    return operand;
  if (operand.constant && operand.constant.isSplat() &&
      tensorType(shape, operand.dataType).hasStaticShape())
    return fromConstant(DenseElementsAttr(operand.constant)
                            .resizeSplat(tensorType(shape, operand.dataType)),
                        operand.dataType);
  return elementwise(operand, shape, operand.dataType,
                     [](OpBuilder &, Location, ValueRange v) { return v[0]; });
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

Value Emitter::safeIndex(OpBuilder &b, Location l, Value raw, Value size) {
  Value index = arith::IndexCastOp::create(b, l, b.getIndexType(), raw);
  Value zero = indexConstant(0);
  Value negative =
      arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, index, zero);
  Value wrapped = arith::AddIOp::create(b, l, index, size);
  index = arith::SelectOp::create(b, l, negative, wrapped, index);
  Value last = arith::SubIOp::create(b, l, size, indexConstant(1));
  index = arith::MinSIOp::create(b, l, index, last);
  return arith::MaxSIOp::create(b, l, index, zero);
}

TensorValue Emitter::gather(const TensorValue &data, const TensorValue &indices,
                            int64_t axis) {
  Shape shape(data.shape.begin(), data.shape.begin() + axis);
  shape.append(indices.shape.begin(), indices.shape.end());
  shape.append(data.shape.begin() + axis + 1, data.shape.end());
  // The indices as a broadcast operand: unit dimensions after them.
  Shape aligned = indices.shape;
  aligned.append(static_cast<size_t>(data.rank() - axis - 1), Dim(1));
  TensorValue places = reshape(indices, aligned);
  Value source = materialize(data);
  Value limit = indexValue(data.shape[axis]);
  int64_t indexRank = indices.rank();
  return indexed(places, shape, data.dataType,
                 [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                   ValueRange at = v.drop_front();
                   SmallVector<Value> where(at.begin(), at.begin() + axis);
                   where.push_back(safeIndex(b, l, v[0], limit));
                   where.append(at.begin() + axis + indexRank, at.end());
                   return tensor::ExtractOp::create(b, l, source, where);
                 });
}
