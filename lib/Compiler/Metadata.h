//===- Metadata.h - What the runtime knows about a module -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_METADATA_H
#define ATTN_LIB_COMPILER_METADATA_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir::attn::compiler {

/// NumPy's name of an element type, or "" for one that has none.
std::string dtypeName(Type type);

/// The inputs and outputs of `entry`, which works on tensors, as the JSON
/// lists "inputs" and "outputs" (with keys, without braces).
llvm::Expected<std::string> describeSignature(func::FuncOp entry);

/// The JSON list "weights" of the module's attribute `attn.weights`.
std::string describeWeights(ModuleOp module);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_METADATA_H
