//===- LowerSelection.cpp - Selections become parallel loops --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Decompose/Builders.h"
#include "SelectionLoops.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNEXPANDSELECTIONPASS
#define GEN_PASS_DEF_ATTNLOWERSELECTIONPASS
#include "attn/Dialect/Attn/Transforms/Passes.h.inc"

namespace {

struct AttnExpandSelectionPass final
    : impl::AttnExpandSelectionPassBase<AttnExpandSelectionPass> {
  void runOnOperation() override {
    getOperation().walk([](Operation *op) {
      IRRewriter rewriter(op);
      if (auto router = dyn_cast<RouteHeadsOp>(op))
        rewriter.replaceOp(op, decompose(rewriter, router));
      else if (auto spans = dyn_cast<SpanAttentionOp>(op))
        rewriter.replaceOp(op, expandSpanAttention(rewriter, spans));
      else if (auto importance = dyn_cast<KeyImportanceOp>(op))
        if (!importance.getLse()) {
          Value lse = buildImportanceLse(rewriter, importance);
          importance.getLseMutable().assign(lse);
        }
    });
  }
};

bool isKnownEmptyTensor(Value value) {
  return isa<RankedTensorType>(value.getType()) && isKnownEmpty(value);
}

struct AttnLowerSelectionPass final
    : impl::AttnLowerSelectionPassBase<AttnLowerSelectionPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Operation *> found;
    getOperation().walk([&](Operation *op) {
      if (isa<TopKOp, SpanSearchOp>(op))
        found.push_back(op);
    });
    for (Operation *op : found) {
      // An empty tensor has no row to take a slice of.
      if (llvm::any_of(op->getOperands(), isKnownEmptyTensor) ||
          llvm::any_of(op->getResults(), isKnownEmptyTensor))
        continue;
      IRRewriter rewriter(op);
      if (auto topK = dyn_cast<TopKOp>(op)) {
        rewriter.replaceOp(op, buildTopKLoops(rewriter, topK));
        continue;
      }
      auto results =
          buildSpanSearchTiles(rewriter, cast<SpanSearchOp>(op), queryTile);
      if (succeeded(results))
        rewriter.replaceOp(op, *results);
    }
  }
};

} // namespace
} // namespace mlir::attn
