//===- ChannelNorm.cpp - Norms of images, channel by channel --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// A vector over channels, to broadcast with [N, C, spatial...].
static TensorValue alongChannels(Emitter &emit, const TensorValue &vector,
                                 int64_t rank, int32_t type) {
  Shape shape(static_cast<size_t>(rank - 1), 1);
  shape[0] = vector.shape[0];
  return emit.cast(emit.reshape(vector, shape), type);
}

static TensorValue subtract(Emitter &emit, const TensorValue &a,
                            const TensorValue &b) {
  return emit.elementwise({a, b}, a.shape, a.dataType,
                          [&](OpBuilder &bd, Location l, ValueRange v) {
                            return Scalars{bd, l, a.dataType}.sub(v[0], v[1]);
                          });
}

static TensorValue square(Emitter &emit, const TensorValue &x) {
  return emit.map(x, x.dataType, [&](OpBuilder &b, Location l, ValueRange v) {
    return Scalars{b, l, x.dataType}.mul(v[0], v[0]);
  });
}

/// 1 / sqrt(variance + epsilon)
static TensorValue inverseRoot(Emitter &emit, const TensorValue &variance,
                               double epsilon) {
  Type element = emit.elementType(variance.dataType);
  Value eps = emit.scalarConstant(element, epsilon);
  Value one = emit.scalarConstant(element, 1);
  return emit.map(variance, variance.dataType,
                  [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                    Value sum = arith::AddFOp::create(b, l, v[0], eps);
                    Value root = math::SqrtOp::create(b, l, sum);
                    return arith::DivFOp::create(b, l, one, root);
                  });
}

/// x * factor * scale + bias
static TensorValue scaleAndShift(Emitter &emit, const TensorValue &x,
                                 const TensorValue &factor,
                                 const TensorValue &scale,
                                 const TensorValue &bias) {
  return emit.elementwise({x, factor, scale, bias}, x.shape, x.dataType,
                          [&](OpBuilder &b, Location l, ValueRange v) {
                            Scalars s{b, l, x.dataType};
                            Value y = s.mul(s.mul(v[0], v[1]), v[2]);
                            return s.add(y, v[3]);
                          });
}

static LogicalResult requireChannels(NodeImporter &n, size_t first,
                                     size_t last) {
  const TensorValue &x = n.input(0);
  for (size_t i = first; i <= last; ++i)
    if (n.input(i).rank() != 1 || !isFloat(n.input(i).dataType) ||
        (n.input(i).shape[0].isConstant() && x.shape[1].isConstant() &&
         n.input(i).shape[0] != x.shape[1]))
      return n.invalid("input " + Twine(i) +
                       " is no vector with one float for each channel");
  return success();
}

