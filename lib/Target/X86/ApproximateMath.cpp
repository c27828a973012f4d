//===- ApproximateMath.cpp - Functions of vectors without calls -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNAPPROXIMATEMATHPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {
struct AttnApproximateMathPass final
    : impl::AttnApproximateMathPassBase<AttnApproximateMathPass> {
  void runOnOperation() override {
    SmallVector<Operation *> functions;
    getOperation()->walk([&](Operation *op) {
      auto type = op->getNumResults() == 1
                      ? dyn_cast<VectorType>(op->getResult(0).getType())
                      : VectorType();
      if (type && isa<math::MathDialect>(op->getDialect()))
        functions.push_back(op);
    });
    if (functions.empty())
      return;
    RewritePatternSet patterns(&getContext());
    // Not sin and cos, whose polynomials lose large angles.
    auto isWanted = [](StringRef name) {
      return llvm::is_contained(
          {math::ExpOp::getOperationName(), math::TanhOp::getOperationName(),
           math::ErfOp::getOperationName(), math::LogOp::getOperationName()},
          name);
    };
    populateMathF32ExpansionPatterns(patterns, isWanted);
    populateMathPolynomialApproximationPatterns(patterns, isWanted);
    math::populateExpansionPatterns(
        patterns, {"rsqrt", "exp2f", "powf", "fpowi", "sinh", "cosh"});
    (void)applyOpPatternsGreedily(
        functions, std::move(patterns),
        GreedyRewriteConfig().setStrictness(
            GreedyRewriteStrictness::ExistingAndNewOps));
  }
};
} // namespace
} // namespace mlir::attn
