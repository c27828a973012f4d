//===- Rearrange.cpp - The same elements in other places or types ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult importDepthToSpace(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  int64_t size = n.intAttr("blocksize", 0);
  if (x.rank() != 4 || size < 1 || size > 65536)
    return n.invalid("expects rank 4 and a blocksize above 0");
  const Dim &batch = x.shape[0], &depth = x.shape[1];
  const Dim &height = x.shape[2], &width = x.shape[3];
  if (n.opType() == "SpaceToDepth") {
    auto rows = height.dividedBy(size), columns = width.dividedBy(size);
    if (!rows || !columns)
      return n.invalid("its height or width does not divide by blocksize");
    TensorValue split =
        emit.reshape(x, {batch, depth, *rows, Dim(size), *columns, Dim(size)});
    return n.result(
        emit.reshape(emit.transpose(split, {0, 3, 5, 1, 2, 4}),
                     {batch, depth * Dim(size * size), *rows, *columns}));
  }
  auto rest = depth.dividedBy(size * size);
  if (!rest)
    return n.invalid("its depth does not divide by blocksize squared");
  bool isColumnRow = n.stringAttr("mode", "DCR") == "CRD";
  Shape split = isColumnRow
                    ? Shape{batch, *rest, Dim(size), Dim(size), height, width}
                    : Shape{batch, Dim(size), Dim(size), *rest, height, width};
  SmallVector<int64_t> perm = isColumnRow
                                  ? SmallVector<int64_t>{0, 1, 4, 2, 5, 3}
                                  : SmallVector<int64_t>{0, 3, 4, 1, 5, 2};
  return n.result(
      emit.reshape(emit.transpose(emit.reshape(x, split), perm),
                   {batch, *rest, height * Dim(size), width * Dim(size)}));
}

static LogicalResult importReverseSequence(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &lengths = n.input(1);
  auto batch = n.axis(n.intAttr("batch_axis", 1), x.rank());
  auto time = n.axis(n.intAttr("time_axis", 0), x.rank());
  if (failed(batch) || failed(time))
    return failure();
  if (*batch == *time || lengths.rank() != 1 || lengths.dataType != Int64 ||
      !emit.broadcastDim(lengths.shape[0], x.shape[*batch]))
    return n.invalid("its lengths do not fit");
  Shape aligned(static_cast<size_t>(x.rank() - *batch), 1);
  aligned[0] = lengths.shape[0];
  Value source = emit.materialize(x);
  Value limit = emit.indexValue(x.shape[*time]);
  return n.result(emit.indexed(
      emit.reshape(lengths, aligned), x.shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Indices i{b, l};
        Value length = arith::IndexCastOp::create(b, l, b.getIndexType(), v[0]);
        length = i.max(i.min(length, limit), i.number(0));
        SmallVector<Value> from(v.begin() + 1, v.end());
        Value place = from[*time];
        Value turned = i.sub(i.sub(length, i.number(1)), place);
        from[*time] = i.select(i.less(place, length), turned, place);
        return tensor::ExtractOp::create(b, l, source, from);
      }));
}

static LogicalResult importBitShift(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &y = n.input(1);
  std::optional<Shape> shape = emit.broadcastShapes(x.shape, y.shape);
  std::string direction = n.stringAttr("direction", "");
  bool isLeft = direction == "LEFT";
  if (!shape || !isUnsigned(x.dataType) || x.dataType != y.dataType ||
      (!isLeft && direction != "RIGHT"))
    return n.invalid("expects unsigned tensors that fit, and a direction");
  Type element = emit.elementType(x.dataType);
  Value zero = emit.scalarConstant(element, 0);
  Value width = emit.scalarConstant(
      element, static_cast<double>(element.getIntOrFloatBitWidth()));
  return n.result(emit.elementwise(
      {x, y}, *shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        // A shift by the width or more is poison in LLVM.
        Value isShort =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::ult, v[1], width);
        Value amount = arith::SelectOp::create(b, l, isShort, v[1], zero);
        Value moved =
            isLeft ? arith::ShLIOp::create(b, l, v[0], amount).getResult()
                   : arith::ShRUIOp::create(b, l, v[0], amount).getResult();
        return arith::SelectOp::create(b, l, isShort, moved, zero);
      }));
}

static LogicalResult importBitCast(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  auto to = static_cast<int32_t>(n.intAttr("to", Undefined));
  Type element = emit.elementType(to);
  if (!element)
    return n.unsupported("to " + dataTypeName(to));
  if (dataTypeBytes(to) != dataTypeBytes(x.dataType) || to == Bool ||
      x.dataType == Bool)
    return n.unsupported("from " + dataTypeName(x.dataType) + " to " +
                         dataTypeName(to));
  return n.result(
      emit.map(x, to, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (v[0].getType() == element)
          return v[0];
        return arith::BitcastOp::create(b, l, element, v[0]);
      }));
}

