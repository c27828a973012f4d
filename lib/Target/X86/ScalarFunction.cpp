//===- ScalarFunction.cpp - Scalar code as functions of numbers -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ScalarFunction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;

namespace {

/// Computes scalar code in double precision.
class Evaluator {
public:
  Evaluator(Value argument, double number) { known[argument] = number; }

  /// Nothing for code with other operations or arguments.
  std::optional<double> operator()(Value value) {
    auto found = known.find(value);
    if (found != known.end())
      return found->second;
    Operation *op = value.getDefiningOp();
    std::optional<double> result = op ? evaluate(op) : std::nullopt;
    if (result)
      known[value] = *result;
    return result;
  }

private:
  std::optional<double> evaluate(Operation *op) {
    FloatAttr constant;
    if (matchPattern(op, m_Constant(&constant)))
      return constant.getValueAsDouble();
    SmallVector<double, 3> in;
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      auto compare = select.getCondition().getDefiningOp<arith::CmpFOp>();
      if (!compare)
        return std::nullopt;
      std::optional<bool> condition = evaluateCompare(compare);
      if (!condition)
        return std::nullopt;
      return (*this)(*condition ? select.getTrueValue()
                                : select.getFalseValue());
    }
    for (Value operand : op->getOperands()) {
      std::optional<double> value = (*this)(operand);
      if (!value)
        return std::nullopt;
      in.push_back(*value);
    }
    using Result = std::optional<double>;
    return llvm::TypeSwitch<Operation *, Result>(op)
        .Case([&](arith::AddFOp) { return in[0] + in[1]; })
        .Case([&](arith::SubFOp) { return in[0] - in[1]; })
        .Case([&](arith::MulFOp) { return in[0] * in[1]; })
        .Case([&](arith::DivFOp) { return in[0] / in[1]; })
        .Case([&](arith::NegFOp) { return -in[0]; })
        .Case<arith::MaximumFOp, arith::MaxNumFOp>(
            [&](auto) { return std::max(in[0], in[1]); })
        .Case<arith::MinimumFOp, arith::MinNumFOp>(
            [&](auto) { return std::min(in[0], in[1]); })
        .Case([&](math::ErfOp) { return std::erf(in[0]); })
        .Case([&](math::TanhOp) { return std::tanh(in[0]); })
        .Case([&](math::ExpOp) { return std::exp(in[0]); })
        .Case([&](math::SqrtOp) { return std::sqrt(in[0]); })
        .Case([&](math::PowFOp) { return std::pow(in[0], in[1]); })
        .Case([&](math::FPowIOp) { return std::pow(in[0], in[1]); })
        .Default([](Operation *) { return Result(); });
  }

  std::optional<bool> evaluateCompare(arith::CmpFOp op) {
    std::optional<double> a = (*this)(op.getLhs()), b = (*this)(op.getRhs());
    if (!a || !b)
      return std::nullopt;
    switch (op.getPredicate()) {
    case arith::CmpFPredicate::OGT:
    case arith::CmpFPredicate::UGT:
      return *a > *b;
    case arith::CmpFPredicate::OGE:
    case arith::CmpFPredicate::UGE:
      return *a >= *b;
    case arith::CmpFPredicate::OLT:
    case arith::CmpFPredicate::ULT:
      return *a < *b;
    case arith::CmpFPredicate::OLE:
    case arith::CmpFPredicate::ULE:
      return *a <= *b;
    default:
      return std::nullopt;
    }
  }

  llvm::DenseMap<Value, double> known;
};

struct Activation {
  StringRef name;
  double (*function)(double);
};

const Activation activations[] = {
    {"relu", [](double x) { return std::max(x, 0.0); }},
    {"gelu_erf",
     [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
    {"gelu_tanh",
     [](double x) {
       return x / 2 *
              (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     }},
    {"silu", [](double x) { return x / (1 + std::exp(-x)); }},
    {"tanh", [](double x) { return std::tanh(x); }}};

} // namespace

StringRef mlir::attn::recognizeActivation(Value result, Value argument) {
  if (result == argument)
    return "none";
  // Dense where the functions bend, and far out for clipped variants.
  SmallVector<double> points = {-1e4, -300, -40, -12, 12, 40, 300, 1e4};
  for (int i = -48; i <= 48; ++i)
    points.push_back(i / 8.0 + 1 / 64.0);
  ArrayRef<Activation> candidates(activations);
  for (const Activation &activation : candidates) {
    bool isEqual = true;
    for (double point : points) {
      std::optional<double> value = Evaluator(argument, point)(result);
      if (!value)
        return "";
      // Constants in models are rounded to f32.
      double wanted = activation.function(point);
      if (!(std::abs(*value - wanted) <= 2e-7 * (1 + std::abs(point)))) {
        isEqual = false;
        break;
      }
    }
    if (isEqual)
      return activation.name;
  }
  return "";
}
