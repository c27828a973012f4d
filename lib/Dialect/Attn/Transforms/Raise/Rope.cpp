//===- Rope.cpp - Rotary position embeddings in linalg --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tensor is a rotation of x by the tables c and s when, for each pair of
// features (u, v), its elements are c x[u] - s x[v] and c x[v] + s x[u]. The
// pairs are (f, f + R/2), or (2f, 2f + 1). Both elements are read off the
// program for a symbolic f; that they carry the same c and s proves that the
// halves of a doubled table agree. How the program slices, negates, joins or
// broadcasts does not matter.
//
#include "Rope.h"
#include "Emit.h"
#include "Trace.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

namespace {

/// sign * x[index] * table.
struct Term {
  bool negative;
  const Expr *load;
  const Expr *table;
};

/// Writes `e` as a sum of such terms; false when it is none.
bool collectTerms(ExprArena &arena, const Expr *e, Value x, bool negative,
                  SmallVectorImpl<Term> &terms) {
  if (terms.size() > 2)
    return false;
  if (e->isOp("arith.addf") || e->isOp("arith.subf"))
    return collectTerms(arena, e->operands[0], x, negative, terms) &&
           collectTerms(arena, e->operands[1], x,
                        negative ^ e->isOp("arith.subf"), terms);
  if (e->isOp("arith.negf"))
    return collectTerms(arena, e->operands[0], x, !negative, terms);
  if (!e->isOp("arith.mulf"))
    return false;
  for (unsigned i : {0u, 1u}) {
    const Expr *factor = e->operands[i], *table = e->operands[1 - i];
    bool minus = negative;
    while (factor->isOp("arith.negf")) {
      minus = !minus;
      factor = factor->operands[0];
    }
    while (table->isOp("arith.negf")) {
      minus = !minus;
      table = table->operands[0];
    }
    if (factor->kind != ExprKind::Load || factor->value != x)
      continue;
    terms.push_back({minus, factor, table});
    return true;
  }
  return false;
}

struct Rotation {
  Value x;
  bool interleaved = false;
  int64_t size = 0; ///< features that rotate
  const Expr *cos = nullptr, *sin = nullptr;
};

class RopeMatcher {
public:
  explicit RopeMatcher(Value result) : result(result) {}

