//===- Explain.h - A report about the attentions of a module ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_EXPLAIN_H
#define ATTN_LIB_COMPILER_EXPLAIN_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace mlir::attn::compiler {

/// Text for people: each attention of `module`, after recognition.
std::string explainModule(ModuleOp module);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_EXPLAIN_H