static LogicalResult importBatchNorm(NodeImporter &n) {
  if (failed(n.require(5)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() < 2 || !isFloat(x.dataType))
    return n.invalid("expects a float tensor of rank 2 or more");
  if (failed(requireChannels(n, 1, 4)))
    return failure();
  int32_t type = accumulatorOf(x.dataType);
  double epsilon = n.floatAttr("epsilon", 1e-5F);
  TensorValue wide = emit.cast(x, type);
  auto vector = [&](const TensorValue &v) {
    return alongChannels(emit, v, x.rank(), type);
  };
  TensorValue mean = vector(n.input(3)), variance = vector(n.input(4));
  bool trains = n.intAttr("training_mode", 0) != 0;
  if (trains) {
    SmallVector<int64_t> axes{0};
    axes.append(llvm::to_vector(llvm::seq<int64_t>(2, x.rank())));
    TensorValue batchMean = emit.reduceMean(wide, axes, true);
    TensorValue batchVariance = emit.reduceMean(
        square(emit, subtract(emit, wide, batchMean)), axes, true);
    double momentum = n.floatAttr("momentum", 0.9F);
    auto running = [&](const TensorValue &old, const TensorValue &now) {
      Type element = emit.elementType(type);
      Value keep = emit.scalarConstant(element, momentum);
      Value take = emit.scalarConstant(element, 1 - momentum);
      TensorValue flat = emit.reshape(now, old.shape);
      TensorValue mixed =
          emit.elementwise({emit.cast(old, type), flat}, old.shape, type,
                           [&](OpBuilder &b, Location l, ValueRange v) {
                             Scalars s{b, l, type};
                             return s.add(s.mul(v[0], keep), s.mul(v[1], take));
                           });
      return emit.cast(mixed, old.dataType);
    };
    n.setOutput(1, running(n.input(3), batchMean));
    n.setOutput(2, running(n.input(4), batchVariance));
    Shape aligned(batchMean.shape.begin() + 1, batchMean.shape.end());
    mean = emit.reshape(batchMean, aligned);
    variance = emit.reshape(batchVariance, aligned);
  }
  TensorValue y = scaleAndShift(emit, subtract(emit, wide, mean),
                                inverseRoot(emit, variance, epsilon),
                                vector(n.input(1)), vector(n.input(2)));
  return n.result(emit.cast(y, x.dataType));
}

/// Normalises [N, G, rest...] over all but the first two dimensions.
static TensorValue normalize(Emitter &emit, const TensorValue &x,
                             double epsilon) {
  auto axes = llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
  TensorValue centered = subtract(emit, x, emit.reduceMean(x, axes, true));
  TensorValue variance = emit.reduceMean(square(emit, centered), axes, true);
  return emit.elementwise({centered, inverseRoot(emit, variance, epsilon)},
                          x.shape, x.dataType,
                          [&](OpBuilder &b, Location l, ValueRange v) {
                            return Scalars{b, l, x.dataType}.mul(v[0], v[1]);
                          });
}

static LogicalResult importGroupNorm(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() < 3 || !isFloat(x.dataType))
    return n.invalid("expects a float tensor of rank 3 or more");
  int32_t type = accumulatorOf(x.dataType);
  double epsilon = n.floatAttr("epsilon", 1e-5F);
  bool isInstance = n.opType() == "InstanceNormalization";
  TensorValue normal = emit.cast(x, type);
  TensorValue scale = n.input(1), bias = n.input(2);
  if (isInstance) {
    normal = normalize(emit, normal, epsilon);
  } else {
    int64_t groups = n.intAttr("num_groups", 0);
    std::optional<Dim> perGroup;
    if (groups > 0)
      perGroup = x.shape[1].dividedBy(groups);
    if (!perGroup)
      return n.invalid("its channels do not divide by num_groups " +
                       Twine(groups));
    Shape split{x.shape[0], Dim(groups), *perGroup};
    split.append(x.shape.begin() + 2, x.shape.end());
    normal = emit.reshape(normalize(emit, emit.reshape(normal, split), epsilon),
                          x.shape);
    // Up to version 20 there was one number for each group.
    auto widen = [&](const TensorValue &v) {
      if (v.rank() != 1 || !v.shape[0].is(groups) || perGroup->is(1))
        return v;
      TensorValue wide = emit.broadcastTo(emit.reshape(v, {groups, 1}),
                                          {Dim(groups), *perGroup});
      return emit.reshape(wide, {x.shape[1]});
    };
    scale = widen(scale);
    bias = widen(bias);
  }
  if (scale.rank() != 1 || bias.rank() != 1 ||
      !emit.broadcastDim(scale.shape[0], x.shape[1]) ||
      !emit.broadcastDim(bias.shape[0], x.shape[1]))
    return n.invalid("its scale or bias does not fit its channels");
  TensorValue one = emit.scalar(1, type);
  TensorValue y = scaleAndShift(emit, normal, one,
                                alongChannels(emit, scale, x.rank(), type),
                                alongChannels(emit, bias, x.rank(), type));
  return n.result(emit.cast(y, x.dataType));
}

