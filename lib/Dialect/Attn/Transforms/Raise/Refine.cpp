//===- Refine.cpp - Structure in front of an attention --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An attention that a frontend made may carry its mask as a boolean tensor or
// as a bias of zeros and minus infinity. Where the tensor's program proves
// what it holds, the mask becomes an attribute and a smaller tensor. Likewise
// keys and values that were repeated for the query heads are not repeated.
//
#include "RaiseAttention.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

const Expr *mlir::attn::raise::scoreElement(Tracer &tracer, Value tensor) {
  ExprArena &arena = tracer.getArena();
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<AffineExpr> indices;
  for (unsigned a = 0; a < 4; ++a) {
    if (type.getDimSize(a) == 1) {
      indices.push_back(getAffineConstantExpr(0, arena.getContext()));
      continue;
    }
    if (arena.dimOf(tensor, a) != arena.getAxisSize(a))
      return nullptr;
    indices.push_back(arena.axis(a));
  }
  return tracer.elementOf(tensor, indices);
}

bool mlir::attn::raise::shareKeyHeads(AttentionOp op, Scope &scope,
                                      OpBuilder &builder) {
  ExprArena &arena = scope.arena;
  auto heads = dyn_cast<AffineConstantExpr>(arena.getAxisSize(HeadAxis));
  auto keyType = cast<RankedTensorType>(op.getKey().getType());
  auto valueType = cast<RankedTensorType>(op.getValue().getType());
  if (!heads || keyType.getDimSize(1) != heads.getValue() ||
      valueType.getDimSize(1) != heads.getValue())
    return false;
  arena.setAxisSize(FeatureAxis, arena.dimOf(op.getKey(), 3));
  arena.setAxisSize(ValueAxis, arena.dimOf(op.getValue(), 3));
  auto layoutOf = [&](Value tensor, Axis feature) {
    AffineExpr indices[] = {arena.axis(BatchAxis), arena.axis(HeadAxis),
                            arena.axis(KeyAxis), arena.axis(feature)};
    return OperandLayout::find(arena, sourcesOf(arena, tensor, indices),
                               KeyAxis, feature, /*grouped=*/true);
  };
  auto key = layoutOf(op.getKey(), FeatureAxis);
  auto value = layoutOf(op.getValue(), ValueAxis);
  if (!key || !value || key->getGroup() == 1 ||
      key->getGroup() != value->getGroup() || key->getScale() != 1.0 ||
      value->getScale() != 1.0)
    return false;
  builder.setInsertionPoint(op);
  Value newKey = key->materialize(builder, op.getLoc());
  Value newValue = value->materialize(builder, op.getLoc());
  op.getKeyMutable().assign(newKey);
  op.getValueMutable().assign(newValue);
  return true;
}

bool mlir::attn::raise::refineMask(AttentionOp op, Scope &scope,
                                   OpBuilder &builder) {
  if (op.getMask() || op.getQueryOffset() || (!op.getKeep() && !op.getBias()))
    return false;
  // A region may undo a bias, and reads positions.
  if (op.hasScore())
    return false;
  ExprArena &arena = scope.arena;
  ScoreForm form;
  Value keep = op.getKeep(), bias = op.getBias();
  const Expr *kept = keep ? scoreElement(scope.tracer, keep) : nullptr;
  if (keep && !kept)
    return false;
  if (kept)
    form.masks.push_back({kept, -INFINITY, false});
  bool biasIsMask = false;
  if (bias && op.getBiasOrder() == BiasOrder::AfterSoftcap)
    if (const Expr *term = scoreElement(scope.tracer, bias))
      if (auto factor = matchAdditiveMask(arena, term);
          factor && std::isinf(factor->fill)) {
        form.masks.push_back(*factor);
        biasIsMask = true;
      }
  const Expr *all = arena.boolean(true);
  for (const MaskFactor &factor : form.masks)
    all = arena.logicalAnd(all, factor.keep);
  Conditions conditions = classify(arena, all);
  auto extents = [](Value tensor) {
    unsigned axes = 0;
    auto type =
        tensor ? cast<RankedTensorType>(tensor.getType()) : RankedTensorType();
    for (unsigned a = 0; type && a < 4; ++a)
      axes |= type.getDimSize(a) != 1 ? axisBit(a) : 0;
    return axes;
  };
  unsigned needed = 0;
  for (const Expr *c : conditions.padding)
    needed |= c->axes;
  for (const Expr *c : conditions.dense)
    needed |= c->axes;
  // Something must be gained: an attribute, or a smaller tensor.
  bool structured = conditions.causalOffset || conditions.window;
  if (!structured && !biasIsMask && (!keep || needed == extents(keep)))
    return false;
  std::string failure;
  Probability probability;
  probability.type = Float32Type::get(builder.getContext());
  probability.guarded = true;
  auto plan = MaskPlan::make(arena, form, probability, failure);
  if (!plan)
    return false;
  builder.setInsertionPoint(op);
  scope.emitter.setLocation(op.getLoc());
  MaskPlan::Operands operands =
      plan->build(arena, scope.emitter, builder, op.getLoc());
  if (operands.mask)
    op.setMaskAttr(operands.mask);
  op.getKeepMutable().assign(operands.keep ? ValueRange(operands.keep)
                                           : ValueRange());
  if (biasIsMask)
    op.getBiasMutable().clear();
  if (operands.queryOffset)
    op.getQueryOffsetMutable().assign(operands.queryOffset);
  StringRef origin = "attention";
  if (auto attr = op->getAttrOfType<StringAttr>("attn.origin"))
    origin = attr.getValue();
  op->setAttr("attn.origin",
              builder.getStringAttr(origin + "; mask: " + plan->describe()));
  return true;
}
