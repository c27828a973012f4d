//===- Pool.cpp - Pooling -------------------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Scalars.h"
#include "Window.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static FailureOr<Window> readPool(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  auto kernel = n.intsAttr("kernel_shape");
  if (x.rank() < 3 || !kernel || kernel->size() + 2 != x.shape.size())
    return n.invalid("kernel_shape does not fit an input of rank " +
                     Twine(x.rank()));
  return readWindow(n, ArrayRef<Dim>(x.shape).drop_front(2), *kernel);
}

/// Where in the input the maximum of each window lies.
static TensorValue maxPlaces(NodeImporter &n, const TensorValue &x,
                             const Window &window) {
  Emitter &emit = n.emit;
  MLIRContext *context = emit.getBuilder().getContext();
  unsigned rank = static_cast<unsigned>(window.rank());
  bool isColumnMajor = n.intAttr("storage_order", 0) != 0;
  Value source = emit.materialize(x);
  SmallVector<Value> limits, starts;
  for (const Dim &dim : x.shape)
    limits.push_back(emit.indexValue(dim));
  for (const Dim &low : window.low)
    starts.push_back(emit.indexValue(low));
  SmallVector<AffineExpr> tapExprs, outputExprs;
  SmallVector<utils::IteratorType> iterators(2 + rank,
                                             utils::IteratorType::parallel);
  iterators.append(rank, utils::IteratorType::reduction);
  Shape shape{x.shape[0], x.shape[1]}, kernel;
  for (unsigned i = 0; i < 2 + rank; ++i)
    outputExprs.push_back(getAffineDimExpr(i, context));
  for (unsigned i = 0; i < rank; ++i) {
    tapExprs.push_back(getAffineDimExpr(2 + rank + i, context));
    kernel.push_back(window.kernel[i]);
    shape.push_back(window.output[i]);
  }
  AffineMap taps = AffineMap::get(2 + 2 * rank, 0, tapExprs, context);
  AffineMap output = AffineMap::get(2 + 2 * rank, 0, outputExprs, context);
  AffineMap maps[] = {taps, output, output};
  Type index = emit.elementType(Int64);
  Value values = emit.filled(shape, extremeOf(emit, x.dataType, false));
  Value places = emit.filled(shape, emit.scalarConstant(index, -1));
  auto op = linalg::GenericOp::create(
      emit.getBuilder(), emit.getLoc(),
      TypeRange{values.getType(), places.getType()},
      emit.empty(kernel, emit.elementType(x.dataType)),
      ValueRange{values, places}, maps, iterators,
      [&](OpBuilder &b, Location l, ValueRange v) {
        Indices i{b, l};
        Scalars s{b, l, x.dataType};
        SmallVector<Value> at{linalg::IndexOp::create(b, l, 0),
                              linalg::IndexOp::create(b, l, 1)};
        Value inside = arith::ConstantOp::create(b, l, b.getBoolAttr(true));
        for (unsigned d = 0; d < rank; ++d) {
          Value step = i.number(window.strides[d]);
          Value spread = i.number(window.dilations[d]);
          Value first = i.sub(i.mul(linalg::IndexOp::create(b, l, 2 + d), step),
                              starts[d]);
          Value tap = linalg::IndexOp::create(b, l, 2 + rank + d);
          Value place = i.add(first, i.mul(tap, spread));
          inside = i.both(inside, i.inside(place, limits[2 + d]));
          at.push_back(i.clamp(place, limits[2 + d]));
        }
        Value element = tensor::ExtractOp::create(b, l, source, at);
        Value flat = i.add(i.mul(at[0], limits[1]), at[1]);
        Value spatial = i.number(0), spatialSize = i.number(1);
        for (unsigned d = 0; d < rank; ++d) {
          unsigned axis = isColumnMajor ? rank - 1 - d : d;
          spatial = i.add(i.mul(spatial, limits[2 + axis]), at[2 + axis]);
          spatialSize = i.mul(spatialSize, limits[2 + axis]);
        }
        flat = i.add(i.mul(flat, spatialSize), spatial);
        Value place = arith::IndexCastOp::create(b, l, index, flat);
        Value isFirst =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, v[2],
                                  emit.scalarConstant(index, 0));
        Value isBetter =
            arith::OrIOp::create(b, l, isFirst, s.less(v[1], element));
        isBetter = i.both(isBetter, inside);
        linalg::YieldOp::create(b, l,
                                ValueRange{s.select(isBetter, element, v[1]),
                                           s.select(isBetter, place, v[2])});
      });
  return emit.fromValue(op.getResult(1), Int64, shape);
}

static LogicalResult importMaxPool(NodeImporter &n) {
  auto window = readPool(n);
  if (failed(window))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  Value lowest = extremeOf(emit, x.dataType, false);
  TensorValue padded = padSpatial(emit, x, window->low, window->high, lowest);
  n.setOutput(0, reduceWindow(emit, padded, *window, lowest,
                              [&](OpBuilder &b, Location l, ValueRange v) {
                                return Scalars{b, l, x.dataType}.max(v[0],
                                                                     v[1]);
                              }));
  if (n.hasOutput(1))
    n.setOutput(1, maxPlaces(n, x, *window));
  return success();
}

