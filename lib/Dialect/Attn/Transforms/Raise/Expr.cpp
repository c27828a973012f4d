//===- Expr.cpp - Building and simplifying element expressions ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Expr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/Hashing.h"

using namespace mlir;
using namespace mlir::attn::raise;

std::optional<double> mlir::attn::raise::floatConstant(const Expr *expr) {
  if (expr->kind != ExprKind::Constant)
    return std::nullopt;
  if (auto value = dyn_cast<FloatAttr>(expr->constant))
    return value.getValueAsDouble();
  if (auto value = dyn_cast<IntegerAttr>(expr->constant))
    return static_cast<double>(value.getType().isInteger(1)
                                   ? value.getValue().getZExtValue()
                                   : value.getValue().getSExtValue());
  return std::nullopt;
}

std::optional<int64_t> mlir::attn::raise::intConstant(const Expr *expr) {
  if (expr->kind != ExprKind::Constant)
    return std::nullopt;
  if (auto value = dyn_cast<IntegerAttr>(expr->constant))
    return value.getType().isInteger(1) ? value.getValue().getZExtValue()
                                        : value.getValue().getSExtValue();
  return std::nullopt;
}

std::optional<bool> mlir::attn::raise::boolConstant(const Expr *expr) {
  if (!expr->type.isInteger(1))
    return std::nullopt;
  auto value = intConstant(expr);
  return value ? std::optional<bool>(*value != 0) : std::nullopt;
}

ExprArena::ExprArena(MLIRContext *context, const DimEqualities *equalities)
    : context(context), equalities(equalities), axisSizes(NumAxes),
      scratch(new Block) {}
ExprArena::~ExprArena() = default;

static unsigned axesOf(AffineExpr expr) {
  unsigned axes = 0;
  expr.walk([&](AffineExpr e) {
    if (auto dim = dyn_cast<AffineDimExpr>(e))
      axes |= axisBit(dim.getPosition());
  });
  return axes;
}

const Expr *ExprArena::unique(Expr expr) {
  expr.axes = 0;
  if (expr.affine)
    expr.axes |= axesOf(expr.affine);
  for (AffineExpr index : expr.indices)
    expr.axes |= axesOf(index);
  for (const Expr *operand : expr.operands)
    expr.axes |= operand->axes;
  unsigned hash = static_cast<unsigned>(llvm::hash_combine(
      static_cast<int>(expr.kind), expr.type, expr.constant, expr.affine,
      expr.value.getAsOpaquePointer(),
      llvm::hash_combine_range(expr.indices.begin(), expr.indices.end()),
      expr.name ? expr.name->getAsOpaquePointer() : nullptr,
      expr.attrs.getAsOpaquePointer(),
      llvm::hash_combine_range(expr.operands.begin(), expr.operands.end())));
  // The table reserves two keys.
  hash &= 0x7fffffff;
  auto &bucket = table[hash];
  for (auto &other : bucket)
    if (other->kind == expr.kind && other->type == expr.type &&
        other->constant == expr.constant && other->affine == expr.affine &&
        other->value == expr.value && other->indices == expr.indices &&
        other->name == expr.name && other->attrs == expr.attrs &&
        other->operands == expr.operands)
      return other.get();
  bucket.push_back(std::make_unique<Expr>(std::move(expr)));
  return bucket.back().get();
}

const Expr *ExprArena::constant(TypedAttr attr) {
  Expr expr(ExprKind::Constant, attr.getType());
  expr.constant = attr;
  return unique(std::move(expr));
}

const Expr *ExprArena::constantFloat(Type type, double value) {
  return constant(FloatAttr::get(type, value));
}

const Expr *ExprArena::boolean(bool value) {
  return constant(BoolAttr::get(context, value));
}

const Expr *ExprArena::index(AffineExpr affine, Type type) {
  affine = simplify(affine);
  if (auto value = dyn_cast<AffineConstantExpr>(affine)) {
    unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
    APInt number(width, value.getValue(), /*isSigned=*/true,
                 /*implicitTrunc=*/true);
    return constant(IntegerAttr::get(type, number));
  }
  Expr expr(ExprKind::Index, type);
  expr.affine = affine;
  return unique(std::move(expr));
}

