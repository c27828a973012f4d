//===- Normalization.cpp - Softmax and the norms --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult importSoftmax(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType))
    return n.unsupported("element type " + dataTypeName(x.dataType));
  bool flattens = n.version() < 13;
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", flattens ? 1 : -1),
                                   std::max<int64_t>(x.rank(), 1));
  if (failed(axis))
    return failure();
  TensorValue wide = x;
  if (x.rank() == 0)
    wide = emit.reshape(x, {Dim(1)});
  bool isLog = n.opType() == "LogSoftmax";
  auto compute = [&](const TensorValue &v, int64_t along) {
    if (!isLog)
      return emit.softmax(v, along);
    int32_t type = v.dataType;
    TensorValue f = isLog && (type == Float16 || type == BFloat16)
                        ? emit.cast(v, Float32)
                        : v;
    Value lowest = emit.scalarConstant(
        emit.elementType(f.dataType), -std::numeric_limits<double>::infinity());
    TensorValue top =
        emit.reduce(f, along, true, lowest,
                    [](OpBuilder &b, Location l, ValueRange w) -> Value {
                      return arith::MaximumFOp::create(b, l, w[0], w[1]);
                    });
    TensorValue shifted =
        emit.elementwise({f, top}, f.shape, f.dataType,
                         [](OpBuilder &b, Location l, ValueRange w) -> Value {
                           return arith::SubFOp::create(b, l, w[0], w[1]);
                         });
    TensorValue powers =
        emit.map(shifted, f.dataType,
                 [](OpBuilder &b, Location l, ValueRange w) -> Value {
                   return math::ExpOp::create(b, l, w[0]);
                 });
    TensorValue sum = emit.reduceSum(powers, along, true);
    TensorValue result =
        emit.elementwise({shifted, sum}, f.shape, f.dataType,
                         [](OpBuilder &b, Location l, ValueRange w) -> Value {
                           Value log = math::LogOp::create(b, l, w[1]);
                           return arith::SubFOp::create(b, l, w[0], log);
                         });
    return emit.cast(result, type);
  };
  if (!flattens || *axis == wide.rank() - 1)
    return n.result(emit.reshape(compute(wide, *axis), x.shape));
  ArrayRef<Dim> shape = wide.shape;
  TensorValue flat = emit.reshape(wide, {product(shape.take_front(*axis)),
                                         product(shape.drop_front(*axis))});
  return n.result(emit.reshape(compute(flat, 1), x.shape));
}

/// x * rsqrt-like factor * scale + bias over the trailing dimensions.
static LogicalResult importLayerNorm(NodeImporter &n) {
  bool isRms = n.opType() == "RMSNormalization" ||
               n.opType() == "SimplifiedLayerNormalization";
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0);
  const TensorValue &scale = n.input(1);
  if (!isFloat(x.dataType) || !isFloat(scale.dataType))
    return n.unsupported("element type " + dataTypeName(x.dataType));
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), x.rank());
  if (failed(axis))
    return failure();
  if (n.intAttr("stash_type", Float32) != Float32)
    return n.unsupported("a stash_type other than float32");
  double epsilon = n.floatAttr("epsilon", 1e-5F);
  int32_t type = x.dataType;
  int32_t compute = type == Float64 ? int32_t(Float64) : int32_t(Float32);
  TensorValue f = emit.cast(x, compute);
  Type element = emit.elementType(compute);
  auto axes = llvm::to_vector(llvm::seq<int64_t>(*axis, x.rank()));

  TensorValue mean, centered = f;
  if (!isRms) {
    mean = emit.reduceMean(f, axes, true);
    centered =
        emit.elementwise({f, mean}, f.shape, compute,
                         [](OpBuilder &b, Location l, ValueRange v) -> Value {
                           return arith::SubFOp::create(b, l, v[0], v[1]);
                         });
  }
  TensorValue squares = emit.map(
      centered, compute, [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::MulFOp::create(b, l, v[0], v[0]);
      });
  TensorValue variance = emit.reduceMean(squares, axes, true);
  Value eps = emit.scalarConstant(element, epsilon);
  Value one = emit.scalarConstant(element, 1);
  TensorValue inverse = emit.map(
      variance, compute, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value sum = arith::AddFOp::create(b, l, v[0], eps);
        Value root = math::SqrtOp::create(b, l, sum);
        return arith::DivFOp::create(b, l, one, root);
      });
  TensorValue normal =
      emit.elementwise({centered, inverse}, f.shape, compute,
                       [](OpBuilder &b, Location l, ValueRange v) -> Value {
                         return arith::MulFOp::create(b, l, v[0], v[1]);
                       });
  int32_t resultType = isRms ? scale.dataType : type;
  normal = emit.cast(emit.cast(normal, type), resultType);
  std::optional<Shape> shape = emit.broadcastShapes(x.shape, scale.shape);
  if (!shape || shape->size() != x.shape.size())
    return n.invalid("the shape of its scale does not fit");
  TensorValues operands{normal, emit.cast(scale, resultType)};
  if (!isRms && n.hasInput(2)) {
    shape = emit.broadcastShapes(x.shape, n.input(2).shape);
    if (!shape || shape->size() != x.shape.size())
      return n.invalid("the shape of its bias does not fit");
    operands.push_back(emit.cast(n.input(2), resultType));
  }
  n.setOutput(
      0, emit.elementwise(operands, x.shape, resultType,
                          [](OpBuilder &b, Location l, ValueRange v) -> Value {
                            Value y = arith::MulFOp::create(b, l, v[0], v[1]);
                            if (v.size() == 3)
                              y = arith::AddFOp::create(b, l, y, v[2]);
                            return y;
                          }));
  if (!isRms) {
    n.setOutput(1, mean);
    n.setOutput(2, inverse);
  } else {
    n.setOutput(1, inverse);
  }
  return success();
}

void onnx::registerNormalizationOps(OpRegistry &registry) {
  registry.add("Softmax", 1, importSoftmax);
  registry.add("LogSoftmax", 1, importSoftmax);
  registry.add("LayerNormalization", 17, importLayerNorm);
  registry.add("RMSNormalization", 23, importLayerNorm);
  registry.add("SimplifiedLayerNormalization", 1, importLayerNorm);
}
