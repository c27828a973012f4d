//===- Elementwise.cpp - Scalar functions of tensors ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// Shape of all inputs broadcast together.
static FailureOr<Shape> broadcastInputs(NodeImporter &n) {
  Shape shape = n.input(0).shape;
  for (size_t i = 1; i < n.numInputs(); ++i) {
    std::optional<Shape> wider =
        n.emit.broadcastShapes(shape, n.input(i).shape);
    if (!wider)
      return n.invalid("input shapes do not broadcast together");
    shape = *wider;
  }
  return shape;
}

static LogicalResult requireSameTypes(NodeImporter &n, size_t first = 0) {
  for (size_t i = first; i < n.numInputs(); ++i)
    if (n.input(i).dataType != n.input(first).dataType)
      return n.invalid("inputs have different element types");
  return success();
}

//===----------------------------------------------------------------------===//
// Arithmetic on shapes
//===----------------------------------------------------------------------===//

using DimFunction =
    llvm::function_ref<std::optional<Dim>(const Dim &, const Dim &)>;

/// Computes on the elements of two shape tensors, where one of them is known
/// only as polynomials. Nullopt when this is another kind of operation.
static std::optional<TensorValue> onElements(NodeImporter &n, DimFunction f) {
  TensorValue &a = n.input(0), &b = n.input(1);
  if (!a.elements && !b.elements)
    return std::nullopt;
  auto isReadable = [](const TensorValue &v) {
    return (v.elements || v.constant) && v.rank() <= 1;
  };
  if (!isReadable(a) || !isReadable(b))
    return std::nullopt;
  auto left = n.emit.elementsOf(a), right = n.emit.elementsOf(b);
  if (!left || !right)
    return std::nullopt;
  size_t count = std::max(left->size(), right->size());
  if (left->size() != count && left->size() != 1)
    return std::nullopt;
  if (right->size() != count && right->size() != 1)
    return std::nullopt;
  SmallVector<Dim> results;
  for (size_t i = 0; i < count; ++i) {
    std::optional<Dim> result = f((*left)[left->size() == 1 ? 0 : i],
                                  (*right)[right->size() == 1 ? 0 : i]);
    // A polynomial of many terms is better computed as a tensor.
    constexpr size_t maxTerms = 32;
    if (!result || result->getTerms().size() > maxTerms)
      return std::nullopt;
    results.push_back(*result);
  }
  return n.emit.fromElements(results, a.rank() == 0 && b.rank() == 0,
                             a.dataType);
}

/// Comparison results are only known when they hold for all sizes.
static std::optional<TensorValue> compareElements(NodeImporter &n,
                                                  StringRef opType) {
  Emitter &emit = n.emit;
  auto known =
      onElements(n, [&](const Dim &a, const Dim &b) -> std::optional<Dim> {
        if (opType == "Equal") {
          if (a == b)
            return Dim(1);
          if (emit.isAtLeast(a, b + Dim(1)) || emit.isAtLeast(b, a + Dim(1)))
            return Dim(0);
          return std::nullopt;
        }
        if (opType == "Less" || opType == "LessOrEqual") {
          bool strict = opType == "Less";
          if (emit.isAtLeast(b, a + Dim(strict ? 1 : 0)))
            return Dim(1);
          if (emit.isAtLeast(a, b + Dim(strict ? 0 : 1)))
            return Dim(0);
          return std::nullopt;
        }
        bool strict = opType == "Greater";
        if (emit.isAtLeast(a, b + Dim(strict ? 1 : 0)))
          return Dim(1);
        if (emit.isAtLeast(b, a + Dim(strict ? 0 : 1)))
          return Dim(0);
        return std::nullopt;
      });
  if (!known)
    return std::nullopt;
  std::optional<SmallVector<Dim>> elements = emit.elementsOf(*known);
  SmallVector<bool> values;
  for (const Dim &element : *elements)
    values.push_back(element.is(1));
  return emit.fromConstant(
      DenseElementsAttr::get(emit.tensorType(known->shape, Bool), values),
      Bool);
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static Value truncatingDiv(OpBuilder &b, Location l, Value x, Value y,
                           bool isUnsigned) {
  // Division by zero is undefined in ONNX, but must not trap.
  Value zero = arith::ConstantOp::create(b, l, b.getZeroAttr(y.getType()));
  Value one = arith::ConstantOp::create(b, l, b.getIntegerAttr(y.getType(), 1));
  Value isZero = arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, y, zero);
  Value safe = arith::SelectOp::create(b, l, isZero, one, y);
  if (isUnsigned)
    return arith::DivUIOp::create(b, l, x, safe);
  // The smallest number by -1 overflows and would trap as well.
  Value minusOne =
      arith::ConstantOp::create(b, l, b.getIntegerAttr(y.getType(), -1));
  Value isMinusOne =
      arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, y, minusOne);
  safe = arith::SelectOp::create(b, l, isMinusOne, one, safe);
  Value quotient = arith::DivSIOp::create(b, l, x, safe);
  Value negated = arith::SubIOp::create(b, l, zero, x);
  return arith::SelectOp::create(b, l, isMinusOne, negated, quotient);
}

