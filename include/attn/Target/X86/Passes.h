//===- Passes.h - From linalg on tensors to LLVM for x86 --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_X86_PASSES_H
#define ATTN_TARGET_X86_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::attn {
/// The function that computes what depends on weights only.
inline constexpr llvm::StringLiteral initName = "attn_init";

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "attn/Target/X86/Passes.h.inc"
} // namespace mlir::attn

#endif // ATTN_TARGET_X86_PASSES_H
