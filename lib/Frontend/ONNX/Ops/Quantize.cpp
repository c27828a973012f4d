//===- Quantize.cpp - Quantization and integer products -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Conv.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static bool isQuantized(int32_t type) {
  return type == UInt8 || type == Int8 || type == UInt16 || type == Int16;
}

/// Smallest and largest value of an integer type.
static std::pair<double, double> rangeOf(int32_t type) {
  auto bits = static_cast<double>(8 * dataTypeBytes(type));
  if (isUnsigned(type))
    return {0, std::exp2(bits) - 1};
  return {-std::exp2(bits - 1), std::exp2(bits - 1) - 1};
}

/// A scale or zero point so that it broadcasts with `x`: one number, one for
/// each place along the axis, or one for each block of an axis.
static FailureOr<TensorValue> spread(NodeImporter &n, const TensorValue &v,
                                     const TensorValue &x) {
  Emitter &emit = n.emit;
  if (v.rank() == 0 || (v.rank() == 1 && v.shape[0].is(1)))
    return emit.reshape(v, {});
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 1), x.rank());
  if (failed(axis))
    return failure();
  if (v.rank() == 1) {
    Shape shape(static_cast<size_t>(x.rank() - *axis), 1);
    shape[0] = v.shape[0];
    if (v.shape[0].isConstant() && x.shape[*axis].isConstant() &&
        v.shape[0] != x.shape[*axis])
      return n.invalid("its scale does not fit dimension " + Twine(*axis));
    return emit.reshape(v, shape);
  }
  int64_t block = n.intAttr("block_size", 0);
  if (v.rank() != x.rank() || block < 1 || block > (int64_t(1) << 24))
    return n.invalid("its scale has rank " + Twine(v.rank()) +
                     " and block_size is " + Twine(block));
  for (int64_t i = 0; i < x.rank(); ++i) {
    Dim expected = i == *axis ? emit.ceilDiv(x.shape[i], block) : x.shape[i];
    if (expected.isConstant() && v.shape[i].isConstant() &&
        expected != v.shape[i])
      return n.invalid("its scale does not fit dimension " + Twine(i));
    emit.requireEqual(v.shape[i], expected);
  }
  Value source = emit.materialize(v);
  Value limit = emit.indexValue(v.shape[*axis]);
  return emit.indexed({}, x.shape, v.dataType,
                      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
                        Indices i{b, l};
                        SmallVector<Value> from(at.begin(), at.end());
                        from[*axis] =
                            i.clamp(i.div(from[*axis], i.number(block)), limit);
                        return tensor::ExtractOp::create(b, l, source, from);
                      });
}

static LogicalResult importDequantize(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &scale = n.input(1);
  if (!isInteger(x.dataType) || !isFloat(scale.dataType))
    return n.unsupported("from " + dataTypeName(x.dataType) + " with a scale " +
                         dataTypeName(scale.dataType));
  auto type = static_cast<int32_t>(n.intAttr("output_dtype", 0));
  if (type == Undefined)
    type = scale.dataType;
  if (!isFloat(type) || !emit.elementType(type))
    return n.unsupported("to " + dataTypeName(type));
  FailureOr<TensorValue> factor = spread(n, scale, x);
  if (failed(factor))
    return failure();
  // The difference of two such integers is exact in 32 bits.
  int32_t wide = x.dataType == Int32 || x.dataType == UInt32 ? int32_t(Int64)
                                                             : int32_t(Int32);
  if (dataTypeBytes(x.dataType) == 8)
    wide = Int64;
  TensorValue value = emit.cast(x, wide);
  TensorValues operands{value, emit.cast(*factor, Float32)};
  if (n.hasInput(2)) {
    if (n.input(2).dataType != x.dataType)
      return n.invalid("its zero point has another element type");
    FailureOr<TensorValue> zero = spread(n, n.input(2), x);
    if (failed(zero))
      return failure();
    operands.push_back(emit.cast(*zero, wide));
  }
  TensorValue y = emit.elementwise(
      operands, x.shape, Float32,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value integer = v[0];
        if (v.size() == 3)
          integer = arith::SubIOp::create(b, l, integer, v[2]);
        Value number = arith::SIToFPOp::create(b, l, b.getF32Type(), integer);
        return arith::MulFOp::create(b, l, number, v[1]);
      });
  return n.result(emit.cast(y, type));
}