static LogicalResult importArithmetic(NodeImporter &n) {
  if (failed(n.require(2)) || failed(requireSameTypes(n)))
    return failure();
  StringRef op = n.opType();
  Emitter &emit = n.emit;
  auto folded =
      onElements(n, [&](const Dim &a, const Dim &b) -> std::optional<Dim> {
        if (op == "Add")
          return a + b;
        if (op == "Sub")
          return a - b;
        if (op == "Mul")
          return a * b;
        if (b.is(1))
          return a;
        if (std::optional<Dim> exact = a.dividedBy(b))
          return exact;
        if (emit.isAtLeast(a, 0) && emit.isAtLeast(b, 0))
          return emit.floorDiv(a, b);
        return std::nullopt;
      });
  if (folded)
    return n.result(*folded);
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  int32_t type = n.input(0).dataType;
  if (type == Bool)
    return n.invalid("arithmetic on bool");
  bool floats = isFloat(type);
  return n.result(emit.elementwise(
      {n.input(0), n.input(1)}, *shape, type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (op == "Add")
          return floats ? arith::AddFOp::create(b, l, v[0], v[1]).getResult()
                        : arith::AddIOp::create(b, l, v[0], v[1]).getResult();
        if (op == "Sub")
          return floats ? arith::SubFOp::create(b, l, v[0], v[1]).getResult()
                        : arith::SubIOp::create(b, l, v[0], v[1]).getResult();
        if (op == "Mul")
          return floats ? arith::MulFOp::create(b, l, v[0], v[1]).getResult()
                        : arith::MulIOp::create(b, l, v[0], v[1]).getResult();
        if (floats)
          return arith::DivFOp::create(b, l, v[0], v[1]);
        return truncatingDiv(b, l, v[0], v[1], isUnsigned(type));
      }));
}

/// Max, Min, Sum, Mean: any number of inputs, folded from the left.
static LogicalResult importVariadic(NodeImporter &n) {
  if (n.numInputs() == 0)
    return n.invalid("it has no inputs");
  if (failed(n.require(n.numInputs())) || failed(requireSameTypes(n)))
    return failure();
  StringRef op = n.opType();
  if (n.numInputs() == 2 && (op == "Max" || op == "Min"))
    if (auto folded = onElements(
            n, [&](const Dim &a, const Dim &b) -> std::optional<Dim> {
              return op == "Max" ? n.emit.maxDim(a, b) : n.emit.minDim(a, b);
            }))
      return n.result(*folded);
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  int32_t type = n.input(0).dataType;
  bool floats = isFloat(type), isUnsignedType = isUnsigned(type);
  if ((op == "Sum" || op == "Mean") && !floats)
    return n.invalid("it is defined on floats only");
  TensorValues operands;
  for (size_t i = 0; i < n.numInputs(); ++i)
    operands.push_back(n.input(i));
  Type element = n.emit.elementType(type);
  return n.result(n.emit.elementwise(
      operands, *shape, type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value result = v[0];
        for (Value next : v.drop_front()) {
          if (op == "Sum" || op == "Mean")
            result = arith::AddFOp::create(b, l, result, next);
          else if (floats && op == "Max")
            result = arith::MaximumFOp::create(b, l, result, next);
          else if (floats)
            result = arith::MinimumFOp::create(b, l, result, next);
          else if (isUnsignedType && op == "Max")
            result = arith::MaxUIOp::create(b, l, result, next);
          else if (isUnsignedType)
            result = arith::MinUIOp::create(b, l, result, next);
          else if (op == "Max")
            result = arith::MaxSIOp::create(b, l, result, next);
          else
            result = arith::MinSIOp::create(b, l, result, next);
        }
        if (op == "Mean")
          result = arith::DivFOp::create(
              b, l, result,
              n.emit.scalarConstant(element, static_cast<double>(v.size())));
        return result;
      }));
}

