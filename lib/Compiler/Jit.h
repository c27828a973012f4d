//===- Jit.h - Object code in this process ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_JIT_H
#define ATTN_LIB_COMPILER_JIT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace mlir::attn::compiler {

/// The table of emulated kernels, in the order of the metadata.
inline constexpr llvm::StringLiteral emulatedName = "attn_emulated_kernels";

/// Code in memory; `release(owner)` frees it.
struct LoadedCode {
  void (*entry)(void **);
  void (*init)(void **); ///< null if the module needs none
  void (*release)(void *);
  void *owner;
  // Null in modules for a processor.
  const void *cubin, *emulated;
  const char *ptx;
};

/// Loads object files, one of which has the entry point of a compiled module.
llvm::Expected<LoadedCode>
loadObjects(llvm::ArrayRef<llvm::ArrayRef<char>> objects);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_JIT_H
