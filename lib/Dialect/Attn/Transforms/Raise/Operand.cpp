//===- Operand.cpp - Queries, keys and values behind a contraction --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Operand.h"
#include "Emit.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::raise;

/// The factor `f` with `expr` = f * `load`.
static std::optional<double> factorOf(const Expr *expr, const Expr *load) {
  if (expr == load)
    return 1.0;
  if (expr->isOp("arith.mulf"))
    for (unsigned i : {0u, 1u})
      if (auto c = floatConstant(expr->operands[i]))
        if (auto rest = factorOf(expr->operands[1 - i], load))
          return *c * *rest;
  if (expr->isOp("arith.divf"))
    if (auto c = floatConstant(expr->operands[1]); c && *c != 0)
      if (auto rest = factorOf(expr->operands[0], load))
        return *rest / *c;
  return std::nullopt;
}

SmallVector<Source> mlir::attn::raise::sourcesOf(ExprArena &arena, Value value,
                                                 ArrayRef<AffineExpr> indices) {
  SmallVector<Source> sources;
  const Expr *load = arena.load(value, indices);
  sources.push_back({value, SmallVector<AffineExpr>(load->indices), 1.0});
  while (sources.size() < 64) {
    Source last = sources.back();
    Operation *op = last.value.getDefiningOp();
    if (!op)
      break;
    Value next;
    SmallVector<AffineExpr> nextIndices;
    // A slice is kept: it is where a packed projection is taken apart.
    if (!isa<tensor::ExtractSliceOp>(op) &&
        stepThroughView(arena, op, last.indices, next, nextIndices)) {
      const Expr *element = arena.load(next, nextIndices);
      sources.push_back(
          {next, SmallVector<AffineExpr>(element->indices), last.scale});
      continue;
    }
    auto structured = dyn_cast<linalg::LinalgOp>(op);
    if (!structured ||
        !isElementwise(structured,
                       cast<OpResult>(last.value).getResultNumber()))
      break;
    bool found = false;
    for (OpOperand *operand : structured.getDpsInputOperands()) {
      auto type = dyn_cast<RankedTensorType>(operand->get().getType());
      if (!type || type.getRank() < 2 ||
          type.getElementType() !=
              cast<RankedTensorType>(last.value.getType()).getElementType())
        continue;
      Tracer tracer(arena);
      tracer.stopAt(operand->get());
      const Expr *element = tracer.elementOf(last.value, last.indices);
      // The one load of the operand, times constants.
      const Expr *inner = element;
      while (inner->kind == ExprKind::Operation && !inner->operands.empty())
        inner = inner->operands[inner->operands[0]->kind == ExprKind::Constant
                                    ? inner->operands.size() - 1
                                    : 0];
      if (inner->kind != ExprKind::Load || inner->value != operand->get())
        continue;
      auto factor = factorOf(element, inner);
      if (!factor)
        continue;
      sources.push_back({operand->get(),
                         SmallVector<AffineExpr>(inner->indices),
                         last.scale * *factor});
      found = true;
      break;
    }
    if (!found)
      break;
  }
  return sources;
}