  bool matchAndReplace() {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type || type.getRank() != 4 || type.isDynamicDim(3) ||
        !isa<FloatType>(type.getElementType()) || !result.getDefiningOp())
      return false;
    headDim = type.getDimSize(3);
    for (Value x : candidates()) {
      for (int64_t size : sizesToTry(x))
        for (bool interleaved : {false, true})
          if (auto rotation = match(x, size, interleaved))
            return replace(*rotation);
    }
    return false;
  }

private:
  /// Rank-4 tensors behind the result that it may be a rotation of.
  SmallVector<Value> candidates() {
    SmallVector<Value> found;
    llvm::SetVector<Value> work;
    work.insert(result);
    for (unsigned i = 0; i < work.size() && i < 32; ++i) {
      Operation *op = work[i].getDefiningOp();
      if (!op ||
          !(isa<tensor::ExtractSliceOp, tensor::InsertSliceOp, tensor::ConcatOp,
                tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
                op) ||
            (isa<linalg::LinalgOp>(op) &&
             isElementwise(cast<linalg::LinalgOp>(op),
                           cast<OpResult>(work[i]).getResultNumber()))))
        continue;
      for (Value operand : op->getOperands()) {
        auto type = dyn_cast<RankedTensorType>(operand.getType());
        if (!type || isa_and_nonnull<tensor::EmptyOp>(operand.getDefiningOp()))
          continue;
        if (!work.insert(operand))
          continue;
        if (type.getRank() == 4 && type.getDimSize(3) == headDim &&
            type.getElementType() ==
                cast<RankedTensorType>(result.getType()).getElementType())
          found.push_back(operand);
      }
    }
    // The nearest one that everything reads: it has several users.
    SmallVector<Value> ordered;
    for (bool single : {false, true})
      for (Value value : found)
        if (value.hasOneUse() == single)
          ordered.push_back(value);
    return ordered;
  }

  void setUp(ExprArena &arena, int64_t features) {
    MLIRContext *context = result.getContext();
    for (unsigned dim = 0; dim < 3; ++dim)
      arena.setAxisSize(dim, arena.dimOf(result, dim));
    arena.setAxisSize(FeatureAxis, getAffineConstantExpr(features, context));
  }

  SmallVector<AffineExpr> at(ExprArena &arena, AffineExpr feature) {
    return {arena.axis(0), arena.axis(1), arena.axis(2), feature};
  }

  /// All features, or the first ones up to where the program distinguishes.
  SmallVector<int64_t> sizesToTry(Value x) {
    SmallVector<int64_t> sizes = {headDim};
    ExprArena arena(result.getContext());
    setUp(arena, headDim);
    Tracer tracer(arena);
    tracer.stopAt(x);
    const Expr *e =
        tracer.elementOf(result, at(arena, arena.axis(FeatureAxis)));
    llvm::DenseSet<const Expr *> seen;
    auto visit = [&](auto &&self, const Expr *inner) -> void {
      if (!seen.insert(inner).second)
        return;
      if (inner->kind == ExprKind::NonNegative)
        for (int64_t size = 2; size < headDim; size += 2) {
          AffineExpr f = arena.axis(FeatureAxis);
          if (inner->affine == arena.simplify(f - size) ||
              inner->affine == arena.simplify(-f + (size - 1)))
            if (!llvm::is_contained(sizes, size))
              sizes.push_back(size);
        }
      for (const Expr *operand : inner->operands)
        self(self, operand);
    };
    visit(visit, e);
    return sizes;
  }

  std::optional<Rotation> match(Value x, int64_t size, bool interleaved) {
    if (size % 2)
      return std::nullopt;
    int64_t half = size / 2;
    scope = std::make_unique<ExprArena>(result.getContext());
    ExprArena &arena = *scope;
    setUp(arena, half);
    Tracer tracer(arena);
    tracer.stopAt(x);
    AffineExpr f = arena.axis(FeatureAxis);
    AffineExpr u = interleaved ? f * 2 : f;
    AffineExpr v = interleaved ? f * 2 + 1 : f + half;
    const Expr *low = tracer.elementOf(result, at(arena, u));
    const Expr *high = tracer.elementOf(result, at(arena, v));
    SmallVector<Term> lowTerms, highTerms;
    if (!collectTerms(arena, low, x, false, lowTerms) ||
        !collectTerms(arena, high, x, false, highTerms) ||
        lowTerms.size() != 2 || highTerms.size() != 2)
      return std::nullopt;
    // The element of x in place, to recognise the terms by.
    SmallVector<AffineExpr> here = lowTerms[0].load->indices;
    auto loadAt = [&](AffineExpr feature) {
      SmallVector<AffineExpr> indices(here);
      indices[3] = arena.simplify(feature);
      return arena.load(x, indices);
    };
    const Expr *xu = loadAt(u), *xv = loadAt(v);
    if (lowTerms[0].load != xu)
      std::swap(lowTerms[0], lowTerms[1]);
    if (highTerms[0].load != xv)
      std::swap(highTerms[0], highTerms[1]);
    if (lowTerms[0].load != xu || lowTerms[1].load != xv ||
        highTerms[0].load != xv || highTerms[1].load != xu ||
        lowTerms[0].negative || !lowTerms[1].negative ||
        highTerms[0].negative || highTerms[1].negative ||
        lowTerms[0].table != highTerms[0].table ||
        lowTerms[1].table != highTerms[1].table)
      return std::nullopt;
    // x is the result's own row: only a permutation of the first axes.
    permutation.clear();
    for (unsigned dim = 0; dim < 3; ++dim) {
      auto axis = dyn_cast<AffineDimExpr>(xu->indices[dim]);
      auto type = cast<RankedTensorType>(x.getType());
      if (type.getDimSize(dim) == 1 &&
          cast<RankedTensorType>(result.getType()).getDimSize(dim) == 1)
        permutation.push_back(dim);
      else if (axis && axis.getPosition() == dim)
        permutation.push_back(dim);
      else
        return std::nullopt;
    }
    // What does not rotate passes through.
    if (size != headDim) {
      ExprArena rest(result.getContext());
      setUp(rest, headDim - size);
      Tracer other(rest);
      other.stopAt(x);
      AffineExpr g = rest.axis(FeatureAxis) + size;
      if (other.elementOf(result, at(rest, g)) != rest.load(x, at(rest, g)))
        return std::nullopt;
    }
    Rotation rotation;
    rotation.x = x;
    rotation.interleaved = interleaved;
    rotation.size = size;
    rotation.cos = lowTerms[0].table;
    rotation.sin = lowTerms[1].table;
    return rotation;
  }

  bool replace(const Rotation &rotation) {
    ExprArena &arena = *scope;
    unsigned axes = rotation.cos->axes | rotation.sin->axes;
    // Tables have one row for each token: [B, H, S, D] or [B, S, H, D].
    bool headsFirst = (axes & axisBit(2)) && !(axes & axisBit(1));
    bool tokensFirst = (axes & axisBit(1)) && !(axes & axisBit(2));
    if (!(axes & axisBit(FeatureAxis)) || headsFirst == tokensFirst)
      return false;
    Operation *op = result.getDefiningOp();
    Location loc = op->getLoc();
    OpBuilder builder(op);
    builder.setInsertionPointAfter(op);
    Emitter emitter(arena, builder, loc);
    SmallVector<unsigned> tableAxes;
    if (axes & axisBit(0))
      tableAxes.push_back(0);
    tableAxes.push_back(headsFirst ? 2 : 1);
    tableAxes.push_back(FeatureAxis);
    Value cos = emitter.tensorOf(rotation.cos, tableAxes);
    Value sin = emitter.tensorOf(rotation.sin, tableAxes);
    const int64_t swap[] = {0, 2, 1, 3};
    auto transpose = [&](Value tensor) -> Value {
      auto type = cast<RankedTensorType>(tensor.getType());
      SmallVector<OpFoldResult> sizes =
          tensor::getMixedSizes(builder, loc, tensor);
      std::swap(sizes[1], sizes[2]);
      Value init =
          tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
      return linalg::TransposeOp::create(builder, loc, tensor, init, swap)
          .getResult()[0];
    };
    Value input = headsFirst ? rotation.x : transpose(rotation.x);
    auto rope =
        RopeOp::create(builder, loc, input, cos, sin, rotation.interleaved);
    Value output = headsFirst ? rope.getOutput() : transpose(rope.getOutput());
    if (output.getType() != result.getType())
      output = tensor::CastOp::create(builder, loc, result.getType(), output);
    result.replaceAllUsesWith(output);
    return true;
  }

  Value result;
  int64_t headDim = 0;
  std::unique_ptr<ExprArena> scope;
  SmallVector<unsigned> permutation;
};
} // namespace

