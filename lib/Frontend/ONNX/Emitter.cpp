//===- Emitter.cpp - Symbols, constants and values ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

Emitter::Emitter(MLIRContext *context, Block *entry)
    : builder(context), loc(builder.getUnknownLoc()), entry(entry) {
  builder.setInsertionPointToEnd(entry);
}

Type Emitter::elementType(int32_t dataType) {
  switch (dataType) {
  case Float16:
    return builder.getF16Type();
  case BFloat16:
    return builder.getBF16Type();
  case Float32:
    return builder.getF32Type();
  case Float64:
    return builder.getF64Type();
  case Bool:
    return builder.getI1Type();
  default:
    if (int64_t bytes = dataTypeBytes(dataType))
      return builder.getIntegerType(static_cast<unsigned>(8 * bytes));
    return {};
  }
}

RankedTensorType Emitter::tensorType(ArrayRef<Dim> shape, Type element) {
  SmallVector<int64_t> sizes;
  for (const Dim &dim : shape)
    sizes.push_back(dim.constant().value_or(ShapedType::kDynamic));
  return RankedTensorType::get(sizes, element);
}

RankedTensorType Emitter::tensorType(ArrayRef<Dim> shape, int32_t dataType) {
  return tensorType(shape, elementType(dataType));
}

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

Dim Emitter::newSymbol(Value value, bool isSize, StringRef name) {
  symbols.push_back({name.str(), value, isSize});
  Dim dim = Dim::symbol(static_cast<unsigned>(symbols.size() - 1));
  indexCache[dim.key()] = value;
  return dim;
}

std::optional<Dim> Emitter::findNamed(StringRef name) const {
  auto it = named.find(name);
  if (it == named.end())
    return std::nullopt;
  return it->second;
}

Dim Emitter::dimOf(Value tensor, int64_t index) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(static_cast<unsigned>(index)))
    return type.getDimSize(static_cast<unsigned>(index));
  return newSymbol(tensor::DimOp::create(builder, loc, tensor, index), true);
}

bool Emitter::isSizeOnly(const Dim &dim) const {
  return llvm::all_of(dim.getTerms(), [&](const Dim::Term &term) {
    return llvm::all_of(term.monomial,
                        [&](unsigned id) { return symbols[id].isSize; });
  });
}

bool Emitter::isAtLeast(const Dim &a, const Dim &b) const {
  // Ends of slices may be the largest integer; a difference would wrap.
  constexpr int64_t huge = int64_t(1) << 61;
  std::optional<int64_t> ca = a.constant(), cb = b.constant();
  if (ca && cb)
    return *ca >= *cb;
  if (ca && *ca >= huge)
    return isSizeOnly(b);
  if (cb && *cb <= -huge)
    return isSizeOnly(a);
  Dim difference = a - b;
  return isSizeOnly(difference) &&
         llvm::all_of(difference.getTerms(), [](const Dim::Term &term) {
           return term.coefficient >= 0;
         });
}

Dim Emitter::opaque(StringRef operation, ArrayRef<Dim> operands, bool isSize,
                    llvm::function_ref<Value(ValueRange)> build) {
  std::string key = operation.str();
  SmallVector<Value> values;
  for (const Dim &operand : operands)
    key += "," + operand.key();
  if (auto it = opaqueCache.find(key); it != opaqueCache.end())
    return it->second;
  for (const Dim &operand : operands)
    values.push_back(indexValue(operand));
  Dim result = newSymbol(build(values), isSize);
  opaqueCache[key] = result;
  return result;
}

Dim Emitter::floorDiv(const Dim &a, const Dim &b) {
  std::optional<int64_t> ca = a.constant(), cb = b.constant();
  if (ca && cb && *cb > 0)
    return llvm::divideFloorSigned(*ca, *cb);
  if (std::optional<Dim> exact = a.dividedBy(b))
    return *exact;
  bool isSize = isAtLeast(a, 0) && isAtLeast(b, 0);
  // A zero divisor must not trap.
  Dim divisor = cb && *cb != 0 ? b : maxDim(b, 1);
  return opaque("floordiv", {a, divisor}, isSize, [&](ValueRange v) -> Value {
    return arith::FloorDivSIOp::create(builder, loc, v[0], v[1]);
  });
}

