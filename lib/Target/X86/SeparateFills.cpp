//===- SeparateFills.cpp - One start value for each reduction -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNSEPARATEFILLSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// The fill behind `value`, through reshapes.
linalg::FillOp findFill(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      return fill;
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
            op))
      return {};
    value = op->getOperand(0);
  }
  return {};
}

/// The sizes of `value`, in terms of what made it.
SmallVector<OpFoldResult> sizesOf(IRRewriter &rewriter, Value value) {
  if (auto expand = value.getDefiningOp<tensor::ExpandShapeOp>())
    return expand.getMixedOutputShape();
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    if (auto empty = fill.output().getDefiningOp<tensor::EmptyOp>())
      return empty.getMixedSizes();
  return tensor::getMixedSizes(rewriter, value.getLoc(), value);
}

struct AttnSeparateFillsPass final
    : impl::AttnSeparateFillsPassBase<AttnSeparateFillsPass> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<scf::ForallOp>(op))
        return WalkResult::skip();
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
        ops.push_back(linalgOp);
      return WalkResult::advance();
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      if (isa<linalg::FillOp>(op))
        continue;
      for (OpOperand &init : op.getDpsInitsMutable()) {
        linalg::FillOp fill = findFill(init.get());
        if (!fill)
          continue;
        rewriter.setInsertionPoint(op);
        auto type = cast<RankedTensorType>(init.get().getType());
        Location loc = fill.getLoc();
        Value empty = tensor::EmptyOp::create(rewriter, loc,
                                              sizesOf(rewriter, init.get()),
                                              type.getElementType());
        if (empty.getType() != type)
          empty = tensor::CastOp::create(rewriter, loc, type, empty);
        init.set(linalg::FillOp::create(rewriter, loc, fill.value(), empty)
                     .getResult(0));
      }
    }
    // What nothing starts from any more would be computed all the same.
    for (linalg::LinalgOp op : llvm::reverse(ops))
      if (isa<linalg::FillOp>(op) && op->use_empty())
        rewriter.eraseOp(op);
  }
};

} // namespace
} // namespace mlir::attn