/// How many elements each window covers, as floats that broadcast with the
/// spatial dimensions.
static TensorValue countTaps(NodeImporter &n, const TensorValue &x,
                             const Window &window, int32_t type) {
  Emitter &emit = n.emit;
  bool countsPadding = n.intAttr("count_include_pad", 0) != 0;
  SmallVector<int64_t> pads(2 * window.rank(), 0);
  if (auto given = n.intsAttr("pads"))
    pads = *given;
  bool isExplicit = n.stringAttr("auto_pad", "NOTSET") == "NOTSET";
  SmallVector<Value> firsts, limits;
  for (size_t i = 0; i < window.rank(); ++i) {
    // In coordinates of the input, from `first` to below `limit`.
    Dim first = countsPadding ? Dim(0) - window.low[i] : Dim(0);
    Dim limit = x.shape[i + 2];
    if (countsPadding)
      limit =
          limit + (isExplicit ? Dim(pads[window.rank() + i]) : window.high[i]);
    firsts.push_back(emit.indexValue(first + window.low[i]));
    limits.push_back(emit.indexValue(limit + window.low[i]));
  }
  Type element = emit.elementType(type);
  return emit.indexed(
      {}, window.output, type,
      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        Indices i{b, l};
        Value count = i.number(1);
        for (size_t d = 0; d < window.rank(); ++d) {
          Value start = i.mul(at[d], i.number(window.strides[d]));
          Value step = i.number(window.dilations[d]);
          auto tapsBefore = [&](Value bound) {
            // Number of taps k with start + k * step < bound.
            Value room = i.max(i.sub(bound, start), i.number(0));
            Value taps = i.div(i.add(room, i.sub(step, i.number(1))), step);
            return i.min(taps, i.number(window.kernel[d]));
          };
          Value taps = i.sub(tapsBefore(limits[d]), tapsBefore(firsts[d]));
          count = i.mul(count, taps);
        }
        count = i.max(count, i.number(1));
        Value integer = arith::IndexCastOp::create(b, l, b.getI64Type(), count);
        return arith::SIToFPOp::create(b, l, element, integer);
      });
}

static LogicalResult importAveragePool(NodeImporter &n) {
  auto window = readPool(n);
  if (failed(window))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType))
    return n.invalid("it is not defined on integers");
  int32_t type = accumulatorOf(x.dataType);
  Value zero = emit.scalarConstant(emit.elementType(type), 0);
  TensorValue padded =
      padSpatial(emit, emit.cast(x, type), window->low, window->high, zero);
  TensorValue sum = reduceWindow(emit, padded, *window, zero,
                                 [&](OpBuilder &b, Location l, ValueRange v) {
                                   return Scalars{b, l, type}.add(v[0], v[1]);
                                 });
  TensorValue count = countTaps(n, x, *window, type);
  TensorValue mean =
      emit.elementwise({sum, count}, sum.shape, type,
                       [](OpBuilder &b, Location l, ValueRange v) -> Value {
                         return arith::DivFOp::create(b, l, v[0], v[1]);
                       });
  return n.result(emit.cast(mean, x.dataType));
}

/// (sum |x|^p)^(1/p); the sum by `sum`.
static LogicalResult
powerMean(NodeImporter &n,
          llvm::function_ref<TensorValue(const TensorValue &)> sum) {
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType))
    return n.invalid("it is not defined on integers");
  int64_t p = n.intAttr("p", 2);
  if (p < 1)
    return n.invalid("p is " + Twine(p));
  int32_t type = accumulatorOf(x.dataType);
  Type element = emit.elementType(type);
  auto power = [&](const TensorValue &v, double exponent) {
    return emit.map(v, type,
                    [&](OpBuilder &b, Location l, ValueRange w) -> Value {
                      if (exponent == 1)
                        return w[0];
                      if (exponent == 2)
                        return arith::MulFOp::create(b, l, w[0], w[0]);
                      if (exponent == 0.5)
                        return math::SqrtOp::create(b, l, w[0]);
                      return math::PowFOp::create(
                          b, l, w[0], emit.scalarConstant(element, exponent));
                    });
  };
  TensorValue size =
      emit.map(emit.cast(x, type), type,
               [](OpBuilder &b, Location l, ValueRange v) -> Value {
                 return math::AbsFOp::create(b, l, v[0]);
               });
  double exponent = static_cast<double>(p);
  TensorValue total = sum(power(size, exponent));
  return n.result(emit.cast(power(total, 1 / exponent), x.dataType));
}

static LogicalResult importLpPool(NodeImporter &n) {
  auto window = readPool(n);
  if (failed(window))
    return failure();
  return powerMean(n, [&](const TensorValue &x) {
    Value zero = n.emit.scalarConstant(n.emit.elementType(x.dataType), 0);
    TensorValue padded = padSpatial(n.emit, x, window->low, window->high, zero);
    return reduceWindow(n.emit, padded, *window, zero,
                        [&](OpBuilder &b, Location l, ValueRange v) {
                          return Scalars{b, l, x.dataType}.add(v[0], v[1]);
                        });
  });
}

static LogicalResult importGlobalPool(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() < 3 || !isFloat(x.dataType))
    return n.invalid("expects a float tensor of rank 3 or more");
  auto axes = llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
  if (n.opType() == "GlobalLpPool")
    return powerMean(
        n, [&](const TensorValue &v) { return emit.reduceSum(v, axes, true); });
  if (n.opType() == "GlobalMaxPool")
    return n.result(
        emit.reduce(x, axes, true, extremeOf(emit, x.dataType, false),
                    [&](OpBuilder &b, Location l, ValueRange v) {
                      return Scalars{b, l, x.dataType}.max(v[0], v[1]);
                    }));
  TensorValue wide = emit.cast(x, accumulatorOf(x.dataType));
  return n.result(emit.cast(emit.reduceMean(wide, axes, true), x.dataType));
}

void onnx::registerPoolOps(OpRegistry &registry) {
  registry.add("MaxPool", 1, importMaxPool);
  registry.add("AveragePool", 7, importAveragePool);
  registry.add("LpPool", 2, importLpPool);
  for (StringRef name : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    registry.add(name, 1, importGlobalPool);
}