/// round(x / scale) + zero, saturated; operands are f32, f32 and i32.
static Value quantizeScalar(Emitter &emit, OpBuilder &b, Location l, Value x,
                            Value scale, Value zero, int32_t type) {
  auto [least, most] = rangeOf(type);
  Type f32 = b.getF32Type();
  Value quotient = arith::DivFOp::create(b, l, x, scale);
  Value rounded = math::RoundEvenOp::create(b, l, quotient);
  if (zero) {
    Value shift = arith::SIToFPOp::create(b, l, f32, zero);
    rounded = arith::AddFOp::create(b, l, rounded, shift);
  }
  // maxnumf and minnumf turn NaN into a bound.
  rounded =
      arith::MaxNumFOp::create(b, l, rounded, emit.scalarConstant(f32, least));
  rounded =
      arith::MinNumFOp::create(b, l, rounded, emit.scalarConstant(f32, most));
  Value integer = arith::FPToSIOp::create(b, l, b.getI32Type(), rounded);
  return arith::TruncIOp::create(b, l, emit.elementType(type), integer);
}

static TensorValue quantize(Emitter &emit, const TensorValue &x,
                            const TensorValue &scale,
                            std::optional<TensorValue> zero, int32_t type) {
  TensorValues operands{emit.cast(x, Float32), emit.cast(scale, Float32)};
  if (zero)
    operands.push_back(emit.cast(*zero, Int32));
  return emit.elementwise(
      operands, x.shape, type, [&](OpBuilder &b, Location l, ValueRange v) {
        return quantizeScalar(emit, b, l, v[0], v[1],
                              v.size() == 3 ? v[2] : Value(), type);
      });
}

static LogicalResult importQuantize(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  const TensorValue &x = n.input(0);
  auto type = static_cast<int32_t>(n.intAttr("output_dtype", Undefined));
  if (type == Undefined)
    type = n.hasInput(2) ? n.input(2).dataType : int32_t(UInt8);
  if (!isQuantized(type) || x.dataType == Float64 || x.dataType == Int64 ||
      !(isFloat(x.dataType) || x.dataType == Int32))
    return n.unsupported("from " + dataTypeName(x.dataType) + " to " +
                         dataTypeName(type));
  FailureOr<TensorValue> scale = spread(n, n.input(1), x);
  if (failed(scale))
    return failure();
  std::optional<TensorValue> zero;
  if (n.hasInput(2)) {
    FailureOr<TensorValue> given = spread(n, n.input(2), x);
    if (failed(given))
      return failure();
    zero = *given;
  }
  return n.result(quantize(n.emit, x, *scale, zero, type));
}

/// To uint8, with a range that covers the input and zero.
static LogicalResult importDynamicQuantize(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.dataType != Float32)
    return n.invalid("expects float32");
  Type f32 = emit.elementType(Float32);
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  Value start = emit.scalarConstant(f32, 0);
  // From zero on, since zero belongs to the range.
  TensorValue least =
      emit.reduce(x, axes, false, start,
                  [](OpBuilder &b, Location l, ValueRange v) -> Value {
                    return arith::MinimumFOp::create(b, l, v[0], v[1]);
                  });
  TensorValue most =
      emit.reduce(x, axes, false, start,
                  [](OpBuilder &b, Location l, ValueRange v) -> Value {
                    return arith::MaximumFOp::create(b, l, v[0], v[1]);
                  });
  Value levels = emit.scalarConstant(f32, 255);
  TensorValue scale =
      emit.elementwise({least, most}, {}, Float32,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Value range = arith::SubFOp::create(b, l, v[1], v[0]);
                         return arith::DivFOp::create(b, l, range, levels);
                       });
  // A constant zero input would divide by zero.
  Value one = emit.scalarConstant(f32, 1);
  TensorValue safe = emit.map(
      scale, Float32, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value isZero =
            arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ, v[0], start);
        return arith::SelectOp::create(b, l, isZero, one, v[0]);
      });
  TensorValue zero = emit.elementwise(
      {least, safe}, {}, UInt8,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value negated = arith::NegFOp::create(b, l, v[0]);
        return quantizeScalar(emit, b, l, negated, v[1], {}, UInt8);
      });
  n.setOutput(0, quantize(emit, x, safe, zero, UInt8));
  n.setOutput(1, scale);
  n.setOutput(2, zero);
  return success();
}