static LogicalResult importCelu(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  double alpha = n.floatAttr("alpha", 1);
  if (!isFloat(x.dataType) || alpha == 0)
    return n.invalid("expects floats and an alpha other than 0");
  int32_t type = accumulatorOf(x.dataType);
  Type element = emit.elementType(type);
  Value zero = emit.scalarConstant(element, 0);
  Value one = emit.scalarConstant(element, 1);
  Value factor = emit.scalarConstant(element, alpha);
  TensorValue y = emit.map(
      emit.cast(x, type), type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Scalars s{b, l, type};
        Value scaled = arith::DivFOp::create(b, l, v[0], factor);
        Value low = s.sub(math::ExpOp::create(b, l, scaled), one);
        return s.add(s.max(v[0], zero), s.min(s.mul(factor, low), zero));
      });
  return n.result(emit.cast(y, x.dataType));
}

static LogicalResult importShrink(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.dataType == Bool)
    return n.invalid("it is not defined on bool");
  int32_t type =
      isFloat(x.dataType) ? accumulatorOf(x.dataType) : int32_t(Float32);
  Type element = emit.elementType(type);
  double lambda = n.floatAttr("lambd", 0.5), shift = n.floatAttr("bias", 0);
  TensorValue y =
      emit.map(emit.cast(x, type), type,
               [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                 Scalars s{b, l, type};
                 auto number = [&](double value) {
                   return emit.scalarConstant(element, value);
                 };
                 Value below = s.less(v[0], number(-lambda));
                 Value above = s.less(number(lambda), v[0]);
                 Value upper =
                     s.select(above, s.sub(v[0], number(shift)), number(0));
                 return s.select(below, s.add(v[0], number(shift)), upper);
               });
  return n.result(emit.cast(y, x.dataType));
}

/// Windows of signals: a sum of cosines over a run-time length.
static LogicalResult importWindow(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  auto size = emit.elementsOf(n.input(0));
  auto type = static_cast<int32_t>(n.intAttr("output_datatype", Float32));
  if (!size || size->size() != 1 || !emit.elementType(type) || type == Bool)
    return n.invalid("its size or type does not fit");
  if (size->front().isConstant() &&
      (*size->front().constant() < 0 ||
       *size->front().constant() > (int64_t(1) << 31)))
    return n.invalid("size " + Twine(*size->front().constant()));
  double a[3] = {0.5, -0.5, 0}; // Hann
  if (n.opType() == "HammingWindow") {
    a[0] = 25.0 / 46;
    a[1] = a[0] - 1;
  } else if (n.opType() == "BlackmanWindow") {
    a[0] = 0.42;
    a[2] = 0.08;
  }
  Dim length = emit.maxDim(size->front(), 0);
  Dim period = n.intAttr("periodic", 1) ? length : length - Dim(1);
  Type f64 = emit.getBuilder().getF64Type();
  Value divisor = emit.countAsFloat(emit.maxDim(period, 1), f64);
  TensorValue y = emit.indexed(
      {}, length, Float64,
      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        Scalars s{b, l, Float64};
        Value place = arith::IndexCastOp::create(b, l, b.getI64Type(), at[0]);
        Value number = arith::SIToFPOp::create(b, l, f64, place);
        Value angle = s.mul(arith::DivFOp::create(b, l, number, divisor),
                            emit.scalarConstant(f64, 6.283185307179586));
        Value sum = emit.scalarConstant(f64, a[0]);
        for (int k : {1, 2}) {
          Value wave = math::CosOp::create(
              b, l, s.mul(angle, emit.scalarConstant(f64, k)));
          sum = s.add(sum, s.mul(emit.scalarConstant(f64, a[k]), wave));
        }
        return sum;
      });
  return n.result(emit.cast(y, type));
}

void onnx::registerRearrangeOps(OpRegistry &registry) {
  registry.add("DepthToSpace", 1, importDepthToSpace);
  registry.add("SpaceToDepth", 1, importDepthToSpace);
  registry.add("ReverseSequence", 10, importReverseSequence);
  registry.add("BitShift", 11, importBitShift);
  registry.add("BitCast", 26, importBitCast);
  registry.add("Celu", 12, importCelu);
  registry.add("Shrink", 9, importShrink);
  for (StringRef name : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    registry.add(name, 17, importWindow);
}