const Expr *ExprArena::nonNegative(AffineExpr affine) {
  affine = simplify(affine);
  if (provablyNonNegative(affine))
    return boolean(true);
  if (provablyNonNegative(simplify(-affine - 1)))
    return boolean(false);
  Expr expr(ExprKind::NonNegative, IntegerType::get(context, 1));
  expr.affine = affine;
  return unique(std::move(expr));
}

const Expr *ExprArena::isZero(AffineExpr affine) {
  affine = simplify(affine);
  if (auto value = dyn_cast<AffineConstantExpr>(affine))
    return boolean(value.getValue() == 0);
  if (provablyNonNegative(simplify(affine - 1)) ||
      provablyNonNegative(simplify(-affine - 1)))
    return boolean(false);
  // x == 0 when x >= 0 is x <= 0, which is easier to reason about.
  if (provablyNonNegative(affine))
    return nonNegative(-affine);
  if (provablyNonNegative(simplify(-affine)))
    return nonNegative(affine);
  Expr expr(ExprKind::IsZero, IntegerType::get(context, 1));
  expr.affine = affine;
  return unique(std::move(expr));
}

const Expr *ExprArena::load(Value tensor, ArrayRef<AffineExpr> indices) {
  Expr expr(ExprKind::Load,
            cast<ShapedType>(tensor.getType()).getElementType());
  expr.value = tensor;
  auto type = cast<RankedTensorType>(tensor.getType());
  for (auto [dim, index] : llvm::enumerate(indices))
    expr.indices.push_back(type.getDimSize(dim) == 1
                               ? getAffineConstantExpr(0, context)
                               : simplify(index));
  return unique(std::move(expr));
}

const Expr *ExprArena::scalar(Value value) {
  if (value.getType().isIndex())
    return index(indexOf(value), value.getType());
  Expr expr(ExprKind::Scalar, value.getType());
  expr.value = value;
  return unique(std::move(expr));
}

const Expr *ExprArena::gather(Value tensor, ArrayRef<const Expr *> indices) {
  Expr expr(ExprKind::Operation,
            cast<ShapedType>(tensor.getType()).getElementType());
  expr.name = OperationName("tensor.extract", context);
  expr.attrs = DictionaryAttr::get(context);
  expr.value = tensor;
  expr.operands.assign(indices.begin(), indices.end());
  return unique(std::move(expr));
}

const Expr *ExprArena::fold(OperationName name, DictionaryAttr attrs, Type type,
                            ArrayRef<const Expr *> operands) {
  SmallVector<Attribute> constants;
  for (const Expr *operand : operands) {
    if (operand->kind != ExprKind::Constant)
      return nullptr;
    constants.push_back(operand->constant);
  }
  if (name.getStringRef() == "arith.truncf") {
    // Rounded to nearest, as the operation does at run time.
    auto source = cast<FloatAttr>(constants[0]);
    APFloat value = source.getValue();
    bool losesInfo;
    value.convert(cast<FloatType>(type).getFloatSemantics(),
                  APFloat::rmNearestTiesToEven, &losesInfo);
    return constant(FloatAttr::get(type, value));
  }
  if (name.getStringRef() == "math.rsqrt") {
    double x = *floatConstant(operands[0]);
    return x > 0 ? constantFloat(type, 1.0 / std::sqrt(x)) : nullptr;
  }
  // The operation's own folder, on an operation that exists only for it.
  OperationState state(UnknownLoc::get(context), name);
  for (const Expr *operand : operands)
    state.addOperands(scratch->addArgument(operand->type, state.location));
  state.addTypes(type);
  state.addAttributes(attrs.getValue());
  Operation *op = Operation::create(state);
  SmallVector<OpFoldResult> results;
  const Expr *folded = nullptr;
  if (succeeded(op->fold(constants, results)) && results.size() == 1)
    if (auto attr = dyn_cast<Attribute>(results.front()))
      if (auto typed = dyn_cast<TypedAttr>(attr))
        if (typed.getType() == type)
          folded = constant(typed);
  op->destroy();
  scratch->eraseArguments([](BlockArgument) { return true; });
  return folded;
}

/// The affine form of an integer, if it has one.
static AffineExpr affineOf(const Expr *expr) {
  if (expr->kind == ExprKind::Index)
    return expr->affine;
  if (!expr->type.isIndex() && !expr->type.isSignlessInteger(32) &&
      !expr->type.isSignlessInteger(64))
    return {};
  if (auto value = intConstant(expr))
    return getAffineConstantExpr(*value, expr->type.getContext());
  return {};
}

