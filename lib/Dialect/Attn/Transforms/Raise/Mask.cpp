//===- Mask.cpp - What the masks of a score mean --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A mask with an infinite fill removes keys. A mask with a finite fill, say
// -10000 or the least number of the type, does so too in a row that keeps a
// key: against that key's score the exponential of a masked one is zero. In a
// row that keeps none, every score has the fill, and
//   softmax(s + fill) = softmax(s)     when s + fill still distinguishes s, or
//                     = uniform        when the fill swallows s or replaces it.
// So with any(i) = "row i keeps a key", the exact boolean mask is
//   keep'(i, j) = keep(i, j) or not any(i)
// and, in the second case, a bias of fill for rows without a key makes the
// scores vanish as they do in the program. any(i) has the axes of keep
// without the key: [B, 1, 1, 1] for a padding mask. A causal mask alone keeps
// key 0 in every row when its offset is not negative, so any(i) is true.
// Where the conditions of one finite mask hold a causal or window mask, that
// is worth an attribute and keep' is not built. Rows that keep no key, which
// are rare, are then repaired behind the attention when there is one: they
// are the mean of the values, or the attention without the mask.
// Two different finite masks have more than two levels; they stay a bias.
//
// A row in which infinite fills remove all keys is NaN in the program, or
// zero where the program guards against it; attn.attention gives zeros.
//
#include "Mask.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

/// Flattens a conjunction.
static void conjuncts(const Expr *e, SmallVectorImpl<const Expr *> &list) {
  if (e->isOp("arith.andi")) {
    conjuncts(e->operands[0], list);
    conjuncts(e->operands[1], list);
    return;
  }
  if (boolConstant(e) != true)
    list.push_back(e);
}

/// A condition on entries of constant tables, all at the same row and column:
/// when it holds exactly on and below a diagonal, `row + k - column` >= 0.
static const Expr *matchConstantTriangle(ExprArena &arena, const Expr *e) {
  SmallVector<const Expr *> loads;
  llvm::DenseSet<const Expr *> seen;
  bool constantOnly = true;
  auto visit = [&](auto &&self, const Expr *x) -> void {
    if (!seen.insert(x).second)
      return;
    if (x->kind == ExprKind::Load)
      loads.push_back(x);
    else if (x->kind != ExprKind::Operation && x->kind != ExprKind::Constant)
      constantOnly = false;
    for (const Expr *operand : x->operands)
      self(self, operand);
  };
  visit(visit, e);
  if (!constantOnly || loads.size() != 1)
    return nullptr;
  const Expr *load = loads.front();
  DenseElementsAttr table;
  if (!matchPattern(load->value, m_Constant(&table)))
    return nullptr;
  SmallVector<unsigned> dims;
  for (auto [dim, size] : llvm::enumerate(table.getType().getShape()))
    if (size != 1)
      dims.push_back(dim);
  if (dims.size() != 2)
    return nullptr;
  int64_t rows = table.getType().getDimSize(dims[0]);
  int64_t columns = table.getType().getDimSize(dims[1]);
  // The condition as a function of the entry.
  llvm::DenseMap<Attribute, int> valueOf;
  auto keeps = [&](Attribute entry) -> int {
    auto [it, inserted] = valueOf.try_emplace(entry, -1);
    if (!inserted)
      return it->second;
    auto typed = dyn_cast<TypedAttr>(entry);
    if (valueOf.size() > 16 || !typed)
      return -1;
    auto value = boolConstant(arena.substitute(e, load, arena.constant(typed)));
    return valueOf[entry] = value ? *value : -1;
  };
  std::optional<int64_t> diagonal;
  auto entries = table.getValues<Attribute>();
  for (int64_t r = 0; r < rows; ++r) {
    int64_t kept = 0;
    for (int64_t c = 0; c < columns; ++c) {
      int keep = keeps(entries[r * columns + c]);
      if (keep < 0 || (keep && c != kept))
        return nullptr; // unknown, or a gap
      kept += keep;
    }
    // The first `kept` keys: the last one is on the diagonal, unless the
    // table ends before it.
    if (!diagonal && kept > 0 && kept < columns)
      diagonal = kept - 1 - r;
    if (!diagonal)
      return nullptr;
    int64_t expected = std::clamp<int64_t>(r + *diagonal + 1, 0, columns);
    if (kept != expected)
      return nullptr;
  }
  if (!diagonal)
    return nullptr;
  return arena.nonNegative(load->indices[dims[0]] + *diagonal -
                           load->indices[dims[1]]);
}

