//===- NVPasses.h - The two ends of a GPU module ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_NVPASSES_H
#define ATTN_TARGET_NVIDIA_NVPASSES_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::attn {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "attn/Target/NVIDIA/NVPasses.h.inc"
} // namespace mlir::attn

#endif // ATTN_TARGET_NVIDIA_NVPASSES_H
