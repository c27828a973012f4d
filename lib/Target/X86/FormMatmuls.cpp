//===- FormMatmuls.cpp - Matrix products for the runtime's library --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ScalarFunction.h"
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

/// Whether `value` has the same elements at each call.
bool isModelConstant(Value value) {
  Operation *op = value.getDefiningOp();
  return op && isa<rt::WeightOp, arith::ConstantOp>(op);
}

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

/// One operand of a product: [batch.., rows, columns], or the last two the
/// other way round.
struct Side {
  Value value;
  bool isTransposed = false;
};

/// Checks that `map` is the batch dimensions in order and then `row` and
/// `column` in either order.
std::optional<bool> isTransposed(AffineMap map, ArrayRef<unsigned> batch,
                                 unsigned row, unsigned column) {
  if (map.getNumResults() != batch.size() + 2)
    return std::nullopt;
  for (auto [i, dim] : llvm::enumerate(batch))
    if (map.getResult(i) != getAffineDimExpr(dim, map.getContext()))
      return std::nullopt;
  auto is = [&](unsigned i, unsigned dim) {
    return map.getResult(batch.size() + i) ==
           getAffineDimExpr(dim, map.getContext());
  };
  if (is(0, row) && is(1, column))
    return false;
  if (is(0, column) && is(1, row))
    return true;
  return std::nullopt;
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
    if (failed(dims) || dims->m.size() != 1 || dims->n.size() != 1 ||
        dims->k.size() != 1)
      return rewriter.notifyMatchFailure(op, "not a matrix product");
    Value out = op.getDpsInits()[0];
    Type element = getElementTypeOrSelf(out);
    for (Value operand : op->getOperands())
      if (getElementTypeOrSelf(operand) != element)
        return rewriter.notifyMatchFailure(op, "mixed element types");
    if (!element.isF32() && !element.isBF16())
      return rewriter.notifyMatchFailure(op, "element type");
    unsigned m = dims->m[0], n = dims->n[0], k = dims->k[0];
    SmallVector<unsigned, 2> batch = dims->batch;
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    // The left side is the one that has the rows of the result.
    auto cOrder = isTransposed(maps[2], batch, m, n);
    if (!cOrder)
      return rewriter.notifyMatchFailure(op, "layout of the result");
    unsigned left = 0;
    if (*cOrder) {
      std::swap(m, n);
      left = 1;
    }
    auto aOrder = isTransposed(maps[left], batch, m, k);
    auto bOrder = isTransposed(maps[1 - left], batch, k, n);
    if (!aOrder || !bOrder)
      return rewriter.notifyMatchFailure(op, "layout of an operand");
    Side a{op.getDpsInputs()[left], *aOrder};
    Side b{op.getDpsInputs()[1 - left], *bOrder};
    for (Side *side : {&a, &b})
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
    rewriter.replaceOpWithNewOp<rt::MatmulOp>(
        op, out.getType(), a.value, b.value, /*bias=*/Value(), out, "none",
        a.isTransposed, b.isTransposed, isModelConstant(b.value), accumulates);
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
    if (!op.hasPureTensorSemantics() ||
        op.getNumParallelLoops() != op.getNumLoops())
      return rewriter.notifyMatchFailure(op, "not elementwise");
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      rt::MatmulOp product = findProduct(operand->get());
      if (!isPlainProduct(product) || product.getBias() || !map.isIdentity())
        continue;
      BlockArgument value = op.getMatchingBlockArgument(operand);
      if (!value.hasOneUse())
        continue;
      auto add = dyn_cast<arith::AddFOp>(*value.user_begin());
      if (!add)
        continue;
      auto other = dyn_cast<BlockArgument>(
          add.getLhs() == value ? add.getRhs() : add.getLhs());
      if (!other || other == value ||
          other.getArgNumber() >= op.getNumDpsInputs())
        continue;
      OpOperand *bias = op.getDpsInputOperand(other.getArgNumber());
      auto type = cast<RankedTensorType>(bias->get().getType());
      AffineMap biasMap = op.getMatchingIndexingMap(bias);
      if (type.getRank() != 1 || !type.getElementType().isF32() ||
          biasMap.getResult(0) !=
              getAffineDimExpr(op.getNumLoops() - 1, getContext()) ||
          !isModelConstant(bias->get()))
        continue;
      Operation *constant = bias->get().getDefiningOp();
      rewriter.setInsertionPoint(product);
      Value copy = rewriter.clone(*constant)->getResult(0);
      rewriter.modifyOpInPlace(product,
                               [&] { product.getBiasMutable().assign(copy); });
      rewriter.replaceOp(add, value);
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
    if (!op.hasPureTensorSemantics() || op.getNumDpsInits() != 1 ||
        op.getNumParallelLoops() != op.getNumLoops() ||
        !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
      return rewriter.notifyMatchFailure(op, "not elementwise");
    OpOperand *operand = nullptr;
    for (OpOperand *input : op.getDpsInputOperands())
      if (!op.getMatchingBlockArgument(input).use_empty()) {
        if (operand)
          return rewriter.notifyMatchFailure(op, "several operands");
        operand = input;
      }
    if (!operand || !op.getMatchingIndexingMap(operand).isIdentity() ||
        operand->get().getType() != op.getResultTypes()[0])
      return rewriter.notifyMatchFailure(op, "not of one operand");
    rt::MatmulOp product = findProduct(operand->get());
    if (!isPlainProduct(product))
      return rewriter.notifyMatchFailure(op, "not after a product");
    StringRef activation =
        recognizeActivation(op.getBody()->getTerminator()->getOperand(0),
                            op.getMatchingBlockArgument(operand));
    if (activation.empty())
      return rewriter.notifyMatchFailure(op, "not a known activation");
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