const Expr *ExprArena::compareIntegers(int64_t predicate, const Expr *a,
                                       const Expr *b) {
  AffineExpr x = affineOf(a), y = affineOf(b);
  if (!x || !y)
    return nullptr;
  AffineExpr difference = simplify(x - y);
  using Predicate = arith::CmpIPredicate;
  auto kind = static_cast<Predicate>(predicate);
  // Unsigned comparisons agree with signed ones of numbers that are not
  // negative.
  bool isUnsigned = kind >= Predicate::ult;
  if (isUnsigned &&
      !(provablyNonNegative(simplify(x)) && provablyNonNegative(simplify(y))))
    return nullptr;
  switch (kind) {
  case Predicate::eq:
    return isZero(difference);
  case Predicate::ne:
    return logicalNot(isZero(difference));
  case Predicate::slt:
  case Predicate::ult:
    return nonNegative(-difference - 1);
  case Predicate::sle:
  case Predicate::ule:
    return nonNegative(-difference);
  case Predicate::sgt:
  case Predicate::ugt:
    return nonNegative(difference - 1);
  case Predicate::sge:
  case Predicate::uge:
    return nonNegative(difference);
  }
  return nullptr;
}

const Expr *ExprArena::simplifyInteger(StringRef name, Type type,
                                       ArrayRef<const Expr *> operands) {
  // Narrow integers may wrap around.
  if (!type.isIndex() && !type.isSignlessInteger(32) &&
      !type.isSignlessInteger(64))
    return nullptr;
  SmallVector<AffineExpr, 2> x;
  for (const Expr *operand : operands) {
    AffineExpr affine = affineOf(operand);
    if (!affine)
      return nullptr;
    x.push_back(affine);
  }
  // Indices are far below the range of 32 bits, so casts keep their value.
  if (name == "arith.index_cast" || name == "arith.extsi" ||
      name == "arith.index_castui" || name == "arith.extui" ||
      name == "arith.trunci")
    return index(x[0], type);
  if (x.size() != 2)
    return nullptr;
  if (name == "arith.addi")
    return index(x[0] + x[1], type);
  if (name == "arith.subi")
    return index(x[0] - x[1], type);
  if (name == "arith.muli") {
    if (isa<AffineConstantExpr>(x[0]))
      std::swap(x[0], x[1]);
    return isa<AffineConstantExpr>(x[1]) ? index(x[0] * x[1], type) : nullptr;
  }
  bool firstIsLarger = provablyNonNegative(simplify(x[0] - x[1]));
  bool secondIsLarger = provablyNonNegative(simplify(x[1] - x[0]));
  if (name == "arith.maxsi" && (firstIsLarger || secondIsLarger))
    return index(firstIsLarger ? x[0] : x[1], type);
  if (name == "arith.minsi" && (firstIsLarger || secondIsLarger))
    return index(firstIsLarger ? x[1] : x[0], type);
  auto divisor = dyn_cast<AffineConstantExpr>(x[1]);
  if (!divisor || divisor.getValue() <= 0 ||
      !provablyNonNegative(simplify(x[0])))
    return nullptr;
  if (name == "arith.divsi" || name == "arith.divui" ||
      name == "arith.floordivsi")
    return index(x[0].floorDiv(divisor.getValue()), type);
  if (name == "arith.remsi" || name == "arith.remui")
    return index(x[0] % divisor.getValue(), type);
  return nullptr;
}

/// Both branches of a select are constants.
static bool isTwoValued(const Expr *expr) {
  return expr->isOp("arith.select") &&
         expr->operands[1]->kind == ExprKind::Constant &&
         expr->operands[2]->kind == ExprKind::Constant;
}

/// The integer behind an integral constant or a converted index.
static const Expr *integerBehind(ExprArena &arena, const Expr *expr) {
  if (expr->isOp("arith.sitofp") || expr->isOp("arith.uitofp"))
    return affineOf(expr->operands[0]) ? expr->operands[0] : nullptr;
  auto value = expr->kind == ExprKind::Constant ? floatConstant(expr)
                                                : std::optional<double>();
  if (!value || *value != std::floor(*value) || std::abs(*value) > 1e9)
    return nullptr;
  return arena.constant(IntegerAttr::get(IndexType::get(arena.getContext()),
                                         static_cast<int64_t>(*value)));
}