//===----------------------------------------------------------------------===//
// Comparison and logic
//===----------------------------------------------------------------------===//

static LogicalResult importCompare(NodeImporter &n) {
  if (failed(n.require(2)) || failed(requireSameTypes(n)))
    return failure();
  StringRef op = n.opType();
  if (auto folded = compareElements(n, op))
    return n.result(*folded);
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  int32_t type = n.input(0).dataType;
  int which = op == "Equal"         ? 0
              : op == "Less"        ? 1
              : op == "LessOrEqual" ? 2
              : op == "Greater"     ? 3
                                    : 4;
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  const F floats[] = {F::OEQ, F::OLT, F::OLE, F::OGT, F::OGE};
  const I signedInts[] = {I::eq, I::slt, I::sle, I::sgt, I::sge};
  const I unsignedInts[] = {I::eq, I::ult, I::ule, I::ugt, I::uge};
  return n.result(n.emit.elementwise(
      {n.input(0), n.input(1)}, *shape, Bool,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (isFloat(type))
          return arith::CmpFOp::create(b, l, floats[which], v[0], v[1]);
        return arith::CmpIOp::create(
            b, l, isUnsigned(type) ? unsignedInts[which] : signedInts[which],
            v[0], v[1]);
      }));
}

static LogicalResult importLogic(NodeImporter &n) {
  if (failed(n.require(2)) || failed(requireSameTypes(n)))
    return failure();
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  StringRef op = n.opType();
  int32_t type = n.input(0).dataType;
  if (isFloat(type) || (type != Bool && !op.starts_with("Bitwise")))
    return n.invalid("it is not defined on " + dataTypeName(type));
  return n.result(
      n.emit.elementwise({n.input(0), n.input(1)}, *shape, type,
                         [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                           if (op.ends_with("And"))
                             return arith::AndIOp::create(b, l, v[0], v[1]);
                           if (op.ends_with("Xor"))
                             return arith::XOrIOp::create(b, l, v[0], v[1]);
                           return arith::OrIOp::create(b, l, v[0], v[1]);
                         }));
}

static LogicalResult importNot(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  int32_t type = n.input(0).dataType;
  if (isFloat(type))
    return n.invalid("it is not defined on floats");
  Type element = n.emit.elementType(type);
  return n.result(n.emit.map(
      n.input(0), type, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value ones =
            arith::ConstantOp::create(b, l, b.getIntegerAttr(element, -1));
        return arith::XOrIOp::create(b, l, v[0], ones);
      }));
}

static LogicalResult importWhere(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  if (n.input(0).dataType != Bool || n.input(1).dataType != n.input(2).dataType)
    return n.invalid("expects a bool condition and two values of one type");
  Emitter &emit = n.emit;
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  // Shapes chosen by a known condition.
  TensorValue &condition = n.input(0);
  if (condition.constant && shape->size() <= 1 &&
      (n.input(1).elements || n.input(2).elements)) {
    TensorValue one = n.input(1), two = n.input(2);
    auto left = emit.elementsOf(one), right = emit.elementsOf(two);
    if (left && right) {
      size_t count =
          std::max({left->size(), right->size(),
                    static_cast<size_t>(condition.constant.getNumElements())});
      auto choice = llvm::to_vector(condition.constant.getValues<bool>());
      SmallVector<Dim> results;
      for (size_t i = 0; i < count; ++i) {
        auto pick = [&](auto &list) { return list[list.size() == 1 ? 0 : i]; };
        results.push_back(pick(choice) ? pick(*left) : pick(*right));
      }
      return n.result(emit.fromElements(results, shape->empty(), one.dataType));
    }
  }
  return n.result(emit.elementwise(
      {n.input(0), n.input(1), n.input(2)}, *shape, n.input(1).dataType,
      [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::SelectOp::create(b, l, v[0], v[1], v[2]);
      }));
}