static LogicalResult importLpNorm(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), x.rank());
  int64_t p = n.intAttr("p", 2);
  if (failed(axis))
    return failure();
  if (!isFloat(x.dataType) || (p != 1 && p != 2))
    return n.invalid("expects floats and p of 1 or 2");
  int32_t type = accumulatorOf(x.dataType);
  TensorValue wide = emit.cast(x, type);
  TensorValue sizes =
      p == 2 ? square(emit, wide)
             : emit.map(wide, type,
                        [](OpBuilder &b, Location l, ValueRange v) -> Value {
                          return math::AbsFOp::create(b, l, v[0]);
                        });
  TensorValue norm = emit.reduceSum(sizes, {*axis}, true);
  Value zero = emit.scalarConstant(emit.elementType(type), 0);
  TensorValue y = emit.elementwise(
      {wide, norm}, x.shape, type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value size = v[1];
        if (p == 2)
          size = math::SqrtOp::create(b, l, size);
        Value quotient = arith::DivFOp::create(b, l, v[0], size);
        Value isZero =
            arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ, v[1], zero);
        return arith::SelectOp::create(b, l, isZero, zero, quotient);
      });
  return n.result(emit.cast(y, x.dataType));
}

static LogicalResult importMeanVarianceNorm(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType))
    return n.invalid("it is not defined on integers");
  auto axes = n.axes(n.intsAttr("axes").value_or(SmallVector<int64_t>{0, 2, 3}),
                     x.rank());
  if (failed(axes))
    return failure();
  int32_t type = accumulatorOf(x.dataType);
  TensorValue wide = emit.cast(x, type);
  TensorValue centered =
      subtract(emit, wide, emit.reduceMean(wide, *axes, true));
  TensorValue variance = emit.reduceMean(square(emit, centered), *axes, true);
  Value epsilon = emit.scalarConstant(emit.elementType(type), 1e-9);
  TensorValue y =
      emit.elementwise({centered, variance}, x.shape, type,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Value root = math::SqrtOp::create(b, l, v[1]);
                         root = arith::AddFOp::create(b, l, root, epsilon);
                         return arith::DivFOp::create(b, l, v[0], root);
                       });
  return n.result(emit.cast(y, x.dataType));
}

/// Across neighbouring channels.
static LogicalResult importLRN(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  int64_t size = n.intAttr("size", 0);
  if (x.rank() < 2 || !isFloat(x.dataType) || size < 1 || size > 4096)
    return n.invalid("expects floats of rank 2 or more and a size above 0");
  int32_t type = accumulatorOf(x.dataType);
  Type element = emit.elementType(type);
  TensorValue wide = emit.cast(x, type);
  Shape low(x.shape.size(), 0), high(x.shape.size(), 0);
  low[1] = (size - 1) / 2;
  high[1] = size - 1 - (size - 1) / 2;
  Value zero = emit.scalarConstant(element, 0);
  TensorValue padded = emit.pad(square(emit, wide), low, high, zero);
  TensorValues operands{wide};
  for (int64_t i = 0; i < size; ++i)
    operands.push_back(emit.sliceAlong(padded, 1, i, x.shape[1]));
  Value alpha = emit.scalarConstant(element, n.floatAttr("alpha", 1e-4F) /
                                                 static_cast<double>(size));
  Value beta = emit.scalarConstant(element, n.floatAttr("beta", 0.75F));
  Value bias = emit.scalarConstant(element, n.floatAttr("bias", 1));
  TensorValue y =
      emit.elementwise(operands, x.shape, type,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Scalars s{b, l, type};
                         Value sum = v[1];
                         for (Value next : v.drop_front(2))
                           sum = s.add(sum, next);
                         Value base = s.add(bias, s.mul(alpha, sum));
                         Value power = math::PowFOp::create(b, l, base, beta);
                         return arith::DivFOp::create(b, l, v[0], power);
                       });
  return n.result(emit.cast(y, x.dataType));
}

void onnx::registerChannelNormOps(OpRegistry &registry) {
  registry.add("BatchNormalization", 7, importBatchNorm);
  registry.add("InstanceNormalization", 6, importGroupNorm);
  registry.add("GroupNormalization", 18, importGroupNorm);
  registry.add("LpNormalization", 1, importLpNorm);
  registry.add("MeanVarianceNormalization", 9, importMeanVarianceNorm);
  registry.add("LRN", 1, importLRN);
}