/// The floating-point predicate that holds exactly when `predicate` does not.
static int64_t complement(int64_t predicate) {
  switch (static_cast<arith::CmpFPredicate>(predicate)) {
  case arith::CmpFPredicate::AlwaysFalse:
  case arith::CmpFPredicate::AlwaysTrue:
    return 15 - predicate;
  case arith::CmpFPredicate::ORD:
  case arith::CmpFPredicate::UNO:
    return 21 - predicate;
  default: // ordered with the unordered opposite
    return 14 - predicate;
  }
}

const Expr *ExprArena::operation(OperationName name, DictionaryAttr attrs,
                                 Type type, ArrayRef<const Expr *> operands) {
  StringRef op = name.getStringRef();
  if (const Expr *folded = fold(name, attrs, type, operands))
    return folded;
  if (const Expr *folded = simplifyInteger(op, type, operands))
    return folded;
  auto isNumber = [](const Expr *e, double number) {
    auto value = e->kind == ExprKind::Constant && isa<FloatAttr>(e->constant)
                     ? floatConstant(e)
                     : std::optional<double>();
    return value && *value == number;
  };

  if (op == "arith.cmpi") {
    auto predicate = attrs.getAs<IntegerAttr>("predicate").getInt();
    if (const Expr *e = compareIntegers(predicate, operands[0], operands[1]))
      return e;
  }
  if (op == "arith.cmpf") {
    // Comparison of converted integers is that of the integers.
    const Expr *a = integerBehind(*this, operands[0]);
    const Expr *b = a ? integerBehind(*this, operands[1]) : nullptr;
    if (b) {
      using F = arith::CmpFPredicate;
      using I = arith::CmpIPredicate;
      auto predicate =
          static_cast<F>(attrs.getAs<IntegerAttr>("predicate").getInt());
      std::optional<I> integer;
      if (predicate == F::OEQ || predicate == F::UEQ)
        integer = I::eq;
      else if (predicate == F::ONE || predicate == F::UNE)
        integer = I::ne;
      else if (predicate == F::OLT || predicate == F::ULT)
        integer = I::slt;
      else if (predicate == F::OLE || predicate == F::ULE)
        integer = I::sle;
      else if (predicate == F::OGT || predicate == F::UGT)
        integer = I::sgt;
      else if (predicate == F::OGE || predicate == F::UGE)
        integer = I::sge;
      if (integer)
        if (const Expr *e =
                compareIntegers(static_cast<int64_t>(*integer), a, b))
          return e;
    }
  }
  if (op == "arith.select") {
    const Expr *c = operands[0], *a = operands[1], *b = operands[2];
    if (auto value = boolConstant(c))
      return *value ? a : b;
    if (a == b)
      return a;
    if (type.isInteger(1)) {
      auto x = boolConstant(a), y = boolConstant(b);
      if (x && y)
        return *x ? c : logicalNot(c);
      if (x)
        return *x ? logicalOr(c, b) : logicalAnd(logicalNot(c), b);
      if (y)
        return *y ? logicalOr(logicalNot(c), a) : logicalAnd(c, a);
    }
  }
  if (type.isInteger(1) && operands.size() == 2) {
    const Expr *a = operands[0], *b = operands[1];
    if (boolConstant(a))
      std::swap(a, b);
    auto value = boolConstant(b);
    if (op == "arith.andi" || op == "arith.ori" || op == "arith.muli" ||
        op == "arith.minui" || op == "arith.maxui") {
      bool isAnd =
          op == "arith.andi" || op == "arith.muli" || op == "arith.minui";
      if (value)
        return *value == isAnd ? a : b;
      if (a == b)
        return a;
    }
    if (op == "arith.xori" && value && *value) {
      // Negation moves to the leaves.
      if (a->kind == ExprKind::NonNegative)
        return nonNegative(-a->affine - 1);
      if (a->isOp("arith.xori") && boolConstant(a->operands[1]) == true)
        return a->operands[0];
      if (a->isOp("arith.andi"))
        return logicalOr(logicalNot(a->operands[0]),
                         logicalNot(a->operands[1]));
      if (a->isOp("arith.ori"))
        return logicalAnd(logicalNot(a->operands[0]),
                          logicalNot(a->operands[1]));
      if (a->isOp("arith.cmpi") || a->isOp("arith.cmpf")) {
        auto number = a->attrs.getAs<IntegerAttr>("predicate");
        int64_t inverse =
            a->isOp("arith.cmpi")
                ? static_cast<int64_t>(arith::invertPredicate(
                      static_cast<arith::CmpIPredicate>(number.getInt())))
                : complement(number.getInt());
        NamedAttrList list(a->attrs);
        list.set("predicate", IntegerAttr::get(number.getType(), inverse));
        return operation(*a->name, list.getDictionary(context), type,
                         a->operands);
      }
      Expr expr(ExprKind::Operation, type);
      expr.name = name;
      expr.attrs = attrs;
      expr.operands = {a, b};
      return unique(std::move(expr));
    }
    if (op == "arith.xori" && value)
      return a;
  }

  // A converted boolean is a choice of two constants.
  if (operands.size() == 1 && operands[0]->type.isInteger(1) &&
      (op == "arith.uitofp" || op == "arith.extui" || op == "arith.sitofp" ||
       op == "arith.extsi" || op == "arith.index_cast" ||
       op == "arith.index_castui")) {
    int64_t one =
        op == "arith.sitofp" || op == "arith.extsi" || op == "arith.index_cast"
            ? -1
            : 1;
    auto number = [&](int64_t x) {
      return isa<FloatType>(type) ? constantFloat(type, static_cast<double>(x))
                                  : constant(IntegerAttr::get(type, x));
    };
    return select(operands[0], number(one), number(0));
  }
  // f(c ? a : b) with constants elsewhere is c ? f(a) : f(b). One folds.
  if (op != "arith.select") {
    for (auto [i, operand] : llvm::enumerate(operands)) {
      if (!isTwoValued(operand))
        continue;
      bool others = true;
      for (auto [k, other] : llvm::enumerate(operands))
        others &=
            k == i || other->kind == ExprKind::Constant || other == operand;
      if (!others)
        continue;
      SmallVector<const Expr *> a(operands), b(operands);
      for (auto [k, other] : llvm::enumerate(operands))
        if (other == operand) {
          a[k] = operand->operands[1];
          b[k] = operand->operands[2];
        }
      const Expr *x = fold(name, attrs, type, a);
      const Expr *y = x ? fold(name, attrs, type, b) : nullptr;
      if (y)
        return select(operand->operands[0], x, y);
    }
  }
  // (c ? a : b) as the condition of nothing but its own constants.
  if (op == "arith.select" && isTwoValued(operands[1]) &&
      operands[2]->kind == ExprKind::Constant) {
    // c ? (d ? x : y) : y = c & d ? x : y, and its mirror image.
    const Expr *inner = operands[1];
    if (inner->operands[2] == operands[2])
      return select(logicalAnd(operands[0], inner->operands[0]),
                    inner->operands[1], operands[2]);
    if (inner->operands[1] == operands[2])
      return select(logicalAnd(operands[0], logicalNot(inner->operands[0])),
                    inner->operands[2], operands[2]);
  }
  if (op == "arith.select" && isTwoValued(operands[2]) &&
      operands[1]->kind == ExprKind::Constant) {
    const Expr *inner = operands[2];
    if (inner->operands[1] == operands[1])
      return select(logicalOr(operands[0], inner->operands[0]), operands[1],
                    inner->operands[2]);
    if (inner->operands[2] == operands[1])
      return select(logicalOr(operands[0], logicalNot(inner->operands[0])),
                    operands[1], inner->operands[1]);
  }

  if (op == "arith.addf") {
    for (unsigned i : {0u, 1u})
      if (isNumber(operands[i], 0.0))
        return operands[1 - i];
  }
  if (op == "arith.subf" && isNumber(operands[1], 0.0))
    return operands[0];
  if (op == "arith.mulf") {
    for (unsigned i : {0u, 1u})
      if (isNumber(operands[i], 1.0))
        return operands[1 - i];
  }
  if (op == "arith.divf" && isNumber(operands[1], 1.0))
    return operands[0];
  if (op == "arith.negf" && operands[0]->isOp("arith.negf"))
    return operands[0]->operands[0];
  if (op == "arith.addi" || op == "arith.subi" || op == "arith.muli") {
    auto right = intConstant(operands[1]);
    if (right && *right == (op == "arith.muli" ? 1 : 0))
      return operands[0];
  }
  if (op == "arith.bitcast" && operands[0]->type == type)
    return operands[0];
  // Commutative operations have one operand order: constants last.
  SmallVector<const Expr *> sorted(operands);
  if (name.hasTrait<OpTrait::IsCommutative>() && sorted.size() == 2 &&
      sorted[0]->kind == ExprKind::Constant)
    std::swap(sorted[0], sorted[1]);

  Expr expr(ExprKind::Operation, type);
  expr.name = name;
  // How fast an operation may be computed is no part of what it computes.
  NamedAttrList list(attrs);
  list.erase("fastmath");
  list.erase("overflowFlags");
  expr.attrs = list.getDictionary(context);
  expr.operands.assign(sorted.begin(), sorted.end());
  return unique(std::move(expr));
}