Dim Emitter::ceilDiv(const Dim &a, const Dim &b) {
  return floorDiv(a + b - Dim(1), b);
}

Dim Emitter::minDim(const Dim &a, const Dim &b) {
  if (isAtLeast(a, b))
    return b;
  if (isAtLeast(b, a))
    return a;
  bool isSize = isAtLeast(a, 0) && isAtLeast(b, 0);
  return opaque("min", {a, b}, isSize, [&](ValueRange v) -> Value {
    return arith::MinSIOp::create(builder, loc, v[0], v[1]);
  });
}

Dim Emitter::maxDim(const Dim &a, const Dim &b) {
  if (isAtLeast(a, b))
    return a;
  if (isAtLeast(b, a))
    return b;
  bool isSize = isAtLeast(a, 0) || isAtLeast(b, 0);
  return opaque("max", {a, b}, isSize, [&](ValueRange v) -> Value {
    return arith::MaxSIOp::create(builder, loc, v[0], v[1]);
  });
}

Value Emitter::indexConstant(int64_t value) {
  return scalarConstant(builder.getIndexAttr(value));
}

Value Emitter::indexValue(const Dim &dim) {
  if (std::optional<int64_t> constant = dim.constant())
    return indexConstant(*constant);
  std::string key = dim.key();
  if (auto it = indexCache.find(key); it != indexCache.end())
    return it->second;
  Value sum;
  // Positive terms first, so that a difference reads as one.
  SmallVector<const Dim::Term *> order;
  for (const Dim::Term &term : dim.getTerms())
    if (term.coefficient > 0)
      order.push_back(&term);
  for (const Dim::Term &term : dim.getTerms())
    if (term.coefficient < 0)
      order.push_back(&term);
  for (const Dim::Term *term : order) {
    bool subtract = sum && term->coefficient < 0;
    int64_t factor = subtract ? -term->coefficient : term->coefficient;
    Value part;
    for (unsigned id : term->monomial) {
      Value value = symbols[id].value;
      part = part ? arith::MulIOp::create(builder, loc, part, value).getResult()
                  : value;
    }
    if (!part)
      part = indexConstant(factor);
    else if (factor != 1)
      part = arith::MulIOp::create(builder, loc, part, indexConstant(factor));
    if (!sum)
      sum = part;
    else if (subtract)
      sum = arith::SubIOp::create(builder, loc, sum, part);
    else
      sum = arith::AddIOp::create(builder, loc, sum, part);
  }
  indexCache[key] = sum;
  return sum;
}

OpFoldResult Emitter::foldResult(const Dim &dim) {
  if (std::optional<int64_t> constant = dim.constant())
    return builder.getIndexAttr(*constant);
  return indexValue(dim);
}

SmallVector<OpFoldResult> Emitter::foldResults(ArrayRef<Dim> dims) {
  SmallVector<OpFoldResult> results;
  for (const Dim &dim : dims)
    results.push_back(foldResult(dim));
  return results;
}

void Emitter::require(Value condition, const Twine &message) {
  std::string where;
  if (auto name = dyn_cast<NameLoc>(loc))
    where = ("node '" + name.getName().getValue() + "': ").str();
  cf::AssertOp::create(builder, loc, condition,
                       builder.getStringAttr(where + message));
}

void Emitter::requireEqual(const Dim &a, const Dim &b, bool orOne) {
  if (a == b || (orOne && a.is(1)))
    return;
  auto build = [&](ValueRange v) -> Value {
    auto equals = [&](Value x, Value y) -> Value {
      return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, x,
                                   y);
    };
    Value condition = equals(v[0], v[1]);
    if (orOne)
      condition = arith::OrIOp::create(builder, loc, condition,
                                       equals(v[0], indexConstant(1)));
    require(condition, "the shapes of its inputs do not fit");
    return v[0];
  };
  opaque(orOne ? "require equal or 1" : "require equal", {a, b}, true, build);
}

