//===- Contrib.cpp - Operators of ONNX Runtime's optimiser ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Domain com.microsoft: what ONNX Runtime fuses when it saves a model.
//
//===----------------------------------------------------------------------===//
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static TensorValue add(Emitter &emit, const TensorValue &x,
                       const TensorValue &y) {
  return emit.elementwise({x, y}, x.shape, x.dataType,
                          [&](OpBuilder &b, Location l, ValueRange v) {
                            return Scalars{b, l, x.dataType}.add(v[0], v[1]);
                          });
}

/// True when `y` has the type of `x` and broadcasts into its shape.
static bool fitsInto(Emitter &emit, const TensorValue &y,
                     const TensorValue &x) {
  if (y.dataType != x.dataType || y.rank() > x.rank())
    return false;
  std::optional<Shape> shape = emit.broadcastShapes(x.shape, y.shape);
  return shape && ArrayRef<Dim>(*shape) == ArrayRef<Dim>(x.shape);
}

static LogicalResult importFusedMatMul(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue a = n.input(0), b = n.input(1);
  if (!isFloat(a.dataType) || a.dataType != b.dataType)
    return n.invalid("expects floats of one element type");
  if (n.intAttr("transBatchA", 0) || n.intAttr("transBatchB", 0))
    return n.unsupported("transBatchA or transBatchB");
  auto turn = [&](const TensorValue &x) {
    if (x.rank() < 2)
      return x;
    auto perm = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
    std::swap(perm[x.rank() - 1], perm[x.rank() - 2]);
    return emit.transpose(x, perm);
  };
  if (n.intAttr("transA", 0))
    a = turn(a);
  if (n.intAttr("transB", 0))
    b = turn(b);
  TensorValue y = emit.matmul(a, b, a.dataType);
  if (!y.value)
    return n.invalid("the shapes of its inputs do not fit");
  double alpha = n.floatAttr("alpha", 1);
  if (alpha == 1)
    return n.result(y);
  Value factor = emit.scalarConstant(emit.elementType(y.dataType), alpha);
  return n.result(emit.map(
      y, y.dataType, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::MulFOp::create(b, l, v[0], factor);
      }));
}

/// Gelu, BiasGelu, FastGelu, QuickGelu.
static LogicalResult importGelu(NodeImporter &n) {
  StringRef op = n.opType();
  if (failed(n.require(op == "BiasGelu" ? 2 : 1)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0);
  if (!isFloat(x.dataType))
    return n.invalid("it is not defined on integers");
  if (n.hasInput(1)) {
    if (!fitsInto(emit, n.input(1), x))
      return n.invalid("its bias does not fit");
    x = add(emit, x, n.input(1));
  }
  int32_t type = accumulatorOf(x.dataType);
  Type element = emit.elementType(type);
  double alpha = n.floatAttr("alpha", 1.702F);
  TensorValue y = emit.map(
      emit.cast(x, type), type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Scalars s{b, l, type};
        auto number = [&](double value) {
          return emit.scalarConstant(element, value);
        };
        if (op == "QuickGelu") {
          Value scaled = s.mul(v[0], number(-alpha));
          Value power = math::ExpOp::create(b, l, scaled);
          return arith::DivFOp::create(b, l, v[0], s.add(number(1), power));
        }
        Value inner;
        if (op == "FastGelu") {
          Value cube = s.mul(s.mul(v[0], v[0]), v[0]);
          Value sum = s.add(v[0], s.mul(number(0.044715), cube));
          inner = math::TanhOp::create(b, l,
                                       s.mul(number(0.7978845608028654), sum));
        } else {
          inner = math::ErfOp::create(b, l,
                                      s.mul(v[0], number(0.7071067811865476)));
        }
        return s.mul(s.mul(number(0.5), v[0]), s.add(number(1), inner));
      });
  return n.result(emit.cast(y, x.dataType));
}

/// Input plus skip (plus bias), normalised over the last dimension.
static LogicalResult importSkipNorm(NodeImporter &n) {
  bool isSimple = n.opType() == "SkipSimplifiedLayerNormalization";
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType) || x.rank() < 2)
    return n.invalid("expects floats of rank 2 or more");
  size_t biasAt = isSimple ? 3 : 4;
  TensorValue sum = x;
  for (size_t i : {size_t(1), biasAt}) {
    if (!n.hasInput(i))
      continue;
    if (!fitsInto(emit, n.input(i), x))
      return n.invalid("the shape of input " + Twine(i) + " does not fit");
    sum = add(emit, sum, n.input(i));
  }
  int32_t type = accumulatorOf(x.dataType);
  Type element = emit.elementType(type);
  SmallVector<int64_t> last{x.rank() - 1};
  TensorValue wide = emit.cast(sum, type), mean;
  if (!isSimple) {
    mean = emit.reduceMean(wide, last, true);
    wide = emit.elementwise({wide, mean}, wide.shape, type,
                            [&](OpBuilder &b, Location l, ValueRange v) {
                              return Scalars{b, l, type}.sub(v[0], v[1]);
                            });
  }
  TensorValue squares =
      emit.map(wide, type, [&](OpBuilder &b, Location l, ValueRange v) {
        return Scalars{b, l, type}.mul(v[0], v[0]);
      });
  Value epsilon = emit.scalarConstant(element, n.floatAttr("epsilon", 1e-12F));
  Value one = emit.scalarConstant(element, 1);
  TensorValue inverse =
      emit.map(emit.reduceMean(squares, last, true), type,
               [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                 Value shifted = arith::AddFOp::create(b, l, v[0], epsilon);
                 Value root = math::SqrtOp::create(b, l, shifted);
                 return arith::DivFOp::create(b, l, one, root);
               });
  TensorValues operands{wide, inverse};
  for (size_t i : {size_t(2), size_t(3)}) {
    if (!n.hasInput(i) || (isSimple && i == 3))
      continue;
    if (!fitsInto(emit, n.input(i), x))
      return n.invalid("the shape of input " + Twine(i) + " does not fit");
    operands.push_back(emit.cast(n.input(i), type));
  }
  TensorValue y =
      emit.elementwise(operands, x.shape, type,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Scalars s{b, l, type};
                         Value result = s.mul(s.mul(v[0], v[1]), v[2]);
                         return v.size() == 4 ? s.add(result, v[3]) : result;
                       });
  n.setOutput(0, emit.cast(y, x.dataType));
  if (!isSimple)
    n.setOutput(1, mean);
  n.setOutput(2, inverse);
  n.setOutput(3, sum);
  return success();
}

void onnx::registerContribOps(OpRegistry &registry) {
  constexpr StringRef domain = "com.microsoft";
  registry.add(domain, "FusedMatMul", 1, importFusedMatMul);
  for (StringRef name : {"Gelu", "BiasGelu", "FastGelu", "QuickGelu"})
    registry.add(domain, name, 1, importGelu);
  for (StringRef name :
       {"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
    registry.add(domain, name, 1, importSkipNorm);
}
