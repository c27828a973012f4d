//===- DropUnitDims.cpp - Loops of one iteration disappear ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNDROPUNITDIMSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// Dimensions that index operands on their own. Without the position of a
/// window that has but one, the padding behind it would seem to be part of it.
SmallVector<unsigned> findPlainDims(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic)
    return {};
  SmallVector<unsigned> dims;
  for (unsigned dim = 0; dim < generic.getNumLoops(); ++dim) {
    auto isPlain = [&](AffineExpr expr) {
      return isa<AffineDimExpr>(expr) || !expr.isFunctionOfDim(dim);
    };
    if (llvm::all_of(generic.getIndexingMapsArray(), [&](AffineMap map) {
          return llvm::all_of(map.getResults(), isPlain);
        }))
      dims.push_back(dim);
  }
  return dims;
}

struct AttnDropUnitDimsPass final
    : impl::AttnDropUnitDimsPassBase<AttnDropUnitDimsPass> {
  void runOnOperation() override {
    // Upstream's patterns for this also move outputs to the inputs, which
    // would cost buffers; so only the rewrite itself is taken, without a
    // greedy driver.
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    linalg::ControlDropUnitDims control;
    control.controlFn = findPlainDims;
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : ops) {
      if (!op.hasPureTensorSemantics())
        continue;
      rewriter.setInsertionPoint(op);
      FailureOr<linalg::DropUnitDimsResult> result =
          linalg::dropUnitDims(rewriter, op, control);
      if (succeeded(result))
        rewriter.replaceOp(op, result->replacements);
    }
    // An output that is new has the wanted shape from the start.
    RewritePatternSet patterns(&getContext());
    linalg::FillOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::populateFoldTensorEmptyPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::attn