//===----------------------------------------------------------------------===//
// Integer products
//===----------------------------------------------------------------------===//

/// x - zero in 32 bits.
static TensorValue centered(Emitter &emit, const TensorValue &x,
                            const std::optional<TensorValue> &zero) {
  TensorValue wide = emit.cast(x, Int32);
  if (!zero ||
      (zero->constant && zero->constant.isSplat() && emit.constantInts(*zero) &&
       !zero->constant.empty() && emit.constantInts(*zero)->front() == 0))
    return wide;
  return emit.elementwise({wide, emit.cast(*zero, Int32)}, x.shape, Int32,
                          [](OpBuilder &b, Location l, ValueRange v) -> Value {
                            return arith::SubIOp::create(b, l, v[0], v[1]);
                          });
}

/// A zero point or scale of a matrix: for all, or for each row (of the left
/// one) or column.
static TensorValue alongMatrix(Emitter &emit, const TensorValue &v,
                               bool isRows) {
  if (v.rank() != 1 || v.shape[0].is(1))
    return v.rank() == 1 ? emit.reshape(v, {}) : v;
  return isRows ? emit.unsqueeze(v, {1}) : v;
}

static bool isByte(int32_t type) { return type == UInt8 || type == Int8; }

static LogicalResult importMatMulInteger(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &a = n.input(0), &b = n.input(1);
  if (!isByte(a.dataType) || !isByte(b.dataType))
    return n.invalid("expects int8 or uint8");
  std::optional<TensorValue> zeroA, zeroB;
  if (n.hasInput(2))
    zeroA = alongMatrix(emit, n.input(2), true);
  if (n.hasInput(3))
    zeroB = alongMatrix(emit, n.input(3), false);
  for (auto [zero, x] : {std::pair(&zeroA, &a), std::pair(&zeroB, &b)})
    if (*zero && ((*zero)->rank() > x->rank() ||
                  !emit.broadcastShapes(x->shape, (*zero)->shape)))
      return n.invalid("a zero point does not fit");
  TensorValue y =
      emit.matmul(centered(emit, a, zeroA), centered(emit, b, zeroB), Int32);
  if (!y.value)
    return n.invalid("the shapes of its inputs do not fit");
  return n.result(y);
}

/// sum * scaleA * scaleB / scaleY, quantized again.
static TensorValue requantize(Emitter &emit, const TensorValue &sum,
                              const TensorValue &scaleA,
                              const TensorValue &scaleB,
                              const TensorValue &scaleY,
                              const TensorValue &zeroY) {
  TensorValues operands{sum, emit.cast(scaleA, Float32),
                        emit.cast(scaleB, Float32), emit.cast(scaleY, Float32),
                        emit.cast(zeroY, Int32)};
  return emit.elementwise(
      operands, sum.shape, zeroY.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value number = arith::SIToFPOp::create(b, l, b.getF32Type(), v[0]);
        Value scale = arith::MulFOp::create(b, l, v[1], v[2]);
        number = arith::MulFOp::create(b, l, number, scale);
        return quantizeScalar(emit, b, l, number, v[3], v[4], zeroY.dataType);
      });
}