bool OperandLayout::describe(ExprArena &arena, const Source &source, Axis row,
                             Axis feature, bool grouped, bool allowSplit,
                             OperandLayout &layout) {
  const unsigned axes[4] = {BatchAxis, HeadAxis, static_cast<unsigned>(row),
                            static_cast<unsigned>(feature)};
  SmallVector<int64_t> shape(
      cast<RankedTensorType>(source.value.getType()).getShape());
  SmallVector<AffineExpr> indices(source.indices);
  bool used[4] = {};
  layout = OperandLayout();
  layout.source = source;
  // (x floordiv c, x mod c) in neighbouring dimensions is x in one.
  for (unsigned dim = 0; dim + 1 < shape.size() && layout.merged < 0; ++dim) {
    auto outer = dyn_cast<AffineBinaryOpExpr>(indices[dim]);
    auto inner = dyn_cast<AffineBinaryOpExpr>(indices[dim + 1]);
    if (!outer || !inner || outer.getKind() != AffineExprKind::FloorDiv ||
        inner.getKind() != AffineExprKind::Mod ||
        outer.getLHS() != inner.getLHS() || outer.getRHS() != inner.getRHS() ||
        inner.getRHS() != shape[dim + 1])
      continue;
    layout.merged = dim;
    indices[dim] = outer.getLHS();
    shape[dim] = ShapedType::isDynamic(shape[dim])
                     ? ShapedType::kDynamic
                     : shape[dim] * shape[dim + 1];
    indices.erase(indices.begin() + dim + 1);
    shape.erase(shape.begin() + dim + 1);
  }
  auto slotOf = [&](AffineExpr e) -> std::optional<unsigned> {
    auto dim = dyn_cast<AffineDimExpr>(e);
    for (unsigned s = 0; dim && s < 4; ++s)
      if (axes[s] == dim.getPosition() && !used[s])
        return s;
    return std::nullopt;
  };
  for (int64_t dim = 0; dim < static_cast<int64_t>(shape.size()); ++dim) {
    AffineExpr index = indices[dim];
    if (shape[dim] == 1) {
      layout.parts.push_back({dim, 4, 1});
      continue;
    }
    if (auto slot = slotOf(index)) {
      used[*slot] = true;
      layout.parts.push_back({dim, *slot, shape[dim]});
      continue;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(index);
    if (binary && grouped && binary.getKind() == AffineExprKind::FloorDiv &&
        binary.getLHS() == arena.axis(HeadAxis) && !used[1]) {
      auto divisor = dyn_cast<AffineConstantExpr>(binary.getRHS());
      if (!divisor)
        return false;
      layout.group = divisor.getValue();
      used[1] = true;
      layout.parts.push_back({dim, 1, shape[dim]});
      continue;
    }
    if (!allowSplit)
      return false;
    // outer * size + inner, each an axis, the inner extents static.
    SmallVector<std::pair<unsigned, int64_t>> digits; // slot, stride
    auto split = [&](auto &&self, AffineExpr e, int64_t stride) -> bool {
      if (auto slot = slotOf(e)) {
        used[*slot] = true;
        digits.emplace_back(*slot, stride);
        return true;
      }
      auto op = dyn_cast<AffineBinaryOpExpr>(e);
      if (!op)
        return false;
      if (op.getKind() == AffineExprKind::Add)
        return self(self, op.getLHS(), stride) &&
               self(self, op.getRHS(), stride);
      auto factor = dyn_cast<AffineConstantExpr>(op.getRHS());
      return op.getKind() == AffineExprKind::Mul && factor &&
             factor.getValue() > 0 &&
             self(self, op.getLHS(), stride * factor.getValue());
    };
    if (!split(split, index, 1))
      return false;
    llvm::sort(digits, [](auto &a, auto &b) { return a.second > b.second; });
    for (unsigned k = 0; k < digits.size(); ++k) {
      AffineExpr extent = arena.getAxisSize(axes[digits[k].first]);
      auto size = dyn_cast_if_present<AffineConstantExpr>(extent);
      int64_t expected = 1;
      for (unsigned inner = k + 1; inner < digits.size(); ++inner) {
        auto innerSize = dyn_cast_if_present<AffineConstantExpr>(
            arena.getAxisSize(axes[digits[inner].first]));
        if (!innerSize)
          return false;
        expected *= innerSize.getValue();
      }
      if (digits[k].second != expected)
        return false;
      layout.parts.push_back({dim, digits[k].first,
                              size ? size.getValue() : ShapedType::kDynamic});
    }
  }
  for (unsigned s = 0; s < 4; ++s) {
    if (used[s])
      continue;
    // An operand that does not depend on an axis has extent 1 there; only
    // key heads may then serve many query heads.
    auto size =
        dyn_cast_if_present<AffineConstantExpr>(arena.getAxisSize(axes[s]));
    if (size && size.getValue() == 1)
      continue;
    if (s != 1 || !grouped || !size)
      return false;
    layout.group = size.getValue();
  }
  // Unit dimensions of the source stand for missing axes where they can.
  for (Part &part : layout.parts)
    if (part.slot == 4)
      for (unsigned s = 0; s < 4; ++s)
        if (!used[s]) {
          used[s] = true;
          part.slot = s;
          break;
        }
  return true;
}

std::optional<OperandLayout> OperandLayout::find(ExprArena &arena,
                                                 ArrayRef<Source> sources,
                                                 Axis row, Axis feature,
                                                 bool grouped) {
  OperandLayout layout;
  for (bool allowSplit : {false, true})
    for (const Source &source : llvm::reverse(sources))
      if (describe(arena, source, row, feature, grouped, allowSplit, layout))
        return layout;
  return std::nullopt;
}

Value OperandLayout::materialize(OpBuilder &builder, Location loc) const {
  Value value = source.value;
  if (merged >= 0) {
    int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
    SmallVector<ReassociationIndices> pairs;
    for (int64_t dim = 0; dim < rank; ++dim) {
      pairs.push_back({dim});
      if (dim == merged)
        pairs.back().push_back(++dim);
    }
    value = tensor::CollapseShapeOp::create(builder, loc, value, pairs);
  }
  // 1. Dimensions that hold several axes are taken apart.
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<ReassociationIndices> groups(type.getRank());
  SmallVector<int64_t> shape;
  for (auto [i, part] : llvm::enumerate(parts)) {
    groups[part.dim].push_back(i);
    shape.push_back(part.size);
  }
  if (static_cast<int64_t>(parts.size()) != type.getRank()) {
    SmallVector<OpFoldResult> sizes;
    for (const Part &part : parts) {
      if (!ShapedType::isDynamic(part.size)) {
        sizes.push_back(builder.getIndexAttr(part.size));
        continue;
      }
      // The outermost part: what the static parts inside leave.
      Value size = tensor::DimOp::create(builder, loc, value, part.dim);
      int64_t inner = 1;
      for (const Part &other : parts)
        if (other.dim == part.dim && !ShapedType::isDynamic(other.size))
          inner *= other.size;
      if (inner != 1)
        size = arith::DivUIOp::create(
            builder, loc, size,
            arith::ConstantIndexOp::create(builder, loc, inner));
      sizes.push_back(size);
    }
    value = tensor::ExpandShapeOp::create(
        builder, loc, RankedTensorType::get(shape, type.getElementType()),
        value, groups, sizes);
  }
  // 2. Unit dimensions without a meaning go.
  SmallVector<int64_t> units;
  SmallVector<unsigned> slots;
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (part.slot == 4)
      units.push_back(i);
    else
      slots.push_back(part.slot);
  }
  value = dropUnitDims(builder, loc, value, units);
  // 3. The order of the operand.
  SmallVector<int64_t> permutation;
  SmallVector<int64_t> positions;
  for (unsigned s = 0; s < 4; ++s) {
    auto it = llvm::find(slots, s);
    if (it == slots.end())
      continue;
    permutation.push_back(it - slots.begin());
    positions.push_back(s);
  }
  if (!llvm::is_sorted(permutation)) {
    auto current = cast<RankedTensorType>(value.getType());
    SmallVector<OpFoldResult> sizes;
    for (int64_t dim : permutation)
      sizes.push_back(tensor::getMixedSize(builder, loc, value, dim));
    Value init =
        tensor::EmptyOp::create(builder, loc, sizes, current.getElementType());
    value = linalg::TransposeOp::create(builder, loc, value, init, permutation)
                .getResult()[0];
  }
  // 4. Axes of extent 1 that the source does not have.
  return insertUnitDims(builder, loc, value, positions, 4);
}