const Expr *ExprArena::operation(StringRef name, Type type,
                                 ArrayRef<const Expr *> operands) {
  return operation(OperationName(name, context), DictionaryAttr::get(context),
                   type, operands);
}

const Expr *ExprArena::logicalNot(const Expr *a) {
  if (auto value = boolConstant(a))
    return boolean(!*value);
  return operation("arith.xori", a->type, {a, boolean(true)});
}

const Expr *ExprArena::logicalAnd(const Expr *a, const Expr *b) {
  return operation("arith.andi", a->type, {a, b});
}

const Expr *ExprArena::logicalOr(const Expr *a, const Expr *b) {
  return operation("arith.ori", a->type, {a, b});
}

const Expr *ExprArena::select(const Expr *condition, const Expr *a,
                              const Expr *b) {
  return operation("arith.select", a->type, {condition, a, b});
}

const Expr *ExprArena::substitute(const Expr *expr, const Expr *from,
                                  const Expr *to) {
  llvm::DenseMap<const Expr *, const Expr *> done;
  auto visit = [&](auto &&self, const Expr *e) -> const Expr * {
    if (e == from)
      return to;
    if (e->kind != ExprKind::Operation)
      return e;
    if (auto it = done.find(e); it != done.end())
      return it->second;
    SmallVector<const Expr *> operands;
    for (const Expr *operand : e->operands)
      operands.push_back(self(self, operand));
    const Expr *result = e;
    if (!llvm::equal(operands, e->operands))
      result = e->value ? gather(e->value, operands)
                        : operation(*e->name, e->attrs, e->type, operands);
    done[e] = result;
    return result;
  };
  return visit(visit, expr);
}