unsigned mlir::attn::raise::raiseRopeBehind(Value operand) {
  unsigned found = 0;
  llvm::SetVector<Value> work;
  work.insert(operand);
  for (unsigned i = 0; i < work.size() && i < 16; ++i) {
    Value value = work[i];
    Operation *op = value.getDefiningOp();
    if (!op || isa<RopeOp>(op))
      continue;
    bool joins =
        isa<tensor::InsertSliceOp, tensor::ConcatOp, tensor::CollapseShapeOp>(
            op);
    bool elementwise = isa<linalg::LinalgOp>(op) &&
                       !isa<linalg::TransposeOp>(op) &&
                       isElementwise(cast<linalg::LinalgOp>(op),
                                     cast<OpResult>(value).getResultNumber());
    if ((joins || elementwise) && RopeMatcher(value).matchAndReplace()) {
      ++found;
      continue;
    }
    if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
      work.insert(transpose.getInput());
    } else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
      work.insert(insert.getSource());
      work.insert(insert.getDest());
    } else if (auto append = dyn_cast<KVAppendOp>(op)) {
      work.insert(append.getUpdate());
    } else if (isa<tensor::ConcatOp, tensor::CastOp, tensor::ExpandShapeOp,
                   tensor::CollapseShapeOp>(op)) {
      for (Value source : op->getOperands())
        if (isa<RankedTensorType>(source.getType()))
          work.insert(source);
    } else if (elementwise) {
      // A constant factor, or a broadcast to more heads.
      auto structured = cast<linalg::LinalgOp>(op);
      for (Value source : structured.getDpsInputs())
        if (auto type = dyn_cast<RankedTensorType>(source.getType()))
          if (type.getRank() >= 4)
            work.insert(source);
    }
  }
  return found;
}
