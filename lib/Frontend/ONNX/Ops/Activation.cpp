//===- Activation.cpp - Functions of one float ----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
/// Builds scalar float expressions tersely.
struct Scalars {
  OpBuilder &b;
  Location l;
  Type type;

  Value number(double value) const {
    APFloat f(value);
    bool ignored;
    f.convert(cast<FloatType>(type).getFloatSemantics(),
              APFloat::rmNearestTiesToEven, &ignored);
    return arith::ConstantOp::create(b, l,
                                     FloatAttr::get(cast<FloatType>(type), f));
  }
  Value add(Value x, Value y) const {
    return arith::AddFOp::create(b, l, x, y);
  }
  Value sub(Value x, Value y) const {
    return arith::SubFOp::create(b, l, x, y);
  }
  Value mul(Value x, Value y) const {
    return arith::MulFOp::create(b, l, x, y);
  }
  Value div(Value x, Value y) const {
    return arith::DivFOp::create(b, l, x, y);
  }
  Value exp(Value x) const { return math::ExpOp::create(b, l, x); }
  Value max(Value x, Value y) const {
    return arith::MaximumFOp::create(b, l, x, y);
  }
  Value min(Value x, Value y) const {
    return arith::MinimumFOp::create(b, l, x, y);
  }
  Value positive(Value x) const {
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OGT, x, number(0));
  }
  Value select(Value c, Value x, Value y) const {
    return arith::SelectOp::create(b, l, c, x, y);
  }
  Value sigmoid(Value x) const {
    Value e = exp(arith::NegFOp::create(b, l, x));
    return div(number(1), add(number(1), e));
  }
};
using FloatBody = std::function<Value(const Scalars &, Value, NodeImporter &)>;
} // namespace

/// Half types are computed in f32 when `wide`.
static ImportFn floatFunction(FloatBody body, bool wide = true) {
  return [body = std::move(body), wide](NodeImporter &n) -> LogicalResult {
    if (failed(n.require(1)))
      return failure();
    int32_t type = n.input(0).dataType;
    if (!isFloat(type))
      return n.unsupported("element type " + dataTypeName(type));
    Type element = n.emit.elementType(type);
    bool extend = wide && element.getIntOrFloatBitWidth() == 16;
    return n.result(n.emit.map(
        n.input(0), type, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          Value x = v[0];
          Type compute = extend ? Type(b.getF32Type()) : element;
          if (extend)
            x = arith::ExtFOp::create(b, l, compute, x);
          Value y = body({b, l, compute}, x, n);
          if (extend)
            y = arith::TruncFOp::create(b, l, element, y);
          return y;
        }));
  };
}

template <typename Op>
static ImportFn mathFunction() {
  return floatFunction([](const Scalars &s, Value x, NodeImporter &) -> Value {
    return Op::create(s.b, s.l, x);
  });
}

