//===- ExprIndex.cpp - Affine index arithmetic with known ranges ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Expr.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

namespace {
/// A sum of atoms (anything but sums and multiples) with coefficients.
struct Terms {
  SmallVector<std::pair<AffineExpr, int64_t>> terms;
  int64_t constant = 0;

  void add(AffineExpr atom, int64_t coefficient) {
    for (auto &term : terms)
      if (term.first == atom) {
        term.second += coefficient;
        return;
      }
    terms.emplace_back(atom, coefficient);
  }

  void addAll(AffineExpr expr, int64_t factor) {
    if (auto value = dyn_cast<AffineConstantExpr>(expr)) {
      constant += factor * value.getValue();
      return;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (binary && binary.getKind() == AffineExprKind::Add) {
      addAll(binary.getLHS(), factor);
      addAll(binary.getRHS(), factor);
      return;
    }
    if (binary && binary.getKind() == AffineExprKind::Mul)
      if (auto value = dyn_cast<AffineConstantExpr>(binary.getRHS()))
        return addAll(binary.getLHS(), factor * value.getValue());
    add(expr, factor);
  }

  /// One order for equal sums, so that they are one expression.
  AffineExpr build(MLIRContext *context) {
    llvm::erase_if(terms, [](auto &term) { return term.second == 0; });
    auto rank = [](AffineExpr e) -> std::pair<int, uintptr_t> {
      if (auto dim = dyn_cast<AffineDimExpr>(e))
        return {0, dim.getPosition()};
      if (auto symbol = dyn_cast<AffineSymbolExpr>(e))
        return {1, symbol.getPosition()};
      return {2, reinterpret_cast<uintptr_t>(e.getAsOpaquePointer())};
    };
    llvm::sort(terms,
               [&](auto &a, auto &b) { return rank(a.first) < rank(b.first); });
    AffineExpr sum = getAffineConstantExpr(0, context);
    for (auto &term : terms)
      sum = sum + term.first * term.second;
    return sum + constant;
  }
};
} // namespace

AffineExpr ExprArena::simplify(AffineExpr expr) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr;
  AffineExpr lhs = simplify(binary.getLHS()), rhs = simplify(binary.getRHS());
  switch (binary.getKind()) {
  case AffineExprKind::Add:
  case AffineExprKind::Mul: {
    Terms sum;
    sum.addAll(getAffineBinaryOpExpr(binary.getKind(), lhs, rhs), 1);
    // c * (x floordiv c) + x mod c = x.
    for (auto &term : sum.terms) {
      auto mod = dyn_cast<AffineBinaryOpExpr>(term.first);
      if (!mod || mod.getKind() != AffineExprKind::Mod || !term.second)
        continue;
      auto divisor = dyn_cast<AffineConstantExpr>(mod.getRHS());
      if (!divisor)
        continue;
      AffineExpr quotient = mod.getLHS().floorDiv(divisor.getValue());
      for (auto &other : sum.terms)
        if (other.first == quotient &&
            other.second == term.second * divisor.getValue()) {
          int64_t factor = term.second;
          AffineExpr whole = mod.getLHS();
          term.second = other.second = 0;
          Terms rest = sum;
          rest.addAll(whole, factor);
          return simplify(rest.build(context));
        }
    }
    return sum.build(context);
  }
  case AffineExprKind::FloorDiv:
  case AffineExprKind::Mod: {
    auto divisor = dyn_cast<AffineConstantExpr>(rhs);
    if (!divisor || divisor.getValue() <= 0)
      return getAffineBinaryOpExpr(binary.getKind(), lhs, rhs);
    int64_t c = divisor.getValue();
    // Multiples of the divisor leave the fraction alone.
    Terms all, whole, rest;
    all.addAll(lhs, 1);
    for (auto &term : all.terms) {
      if (term.second % c == 0)
        whole.add(term.first, term.second / c);
      else
        rest.add(term.first, term.second);
    }
    whole.constant = llvm::divideFloorSigned(all.constant, c);
    rest.constant = all.constant - whole.constant * c;
    AffineExpr fraction = rest.build(context);
    bool small = provablyNonNegative(fraction) &&
                 provablyNonNegative(-fraction + (c - 1));
    if (binary.getKind() == AffineExprKind::Mod)
      return small ? fraction : fraction % c;
    AffineExpr quotient = whole.build(context);
    return small ? quotient : quotient + fraction.floorDiv(c);
  }
  default:
    return getAffineBinaryOpExpr(binary.getKind(), lhs, rhs);
  }
}

