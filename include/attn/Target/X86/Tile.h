//===- Tile.h - Tile programs on x86 ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_X86_TILE_H
#define ATTN_TARGET_X86_TILE_H

#include "attn/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::attn {

/// What tile programs need to know of the processor.
struct TileTarget {
  bool avx512 = true;   ///< 512-bit vectors and vscalefps; else AVX2 with FMA
  bool bf16Dot = false; ///< AVX512_BF16: dot products of pairs of bf16
  SparsePath sparse = SparsePath::Auto; ///< of lists of keys
};

/// A canonicalizer that leaves parallel loops of one iteration as they are: a
/// tile program of a single tile is one too.
std::unique_ptr<Pass> createTileCanonicalizerPass();

/// Attention on tensors to tile programs; what is declined stays.
/// Pre:  module; run after all rewrites of linalg on tensors.
/// Post: bufferize at once: passes that hoist or merge tensor operations would
///       cost copies.
void buildAttnToTilesPipeline(OpPassManager &module, const TileTarget &target);

/// Bufferized tile programs (all of `scf.forall`) to scf, vector and math.
/// Pre:  module right after one-shot-bufferize.
/// Post: each `scf.forall` is an `scf.parallel` that calls one function.
void buildTileLoweringPipeline(OpPassManager &module, const TileTarget &target);

#define GEN_PASS_DECL
#include "attn/Target/X86/TilePasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "attn/Target/X86/TilePasses.h.inc"

/// Registers `attn-to-tiles` and `attn-lower-tiles`.
void registerTilePipelines();

} // namespace mlir::attn

#endif // ATTN_TARGET_X86_TILE_H
