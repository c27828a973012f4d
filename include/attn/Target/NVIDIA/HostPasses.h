//===- HostPasses.h - Host code of modules for a GPU ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_HOSTPASSES_H
#define ATTN_TARGET_NVIDIA_HOSTPASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::attn {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "attn/Target/NVIDIA/HostPasses.h.inc"

/// Pre:  host code on tensors with `attn_gpu.launch`, and the kernels or their
///       declarations in one `gpu.module`.
/// Post: host code on buffers, with calls of the runtime.
void buildGpuHostPipeline(OpPassManager &pm);
} // namespace mlir::attn

#endif // ATTN_TARGET_NVIDIA_HOSTPASSES_H