std::optional<int64_t> ExprArena::upperBound(AffineExpr expr) {
  Terms sum;
  sum.addAll(expr, 1);
  int64_t bound = sum.constant;
  for (auto &[atom, k] : sum.terms) {
    if (k == 0)
      continue;
    auto dim = dyn_cast<AffineDimExpr>(atom);
    auto binary = dyn_cast<AffineBinaryOpExpr>(atom);
    if (dim && k < 0)
      continue;
    if (dim && dim.getPosition() < axisSizes.size()) {
      auto size =
          dyn_cast_if_present<AffineConstantExpr>(axisSizes[dim.getPosition()]);
      if (!size)
        return std::nullopt;
      bound += k * (size.getValue() - 1);
      continue;
    }
    auto divisor = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                          : AffineConstantExpr();
    if (!divisor || k < 0)
      return std::nullopt;
    if (binary.getKind() == AffineExprKind::Mod) {
      bound += k * (divisor.getValue() - 1);
      continue;
    }
    auto numerator = upperBound(binary.getLHS());
    if (binary.getKind() != AffineExprKind::FloorDiv || !numerator)
      return std::nullopt;
    bound += k * llvm::divideFloorSigned(*numerator, divisor.getValue());
  }
  return bound;
}

bool ExprArena::provablyNonNegative(AffineExpr expr) {
  Terms sum, least;
  sum.addAll(expr, 1);
  least.constant = sum.constant;
  for (auto &[atom, k] : sum.terms) {
    if (k == 0)
      continue;
    if (auto dim = dyn_cast<AffineDimExpr>(atom)) {
      if (k > 0)
        continue; // an axis starts at 0
      AffineExpr size = dim.getPosition() < axisSizes.size()
                            ? axisSizes[dim.getPosition()]
                            : AffineExpr();
      if (!size)
        return false;
      least.addAll(size, k); // k * (size - 1)
      least.constant -= k;
      continue;
    }
    if (isa<AffineSymbolExpr>(atom)) {
      least.add(atom, k);
      continue;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(atom);
    auto divisor = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                          : AffineConstantExpr();
    if (!divisor || divisor.getValue() <= 0)
      return false;
    if (binary.getKind() == AffineExprKind::Mod) {
      if (k < 0)
        least.constant += k * (divisor.getValue() - 1);
      continue;
    }
    if (binary.getKind() != AffineExprKind::FloorDiv)
      return false;
    if (k > 0) {
      if (!provablyNonNegative(binary.getLHS()))
        return false;
      continue;
    }
    auto numerator = upperBound(binary.getLHS());
    if (!numerator)
      return false;
    least.constant +=
        k * llvm::divideFloorSigned(*numerator, divisor.getValue());
  }
  if (least.constant < 0)
    return false;
  for (auto &[atom, k] : least.terms) {
    if (k == 0)
      continue;
    auto symbol = dyn_cast<AffineSymbolExpr>(atom);
    // Only sizes of tensors are known not to be negative.
    if (!symbol || k < 0 || symbols[symbol.getPosition()].dim < 0)
      return false;
  }
  return true;
}

DimEqualities::Dim DimEqualities::find(Dim dim) const {
  for (auto it = parents.find(dim); it != parents.end(); it = parents.find(dim))
    dim = it->second;
  return dim;
}

void DimEqualities::unite(Dim a, Dim b) {
  a = find(a);
  b = find(b);
  if (a == b)
    return;
  // The one that is available earlier stands for both, so that its value can
  // be used wherever the other could.
  auto isEarlier = [](Value x, Value y) {
    if (isa<BlockArgument>(x))
      return true;
    Operation *first = x.getDefiningOp(), *second = y.getDefiningOp();
    return second && first->getBlock() == second->getBlock() &&
           first->isBeforeInBlock(second);
  };
  if (a.first == b.first || isEarlier(a.first, b.first))
    parents[b] = a;
  else if (isEarlier(b.first, a.first))
    parents[a] = b;
}

DimEqualities::DimEqualities(FunctionOpInterface function) {
  ExprArena arena(function.getContext(), this);
  auto symbolOf = [&](AffineExpr e) -> std::optional<Dim> {
    auto symbol = dyn_cast<AffineSymbolExpr>(e);
    if (!symbol)
      return std::nullopt;
    ExprArena::Symbol s = arena.getSymbol(symbol.getPosition());
    return Dim(s.value, s.dim);
  };
  // Dimensions of arguments with one name.
  llvm::StringMap<Dim> named;
  for (BlockArgument arg : function.getArguments()) {
    auto names =
        function.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), "attn.dims");
    auto type = dyn_cast<RankedTensorType>(arg.getType());
    if (!names || !type || static_cast<int64_t>(names.size()) != type.getRank())
      continue;
    for (auto [dim, attr] : llvm::enumerate(names)) {
      auto name = dyn_cast<StringAttr>(attr);
      if (!name || name.empty() || !type.isDynamicDim(dim))
        continue;
      Dim here(arg, static_cast<int>(dim));
      auto [it, inserted] = named.try_emplace(name.getValue(), here);
      if (!inserted)
        unite(it->second, here);
    }
  }
  // A loop of a structured operation has one extent.
  function->walk([&](linalg::LinalgOp op) {
    if (!op.hasPureTensorSemantics())
      return;
    SmallVector<std::optional<Dim>> loops(op.getNumLoops());
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<RankedTensorType>(operand.get().getType());
      if (!type)
        continue;
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [dim, e] : llvm::enumerate(map.getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(e);
        if (!loop || !type.isDynamicDim(dim))
          continue;
        auto here = symbolOf(arena.dimOf(operand.get(), dim));
        if (!here)
          continue;
        std::optional<Dim> &extent = loops[loop.getPosition()];
        if (extent)
          unite(*extent, *here);
        else
          extent = here;
      }
    }
  });
}

