//===- Reduction.cpp - Sums, means and extremes along dimensions ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "RuntimeAxes.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

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

/// The reduction that the operator's name says.
static FailureOr<TensorValue> reduceBy(NodeImporter &n, TensorValue x,
                                       ArrayRef<int64_t> axes, bool keepDims) {
  Emitter &emit = n.emit;
  StringRef op = n.opType();
  int32_t type = x.dataType;
  bool isExtreme = op == "ReduceMax" || op == "ReduceMin";
  if (type == Bool) {
    if (!isExtreme) {
      (void)n.invalid("it is not defined on bool");
      return failure();
    }
    x = emit.cast(x, UInt8);
    return emit.cast(reduceExtreme(emit, x, axes, keepDims, op == "ReduceMax"),
                     Bool);
  }
  if (isExtreme)
    return reduceExtreme(emit, x, axes, keepDims, op == "ReduceMax");
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
  return emit.cast(result, type);
}

/// Axes from run time: the input as seen by [result..., window...], where an
/// axis has size 1 in the result and all other dimensions in the window.
static LogicalResult reduceAtRunTime(NodeImporter &n, const RuntimeAxes &axes,
                                     bool keepDims) {
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  Indices i{emit.getBuilder(), emit.getLoc()};
  Shape outer = axes.withOnes(emit, x.shape), shape = outer;
  for (auto [given, dim] : llvm::zip(axes.isGiven, x.shape))
    shape.push_back(emit.newSymbol(
        i.select(given, emit.indexValue(dim), i.number(1)), true));
  auto rank = static_cast<size_t>(x.rank());
  Value source = emit.materialize(x);
  TensorValue windows =
      emit.indexed({}, shape, x.dataType,
                   [&](OpBuilder &b, Location l, ValueRange at) -> Value {
                     SmallVector<Value> from;
                     for (size_t d = 0; d < rank; ++d)
                       from.push_back(Indices{b, l}.select(
                           axes.isGiven[d], at[rank + d], at[d]));
                     return tensor::ExtractOp::create(b, l, source, from);
                   });
  auto inner = llvm::to_vector(llvm::seq<int64_t>(x.rank(), 2 * x.rank()));
  FailureOr<TensorValue> result = reduceBy(n, windows, inner, false);
  if (failed(result))
    return failure();
  return n.result(
      emit.reshape(*result, keepDims ? outer : axes.without(emit, x.shape)));
}

static LogicalResult importReduce(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0);
  StringRef op = n.opType();
  bool keepDims = n.intAttr("keepdims", 1) != 0;
  if (n.hasInput(1) && !emit.constantInts(n.input(1)))
    if (auto axes = readRuntimeAxes(emit, n.input(1), x.rank());
        axes && axes->count > 0)
      return reduceAtRunTime(n, *axes, keepDims);
  FailureOr<std::optional<SmallVector<int64_t>>> given =
      std::optional<SmallVector<int64_t>>();
  // A list without elements holds nothing that could be unknown.
  bool isEmpty = n.hasInput(1) && product(n.input(1).shape).is(0);
  if (!isEmpty)
    given = n.intsFrom(1, "axes");
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

  FailureOr<TensorValue> result = reduceBy(n, x, axes, keepDims);
  return failed(result) ? failure() : n.result(*result);
}

void onnx::registerReductionOps(OpRegistry &registry) {
  for (StringRef name : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                         "ReduceProd", "ReduceL1", "ReduceL2",
                         "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"})
    registry.add(name, 1, importReduce);
}
