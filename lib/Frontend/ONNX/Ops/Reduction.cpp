//===- Reduction.cpp - Sums, means and extremes along dimensions ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// The smallest or largest value of a type, as the start of a maximum.
static Value extremeOf(Emitter &emit, int32_t dataType, bool isLargest) {
  Type type = emit.elementType(dataType);
  if (isFloat(dataType))
    return emit.scalarConstant(
        type, isLargest ? std::numeric_limits<double>::infinity()
                        : -std::numeric_limits<double>::infinity());
  unsigned width = type.getIntOrFloatBitWidth();
  APInt value =
      isUnsigned(dataType)
          ? (isLargest ? APInt::getMaxValue(width) : APInt::getMinValue(width))
          : (isLargest ? APInt::getSignedMaxValue(width)
                       : APInt::getSignedMinValue(width));
  return emit.scalarConstant(IntegerAttr::get(type, value));
}

static TensorValue reduceExtreme(Emitter &emit, const TensorValue &x,
                                 ArrayRef<int64_t> axes, bool keepDims,
                                 bool isMax) {
  bool floats = isFloat(x.dataType), isUnsignedType = isUnsigned(x.dataType);
  return emit.reduce(x, axes, keepDims, extremeOf(emit, x.dataType, !isMax),
                     [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                       if (floats && isMax)
                         return arith::MaximumFOp::create(b, l, v[0], v[1]);
                       if (floats)
                         return arith::MinimumFOp::create(b, l, v[0], v[1]);
                       if (isUnsignedType && isMax)
                         return arith::MaxUIOp::create(b, l, v[0], v[1]);
                       if (isUnsignedType)
                         return arith::MinUIOp::create(b, l, v[0], v[1]);
                       if (isMax)
                         return arith::MaxSIOp::create(b, l, v[0], v[1]);
                       return arith::MinSIOp::create(b, l, v[0], v[1]);
                     });
}

static TensorValue reduceProduct(Emitter &emit, const TensorValue &x,
                                 ArrayRef<int64_t> axes, bool keepDims) {
  bool floats = isFloat(x.dataType);
  return emit.reduce(x, axes, keepDims,
                     emit.scalarConstant(emit.elementType(x.dataType), 1),
                     [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                       if (floats)
                         return arith::MulFOp::create(b, l, v[0], v[1]);
                       return arith::MulIOp::create(b, l, v[0], v[1]);
                     });
}

template <typename Op>
static TensorValue mapFloat(Emitter &emit, const TensorValue &x) {
  return emit.map(x, x.dataType,
                  [](OpBuilder &b, Location l, ValueRange v) -> Value {
                    return Op::create(b, l, v[0]);
                  });
}

static TensorValue square(Emitter &emit, const TensorValue &x) {
  bool floats = isFloat(x.dataType);
  return emit.map(x, x.dataType,
                  [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                    if (floats)
                      return arith::MulFOp::create(b, l, v[0], v[0]);
                    return arith::MulIOp::create(b, l, v[0], v[0]);
                  });
}

/// log(sum(exp(x))), shifted by the maximum unless that is infinite.
static TensorValue logSumExp(Emitter &emit, const TensorValue &x,
                             ArrayRef<int64_t> axes, bool keepDims) {
  TensorValue top = reduceExtreme(emit, x, axes, true, true);
  Type element = emit.elementType(x.dataType);
  Value infinity =
      emit.scalarConstant(element, std::numeric_limits<double>::infinity());
  Value zero = emit.scalarConstant(element, 0);
  top = emit.map(top, x.dataType,
                 [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                   Value size = math::AbsFOp::create(b, l, v[0]);
                   Value isInfinite = arith::CmpFOp::create(
                       b, l, arith::CmpFPredicate::OEQ, size, infinity);
                   return arith::SelectOp::create(b, l, isInfinite, zero, v[0]);
                 });
  TensorValue shifted =
      emit.elementwise({x, top}, x.shape, x.dataType,
                       [](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Value difference =
                             arith::SubFOp::create(b, l, v[0], v[1]);
                         return math::ExpOp::create(b, l, difference);
                       });
  TensorValue sum = emit.reduceSum(shifted, axes, true);
  TensorValue result =
      emit.elementwise({sum, top}, sum.shape, x.dataType,
                       [](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Value log = math::LogOp::create(b, l, v[0]);
                         return arith::AddFOp::create(b, l, log, v[1]);
                       });
  return keepDims ? result : emit.squeeze(result, axes);
}