/// Sets `i`, `j` to the coefficients of row and key, `rest` to the remainder;
/// false when anything but symbols remains.
static bool splitRowKey(ExprArena &arena, AffineExpr e, int64_t &i, int64_t &j,
                        AffineExpr &rest) {
  MLIRContext *context = arena.getContext();
  AffineExpr row = arena.axis(QueryAxis), key = arena.axis(KeyAxis);
  i = j = 0;
  for (int64_t a : {1, -1, 0})
    for (int64_t b : {1, -1, 0}) {
      AffineExpr left = arena.simplify(e - row * a - key * b);
      bool clean = true;
      left.walk([&](AffineExpr x) { clean &= !isa<AffineDimExpr>(x); });
      if (clean) {
        i = a;
        j = b;
        rest = left;
        return true;
      }
    }
  rest = getAffineConstantExpr(0, context);
  return false;
}

Conditions mlir::attn::raise::classify(ExprArena &arena, const Expr *keep) {
  Conditions result;
  SmallVector<const Expr *> list;
  conjuncts(keep, list);
  for (const Expr *c : list) {
    const unsigned paddingAxes = axisBit(BatchAxis) | axisBit(KeyAxis);
    if ((c->axes & ~paddingAxes) == 0) {
      if (!llvm::is_contained(result.padding, c))
        result.padding.push_back(c);
      continue;
    }
    const Expr *condition = c;
    if (const Expr *triangle = matchConstantTriangle(arena, c))
      condition = triangle;
    if (boolConstant(condition) == true)
      continue;
    int64_t i, j;
    AffineExpr rest;
    if (condition->kind == ExprKind::NonNegative &&
        splitRowKey(arena, condition->affine, i, j, rest)) {
      if (i == 1 && j == -1 &&
          (!result.causalOffset || *result.causalOffset == rest)) {
        result.causalOffset = rest; // row + rest >= key
        continue;
      }
      if (i == -1 && j == 1 && !result.window) {
        // key >= row - rest; the window's size follows from the offset.
        result.window = {rest, 0};
        continue;
      }
    }
    if (!llvm::is_contained(result.dense, c))
      result.dense.push_back(c);
  }
  if (result.window) {
    // A window is measured from the position of the row.
    AffineExpr rest = result.window->first;
    AffineExpr offset = result.causalOffset
                            ? *result.causalOffset
                            : getAffineConstantExpr(0, arena.getContext());
    auto size = dyn_cast<AffineConstantExpr>(arena.simplify(rest + offset));
    if (size && size.getValue() >= 0) {
      result.window = {offset, size.getValue()};
    } else {
      result.dense.push_back(arena.nonNegative(arena.axis(KeyAxis) -
                                               arena.axis(QueryAxis) + rest));
      result.window.reset();
    }
  }
  return result;
}

/// Every row keeps a key.
static bool everyRowKeepsKey(ExprArena &arena, const Conditions &c) {
  if (!c.padding.empty() || !c.dense.empty())
    return false;
  if (c.window) {
    // Row i keeps its own position, if that is a key.
    AffineExpr own = arena.axis(QueryAxis) + c.window->first;
    AffineExpr keys = arena.getAxisSize(KeyAxis);
    return arena.provablyNonNegative(arena.simplify(own)) &&
           arena.provablyNonNegative(arena.simplify(keys - own - 1));
  }
  return !c.causalOffset || arena.provablyNonNegative(*c.causalOffset);
}

/// s + fill no longer tells scores apart that differ by less than 2^-11.
static bool swallowsScores(double fill, Type type) {
  int digits = type.isF16() ? 11 : type.isBF16() ? 8 : type.isF64() ? 53 : 24;
  return std::ilogb(fill) - digits > -11;
}