void onnx::registerActivationOps(OpRegistry &registry) {
  registry.add("Sigmoid", 6,
               floatFunction([](const Scalars &s, Value x, NodeImporter &) {
                 return s.sigmoid(x);
               }));
  registry.add("Swish", 24,
               floatFunction([](const Scalars &s, Value x, NodeImporter &n) {
                 Value scaled = s.mul(x, s.number(n.floatAttr("alpha", 1)));
                 return s.mul(x, s.sigmoid(scaled));
               }));
  registry.add("HardSigmoid", 6,
               floatFunction([](const Scalars &s, Value x, NodeImporter &n) {
                 Value line =
                     s.add(s.mul(x, s.number(n.floatAttr("alpha", 0.2F))),
                           s.number(n.floatAttr("beta", 0.5F)));
                 return s.max(s.number(0), s.min(s.number(1), line));
               }));
  registry.add("HardSwish", 14,
               floatFunction([](const Scalars &s, Value x, NodeImporter &) {
                 Value line = s.add(s.mul(x, s.number(1.0 / 6)), s.number(0.5));
                 return s.mul(x, s.max(s.number(0), s.min(s.number(1), line)));
               }));
  registry.add("LeakyRelu", 6,
               floatFunction([](const Scalars &s, Value x, NodeImporter &n) {
                 Value scaled = s.mul(x, s.number(n.floatAttr("alpha", 0.01F)));
                 Value negative = arith::CmpFOp::create(
                     s.b, s.l, arith::CmpFPredicate::OLT, x, s.number(0));
                 return s.select(negative, scaled, x);
               }));
  registry.add("Elu", 6,
               floatFunction([](const Scalars &s, Value x, NodeImporter &n) {
                 Value low = s.mul(s.number(n.floatAttr("alpha", 1)),
                                   s.sub(s.exp(x), s.number(1)));
                 return s.select(s.positive(x), x, low);
               }));
  registry.add(
      "Selu", 6, floatFunction([](const Scalars &s, Value x, NodeImporter &n) {
        double alpha = n.floatAttr("alpha", 1.6732631921768188F);
        double gamma = n.floatAttr("gamma", 1.0507010221481323F);
        Value low = s.sub(s.mul(s.number(alpha), s.exp(x)), s.number(alpha));
        return s.mul(s.number(gamma), s.select(s.positive(x), x, low));
      }));
  registry.add(
      "Softplus", 1,
      floatFunction([](const Scalars &s, Value x, NodeImporter &) -> Value {
        // max(x, 0) + log1p(exp(-|x|)) does not overflow.
        Value magnitude = math::AbsFOp::create(s.b, s.l, x);
        Value small = s.exp(arith::NegFOp::create(s.b, s.l, magnitude));
        return s.add(s.max(x, s.number(0)),
                     math::Log1pOp::create(s.b, s.l, small));
      }));
  registry.add("Softsign", 1,
               floatFunction([](const Scalars &s, Value x, NodeImporter &) {
                 Value magnitude = math::AbsFOp::create(s.b, s.l, x);
                 return s.div(x, s.add(s.number(1), magnitude));
               }));
  registry.add(
      "Gelu", 20,
      floatFunction([](const Scalars &s, Value x, NodeImporter &n) -> Value {
        Value inner;
        if (n.stringAttr("approximate", "none") == "tanh") {
          Value cube = s.mul(s.mul(x, x), x);
          Value sum = s.add(x, s.mul(s.number(0.044715), cube));
          inner = math::TanhOp::create(
              s.b, s.l, s.mul(s.number(0.7978845608028654), sum));
        } else {
          inner = math::ErfOp::create(s.b, s.l,
                                      s.mul(x, s.number(0.7071067811865476)));
        }
        return s.mul(s.mul(s.number(0.5), x), s.add(s.number(1), inner));
      }));
  registry.add(
      "Mish", 18,
      floatFunction([](const Scalars &s, Value x, NodeImporter &) -> Value {
        Value magnitude = math::AbsFOp::create(s.b, s.l, x);
        Value small = s.exp(arith::NegFOp::create(s.b, s.l, magnitude));
        Value softplus = s.add(s.max(x, s.number(0)),
                               math::Log1pOp::create(s.b, s.l, small));
        return s.mul(x, math::TanhOp::create(s.b, s.l, softplus));
      }));
  registry.add(
      "ThresholdedRelu", 10,
      floatFunction([](const Scalars &s, Value x, NodeImporter &n) -> Value {
        Value above =
            arith::CmpFOp::create(s.b, s.l, arith::CmpFPredicate::OGT, x,
                                  s.number(n.floatAttr("alpha", 1)));
        return s.select(above, x, s.number(0));
      }));
  registry.add("Sqrt", 6, mathFunction<math::SqrtOp>());
  registry.add("Exp", 6, mathFunction<math::ExpOp>());
  registry.add("Log", 6, mathFunction<math::LogOp>());
  registry.add("Tanh", 6, mathFunction<math::TanhOp>());
  registry.add("Erf", 9, mathFunction<math::ErfOp>());
  registry.add("Cos", 7, mathFunction<math::CosOp>());
  registry.add("Sin", 7, mathFunction<math::SinOp>());
  registry.add("Tan", 7, mathFunction<math::TanOp>());
  registry.add("Acos", 7, mathFunction<math::AcosOp>());
  registry.add("Asin", 7, mathFunction<math::AsinOp>());
  registry.add("Atan", 7, mathFunction<math::AtanOp>());
  registry.add("Cosh", 9, mathFunction<math::CoshOp>());
  registry.add("Sinh", 9, mathFunction<math::SinhOp>());
  registry.add("Acosh", 9, mathFunction<math::AcoshOp>());
  registry.add("Asinh", 9, mathFunction<math::AsinhOp>());
  registry.add("Atanh", 9, mathFunction<math::AtanhOp>());
  registry.add("Floor", 6, mathFunction<math::FloorOp>());
  registry.add("Ceil", 6, mathFunction<math::CeilOp>());
  registry.add("Round", 11, mathFunction<math::RoundEvenOp>());
  registry.add("Reciprocal", 6,
               floatFunction([](const Scalars &s, Value x, NodeImporter &) {
                 return s.div(s.number(1), x);
               }));
}
