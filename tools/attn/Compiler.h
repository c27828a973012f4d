//===- Compiler.h - The compiler library, loaded on demand ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_COMPILER_H
#define ATTN_TOOLS_ATTN_COMPILER_H

#include "attn/Compiler/attn_compiler.h"
#include "attn/Runtime/attn_runtime.h"
#include <memory>
#include <stdexcept>
#include <string>

namespace attn::tool {

/// The compiler refused the model as not supported.
class UnsupportedModel : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

struct UnloadModule {
  void operator()(attn_rt_module *module) const { attn_rt_unload(module); }
};
using ModulePtr = std::unique_ptr<attn_rt_module, UnloadModule>;

/// Functions of libAttnCompiler.so. Loading it brings LLVM and MLIR, hence
/// `attn` does so only for what needs them.
struct Compiler {
  decltype(&attn_compile_last_error) lastError;
  decltype(&attn_compile_last_status) lastStatus;
  decltype(&attn_import) import;
  decltype(&attn_compile_file) compileFile;
  decltype(&attn_compile_jit) compileJit;
  decltype(&attn_explain) explain;

  /// Throws what the last failed call says.
  [[noreturn]] void throwLastError() const;
};

/// Loads the library on the first call; throws with its path when that fails.
const Compiler &loadCompiler();

/// What the subcommands that compile have in common.
struct CompileOptions {
  std::string target, entry, emit, attention, sparse, report;
  bool elideWeights = false, emulate = false;

  /// Valid as long as this object is.
  attn_compile_options get() const;
};

/// Throws unless `path` is a file that can be opened.
void checkReadable(const std::string &path);

/// Loads a compiled module, or compiles a model into memory.
ModulePtr loadOrCompile(const std::string &path, const CompileOptions &options);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_COMPILER_H