void Emitter::requireAtMost(const Dim &a, const Dim &b) {
  if (isAtLeast(b, a))
    return;
  opaque("require at most", {a, b}, true, [&](ValueRange v) -> Value {
    require(arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sle, v[0],
                                  v[1]),
            "the shapes of its inputs do not fit");
    return v[0];
  });
}

void Emitter::requireElements(const Dim &size, const Dim &count,
                              const Twine &message) {
  if (isAtLeast(size, Dim(1)) || count.is(0))
    return;
  opaque("require elements", {size, count}, true, [&](ValueRange v) -> Value {
    auto compare = [&](arith::CmpIPredicate predicate, Value x) -> Value {
      return arith::CmpIOp::create(builder, loc, predicate, x,
                                   indexConstant(0));
    };
    require(arith::OrIOp::create(builder, loc,
                                 compare(arith::CmpIPredicate::ne, v[0]),
                                 compare(arith::CmpIPredicate::eq, v[1])),
            message);
    return v[0];
  });
}

std::optional<Dim> Emitter::broadcastDim(const Dim &a, const Dim &b) {
  if (a == b || b.is(1))
    return a;
  if (a.is(1))
    return b;
  std::optional<int64_t> ca = a.constant(), cb = b.constant();
  if (ca && cb)
    return std::nullopt;
  // The other one can only be equal to the constant, or 1.
  if (ca || cb)
    return ca ? a : b;
  return opaque("broadcast", {a, b}, true, [&](ValueRange v) -> Value {
    Value isOne = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                        v[0], indexConstant(1));
    return arith::SelectOp::create(builder, loc, isOne, v[1], v[0]);
  });
}