static LogicalResult importReduce(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0);
  StringRef op = n.opType();
  bool keepDims = n.intAttr("keepdims", 1) != 0;
  auto given = n.intsFrom(1, "axes");
  if (failed(given))
    return failure();
  SmallVector<int64_t> axes;
  if (*given && !(*given)->empty()) {
    auto checked = n.axes(**given, x.rank());
    if (failed(checked))
      return failure();
    axes = *checked;
  } else if (!n.intAttr("noop_with_empty_axes", 0)) {
    axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  }

  // The size of a shape, as old exporters write it.
  if ((op == "ReduceProd" || op == "ReduceSum") && x.elements &&
      axes.size() == 1) {
    Dim result = op == "ReduceProd" ? 1 : 0;
    for (const Dim &element : *x.elements)
      result = op == "ReduceProd" ? result * element : result + element;
    return n.result(emit.fromElements(result, !keepDims, x.dataType));
  }

  int32_t type = x.dataType;
  bool isExtreme = op == "ReduceMax" || op == "ReduceMin";
  if (type == Bool) {
    if (!isExtreme)
      return n.invalid("it is not defined on bool");
    x = emit.cast(x, UInt8);
    return n.result(emit.cast(
        reduceExtreme(emit, x, axes, keepDims, op == "ReduceMax"), Bool));
  }
  if (isExtreme)
    return n.result(reduceExtreme(emit, x, axes, keepDims, op == "ReduceMax"));
  // Sums of half types are kept in f32; roots and logarithms need floats.
  bool needsFloat = op == "ReduceL2" || op.contains("Log");
  if (type == Float16 || type == BFloat16)
    x = emit.cast(x, Float32);
  else if (needsFloat && !isFloat(type))
    x = emit.cast(x, Float64);
  TensorValue result;
  if (op == "ReduceSum") {
    result = emit.reduceSum(x, axes, keepDims);
  } else if (op == "ReduceMean") {
    result = emit.reduceMean(x, axes, keepDims);
  } else if (op == "ReduceProd") {
    result = reduceProduct(emit, x, axes, keepDims);
  } else if (op == "ReduceSumSquare") {
    result = emit.reduceSum(square(emit, x), axes, keepDims);
  } else if (op == "ReduceL2") {
    result = mapFloat<math::SqrtOp>(
        emit, emit.reduceSum(square(emit, x), axes, keepDims));
  } else if (op == "ReduceL1") {
    bool isUnsignedType = isUnsigned(type);
    TensorValue magnitude = emit.map(
        x, x.dataType, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          if (isFloat(type))
            return math::AbsFOp::create(b, l, v[0]);
          if (isUnsignedType)
            return v[0];
          return math::AbsIOp::create(b, l, v[0]);
        });
    result = emit.reduceSum(magnitude, axes, keepDims);
  } else if (op == "ReduceLogSum") {
    result = mapFloat<math::LogOp>(emit, emit.reduceSum(x, axes, keepDims));
  } else {
    result = logSumExp(emit, x, axes, keepDims);
  }
  return n.result(emit.cast(result, type));
}

void onnx::registerReductionOps(OpRegistry &registry) {
  for (StringRef name : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                         "ReduceProd", "ReduceL1", "ReduceL2",
                         "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"})
    registry.add(name, 1, importReduce);
}