static LogicalResult importQLinearMatMul(NodeImporter &n) {
  if (failed(n.require(8)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &a = n.input(0), &b = n.input(3);
  for (size_t i : {0, 2, 3, 5, 7})
    if (!isByte(n.input(i).dataType))
      return n.unsupported("element type " + dataTypeName(n.input(i).dataType));
  auto along = [&](size_t i, bool isRows) {
    return alongMatrix(emit, n.input(i), isRows);
  };
  for (size_t i : {1, 2, 4, 5, 6, 7}) {
    const TensorValue &x = i < 3 ? a : b;
    if (n.input(i).rank() > 1 &&
        (n.input(i).rank() > x.rank() ||
         !emit.broadcastShapes(x.shape, n.input(i).shape)))
      return n.invalid("the shape of input " + Twine(i) + " does not fit");
  }
  TensorValue sum = emit.matmul(centered(emit, a, along(2, true)),
                                centered(emit, b, along(5, false)), Int32);
  if (!sum.value)
    return n.invalid("the shapes of its inputs do not fit");
  return n.result(requantize(emit, sum, along(1, true), along(4, false),
                             along(6, true), along(7, true)));
}

/// ConvInteger and QLinearConv.
static LogicalResult importConvInteger(NodeImporter &n) {
  bool isQuantizing = n.opType() == "QLinearConv";
  if (failed(n.require(isQuantizing ? 8 : 2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &w = n.input(isQuantizing ? 3 : 1);
  if (!isByte(x.dataType) || !isByte(w.dataType))
    return n.invalid("expects int8 or uint8");
  auto conv = readConv(n, x, w);
  if (failed(conv))
    return failure();
  if (!w.shape[0].dividedBy(conv->groups) ||
      (x.shape[1].isConstant() && w.shape[1].isConstant() &&
       x.shape[1] != w.shape[1] * Dim(conv->groups)))
    return n.invalid("its weights are for another number of channels");
  auto perChannel = [&](const TensorValue &v, int64_t rank) {
    if (v.rank() != 1 || v.shape[0].is(1))
      return v.rank() == 1 ? emit.reshape(v, {}) : v;
    Shape shape(static_cast<size_t>(rank), 1);
    shape[0] = v.shape[0];
    return emit.reshape(v, shape);
  };
  std::optional<TensorValue> zeroX, zeroW;
  if (size_t i = 2; n.hasInput(i)) {
    if (!product(n.input(i).shape).is(1))
      return n.invalid("the zero point of its input is no scalar");
    zeroX = emit.reshape(n.input(i), {});
  }
  if (size_t i = isQuantizing ? 5 : 3; n.hasInput(i)) {
    zeroW = perChannel(n.input(i), w.rank());
    if (!emit.broadcastShapes(w.shape, zeroW->shape))
      return n.invalid("the zero point of its weights does not fit");
  }
  Value zero = emit.scalarConstant(emit.elementType(Int32), 0);
  TensorValue padded = padSpatial(emit, centered(emit, x, zeroX),
                                  conv->window.low, conv->window.high, zero);
  TensorValue y = convolve(emit, padded, centered(emit, w, zeroW), conv->window,
                           conv->groups);
  if (!isQuantizing)
    return n.result(y);
  if (n.hasInput(8)) {
    if (n.input(8).rank() != 1 || n.input(8).dataType != Int32)
      return n.invalid("its bias does not fit");
    y = addChannelBias(emit, y, n.input(8));
  }
  TensorValue scaleW = perChannel(n.input(4), w.rank() - 1);
  if (!isByte(n.input(7).dataType) || !isFloat(n.input(1).dataType) ||
      !emit.broadcastShapes(y.shape, scaleW.shape))
    return n.invalid("its scales or zero points do not fit");
  auto one = [&](size_t i) { return perChannel(n.input(i), w.rank() - 1); };
  return n.result(requantize(emit, y, one(1), scaleW, one(6), one(7)));
}

void onnx::registerQuantizeOps(OpRegistry &registry) {
  registry.add("DequantizeLinear", 10, importDequantize);
  registry.add("QuantizeLinear", 10, importQuantize);
  registry.add("DynamicQuantizeLinear", 11, importDynamicQuantize);
  registry.add("MatMulInteger", 10, importMatMulInteger);
  registry.add("QLinearMatMul", 10, importQLinearMatMul);
  registry.add("ConvInteger", 10, importConvInteger);
  registry.add("QLinearConv", 10, importConvInteger);
}