std::optional<Shape> Emitter::broadcastShapes(ArrayRef<Dim> a,
                                              ArrayRef<Dim> b) {
  if (a.size() < b.size())
    std::swap(a, b);
  Shape result(a.begin(), a.end());
  size_t shift = a.size() - b.size();
  for (size_t i = 0; i < b.size(); ++i) {
    std::optional<Dim> dim = broadcastDim(a[shift + i], b[i]);
    if (!dim)
      return std::nullopt;
    result[shift + i] = *dim;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

TensorValue Emitter::fromValue(Value value, int32_t dataType,
                               ArrayRef<Dim> shape) {
  TensorValue result;
  result.dataType = dataType;
  result.shape.assign(shape.begin(), shape.end());
  result.value = value;
  return result;
}

TensorValue Emitter::fromValue(Value value, int32_t dataType) {
  Shape shape;
  auto type = cast<RankedTensorType>(value.getType());
  for (int64_t i = 0; i < type.getRank(); ++i)
    shape.push_back(dimOf(value, i));
  return fromValue(value, dataType, shape);
}

TensorValue Emitter::fromConstant(DenseElementsAttr constant,
                                  int32_t dataType) {
  TensorValue result;
  result.dataType = dataType;
  for (int64_t size : constant.getType().getShape())
    result.shape.push_back(size);
  result.constant = constant;
  return result;
}

TensorValue Emitter::fromElements(ArrayRef<Dim> elements, bool isScalar,
                                  int32_t dataType) {
  TensorValue result;
  result.dataType = dataType;
  if (!isScalar)
    result.shape.push_back(static_cast<int64_t>(elements.size()));
  bool allConstant =
      llvm::all_of(elements, [](const Dim &dim) { return dim.isConstant(); });
  if (!allConstant) {
    result.elements.emplace(elements.begin(), elements.end());
    return result;
  }
  auto type = tensorType(result.shape, dataType);
  SmallVector<APInt> values;
  for (const Dim &dim : elements)
    values.push_back(APInt(64, static_cast<uint64_t>(*dim.constant()), true)
                         .sextOrTrunc(type.getElementTypeBitWidth()));
  result.constant = DenseElementsAttr::get(type, values);
  return result;
}

static TypedAttr scalarAttr(Type type, double value) {
  Builder builder(type.getContext());
  if (auto floatType = dyn_cast<FloatType>(type)) {
    APFloat number(value);
    bool ignored;
    number.convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                   &ignored);
    return FloatAttr::get(floatType, number);
  }
  return builder.getIntegerAttr(type, static_cast<int64_t>(value));
}

TensorValue Emitter::scalar(double value, int32_t dataType) {
  auto type = tensorType({}, dataType);
  return fromConstant(
      DenseElementsAttr::get(
          type, Attribute(scalarAttr(type.getElementType(), value))),
      dataType);
}

Value Emitter::atEntry(llvm::function_ref<Value(OpBuilder &)> build) {
  OpBuilder::InsertionGuard guard(builder);
  if (lastAtEntry)
    builder.setInsertionPointAfter(lastAtEntry);
  else
    builder.setInsertionPointToStart(entry);
  Value value = build(builder);
  lastAtEntry = value.getDefiningOp();
  return value;
}

Value Emitter::scalarConstant(TypedAttr value) {
  Value &slot = constants[value];
  if (!slot)
    slot = atEntry([&](OpBuilder &b) -> Value {
      return arith::ConstantOp::create(b, b.getUnknownLoc(), value);
    });
  return slot;
}

Value Emitter::scalarConstant(Type type, double value) {
  return scalarConstant(scalarAttr(type, value));
}

Value Emitter::materialize(TensorValue &tensor) {
  if (tensor.value)
    return tensor.value;
  if (tensor.constant) {
    tensor.value = scalarConstant(cast<TypedAttr>(tensor.constant));
    return tensor.value;
  }
  assert(tensor.elements && "a tensor without contents");
  auto type = tensorType(tensor.shape, tensor.dataType);
  SmallVector<Value> values;
  for (const Dim &element : *tensor.elements) {
    Value index = indexValue(element);
    values.push_back(
        arith::IndexCastOp::create(builder, loc, type.getElementType(), index));
  }
  tensor.value = tensor::FromElementsOp::create(builder, loc, type, values);
  return tensor.value;
}

std::optional<SmallVector<int64_t>>
Emitter::constantInts(const TensorValue &tensor) {
  if (tensor.constant && isa<IntegerType>(tensor.constant.getElementType())) {
    SmallVector<int64_t> result;
    bool zeroExtend = isUnsigned(tensor.dataType);
    for (const APInt &value : tensor.constant.getValues<APInt>())
      result.push_back(zeroExtend ? static_cast<int64_t>(value.getZExtValue())
                                  : value.getSExtValue());
    return result;
  }
  return std::nullopt;
}

std::optional<double> Emitter::constantScalar(const TensorValue &tensor) {
  if (!tensor.constant || tensor.constant.getNumElements() != 1)
    return std::nullopt;
  if (std::optional<SmallVector<int64_t>> ints = constantInts(tensor))
    return static_cast<double>(ints->front());
  APFloat value = *tensor.constant.getValues<APFloat>().begin();
  bool ignored;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &ignored);
  return value.convertToDouble();
}

std::optional<SmallVector<Dim>> Emitter::elementsOf(TensorValue &tensor) {
  if (tensor.elements)
    return tensor.elements;
  if (!isInteger(tensor.dataType) || tensor.rank() > 1)
    return std::nullopt;
  constexpr int64_t maxElements = 64;
  std::optional<int64_t> count = product(tensor.shape).constant();
  if (!count || *count > maxElements)
    return std::nullopt;
  SmallVector<Dim> elements;
  if (std::optional<SmallVector<int64_t>> ints = constantInts(tensor)) {
    for (int64_t value : *ints)
      elements.push_back(value);
    return elements;
  }
  Value value = materialize(tensor);
  for (int64_t i = 0; i < *count; ++i) {
    SmallVector<Value> indices;
    if (tensor.rank() == 1)
      indices.push_back(indexConstant(i));
    Value element = tensor::ExtractOp::create(builder, loc, value, indices);
    Type index = builder.getIndexType();
    Value extended =
        isUnsigned(tensor.dataType)
            ? arith::IndexCastUIOp::create(builder, loc, index, element)
                  .getResult()
            : arith::IndexCastOp::create(builder, loc, index, element)
                  .getResult();
    elements.push_back(newSymbol(extended, isUnsigned(tensor.dataType)));
  }
  return elements;
}
