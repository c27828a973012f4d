//===- FormMatmuls.cpp - Matrix products for the runtime's library --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Epilogue.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNFORMMATMULSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// The source of `value` when it only exchanges the last two dimensions.
Value lookThroughTranspose(Value value) {
  auto op = value.getDefiningOp<linalg::TransposeOp>();
  if (!op)
    return {};
  ArrayRef<int64_t> permutation = op.getPermutation();
  int64_t rank = permutation.size();
  for (int64_t i = 0; i < rank - 2; ++i)
    if (permutation[i] != i)
      return {};
  return permutation[rank - 1] == rank - 2 ? op.getInput() : Value();
}

/// One operand of a product: [leading.., rows, columns], or the last two the
/// other way round.
struct Side {
  Value value;
  SmallVector<unsigned> leading; ///< loops of the leading dimensions
  bool isTransposed = false;
};

/// Reads `map` as leading dimensions and then `row` and `column` in either
/// order.
std::optional<Side> readSide(Value value, AffineMap map, unsigned row,
                             unsigned column) {
  if (!map.isProjectedPermutation() || map.getNumResults() < 2)
    return std::nullopt;
  Side side{value, {}, false};
  for (unsigned i = 0; i + 2 < map.getNumResults(); ++i)
    side.leading.push_back(map.getDimPosition(i));
  unsigned first = map.getDimPosition(map.getNumResults() - 2);
  unsigned second = map.getDimPosition(map.getNumResults() - 1);
  side.isTransposed = first == column && second == row;
  if (!side.isTransposed && (first != row || second != column))
    return std::nullopt;
  return side;
}

/// Gives `side` a unit dimension for each of `leading` that it lacks; fails
/// when its own are in another order.
LogicalResult addUnitDims(PatternRewriter &rewriter, Side &side,
                          ArrayRef<unsigned> leading) {
  if (side.leading == leading)
    return success();
  Location loc = side.value.getLoc();
  SmallVector<ReassociationIndices> groups;
  SmallVector<bool> isUnit;
  size_t next = 0;
  ReassociationIndices group;
  for (unsigned dim : leading) {
    bool isOwn = next < side.leading.size() && side.leading[next] == dim;
    next += isOwn;
    group.push_back(static_cast<int64_t>(isUnit.size()));
    isUnit.push_back(!isOwn);
    if (isOwn)
      groups.push_back(std::exchange(group, {}));
  }
  if (next != side.leading.size())
    return failure();
  for (int i = 0; i < 2; ++i) {
    group.push_back(static_cast<int64_t>(isUnit.size()));
    isUnit.push_back(false);
    groups.push_back(std::exchange(group, {}));
  }
  SmallVector<OpFoldResult> own =
      tensor::getMixedSizes(rewriter, loc, side.value);
  SmallVector<OpFoldResult> sizes;
  SmallVector<int64_t> shape;
  auto type = cast<RankedTensorType>(side.value.getType());
  size_t taken = 0;
  for (bool unit : isUnit) {
    shape.push_back(unit ? 1 : type.getDimSize(taken));
    sizes.push_back(unit ? OpFoldResult(rewriter.getIndexAttr(1)) : own[taken]);
    taken += !unit;
  }
  side.value = tensor::ExpandShapeOp::create(
      rewriter, loc, RankedTensorType::get(shape, type.getElementType()),
      side.value, groups, sizes);
  side.leading.assign(leading.begin(), leading.end());
  return success();
}

/// [leading.., rows, columns] as one matrix.
Value flattenRows(PatternRewriter &rewriter, Value value) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  SmallVector<ReassociationIndices> groups(2);
  for (int64_t i = 0; i + 1 < rank; ++i)
    groups[0].push_back(i);
  groups[1].push_back(rank - 1);
  return tensor::CollapseShapeOp::create(rewriter, value.getLoc(), value,
                                         groups);
}

