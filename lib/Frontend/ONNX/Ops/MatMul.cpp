//===- MatMul.cpp - Matrix products ---------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult importMatMul(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  if (n.input(0).dataType != n.input(1).dataType)
    return n.invalid("inputs have different element types");
  TensorValue result =
      n.emit.matmul(n.input(0), n.input(1), n.input(0).dataType);
  if (!result.value)
    return n.invalid("the shapes of its inputs do not fit");
  return n.result(result);
}

static LogicalResult importGemm(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue a = n.input(0), b = n.input(1);
  if (a.rank() != 2 || b.rank() != 2 || a.dataType != b.dataType)
    return n.invalid("expects two matrices of one element type");
  int32_t type = a.dataType;
  double alpha = n.floatAttr("alpha", 1), beta = n.floatAttr("beta", 1);
  if (!isFloat(type) && (alpha != 1 || beta != 1))
    return n.unsupported("alpha or beta on integers");
  if (n.intAttr("transA", 0))
    a = emit.transpose(a, {1, 0});
  if (n.intAttr("transB", 0))
    b = emit.transpose(b, {1, 0});
  TensorValue result = emit.matmul(a, b, type);
  if (!result.value)
    return n.invalid("the shapes of its inputs do not fit");
  auto scale = [&](const TensorValue &x, double factor) {
    if (factor == 1)
      return x;
    Value scalar = emit.scalarConstant(emit.elementType(type), factor);
    return emit.map(x, type,
                    [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                      return arith::MulFOp::create(b, l, v[0], scalar);
                    });
  };
  result = scale(result, alpha);
  if (n.hasInput(2) && beta != 0) {
    std::optional<Shape> shape =
        emit.broadcastShapes(result.shape, n.input(2).shape);
    if (!shape || shape->size() != 2)
      return n.invalid("the shape of input 2 does not fit");
    result =
        emit.elementwise({result, scale(n.input(2), beta)}, result.shape, type,
                         [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                           if (isFloat(type))
                             return arith::AddFOp::create(b, l, v[0], v[1]);
                           return arith::AddIOp::create(b, l, v[0], v[1]);
                         });
  }
  return n.result(result);
}

void onnx::registerMatMulOps(OpRegistry &registry) {
  registry.add("MatMul", 1, importMatMul);
  registry.add("Gemm", 7, importGemm);
}