static LogicalResult importIsNaN(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  if (!isFloat(n.input(0).dataType))
    return n.invalid("it is not defined on integers");
  return n.result(n.emit.map(
      n.input(0), Bool, [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::CmpFOp::create(b, l, arith::CmpFPredicate::UNO, v[0],
                                     v[0]);
      }));
}

static LogicalResult importIsInf(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  int32_t type = n.input(0).dataType;
  if (!isFloat(type))
    return n.invalid("it is not defined on integers");
  bool positive = n.intAttr("detect_positive", 1);
  bool negative = n.intAttr("detect_negative", 1);
  Type element = n.emit.elementType(type);
  double infinity = std::numeric_limits<double>::infinity();
  return n.result(n.emit.map(
      n.input(0), Bool, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        auto equals = [&](double value) -> Value {
          return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ, v[0],
                                       n.emit.scalarConstant(element, value));
        };
        Value result = arith::ConstantOp::create(b, l, b.getBoolAttr(false));
        if (positive)
          result = arith::OrIOp::create(b, l, result, equals(infinity));
        if (negative)
          result = arith::OrIOp::create(b, l, result, equals(-infinity));
        return result;
      }));
}

//===----------------------------------------------------------------------===//
// Functions with integer forms
//===----------------------------------------------------------------------===//

static LogicalResult importAbs(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  int32_t type = n.input(0).dataType;
  if (isUnsigned(type))
    return n.result(n.input(0));
  return n.result(n.emit.map(
      n.input(0), type, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (isFloat(type))
          return math::AbsFOp::create(b, l, v[0]);
        return math::AbsIOp::create(b, l, v[0]);
      }));
}

static LogicalResult importNeg(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  TensorValue &x = n.input(0);
  if (x.elements) {
    SmallVector<Dim> results;
    for (const Dim &element : *x.elements)
      results.push_back(Dim(0) - element);
    return n.result(n.emit.fromElements(results, x.rank() == 0, x.dataType));
  }
  Type element = n.emit.elementType(x.dataType);
  return n.result(n.emit.map(
      x, x.dataType, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (isFloat(x.dataType))
          return arith::NegFOp::create(b, l, v[0]);
        Value zero = arith::ConstantOp::create(b, l, b.getZeroAttr(element));
        return arith::SubIOp::create(b, l, zero, v[0]);
      }));
}

static LogicalResult importSign(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  TensorValue &x = n.input(0);
  Type element = n.emit.elementType(x.dataType);
  return n.result(n.emit.map(
      x, x.dataType, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        auto number = [&](double value) {
          return n.emit.scalarConstant(element, value);
        };
        Value zero = number(0), below, above;
        if (isFloat(x.dataType)) {
          below = arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT, v[0],
                                        zero);
          above = arith::CmpFOp::create(b, l, arith::CmpFPredicate::OGT, v[0],
                                        zero);
        } else {
          bool isSigned = !isUnsigned(x.dataType);
          below = arith::CmpIOp::create(b, l,
                                        isSigned ? arith::CmpIPredicate::slt
                                                 : arith::CmpIPredicate::ult,
                                        v[0], zero);
          above = arith::CmpIOp::create(b, l,
                                        isSigned ? arith::CmpIPredicate::sgt
                                                 : arith::CmpIPredicate::ugt,
                                        v[0], zero);
        }
        Value negative = isUnsigned(x.dataType) ? zero : number(-1);
        Value otherwise = isFloat(x.dataType) ? v[0] : zero;
        Value upper =
            arith::SelectOp::create(b, l, above, number(1), otherwise);
        return arith::SelectOp::create(b, l, below, negative, upper);
      }));
}