const Expr *ExprArena::replaceAxis(const Expr *expr, unsigned a,
                                   AffineExpr to) {
  SmallVector<AffineExpr> dims;
  for (unsigned dim = 0; dim < NumAxes; ++dim)
    dims.push_back(dim == a ? to : axis(dim));
  llvm::DenseMap<const Expr *, const Expr *> done;
  auto visit = [&](auto &&self, const Expr *e) -> const Expr * {
    if (!(e->axes & axisBit(a)))
      return e;
    if (auto it = done.find(e); it != done.end())
      return it->second;
    const Expr *result = e;
    switch (e->kind) {
    case ExprKind::Constant:
    case ExprKind::Scalar:
      break;
    case ExprKind::Index:
      result = index(e->affine.replaceDims(dims), e->type);
      break;
    case ExprKind::NonNegative:
      result = nonNegative(e->affine.replaceDims(dims));
      break;
    case ExprKind::IsZero:
      result = isZero(e->affine.replaceDims(dims));
      break;
    case ExprKind::Load: {
      SmallVector<AffineExpr> indices;
      for (AffineExpr x : e->indices)
        indices.push_back(x.replaceDims(dims));
      result = load(e->value, indices);
      break;
    }
    case ExprKind::Operation: {
      SmallVector<const Expr *> operands;
      for (const Expr *operand : e->operands)
        operands.push_back(self(self, operand));
      result = e->value ? gather(e->value, operands)
                        : operation(*e->name, e->attrs, e->type, operands);
      break;
    }
    }
    done[e] = result;
    return result;
  };
  return visit(visit, expr);
}
