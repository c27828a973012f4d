//===- Decompose.cpp - attn operations become linalg ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNDECOMPOSEPASS
#include "attn/Dialect/Attn/Transforms/Passes.h.inc"

namespace {

template <typename Op>
struct DecomposeOp : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOp(op, decompose(rewriter, op));
    return success();
  }
};

struct AttnDecomposePass final
    : impl::AttnDecomposePassBase<AttnDecomposePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateDecomposePatterns(patterns);
    // No decomposition contains another attn operation: one walk is enough.
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace

void populateDecomposePatterns(RewritePatternSet &patterns) {
  patterns.add<
      DecomposeOp<AttentionOp>, DecomposeOp<MergeOp>, DecomposeOp<RopeOp>,
      DecomposeOp<KVAppendOp>, DecomposeOp<TopKOp>, DecomposeOp<RouteHeadsOp>,
      DecomposeOp<ListRowsOp>, DecomposeOp<PoolOp>, DecomposeOp<SegmentOp>,
      DecomposeOp<GatherRowsOp>, DecomposeOp<LinearAttentionOp>,
      DecomposeOp<SpanSearchOp>, DecomposeOp<SpanBoundsOp>,
      DecomposeOp<SpanAttentionOp>, DecomposeOp<KeyImportanceOp>,
      DecomposeOp<LocalLinearAttentionOp>, DecomposeOp<MonotonicAlignOp>,
      DecomposeOp<ScatterRowsOp>>(patterns.getContext());
}

} // namespace mlir::attn
