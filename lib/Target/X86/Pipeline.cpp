//===- Pipeline.cpp - From attn on tensors to LLVM for x86 ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Pipeline.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;

void mlir::attn::buildX86TensorPipeline(OpPassManager &pm,
                                        const X86Options &options) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createAttnDecomposePass());
  function.addPass(createAttnDecomposeAggregatesPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  // Before fusion, which would merge reshapes into products, and after it,
  // when a bias and an activation are one operation.
  function.addPass(createAttnFormMatmulsPass());
  function.addPass(createLinalgElementwiseOpFusionPass());
  function.addPass(createAttnFormMatmulsPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  pm.addPass(createAttnLowerWeightsPass());
}

void mlir::attn::buildX86BufferPipeline(OpPassManager &pm,
                                        const X86Options &options) {
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.bufferAlignment = 0; // the runtime aligns every block to 64
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addPass(createCanonicalizerPass());
  bufferization::buildBufferDeallocationPipeline(
      pm, bufferization::BufferDeallocationPipelineOptions());
  pm.addPass(bufferization::createLowerDeallocationsPass());
  pm.addPass(createConvertBufferizationToMemRefPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void mlir::attn::buildX86LLVMPipeline(OpPassManager &pm,
                                      const X86Options &options) {
  pm.addPass(createAttnLowerRuntimePass());
  pm.nest<func::FuncOp>().addPass(createAttnLowerCopiesPass());
  pm.nest<func::FuncOp>().addPass(createConvertLinalgToLoopsPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.nest<func::FuncOp>().addPass(createLowerAffinePass());
  pm.nest<func::FuncOp>().addPass(createForallToForLoopPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  FinalizeMemRefToLLVMConversionPassOptions memory;
  memory.useGenericFunctions = true;
  pm.addPass(createFinalizeMemRefToLLVMConversionPass(memory));
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
