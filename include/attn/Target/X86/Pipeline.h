//===- Pipeline.h - From attn on tensors to LLVM for x86 --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_X86_PIPELINE_H
#define ATTN_TARGET_X86_PIPELINE_H

#include "attn/Conversion/Passes.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::attn {

/// How attention is computed.
enum class AttentionPath {
  Tiles, ///< by tile programs wherever there is one
  Plain  ///< by the decomposition to linalg
};

/// What the code may use.
struct X86Options {
  int64_t vectorBytes = 64; ///< 64 with AVX-512, else 32
  bool bf16Dot = false;     ///< AVX512-BF16
  std::string entry = "main";
  AttentionPath attention = AttentionPath::Tiles;
  SparsePath sparse = SparsePath::Auto;
};

/// Pre:  `attn` and `linalg` on tensors, one public entry function.
/// Post: no `attn` operation; attention is tiles or its decomposition.
void buildX86TensorPipeline(OpPassManager &pm, const X86Options &options);

/// Pre:  as left by the tensor pipeline.
/// Post: no tensors; allocations are paired with deallocations.
void buildX86BufferPipeline(OpPassManager &pm, const X86Options &options);

/// Pre:  as left by the buffer pipeline.
/// Post: the `llvm` dialect; the entry function has its C wrapper.
void buildX86LLVMPipeline(OpPassManager &pm, const X86Options &options);

} // namespace mlir::attn

#endif // ATTN_TARGET_X86_PIPELINE_H