static LogicalResult importRelu(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  TensorValue &x = n.input(0);
  Value zero = n.emit.scalarConstant(n.emit.elementType(x.dataType), 0);
  return n.result(n.emit.map(
      x, x.dataType, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (isFloat(x.dataType))
          return arith::MaximumFOp::create(b, l, v[0], zero);
        return arith::MaxSIOp::create(b, l, v[0], zero);
      }));
}

static LogicalResult importPow(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  TensorValue base = n.input(0), exponent = n.input(1);
  int32_t type = base.dataType;
  Emitter &emit = n.emit;
  // Powers with a name of their own, as norms write them.
  std::optional<double> known = emit.constantScalar(exponent);
  if (isFloat(type) && known && exponent.rank() <= base.rank() &&
      (*known == 2 || *known == 0.5 || *known == 1 || *known == 3)) {
    return n.result(emit.elementwise(
        base, *shape, type,
        [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          if (*known == 1)
            return v[0];
          if (*known == 0.5)
            return math::SqrtOp::create(b, l, v[0]);
          Value square = arith::MulFOp::create(b, l, v[0], v[0]);
          if (*known == 2)
            return square;
          return arith::MulFOp::create(b, l, square, v[0]);
        }));
  }
  if (!isFloat(type)) {
    // Through f64: exact as long as the result is below 2^53.
    TensorValue power = emit.elementwise(
        {emit.cast(base, Float64), emit.cast(exponent, Float64)}, *shape,
        Float64, [](OpBuilder &b, Location l, ValueRange v) -> Value {
          return math::PowFOp::create(b, l, v[0], v[1]);
        });
    return n.result(emit.cast(power, type));
  }
  // The type with more bits computes.
  int32_t compute = type == Float64 || exponent.dataType == Float64
                        ? int32_t(Float64)
                        : int32_t(Float32);
  TensorValue power = emit.elementwise(
      {emit.cast(base, compute), emit.cast(exponent, compute)}, *shape, compute,
      [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return math::PowFOp::create(b, l, v[0], v[1]);
      });
  return n.result(emit.cast(power, type));
}

static LogicalResult importClip(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  TensorValue &x = n.input(0);
  TensorValues operands{x};
  int low = 0, high = 0;
  if (n.version() < 11) {
    if (n.attribute("min")) {
      operands.push_back(n.emit.scalar(n.floatAttr("min", 0), x.dataType));
      low = 1;
    }
    if (n.attribute("max")) {
      operands.push_back(n.emit.scalar(n.floatAttr("max", 0), x.dataType));
      high = static_cast<int>(operands.size()) - 1;
    }
  } else {
    for (size_t i : {1, 2}) {
      if (!n.hasInput(i))
        continue;
      if (n.input(i).rank() != 0 && !product(n.input(i).shape).is(1))
        return n.invalid("its limits must be scalars");
      operands.push_back(n.emit.reshape(n.input(i), {}));
      (i == 1 ? low : high) = static_cast<int>(operands.size()) - 1;
    }
  }
  int32_t type = x.dataType;
  return n.result(n.emit.elementwise(
      operands, x.shape, type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value result = v[0];
        bool floats = isFloat(type), isUnsignedType = isUnsigned(type);
        if (low) {
          if (floats)
            result = arith::MaximumFOp::create(b, l, result, v[low]);
          else if (isUnsignedType)
            result = arith::MaxUIOp::create(b, l, result, v[low]);
          else
            result = arith::MaxSIOp::create(b, l, result, v[low]);
        }
        if (high) {
          if (floats)
            result = arith::MinimumFOp::create(b, l, result, v[high]);
          else if (isUnsignedType)
            result = arith::MinUIOp::create(b, l, result, v[high]);
          else
            result = arith::MinSIOp::create(b, l, result, v[high]);
        }
        return result;
      }));
}

