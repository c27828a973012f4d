//===- Pipeline.cpp - From attn on tensors to kernels in LLVM -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;

void mlir::attn::buildAttnToNVVMPipeline(OpPassManager &pm, StringRef chip) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  ConvertAttnToTilesPassOptions tiles;
  tiles.naturalLayout = true;
  // Two warpgroups of 64 rows, or four warps of 16.
  int64_t tile = chip == "sm_90a" ? 128 : 64;
  tiles.queryTile = tiles.keyTile = tiles.keyStep = tiles.panel = tile;
  tiles.rowBlock = 16;
  tiles.keySplit = 256;
  function.addPass(createAttnExpandSelectionPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createConvertAttnToTilesPass(tiles));
  AttnLowerSelectionPassOptions selection;
  selection.queryTile = tiles.queryTile;
  function.addPass(createAttnLowerSelectionPass(selection));
  function.addPass(createAttnDecomposePass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  function.addPass(createAttnGpuParallelizePass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  pm.addPass(createAttnGpuOutlinePass());
  pm.nest<func::FuncOp>().addPass(createCanonicalizerPass());
  pm.nest<func::FuncOp>().addPass(createCSEPass());
  AttnGpuLowerKernelsPassOptions kernels;
  kernels.chip = chip.str();
  pm.addPass(createAttnGpuLowerKernelsPass(kernels));
  OpPassManager &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createAttnGpuFinalizePass());
  device.addPass(arith::createArithExpandOpsPass());
  device.addPass(createSCFToControlFlowPass());
  device.addPass(createAttnGpuToLLVMPass());
  device.addPass(createReconcileUnrealizedCastsPass());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
}

namespace {
struct NVVMPipelineOptions : PassPipelineOptions<NVVMPipelineOptions> {
  Option<std::string> chip{*this, "chip", llvm::cl::desc("sm_80 or sm_90a"),
                           llvm::cl::init("sm_80")};
};
} // namespace

void mlir::attn::registerNVIDIAPipelines() {
  PassPipelineRegistration<NVVMPipelineOptions>(
      "attn-to-nvvm", "attention on tensors to launches and kernels in LLVM",
      [](OpPassManager &pm, const NVVMPipelineOptions &options) {
        buildAttnToNVVMPipeline(pm, options.chip);
      });
}
