//===- Pipeline.cpp - From attn on tensors to LLVM for x86 ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Pipeline.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Target/X86/Passes.h"
#include "attn/Target/X86/Tile.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;

static TileTarget tileTarget(const X86Options &options) {
  return {options.vectorBytes == 64, options.bf16Dot, options.sparse};
}

void mlir::attn::buildX86TensorPipeline(OpPassManager &pm,
                                        const X86Options &options) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  if (options.attention == AttentionPath::Plain)
    function.addPass(createAttnDecomposePass());
  function.addPass(createAttnExpandSelectionPass());
  function.addPass(createAttnDecomposeAggregatesPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  // Before fusion, which would merge reshapes into products, and after it,
  // when a bias and an activation are one operation.
  function.addPass(createAttnFormMatmulsPass());
  function.addPass(createAttnFormConvolutionsPass());
  // Products have taken transposes of weights in; fusion would move what is
  // left of the work on weights to where it is used.
  pm.addPass(createAttnHoistWeightsPass());
  OpPassManager &fused = pm.nest<func::FuncOp>();
  fused.addPass(createCanonicalizerPass());
  fused.addPass(createLinalgElementwiseOpFusionPass());
  fused.addPass(createAttnFormMatmulsPass());
  fused.addPass(createAttnFormConvolutionsPass());
  fused.addPass(createAttnDropUnitDimsPass());
  fused.addPass(createCanonicalizerPass());
  fused.addPass(createCSEPass());
  pm.addPass(createAttnLowerWeightsPass());
  // Tile programs last: their slices must stay as they are until they are
  // buffers. What the tiles decline takes the plain road.
  buildAttnToTilesPipeline(pm, tileTarget(options));
  OpPassManager &rest = pm.nest<func::FuncOp>();
  rest.addPass(createAttnDecomposePass());
  rest.addPass(createAttnDecomposeAggregatesPass());
}

void mlir::attn::buildX86BufferPipeline(OpPassManager &pm,
                                        const X86Options &options) {
  pm.nest<func::FuncOp>().addPass(createAttnSeparateFillsPass());
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.allowReturnAllocsFromLoops = true;
  bufferize.bufferAlignment = 0; // the runtime aligns every block to 64
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addPass(createTileCanonicalizerPass());
  AttnLowerRowsPassOptions rows;
  rows.lanes = options.vectorBytes / 4;
  pm.nest<func::FuncOp>().addPass(createAttnLowerRowsPass(rows));
  buildTileLoweringPipeline(pm, tileTarget(options));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createAttnDeallocateBuffersPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(bufferization::createBufferDeallocationSimplificationPass());
  pm.addPass(bufferization::createLowerDeallocationsPass());
  pm.addPass(createConvertBufferizationToMemRefPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Deallocations stand at the end of their blocks until here.
  pm.nest<func::FuncOp>().addPass(
      bufferization::createOptimizeAllocationLivenessPass());
}

void mlir::attn::buildX86LLVMPipeline(OpPassManager &pm,
                                      const X86Options &options) {
  pm.addPass(createAttnLowerRuntimePass());
  pm.addPass(createAttnLowerParallelPass());
  pm.nest<func::FuncOp>().addPass(createAttnLowerCopiesPass());
  pm.nest<func::FuncOp>().addPass(createConvertLinalgToLoopsPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.nest<func::FuncOp>().addPass(createLowerAffinePass());
  pm.nest<func::FuncOp>().addPass(createForallToForLoopPass());
  pm.nest<func::FuncOp>().addPass(createAttnApproximateMathPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass()); // may take vectors apart
  pm.addPass(createConvertVectorToLLVMPass());
  // Without the processor's conversion, LLVM would call a function for each
  // element that is rounded to bf16.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = !options.bf16Dot;
  pm.addPass(arith::createArithExpandOpsPass(expand));
  FinalizeMemRefToLLVMConversionPassOptions memory;
  memory.useGenericFunctions = true;
  pm.addPass(createFinalizeMemRefToLLVMConversionPass(memory));
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  if (!options.bf16Dot)
    pm.addPass(createAttnMoveBF16Pass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