struct FormMatmul : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 ||
        op.getNumDpsInits() != 1 || !linalg::isaContractionOpInterface(op))
      return rewriter.notifyMatchFailure(op, "not a contraction");
    FailureOr<linalg::ContractionDimensions> dims =
        linalg::inferContractionDims(op);
    if (failed(dims) || dims->k.size() != 1)
      return rewriter.notifyMatchFailure(op, "not a matrix product");
    Value out = op.getDpsInits()[0];
    Type element = getElementTypeOrSelf(out);
    for (Value operand : op->getOperands())
      if (getElementTypeOrSelf(operand) != element)
        return rewriter.notifyMatchFailure(op, "mixed element types");
    if (!element.isF32() && !element.isBF16())
      return rewriter.notifyMatchFailure(op, "element type");
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    unsigned rank = maps[2].getNumResults();
    if (rank < 2 || !maps[2].isProjectedPermutation() ||
        op.getNumLoops() != rank + 1)
      return rewriter.notifyMatchFailure(op, "layout of the result");
    SmallVector<unsigned> leading;
    for (unsigned i = 0; i + 2 < rank; ++i)
      leading.push_back(maps[2].getDimPosition(i));
    unsigned m = maps[2].getDimPosition(rank - 2);
    unsigned n = maps[2].getDimPosition(rank - 1), k = dims->k[0];
    // The left side is the one that has the rows of the result.
    std::optional<Side> a, b;
    for (unsigned left : {0, 1}) {
      a = readSide(op.getDpsInputs()[left], maps[left], m, k);
      b = readSide(op.getDpsInputs()[1 - left], maps[1 - left], k, n);
      if (a && b)
        break;
    }
    if (!a || !b)
      return rewriter.notifyMatchFailure(op, "layout of an operand");
    bool isFlat = rank > 2 && b->leading.empty() && a->leading == leading &&
                  !a->isTransposed;
    if (!isFlat && (failed(addUnitDims(rewriter, *a, leading)) ||
                    failed(addUnitDims(rewriter, *b, leading))))
      return rewriter.notifyMatchFailure(op, "order of the batch dimensions");
    for (Side *side : {&*a, &*b})
      if (Value source = lookThroughTranspose(side->value)) {
        side->value = source;
        side->isTransposed = !side->isTransposed;
      }
    bool accumulates = true;
    if (auto fill = out.getDefiningOp<linalg::FillOp>();
        fill && matchPattern(fill.value(), m_AnyZeroFloat())) {
      out = fill.output();
      accumulates = false;
    }
    Location loc = op.getLoc();
    Value init = out;
    if (isFlat) {
      a->value = flattenRows(rewriter, a->value);
      init = flattenRows(rewriter, out);
    }
    Value product = rt::MatmulOp::create(
                        rewriter, loc, init.getType(), a->value, b->value,
                        /*bias=*/Value(), init, "none", a->isTransposed,
                        b->isTransposed, isModelConstant(b->value), accumulates)
                        .getResult();
    if (isFlat) {
      SmallVector<ReassociationIndices> groups =
          init.getDefiningOp<tensor::CollapseShapeOp>()
              .getReassociationIndices();
      product = tensor::ExpandShapeOp::create(
          rewriter, loc, out.getType(), product, groups,
          tensor::getMixedSizes(rewriter, loc, out));
    }
    rewriter.replaceOp(op, product);
    return success();
  }
};

/// The matrix product behind `value`, looking through reshapes that keep the
/// last dimension, when nothing else uses what lies between.
rt::MatmulOp findProduct(Value value) {
  while (value.hasOneUse()) {
    Operation *op = value.getDefiningOp();
    if (!op)
      return {};
    if (auto product = dyn_cast<rt::MatmulOp>(op))
      return product;
    SmallVector<ReassociationIndices> groups;
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      groups = expand.getReassociationIndices();
    else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
      groups = collapse.getReassociationIndices();
    else if (!isa<tensor::CastOp>(op))
      return {};
    if (!groups.empty() && groups.back().size() != 1)
      return {};
    value = op->getOperand(0);
  }
  return {};
}

bool isPlainProduct(rt::MatmulOp op) {
  return op && !op.getAccumulate() && op.getActivation() == "none";
}

/// `addf(product, bias)` in an elementwise operation moves into the product.
struct FuseBias : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    if (!isElementwise(op))
      return rewriter.notifyMatchFailure(op, "not elementwise");
    for (OpOperand *operand : op.getDpsInputOperands()) {
      rt::MatmulOp product = findProduct(operand->get());
      if (!isPlainProduct(product) || product.getBias())
        continue;
      std::optional<BiasAddition> found =
          findBias(op, operand, op.getNumLoops() - 1);
      if (!found)
        continue;
      rewriter.setInsertionPoint(product);
      Value bias = cloneBias(rewriter, found->bias->get());
      rewriter.modifyOpInPlace(product,
                               [&] { product.getBiasMutable().assign(bias); });
      rewriter.replaceOp(found->add, found->value);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no product with a bias");
  }
};

/// An elementwise operation that only applies a known activation to a product
/// moves into it.
struct FuseActivation : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    auto [operand, activation] = findActivation(op);
    if (!operand)
      return rewriter.notifyMatchFailure(op, "not a known activation");
    rt::MatmulOp product = findProduct(operand->get());
    if (!isPlainProduct(product))
      return rewriter.notifyMatchFailure(op, "not after a product");
    rewriter.modifyOpInPlace(product,
                             [&] { product.setActivation(activation); });
    rewriter.replaceOp(op, operand->get());
    return success();
  }
};

struct AttnFormMatmulsPass final
    : impl::AttnFormMatmulsPassBase<AttnFormMatmulsPass> {
  void runOnOperation() override {
    {
      RewritePatternSet patterns(&getContext());
      patterns.add<FormMatmul>(&getContext());
      if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
        return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseBias, FuseActivation>(&getContext());
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::attn