AffineExpr ExprArena::symbol(Value value, int dim) {
  if (equalities && dim >= -1)
    std::tie(value, dim) = equalities->find({value, dim});
  auto [it, inserted] = symbolIds.try_emplace({value, dim}, symbols.size());
  if (inserted)
    symbols.push_back({value, dim});
  return getAffineSymbolExpr(it->second, context);
}

AffineExpr ExprArena::dimOf(Value tensor, int64_t dim) {
  auto fromMixed = [&](OpFoldResult size) {
    if (auto attr = dyn_cast<Attribute>(size))
      return getAffineConstantExpr(cast<IntegerAttr>(attr).getInt(), context);
    return indexOf(cast<Value>(size));
  };
  // Follows producers whose shape is an expression of earlier shapes.
  while (true) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.isDynamicDim(dim))
      return getAffineConstantExpr(type.getDimSize(dim), context);
    Operation *op = tensor.getDefiningOp();
    if (!op)
      return symbol(tensor, dim);
    if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      return fromMixed(empty.getMixedSizes()[dim]);
    if (auto cast = dyn_cast<tensor::CastOp>(op)) {
      auto source = dyn_cast<RankedTensorType>(cast.getSource().getType());
      if (!source)
        return symbol(tensor, dim);
      tensor = cast.getSource();
      continue;
    }
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      return fromMixed(expand.getMixedOutputShape()[dim]);
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
      AffineExpr product = getAffineConstantExpr(1, context);
      ReassociationIndices group = collapse.getReassociationIndices()[dim];
      for (int64_t source : group) {
        AffineExpr size = dimOf(collapse.getSrc(), source);
        if (!isa<AffineConstantExpr>(size) && !isa<AffineConstantExpr>(product))
          return symbol(tensor, dim);
        product =
            isa<AffineConstantExpr>(size) ? product * size : size * product;
      }
      return simplify(product);
    }
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      llvm::SmallBitVector dropped = slice.getDroppedDims();
      SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
      for (int64_t source = 0, kept = 0,
                   rank = static_cast<int64_t>(sizes.size());
           source < rank; ++source) {
        if (dropped.test(source))
          continue;
        if (kept++ == dim)
          return fromMixed(sizes[source]);
      }
      return symbol(tensor, dim);
    }
    if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
      if (static_cast<int64_t>(concat.getDim()) != dim) {
        tensor = concat.getInputs().front();
        continue;
      }
      AffineExpr sum = getAffineConstantExpr(0, context);
      for (Value input : concat.getInputs())
        sum = sum + dimOf(input, dim);
      return simplify(sum);
    }
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
      tensor = insert.getDest();
      continue;
    }
    if (auto rope = dyn_cast<RopeOp>(op)) {
      tensor = rope.getInput();
      continue;
    }
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      // The output and its log-sum-exp have the rows of the queries.
      tensor = dim == 3 ? attention.getValue() : attention.getQuery();
      continue;
    }
    if (auto append = dyn_cast<KVAppendOp>(op)) {
      if (dim == 2 && !append.getAt())
        return simplify(dimOf(append.getCache(), 2) +
                        dimOf(append.getUpdate(), 2));
      tensor = append.getCache();
      continue;
    }
    if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op)) {
      tensor = softmax.getInput();
      continue;
    }
    if (auto destination = dyn_cast<DestinationStyleOpInterface>(op)) {
      tensor = destination.getTiedOpOperand(cast<OpResult>(tensor))->get();
      continue;
    }
    return symbol(tensor, dim);
  }
}