std::optional<MaskPlan> MaskPlan::make(ExprArena &arena, const ScoreForm &form,
                                       const Probability &probability,
                                       std::string &failure) {
  MaskPlan plan;
  if (form.bias && form.biasBefore) {
    failure = "biases are added before and after the softcap";
    return std::nullopt;
  }
  plan.bias = form.bias ? form.bias : form.biasBefore;
  if (form.biasBefore)
    plan.order = BiasOrder::BeforeSoftcap;

  const Expr *infinite = arena.boolean(true);
  SmallVector<MaskFactor> finite;
  for (const MaskFactor &factor : form.masks) {
    if (std::isinf(factor.fill)) {
      infinite = arena.logicalAnd(infinite, factor.keep);
      continue;
    }
    // One condition stated twice is one mask with the sum of the fills.
    auto same = llvm::find_if(finite, [&](const MaskFactor &other) {
      return other.keep == factor.keep;
    });
    if (same == finite.end()) {
      finite.push_back(factor);
    } else {
      same->fill = std::max(same->fill + factor.fill, -1e300);
      same->replaces |= factor.replaces;
    }
  }
  // Finite masks that leave a key in every row remove keys like infinite ones.
  Conditions infiniteConditions = classify(arena, infinite);
  bool unhindered = infiniteConditions.empty();
  const Expr *joint = arena.boolean(true);
  for (const MaskFactor &factor : finite)
    joint = arena.logicalAnd(joint, factor.keep);
  if (unhindered && everyRowKeepsKey(arena, classify(arena, joint))) {
    plan.structure = classify(arena, joint);
    return plan;
  }
  plan.structure = infiniteConditions;
  if (finite.empty())
    return plan;

  if (finite.size() > 1) {
    for (const MaskFactor &factor : finite) {
      if (factor.replaces || form.biasBefore) {
        failure = "two masks with finite fills are combined, and a row in "
                  "which both apply has no exact form";
        return std::nullopt;
      }
      Type type =
          plan.bias ? plan.bias->type : Float32Type::get(arena.getContext());
      const Expr *term =
          arena.select(factor.keep, arena.constantFloat(type, 0.0),
                       arena.constantFloat(type, factor.fill));
      plan.bias = plan.bias
                      ? arena.operation("arith.addf", type, {plan.bias, term})
                      : term;
    }
    return plan;
  }

  const MaskFactor &mask = finite.front();
  plan.finite = mask.keep;
  plan.all = arena.logicalAnd(infinite, mask.keep);
  if (mask.replaces || swallowsScores(mask.fill, probability.type)) {
    if (form.biasBefore ||
        (mask.replaces && form.biasAfterFill && mask.fill > -1e8)) {
      failure = "a bias is combined with a finite mask in an order that has "
                "no exact form";
      return std::nullopt;
    }
    // -1e30 swallows scores as well and survives a change of base.
    plan.vanishing = mask.replaces ? -1e30 : std::max(mask.fill, -1e30);
  }
  // A causal or window mask is worth an attribute.
  if (unhindered) {
    Conditions conditions = classify(arena, mask.keep);
    if (conditions.causalOffset || conditions.window) {
      plan.structure = conditions;
      plan.finite = nullptr;
      plan.repair = true;
    }
  }
  return plan;
}

