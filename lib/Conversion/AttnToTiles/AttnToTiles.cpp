//===- AttnToTiles.cpp - Attention becomes tile programs ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ImportanceProgram.h"
#include "LinearProgram.h"
#include "LocalLinearProgram.h"
#include "MonotonicProgram.h"
#include "TileProgram.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace mlir::attn {
#define GEN_PASS_DEF_CONVERTATTNTOTILESPASS
#include "attn/Conversion/Passes.h.inc"

namespace {

struct Refusal {
  std::string reason, remedy;
};

Refusal wideElements() {
  return {"the element type is f64, tiles compute in f32",
          "use f32 where its precision is enough"};
}

Refusal nothingToCompute() {
  return {"there is nothing to compute", "remove the operation"};
}

std::optional<Refusal> whyNot(AttentionOp op) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  auto value = cast<RankedTensorType>(op.getValue().getType());
  if (query.getElementType().isF64())
    return wideElements();
  if (!op.getComputeType().isF32())
    return Refusal{"softmax_precision is not f32",
                   "leave softmax_precision out or set it to f32"};
  if (query.getDimSize(3) == 0 || value.getDimSize(3) == 0)
    return Refusal{"there are no features to compute", "remove the attention"};
  return std::nullopt;
}

std::optional<Refusal> whyNot(LinearAttentionOp op) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  auto value = cast<RankedTensorType>(op.getValue().getType());
  if (query.getElementType().isF64())
    return wideElements();
  if (llvm::is_contained(query.getShape(), 0) || value.getDimSize(3) == 0)
    return nothingToCompute();
  return std::nullopt;
}

std::optional<Refusal> whyNot(LocalLinearAttentionOp op) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  auto value = cast<RankedTensorType>(op.getValue().getType());
  if (query.getElementType().isF64())
    return wideElements();
  if (llvm::is_contained(query.getShape(), 0) || value.getDimSize(3) == 0)
    return nothingToCompute();
  if (!op.getIterations())
    return Refusal{"it is solved directly",
                   "set iterations, for conjugate gradients"};
  if (static_cast<int64_t>(op.getFeatureBlock().value_or(0)) %
      query.getDimSize(3))
    return Refusal{"features are taken in blocks", "leave out feature_block"};
  return std::nullopt;
}

std::optional<Refusal> whyNot(KeyImportanceOp op) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  auto importance = cast<RankedTensorType>(op.getImportance().getType());
  if (query.getElementType().isF64())
    return wideElements();
  if (llvm::is_contained(importance.getShape(), 0))
    return nothingToCompute();
  if (!op.getLse())
    return Refusal{"it has no lse", "compute it by attn.attention"};
  return std::nullopt;
}

std::optional<Refusal> whyNot(MonotonicAlignOp op) {
  auto choose = cast<RankedTensorType>(op.getChoose().getType());
  if (choose.getElementType().isF64())
    return wideElements();
  if (llvm::is_contained(choose.getShape(), 0))
    return nothingToCompute();
  return std::nullopt;
}

/// The transpose that is the only user of the output and keeps the features
/// last, so that the program can write its layout.
linalg::TransposeOp layoutOfOutput(Value output) {
  if (!output.hasOneUse())
    return {};
  auto transpose = dyn_cast<linalg::TransposeOp>(*output.user_begin());
  if (!transpose || transpose.getInput() != output ||
      transpose.getPermutation().back() != 3 ||
      transpose->getBlock() != output.getParentBlock())
    return {};
  return transpose;
}

struct ConvertAttnToTilesPass final
    : impl::ConvertAttnToTilesPassBase<ConvertAttnToTilesPass> {
  using Base::Base;

  LogicalResult initialize(MLIRContext *context) override {
    auto divides = [&](int64_t part, int64_t whole, const char *names) {
      if (part > 0 && whole > 0 && whole % part == 0)
        return success();
      return LogicalResult(emitError(UnknownLoc::get(context))
                           << "convert-attn-to-tiles expects " << names
                           << ", but they are " << part << " and " << whole
                           << "; choose a multiple");
    };
    return success(
        succeeded(
            divides(rowBlock, queryTile, "row-block to divide query-tile")) &&
        succeeded(divides(panel, keyStep, "panel to divide key-step")) &&
        succeeded(divides(keyStep, keyTile, "key-step to divide key-tile")) &&
        succeeded(divides(keyTile, keySplit, "key-tile to divide key-split")));
  }

  void runOnOperation() override {
    ConvertAttnToTilesPassOptions options;
    options.queryTile = queryTile;
    options.keyTile = keyTile;
    options.keyStep = keyStep;
    options.panel = panel;
    options.rowBlock = rowBlock;
    options.keySplit = keySplit;
    options.decodeRows = decodeRows;
    options.bf16Pairs = bf16Pairs;
    options.sparse = sparse;
    options.naturalLayout = naturalLayout;
    convertAll<AttentionOp, TileProgram>(options);
    convertAll<KeyImportanceOp, ImportanceProgram>(options);
    convertAll<LinearAttentionOp, LinearProgram>(options);
    convertAll<LocalLinearAttentionOp, LocalLinearProgram>(options);
    convertAll<MonotonicAlignOp, MonotonicProgram>(options);
  }

  template <typename Op, typename Program>
  void convertAll(const ConvertAttnToTilesPassOptions &options) {
    SmallVector<Op> ops;
    getOperation().walk([&](Op op) { ops.push_back(op); });
    for (Op op : ops) {
      if (auto refusal = whyNot(op)) {
        remark::missed(
            op.getLoc(),
            remark::RemarkOpts::name("not-tiled").category(getArgument()))
            << remark::reason("{0}", refusal->reason)
            << remark::suggest("{0}", refusal->remedy);
        continue;
      }
      convert<Op, Program>(op, options);
    }
  }

  template <typename Op, typename Program>
  void convert(Op op, const ConvertAttnToTilesPassOptions &options) {
    IRRewriter rewriter(op);
    Program program(rewriter, op, options);
    linalg::TransposeOp transpose = layoutOfOutput(op->getResult(0));
    if (transpose)
      for (auto [i, dim] : llvm::enumerate(transpose.getPermutation()))
        program.outputDims[dim] = i;
    SmallVector<Value> results = program.build();
    if constexpr (std::is_same_v<Program, TileProgram>)
      for (StringRef decision : program.getDecisions())
        remark::analysis(
            op.getLoc(),
            remark::RemarkOpts::name("lists").category(getArgument()))
            << remark::reason("{0}", decision)
            << remark::suggest("--sparse always or never forces it");
    SmallVector<Value> wanted(op->getResults());
    if (transpose)
      wanted[0] = transpose->getResult(0);
    for (auto [result, old] : llvm::zip(results, wanted)) {
      if (result.getType() != old.getType())
        result = tensor::CastOp::create(rewriter, op.getLoc(), old.getType(),
                                        result);
      rewriter.replaceAllUsesWith(old, result);
    }
    llvm::SetVector<Value> operands(llvm::from_range, op->getOperands());
    if (transpose)
      rewriter.eraseOp(transpose);
    rewriter.eraseOp(op);
    // Transposes that were read through may be dead now.
    for (Value operand : operands)
      while (auto dead = operand.getDefiningOp<linalg::TransposeOp>()) {
        if (!dead->use_empty())
          break;
        operand = dead.getInput();
        rewriter.eraseOp(dead);
      }
  }
};

} // namespace
} // namespace mlir::attn
