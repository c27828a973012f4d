//===- Passes.h - From tile programs to kernels for NVIDIA ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_PASSES_H
#define ATTN_TARGET_NVIDIA_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::attn {
/// Marks a function on tensors that is the body of a kernel.
inline constexpr llvm::StringLiteral kernelAttrName = "attn_gpu.kernel";
/// The module of the kernels.
inline constexpr llvm::StringLiteral kernelModuleName = "kernels";

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "attn/Target/NVIDIA/Passes.h.inc"

/// Tensor module to host code on tensors and kernels in LLVM dialect.
void buildAttnToNVVMPipeline(OpPassManager &pm, StringRef chip);
void registerNVIDIAPipelines();
} // namespace mlir::attn

#endif // ATTN_TARGET_NVIDIA_PASSES_H