MaskPlan::Operands MaskPlan::build(ExprArena &arena, Emitter &emitter,
                                   OpBuilder &builder, Location loc) const {
  Operands result;
  MLIRContext *context = arena.getContext();
  result.order = order;

  // The mask attribute and the offset of the rows.
  SmallVector<MaskAttrInterface> masks;
  if (structure.causalOffset)
    masks.push_back(cast<MaskAttrInterface>(CausalAttr::get(context)));
  if (structure.window)
    masks.push_back(cast<MaskAttrInterface>(
        WindowAttr::get(context, structure.window->second, -1,
                        /*block=*/1)));
  if (masks.size() == 1)
    result.mask = masks.front();
  else if (masks.size() > 1)
    result.mask = cast<MaskAttrInterface>(AllOfAttr::get(context, masks));
  std::optional<AffineExpr> offset = structure.causalOffset;
  if (!offset && structure.window)
    offset = structure.window->first;
  if (offset && *offset != 0) {
    OpFoldResult value = emitter.indexValue(*offset);
    result.queryOffset = dyn_cast<Value>(value);
    if (!result.queryOffset)
      result.queryOffset = arith::ConstantOp::create(
          builder, loc, cast<TypedAttr>(cast<Attribute>(value)));
  }

  // The keep tensor.
  const Expr *keep = arena.boolean(true);
  for (const Expr *c : structure.padding)
    keep = arena.logicalAnd(keep, c);
  for (const Expr *c : structure.dense)
    keep = arena.logicalAnd(keep, c);
  SmallVector<unsigned> keepAxes = Emitter::axesIn(keep->axes);
  Value keepTensor;
  if (boolConstant(keep) != true)
    keepTensor = emitter.tensorOf(keep, keepAxes);

  SmallVector<unsigned> biasAxes;
  Value biasTensor;
  if (bias) {
    biasAxes = Emitter::axesIn(bias->axes);
    biasTensor = emitter.tensorOf(bias, biasAxes);
  }

  if (finite) {
    SmallVector<unsigned> allAxes =
        Emitter::axesIn(all->axes | axisBit(KeyAxis));
    SmallVector<unsigned> rowAxes =
        Emitter::axesIn(all->axes & ~axisBit(KeyAxis));
    Value any =
        emitter.anyOver(emitter.tensorOf(all, allAxes), allAxes, KeyAxis);
    SmallVector<unsigned> finiteAxes = Emitter::axesIn(finite->axes);
    Value finiteTensor = emitter.tensorOf(finite, finiteAxes);
    SmallVector<unsigned> merged =
        Emitter::axesIn(finite->axes | (all->axes & ~axisBit(KeyAxis)) |
                        (keepTensor ? keep->axes : 0));
    SmallVector<Value> inputs = {finiteTensor, any};
    SmallVector<SmallVector<unsigned>> inputAxes = {finiteAxes, rowAxes};
    if (keepTensor) {
      inputs.push_back(keepTensor);
      inputAxes.push_back(keepAxes);
    }
    keepTensor = emitter.map(
        inputs, inputAxes, merged, builder.getI1Type(),
        [&](OpBuilder &b, Location l, ValueRange args) -> Value {
          Value yes = arith::ConstantOp::create(b, l, b.getBoolAttr(true));
          Value none = arith::XOrIOp::create(b, l, args[1], yes);
          Value kept = arith::OrIOp::create(b, l, args[0], none);
          return args.size() == 3
                     ? arith::AndIOp::create(b, l, kept, args[2]).getResult()
                     : kept;
        });
    keepAxes = merged;
    if (vanishing != 0) {
      Type type =
          biasTensor
              ? cast<RankedTensorType>(biasTensor.getType()).getElementType()
              : builder.getF32Type();
      SmallVector<Value> biasInputs = {any};
      SmallVector<SmallVector<unsigned>> biasInputAxes = {rowAxes};
      unsigned axes = all->axes & ~axisBit(KeyAxis);
      if (biasTensor) {
        biasInputs.push_back(biasTensor);
        biasInputAxes.push_back(biasAxes);
        axes |= bias->axes;
      }
      double fill = type.isF16() ? std::max(vanishing, -65504.0) : vanishing;
      biasAxes = Emitter::axesIn(axes);
      biasTensor = emitter.map(
          biasInputs, biasInputAxes, biasAxes, type,
          [&](OpBuilder &b, Location l, ValueRange args) -> Value {
            Value zero =
                arith::ConstantOp::create(b, l, b.getFloatAttr(type, 0.0));
            Value low =
                arith::ConstantOp::create(b, l, b.getFloatAttr(type, fill));
            Value shift = arith::SelectOp::create(b, l, args[0], zero, low);
            return args.size() == 2
                       ? arith::AddFOp::create(b, l, args[1], shift).getResult()
                       : shift;
          });
    }
  }
  if (repair) {
    SmallVector<unsigned> allAxes =
        Emitter::axesIn(all->axes | axisBit(KeyAxis));
    result.rowAxes = Emitter::axesIn(all->axes & ~axisBit(KeyAxis));
    result.rowKeeps =
        emitter.anyOver(emitter.tensorOf(all, allAxes), allAxes, KeyAxis);
    result.allRowsKeep = emitter.allOf(result.rowKeeps);
    result.uniformRows = vanishing != 0;
  }
  if (keepTensor)
    result.keep = emitter.asScores(keepTensor, keepAxes);
  if (biasTensor)
    result.bias = emitter.asScores(biasTensor, biasAxes);
  return result;
}

std::string MaskPlan::describe() const {
  SmallVector<std::string> parts;
  if (structure.causalOffset)
    parts.push_back(*structure.causalOffset == 0 ? "causal"
                                                 : "causal with query offset");
  if (structure.window)
    parts.push_back("window");
  const unsigned paddingAxes = axisBit(BatchAxis) | axisBit(KeyAxis);
  bool finitePadding = finite && (finite->axes & ~paddingAxes) == 0;
  if (!structure.padding.empty() || finitePadding)
    parts.push_back("key padding");
  if (!structure.dense.empty() || (finite && !finitePadding))
    parts.push_back("boolean mask");
  if (bias)
    parts.push_back("bias");
  if (parts.empty())
    return "none";
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : ", ") + part;
  return text;
}
