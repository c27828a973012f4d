//===- TilePipeline.cpp - From attention to vector code -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Target/X86/Tile.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::attn;

/// Accumulators fill the registers: 8 x 2 of 32, 6 x 2 of 16.
static int64_t rowBlockOf(const TileTarget &target) {
  return target.avx512 ? 8 : 6;
}
static int64_t lanesOf(const TileTarget &target) {
  return target.avx512 ? 16 : 8;
}

std::unique_ptr<Pass> mlir::attn::createTileCanonicalizerPass() {
  return createCanonicalizerPass(
      GreedyRewriteConfig(),
      {"(anonymous namespace)::ForallOpSingleOrZeroIterationDimsFolder"});
}

void mlir::attn::buildAttnToTilesPipeline(OpPassManager &module,
                                          const TileTarget &target) {
  ConvertAttnToTilesPassOptions options;
  options.rowBlock = rowBlockOf(target);
  options.queryTile = 8 * options.rowBlock;
  options.panel = 2 * lanesOf(target);
  options.bf16Pairs = target.bf16Dot;
  options.sparse = target.sparse;
  OpPassManager &function = module.nest<func::FuncOp>();
  function.addPass(createConvertAttnToTilesPass(options));
  AttnLowerSelectionPassOptions selection;
  selection.queryTile = options.queryTile;
  function.addPass(createAttnLowerSelectionPass(selection));
  function.addPass(createTileCanonicalizerPass());
  function.addPass(createCSEPass());
}

void mlir::attn::buildTileLoweringPipeline(OpPassManager &module,
                                           const TileTarget &target) {
  OpPassManager &function = module.nest<func::FuncOp>();
  // Slices that are stored where they were computed copy to themselves.
  function.addPass(createCSEPass());
  function.addPass(createTileCanonicalizerPass());
  AttnLowerTileContractionsPassOptions contractions;
  contractions.lanes = lanesOf(target);
  contractions.rowBlock = rowBlockOf(target);
  function.addPass(createAttnLowerTileContractionsPass(contractions));
  AttnLowerTileRowsPassOptions rows;
  rows.lanes = lanesOf(target);
  rows.scalef = target.avx512;
  function.addPass(createAttnLowerTileRowsPass(rows));
  module.addPass(createAttnOutlineParallelPass());
  OpPassManager &bodies = module.nest<func::FuncOp>();
  bodies.addPass(createCanonicalizerPass());
  bodies.addPass(createCSEPass());
  bodies.addPass(createLoopInvariantCodeMotionPass());
}

namespace {
struct TilePipelineOptions : PassPipelineOptions<TilePipelineOptions> {
  Option<bool> avx512{*this, "avx512",
                      llvm::cl::desc("512-bit vectors, else AVX2"),
                      llvm::cl::init(true)};
  Option<bool> bf16Dot{*this, "bf16-dot",
                       llvm::cl::desc("dot products of pairs of bf16"),
                       llvm::cl::init(false)};
  Option<SparsePath> sparse{
      *this, "sparse", llvm::cl::desc("whether lists of keys are followed"),
      llvm::cl::init(SparsePath::Auto),
      llvm::cl::values(clEnumValN(SparsePath::Auto, "auto", "if faster"),
                       clEnumValN(SparsePath::Always, "always", "if any"),
                       clEnumValN(SparsePath::Never, "never", "not"))};
  TileTarget target() const { return {avx512, bf16Dot, sparse}; }
};
} // namespace

void mlir::attn::registerTilePipelines() {
  PassPipelineRegistration<TilePipelineOptions>(
      "attn-to-tiles", "attention on tensors to tile programs for x86",
      [](OpPassManager &module, const TilePipelineOptions &options) {
        buildAttnToTilesPipeline(module, options.target());
      });
  PassPipelineRegistration<TilePipelineOptions>(
      "attn-lower-tiles", "bufferized tile programs to vector code for x86",
      [](OpPassManager &module, const TilePipelineOptions &options) {
        buildTileLoweringPipeline(module, options.target());
      });
}
