//===- KernelStages.cpp - The pipeline of kernels and its stages ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Driver.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "attn/InitAll.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::compiler;

namespace {
/// Keeps a copy of the module as one pass leaves it.
class KeepAfter final : public PassInstrumentation {
public:
  KeepAfter(StringRef pass, OwningOpRef<ModuleOp> &kept)
      : pass(pass), kept(kept) {}
  void runAfterPass(Pass *done, Operation *op) override {
    if (done->getArgument() != pass)
      return;
    auto module = dyn_cast<ModuleOp>(op);
    kept = (module ? module : op->getParentOfType<ModuleOp>()).clone();
  }

private:
  StringRef pass;
  OwningOpRef<ModuleOp> &kept;
};
} // namespace

void Driver::adopt(ModuleOp other) {
  module->getBodyRegion().takeBody(other.getBodyRegion());
  (*module)->setAttrs(other->getAttrDictionary());
  entry = module->lookupSymbol<func::FuncOp>(entryName);
}

llvm::Error Driver::buildKernels(ModuleOp from, StringRef chip,
                                 AttentionPath attention) {
  static bool registered = [] {
    registerAllPasses();
    return true;
  }();
  (void)registered;
  lowered = from.clone();
  PassManager passes(&context);
  passes.addPass(createAttnLowerWeightsPass());
  OpPassManager &function = passes.nest<func::FuncOp>();
  if (attention == AttentionPath::Plain)
    function.addPass(createAttnDecomposePass());
  function.addPass(createAttnExpandSelectionPass());
  function.addPass(createAttnDecomposeAggregatesPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  // By name: kernels that a module brings need no pipeline.
  if (const auto *pipeline = PassPipelineInfo::lookup("attn-to-nvvm")) {
    auto onError = [](const Twine &) { return mlir::failure(); };
    if (failed(
            pipeline->addToPipeline(passes, ("chip=" + chip).str(), onError)))
      return compiler::failure("no pipeline of kernels for '" + chip + "'");
  }
  passes.addInstrumentation(
      std::make_unique<KeepAfter>("convert-attn-to-tiles", withTiles));
  passes.addInstrumentation(
      std::make_unique<KeepAfter>("attn-gpu-lower-kernels", withKernels));
  if (failed(passes.run(*lowered)))
    return collected("the kernels cannot be built");
  // What a block can have, less the kilobyte that the system takes.
  int64_t limit = (chip == "sm_80" ? 163 : 227) * 1024;
  int64_t most = 0;
  lowered->walk([&](device::LaunchOp launch) {
    most = std::max(most, static_cast<int64_t>(launch.getSharedBytes()));
  });
  if (most > limit)
    return compiler::failure(path + ": a kernel would need " + Twine(most) +
                             " bytes of shared memory, but a block on " + chip +
                             " can have " + Twine(limit) +
                             "; the head size is too large for its tiles");
  return llvm::Error::success();
}

llvm::Error Driver::keepTiles(StringRef chip, AttentionPath attention) {
  raised = module->clone();
  kernelError = llvm::toString(buildKernels(*raised, chip, attention));
  if (!withTiles && !kernelError.empty())
    return compiler::failure(kernelError);
  if (withTiles)
    adopt(*withTiles);
  return llvm::Error::success();
}

llvm::Error Driver::keepKernels(StringRef chip, AttentionPath attention) {
  if (!kernelError.empty() && attention != AttentionPath::Plain) {
    // One thread for an element is slow, but always there.
    if (llvm::Error error = buildKernels(*raised, chip, AttentionPath::Plain)) {
      // Why the better way is closed says more.
      llvm::consumeError(std::move(error));
      return compiler::failure(kernelError);
    }
    fallback = kernelError;
  } else if (!kernelError.empty()) {
    return compiler::failure(kernelError);
  }
  if (withKernels)
    adopt(*withKernels);
  return llvm::Error::success();
}
