//===- HostPipeline.cpp - Host code of modules for a GPU ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/NVIDIA/HostPasses.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;

void mlir::attn::buildGpuHostPipeline(OpPassManager &pm) {
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.allowReturnAllocsFromLoops = true;
  bufferize.bufferAlignment = 0; // the device aligns every block to 256
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  // Copies of a view to itself show only now.
  function.addPass(createCanonicalizerPass());
  function.addPass(createAttnGpuFreeBuffersPass());
  pm.addPass(createAttnGpuLowerHostPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