static LogicalResult importMod(NodeImporter &n) {
  if (failed(n.require(2)) || failed(requireSameTypes(n)))
    return failure();
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  int32_t type = n.input(0).dataType;
  bool truncated = n.intAttr("fmod", 0);
  Type element = n.emit.elementType(type);
  return n.result(n.emit.elementwise(
      {n.input(0), n.input(1)}, *shape, type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        if (isFloat(type)) {
          Value rest = arith::RemFOp::create(b, l, v[0], v[1]);
          return rest;
        }
        // a - (a / b) * b with a division that cannot trap.
        Value quotient = truncatingDiv(b, l, v[0], v[1], isUnsigned(type));
        Value product = arith::MulIOp::create(b, l, quotient, v[1]);
        Value rest = arith::SubIOp::create(b, l, v[0], product);
        if (truncated || isUnsigned(type))
          return rest;
        // The sign of the divisor, as in Python.
        Value zero = arith::ConstantOp::create(b, l, b.getZeroAttr(element));
        Value mixed = arith::XOrIOp::create(b, l, rest, v[1]);
        Value differs =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, mixed, zero);
        Value nonZero =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::ne, rest, zero);
        Value adjust = arith::AndIOp::create(b, l, differs, nonZero);
        Value moved = arith::AddIOp::create(b, l, rest, v[1]);
        return arith::SelectOp::create(b, l, adjust, moved, rest);
      }));
}

static LogicalResult importCast(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  int32_t to;
  if (n.opType() == "CastLike") {
    if (failed(n.require(2)))
      return failure();
    to = n.input(1).dataType;
  } else {
    to = static_cast<int32_t>(n.intAttr("to", Undefined));
  }
  if (!n.emit.elementType(to))
    return n.unsupported("cast to " + dataTypeName(to));
  return n.result(n.emit.cast(n.input(0), to));
}

static LogicalResult importPRelu(NodeImporter &n) {
  if (failed(n.require(2)) || failed(requireSameTypes(n)))
    return failure();
  if (!isFloat(n.input(0).dataType))
    return n.unsupported("element type " + dataTypeName(n.input(0).dataType));
  FailureOr<Shape> shape = broadcastInputs(n);
  if (failed(shape))
    return failure();
  Value zero =
      n.emit.scalarConstant(n.emit.elementType(n.input(0).dataType), 0);
  return n.result(n.emit.elementwise(
      {n.input(0), n.input(1)}, *shape, n.input(0).dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value negative =
            arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT, v[0], zero);
        Value scaled = arith::MulFOp::create(b, l, v[0], v[1]);
        return arith::SelectOp::create(b, l, negative, scaled, v[0]);
      }));
}

void onnx::registerElementwiseOps(OpRegistry &registry) {
  for (StringRef name : {"Add", "Sub", "Mul", "Div"})
    registry.add(name, 7, importArithmetic);
  for (StringRef name : {"Max", "Min", "Sum", "Mean"})
    registry.add(name, 6, importVariadic);
  for (StringRef name : {"Equal", "Less", "Greater"})
    registry.add(name, 7, importCompare);
  for (StringRef name : {"LessOrEqual", "GreaterOrEqual"})
    registry.add(name, 12, importCompare);
  for (StringRef name : {"And", "Or", "Xor"})
    registry.add(name, 7, importLogic);
  for (StringRef name : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    registry.add(name, 18, importLogic);
  registry.add("Not", 1, importNot);
  registry.add("BitwiseNot", 18, importNot);
  registry.add("Where", 9, importWhere);
  registry.add("IsNaN", 9, importIsNaN);
  registry.add("IsInf", 10, importIsInf);
  registry.add("Abs", 6, importAbs);
  registry.add("Neg", 6, importNeg);
  registry.add("Sign", 9, importSign);
  registry.add("Relu", 6, importRelu);
  registry.add("PRelu", 7, importPRelu);
  registry.add("Pow", 7, importPow);
  registry.add("Clip", 6, importClip);
  registry.add("Mod", 10, importMod);
  registry.add("Cast", 6, importCast);
  registry.add("CastLike", 15, importCast);
}
