//===- Score.cpp - Softmax inputs as functions of a dot product -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Score.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::attn::raise;

static const AffineExpr keyAxis(ExprArena &arena) {
  return arena.axis(KeyAxis);
}

static bool isZeroConstant(const Expr *expr) {
  auto value = floatConstant(expr);
  return value && *value == 0;
}

/// Every element is zero.
static bool isZeroTensor(Tracer &tracer, Value tensor) {
  ExprArena &arena = tracer.getArena();
  auto type = cast<RankedTensorType>(tensor.getType());
  // Indices about which nothing is known stand for all elements.
  SmallVector<AffineExpr> anywhere;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    anywhere.push_back(arena.symbol(tensor, -2 - static_cast<int>(dim)));
  return isZeroConstant(tracer.elementOf(tensor, anywhere));
}

/// The name of an operation, for messages.
static std::string nameOf(const Expr *expr) {
  if (expr->kind == ExprKind::Operation)
    return expr->name->getStringRef().str();
  if (expr->kind == ExprKind::Load)
    if (Operation *op = expr->value.getDefiningOp())
      return op->getName().getStringRef().str();
  return "a value";
}

//===----------------------------------------------------------------------===//
// Reductions and the softmax
//===----------------------------------------------------------------------===//

Reduction mlir::attn::raise::matchReduction(Tracer &tracer, Value result,
                                            ArrayRef<AffineExpr> indices,
                                            AffineExpr axis) {
  auto op = dyn_cast_or_null<linalg::LinalgOp>(result.getDefiningOp());
  if (!op || !op.hasPureTensorSemantics() || op.getNumReductionLoops() != 1)
    return {};
  unsigned number = cast<OpResult>(result).getResultNumber();
  AffineMap map = op.getIndexingMapMatchingResult(op->getResult(number));
  if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return {};
  SmallVector<AffineExpr> loops(op.getNumLoops());
  for (auto [i, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      loops[i] = axis;
  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
    if (auto loop = dyn_cast<AffineDimExpr>(expr)) {
      // A kept reduction dimension of extent 1 is written at 0.
      if (loops[loop.getPosition()])
        return {};
      loops[loop.getPosition()] = indices[dim];
    }
  if (llvm::any_of(loops, [](AffineExpr e) { return !e; }))
    return {};
  Value yielded = op.getBlock()->getTerminator()->getOperand(number);
  Operation *combiner = yielded.getDefiningOp();
  if (!combiner || combiner->getNumOperands() != 2)
    return {};
  BlockArgument accumulator =
      op.getMatchingBlockArgument(op.getDpsInitOperand(number));
  for (unsigned i : {0u, 1u})
    if (combiner->getOperand(i) == accumulator) {
      Reduction reduction;
      reduction.combiner = combiner->getName().getStringRef();
      reduction.term = tracer.bodyValue(op, loops, combiner->getOperand(1 - i));
      return reduction;
    }
  return {};
}

/// x is NaN, for some x; null otherwise.
static const Expr *matchIsNaN(const Expr *expr) {
  if (expr->isOp("math.isnan"))
    return expr->operands[0];
  if (!expr->isOp("arith.cmpf"))
    return nullptr;
  auto predicate = static_cast<arith::CmpFPredicate>(
      expr->attrs.getAs<IntegerAttr>("predicate").getInt());
  if ((predicate == arith::CmpFPredicate::UNO ||
       predicate == arith::CmpFPredicate::UNE) &&
      expr->operands[0] == expr->operands[1])
    return expr->operands[0];
  return nullptr;
}

Probability mlir::attn::raise::matchProbability(Tracer &tracer,
                                                const Expr *expr) {
  ExprArena &arena = tracer.getArena();
  Probability result;
  // Casts, and the guard against rows without keys.
  while (true) {
    if (expr->isOp("arith.extf") || expr->isOp("arith.truncf")) {
      expr = expr->operands[0];
      continue;
    }
    if (expr->isOp("arith.select")) {
      const Expr *c = expr->operands[0];
      bool negated = c->isOp("arith.xori");
      if (negated)
        c = c->operands[0];
      const Expr *zero = expr->operands[negated ? 2 : 1];
      const Expr *kept = expr->operands[negated ? 1 : 2];
      if (matchIsNaN(c) && isZeroConstant(zero)) {
        result.guarded = true;
        expr = kept;
        continue;
      }
      // isnan may come as "ordered with itself".
      if (c->isOp("arith.cmpf") && c->operands[0] == c->operands[1] &&
          isZeroConstant(kept)) {
        auto predicate = static_cast<arith::CmpFPredicate>(
            c->attrs.getAs<IntegerAttr>("predicate").getInt());
        if (predicate == arith::CmpFPredicate::ORD ||
            predicate == arith::CmpFPredicate::OEQ) {
          result.guarded = true;
          expr = zero;
          continue;
        }
      }
    }
    break;
  }

  if (expr->kind == ExprKind::Load) {
    auto softmax =
        dyn_cast_or_null<linalg::SoftmaxOp>(expr->value.getDefiningOp());
    if (!softmax)
      return {};
    result.softmax = softmax;
    result.type = expr->type;
    int64_t dim = softmax.getDimension();
    for (auto [i, index] : llvm::enumerate(expr->indices)) {
      bool isKey = index == keyAxis(arena);
      bool dependsOnKey = index.isFunctionOfDim(KeyAxis);
      if (static_cast<int64_t>(i) == dim ? !isKey : dependsOnKey) {
        result.failure = "the softmax is not over the axis that is contracted "
                         "with the values";
        return result;
      }
    }
    result.score = tracer.elementOf(softmax.getInput(), expr->indices);
    return result;
  }

  // exp(x - m) / sum(exp(x - m)), where m does not depend on the key: the
  // quotient is the same for every m.
  const Expr *numerator = nullptr, *denominator = nullptr;
  if (expr->isOp("arith.divf")) {
    numerator = expr->operands[0];
    denominator = expr->operands[1];
  } else if (expr->isOp("arith.mulf")) {
    for (unsigned i : {0u, 1u}) {
      const Expr *inverse = expr->operands[i];
      if (inverse->isOp("arith.divf") &&
          floatConstant(inverse->operands[0]) == 1.0) {
        numerator = expr->operands[1 - i];
        denominator = inverse->operands[1];
      }
    }
  }
  if (!numerator)
    return {};
  // A sum of zero replaced by something else guards rows without keys.
  if (denominator->isOp("arith.select"))
    for (unsigned i : {1u, 2u})
      if (denominator->operands[3 - i]->kind == ExprKind::Constant &&
          denominator->operands[i]->kind == ExprKind::Load) {
        denominator = denominator->operands[i];
        result.guarded = true;
        break;
      }
  if (denominator->kind != ExprKind::Load ||
      (denominator->axes & axisBit(KeyAxis)))
    return {};
  Reduction sum = matchReduction(tracer, denominator->value,
                                 denominator->indices, keyAxis(arena));
  if (!sum.term || sum.combiner != "arith.addf" || sum.term != numerator ||
      !numerator->isOp("math.exp"))
    return {};
  auto op = cast<linalg::LinalgOp>(denominator->value.getDefiningOp());
  if (!isZeroTensor(tracer, op.getDpsInitOperand(0)->get()))
    return {};
  result.softmax = op;
  result.type = numerator->type;
  const Expr *exponent = numerator->operands[0];
  if (exponent->isOp("arith.subf") &&
      !(exponent->operands[1]->axes & axisBit(KeyAxis)))
    exponent = exponent->operands[0];
  result.score = exponent;
  return result;
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

bool mlir::attn::raise::isPlainContraction(Tracer &tracer,
                                           linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 ||
      op.getNumDpsInits() != 1 || !linalg::isaContractionOpInterface(op))
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !isa<FloatType>(type.getElementType()))
    return false;
  return isZeroTensor(tracer, op.getDpsInitOperand(0)->get());
}

SmallVector<const Expr *> mlir::attn::raise::dotCandidates(Tracer &tracer,
                                                           const Expr *expr) {
  SmallVector<const Expr *> found;
  llvm::DenseSet<const Expr *> seen;
  auto visit = [&](auto &&self, const Expr *e) -> void {
    if (!seen.insert(e).second)
      return;
    if (e->kind == ExprKind::Load && (e->axes & axisBit(KeyAxis)))
      if (auto op =
              dyn_cast_or_null<linalg::LinalgOp>(e->value.getDefiningOp()))
        if (isPlainContraction(tracer, op))
          found.push_back(e);
    for (const Expr *operand : e->operands)
      self(self, operand);
  };
  visit(visit, expr);
  return found;
}

namespace {
class ScoreWalk {
public:
  ScoreWalk(ExprArena &arena, const Expr *dot, std::string &failure)
      : arena(arena), dot(dot), failure(failure) {}

  std::optional<ScoreForm> walk(const Expr *e) {
    if (e == dot) {
      ScoreForm form;
      form.dot = dot;
      return form;
    }
    if (e->kind != ExprKind::Operation)
      return fail("the score does not come from the product of queries and "
                  "keys");
    SmallVector<unsigned> with;
    for (auto [i, operand] : llvm::enumerate(e->operands))
      if (contains(operand))
        with.push_back(i);
    if (with.size() != 1)
      return fail("the score enters '" + nameOf(e) + "' more than once");
    unsigned at = with.front();
    StringRef name = e->name->getStringRef();
    auto form = walk(e->operands[at]);
    if (!form)
      return std::nullopt;
    const Expr *other = e->operands.size() == 2 ? e->operands[1 - at] : nullptr;
    if (name == "arith.extf" || name == "arith.truncf")
      return form;
    if (name == "arith.mulf" || name == "arith.divf") {
      auto c = floatConstant(other);
      if (!c)
        return fail("the score is scaled by a value that is not constant");
      if (name == "arith.divf") {
        if (at != 0 || *c == 0)
          return fail("the score is a divisor or divided by zero");
        *c = 1.0 / *c;
      }
      return scale(*form, *c);
    }
    if (name == "arith.negf")
      return scale(*form, -1.0);
    if (name == "arith.addf")
      return add(*form, other);
    if (name == "arith.subf") {
      if (at == 1) {
        form = scale(*form, -1.0);
        return form ? add(*form, other) : std::nullopt;
      }
      return add(*form, arena.operation("arith.negf", other->type, {other}));
    }
    if (name == "math.tanh")
      return cap(*form);
    if (name == "arith.select")
      return mask(*form, e, at);
    if (name == "arith.maximumf" || name == "arith.maxnumf") {
      // A lower clip at the least number changes masked scores only.
      auto c = floatConstant(other);
      if (!c || *c > -1e30)
        return fail("the score is clipped from below");
      for (MaskFactor &factor : form->masks)
        factor.fill = std::max(factor.fill, *c);
      return form;
    }
    return fail("the score goes through '" + nameOf(e) + "'");
  }

private:
  std::nullopt_t fail(std::string reason) {
    if (failure.empty())
      failure = std::move(reason);
    return std::nullopt;
  }

  bool contains(const Expr *e) {
    if (e == dot)
      return true;
    auto it = has.find(e);
    if (it != has.end())
      return it->second;
    bool found = false;
    for (const Expr *operand : e->operands)
      found |= contains(operand);
    return has[e] = found;
  }

  const Expr *times(const Expr *e, double c) {
    if (!e || c == 1.0)
      return e;
    return arena.operation("arith.mulf", e->type,
                           {e, arena.constantFloat(e->type, c)});
  }

  std::optional<ScoreForm> scale(ScoreForm form, double c) {
    if (c == 1.0)
      return form;
    if (!(c > 0) && (form.softcap || !form.masks.empty()))
      return fail("a capped or masked score is multiplied by a number that is "
                  "not positive");
    if (!std::isfinite(c))
      return fail("the score is multiplied by a number that is not finite");
    // c * (cap * tanh(x / cap) + b) = (c cap) * tanh(c x / (c cap)) + c b.
    form.scale *= c;
    form.biasBefore = times(form.biasBefore, c);
    form.bias = times(form.bias, c);
    if (form.softcap)
      *form.softcap *= c;
    for (MaskFactor &factor : form.masks)
      factor.fill *= c;
    return form;
  }

  std::optional<ScoreForm> add(ScoreForm form, const Expr *term) {
    // Sums are taken apart, so that masks are seen one by one.
    if (term->isOp("arith.addf")) {
      auto first = add(form, term->operands[0]);
      return first ? add(*first, term->operands[1]) : std::nullopt;
    }
    if (term->isOp("arith.extf") || term->isOp("arith.truncf"))
      if (matchAdditiveMask(arena, term->operands[0]))
        return add(form, term->operands[0]);
    if (isZeroConstant(term))
      return form;
    if (auto factor = matchAdditiveMask(arena, term)) {
      form.masks.push_back(*factor);
      return form;
    }
    for (const MaskFactor &factor : form.masks)
      form.biasAfterFill |= factor.replaces && std::isfinite(factor.fill);
    // keep ? b : -inf is a bias under a mask; so is a fill in which score and
    // bias vanish.
    if (term->isOp("arith.select"))
      for (unsigned i : {1u, 2u})
        if (auto fill = floatConstant(term->operands[i]);
            fill && *fill <= maskThreshold &&
            term->operands[3 - i]->kind != ExprKind::Constant) {
          const Expr *keep =
              i == 2 ? term->operands[0] : arena.logicalNot(term->operands[0]);
          if (*fill > -1e30)
            break;
          form.masks.push_back({keep, *fill, false});
          return add(form, term->operands[3 - i]);
        }
    const Expr *&bias = form.bias;
    if (!bias) {
      bias = term;
      return form;
    }
    // Both in the wider type.
    auto width = [](const Expr *e) { return e->type.getIntOrFloatBitWidth(); };
    const Expr *a = bias, *b = term;
    if (a->type != b->type) {
      if (width(a) == width(b))
        return fail("biases of different types are added");
      const Expr *&narrow = width(a) < width(b) ? a : b;
      Type wide = width(a) < width(b) ? b->type : a->type;
      narrow = arena.operation("arith.extf", wide, {narrow});
    }
    bias = arena.operation("arith.addf", a->type, {a, b});
    return form;
  }

  std::optional<ScoreForm> cap(ScoreForm form) {
    if (form.softcap)
      return fail("the score is capped twice");
    // Masks under a cap do not remove keys: they are biases before it. An
    // infinite fill is such a bias exactly.
    for (const MaskFactor &factor : form.masks) {
      if (factor.replaces && std::isfinite(factor.fill))
        return fail("a masked score is capped");
      Type type =
          form.bias ? form.bias->type : Float32Type::get(arena.getContext());
      const Expr *term =
          arena.select(factor.keep, arena.constantFloat(type, 0.0),
                       arena.constantFloat(type, factor.fill));
      form.bias = form.bias
                      ? arena.operation("arith.addf", type, {form.bias, term})
                      : term;
    }
    form.masks.clear();
    form.biasBefore = form.bias;
    form.bias = nullptr;
    form.softcap = 1.0;
    return form;
  }

  std::optional<ScoreForm> mask(ScoreForm form, const Expr *e, unsigned at) {
    if (at == 0)
      return fail("the score decides a selection");
    const Expr *other = e->operands[3 - at];
    auto fill = floatConstant(other);
    if (!fill)
      return fail("a score is replaced by a value that is not constant");
    if (!(*fill <= maskThreshold))
      return fail("a score is replaced by a constant that does not mask it");
    const Expr *keep =
        at == 1 ? e->operands[0] : arena.logicalNot(e->operands[0]);
    form.masks.push_back({keep, *fill, true});
    return form;
  }

  ExprArena &arena;
  const Expr *dot;
  std::string &failure;
  llvm::DenseMap<const Expr *, bool> has;
};
} // namespace

std::optional<ScoreForm> mlir::attn::raise::matchScore(Tracer &tracer,
                                                       const Expr *expr,
                                                       const Expr *dot,
                                                       std::string &failure) {
  return ScoreWalk(tracer.getArena(), dot, failure).walk(expr);
}

std::optional<MaskFactor>
mlir::attn::raise::matchAdditiveMask(ExprArena &arena, const Expr *term) {
  if (term->isOp("arith.extf") || term->isOp("arith.truncf"))
    return matchAdditiveMask(arena, term->operands[0]);
  if (term->isOp("arith.select")) {
    const Expr *c = term->operands[0];
    for (unsigned i : {1u, 2u}) {
      auto fill = floatConstant(term->operands[i]);
      if (!fill || !(*fill <= maskThreshold))
        continue;
      const Expr *rest = term->operands[3 - i];
      const Expr *keep = i == 2 ? c : arena.logicalNot(c);
      if (isZeroConstant(rest))
        return MaskFactor{keep, *fill, false};
      // A choice inside a choice with the same fill.
      auto inner = rest->isOp("arith.select") ? matchAdditiveMask(arena, rest)
                                              : std::nullopt;
      if (inner && inner->fill == *fill)
        return MaskFactor{arena.logicalAnd(keep, inner->keep), *fill, false};
    }
    return std::nullopt;
  }
  // A constant table of 0 and one fill.
  DenseElementsAttr table;
  if (term->kind == ExprKind::Load &&
      matchPattern(term->value, m_Constant(&table)) &&
      isa<FloatType>(table.getElementType())) {
    std::optional<double> fill;
    for (const APFloat &entry : table.getValues<APFloat>()) {
      if (entry.isZero())
        continue;
      double number = entry.isInfinity() ? -INFINITY : 0;
      if (entry.isInfinity() && !entry.isNegative())
        return std::nullopt;
      if (!entry.isInfinity()) {
        APFloat copy = entry;
        bool losesInfo;
        copy.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                     &losesInfo);
        number = copy.convertToDouble();
      }
      if (!(number <= maskThreshold) || (fill && *fill != number))
        return std::nullopt;
      fill = number;
    }
    if (!fill)
      return std::nullopt;
    Type boolean = IntegerType::get(arena.getContext(), 1);
    auto predicate = arith::CmpFPredicateAttr::get(arena.getContext(),
                                                   arith::CmpFPredicate::OEQ);
    return MaskFactor{
        arena.operation(
            OperationName("arith.cmpf", arena.getContext()),
            DictionaryAttr::get(
                arena.getContext(),
                NamedAttribute(StringAttr::get(arena.getContext(), "predicate"),
                               predicate)),
            boolean, {term, arena.constantFloat(term->type, 0.0)}),
        *fill, false};
  }
  // A function of one integer that is 0 or 1.
  const Expr *atom = nullptr;
  unsigned count = 0;
  llvm::DenseSet<const Expr *> seen;
  auto visit = [&](auto &&self, const Expr *e) -> void {
    if (!seen.insert(e).second)
      return;
    if (e->kind == ExprKind::Operation) {
      for (const Expr *operand : e->operands)
        self(self, operand);
    } else if (e->kind != ExprKind::Constant) {
      atom = e;
      ++count;
    }
  };
  visit(visit, term);
  if (count != 1 || atom->kind != ExprKind::Load ||
      !atom->type.isSignlessInteger() || term->kind != ExprKind::Operation)
    return std::nullopt;
  bool isBool = atom->type.isInteger(1);
  auto at = [&](int64_t x) {
    return floatConstant(arena.substitute(
        term, atom, arena.constant(IntegerAttr::get(atom->type, x))));
  };
  auto zero = at(0), one = at(1);
  if (!zero || !one)
    return std::nullopt;
  const Expr *set =
      isBool ? atom
             : arena.operation(
                   OperationName("arith.cmpi", arena.getContext()),
                   DictionaryAttr::get(
                       arena.getContext(),
                       NamedAttribute(
                           StringAttr::get(arena.getContext(), "predicate"),
                           arith::CmpIPredicateAttr::get(
                               arena.getContext(), arith::CmpIPredicate::ne))),
                   IntegerType::get(arena.getContext(), 1),
                   {atom, arena.constant(IntegerAttr::get(atom->type, 0))});
  if (*one == 0 && *zero <= maskThreshold)
    return MaskFactor{set, *zero, false};
  if (*zero == 0 && *one <= maskThreshold)
    return MaskFactor{arena.logicalNot(set), *one, false};
  return std::nullopt;
}