AffineExpr ExprArena::indexOf(Value value) {
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return getAffineConstantExpr(constant.getSExtValue(), context);
  Operation *op = value.getDefiningOp();
  if (!op)
    return symbol(value, -1);
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    auto index = dim.getConstantIndex();
    auto type = dyn_cast<RankedTensorType>(dim.getSource().getType());
    if (index && type && *index >= 0 && *index < type.getRank())
      return dimOf(dim.getSource(), *index);
    return symbol(value, -1);
  }
  if (isa<arith::IndexCastOp, arith::ExtSIOp>(op))
    return indexOf(op->getOperand(0));
  if (isa<arith::AddIOp>(op))
    return simplify(indexOf(op->getOperand(0)) + indexOf(op->getOperand(1)));
  if (isa<arith::SubIOp>(op))
    return simplify(indexOf(op->getOperand(0)) - indexOf(op->getOperand(1)));
  if (isa<arith::MulIOp>(op)) {
    AffineExpr a = indexOf(op->getOperand(0)), b = indexOf(op->getOperand(1));
    if (isa<AffineConstantExpr>(a))
      std::swap(a, b);
    if (isa<AffineConstantExpr>(b))
      return simplify(a * b);
  }
  if (auto max = dyn_cast<arith::MaxSIOp>(op)) {
    AffineExpr a = indexOf(max.getLhs()), b = indexOf(max.getRhs());
    if (provablyNonNegative(simplify(a - b)))
      return a;
    if (provablyNonNegative(simplify(b - a)))
      return b;
  }
  if (auto min = dyn_cast<arith::MinSIOp>(op)) {
    AffineExpr a = indexOf(min.getLhs()), b = indexOf(min.getRhs());
    if (provablyNonNegative(simplify(a - b)))
      return b;
    if (provablyNonNegative(simplify(b - a)))
      return a;
  }
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    AffineMap map = apply.getAffineMap();
    SmallVector<AffineExpr> dims, syms;
    for (auto [i, operand] : llvm::enumerate(apply.getMapOperands()))
      (i < map.getNumDims() ? dims : syms).push_back(indexOf(operand));
    return simplify(map.getResult(0).replaceDimsAndSymbols(dims, syms));
  }
  return symbol(value, -1);
}
