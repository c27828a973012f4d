//===- CodeGen.h - From the llvm dialect to object code ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_CODEGEN_H
#define ATTN_LIB_COMPILER_CODEGEN_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace mlir::attn::compiler {

/// A processor to compile for.
struct Target {
  std::string name; ///< as in --target
  std::string cpu, features;
  int64_t vectorBytes = 32;
  bool bf16Dot = false;
  std::string chip; ///< of a GPU: "sm_80" or "sm_90a"; the rest is its host's
};

/// The target called `name`; an error lists the known ones.
llvm::Expected<Target> findTarget(llvm::StringRef name);

/// Code in one of the forms below.
enum class CodeKind { LLVMIR, Object };

/// Translates `module`, in the llvm dialect, optimizes it for `target` and
/// returns it as text or as an object file.
llvm::Expected<llvm::SmallVector<char, 0>>
generateCode(ModuleOp module, const Target &target, CodeKind kind);

/// Links `object` to a shared library at `path`, which appears only when all
/// went well.
llvm::Error linkSharedLibrary(llvm::ArrayRef<char> object,
                              llvm::StringRef path);

/// Writes `bytes` to `path`, whole or not at all; "-" is the standard output.
llvm::Error writeFile(llvm::StringRef path, llvm::ArrayRef<char> bytes);

/// One error with text `message`.
llvm::Error failure(const llvm::Twine &message);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_CODEGEN_H
