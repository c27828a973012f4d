//===- Compiler.cpp - The compiler library, loaded on demand --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Compiler.h"
#include "Commands.h"
#include "Progress.h"
#include "Runtime/Error.h"
#include "Runtime/IO/File.h"
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

using namespace attn::tool;
using attn::rt::fail;

static std::filesystem::path libraryPath() {
  if (const char *folder = std::getenv("ATTN_LIB_DIR"))
    return std::filesystem::path(folder) / "libAttnCompiler.so";
  std::error_code ignored;
  auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return program.parent_path().parent_path() / "lib" / "libAttnCompiler.so";
}

template <typename Function>
static void resolve(void *library, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function)
    fail("'", libraryPath().string(), "' has no function '", name,
         "'; it belongs to another version of attn");
}

const Compiler &attn::tool::loadCompiler() {
  static const Compiler compiler = [] {
    std::string path = libraryPath();
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      const char *reason = dlerror();
      fail("cannot load the compiler library: ",
           reason ? reason : "unknown reason",
           "; without it only compiled modules (.so) can be run");
    }
    Compiler result;
    resolve(library, "attn_compile_last_error", result.lastError);
    resolve(library, "attn_compile_last_status", result.lastStatus);
    resolve(library, "attn_import", result.import);
    resolve(library, "attn_compile_file", result.compileFile);
    resolve(library, "attn_compile_jit", result.compileJit);
    resolve(library, "attn_explain", result.explain);
    return result;
  }();
  return compiler;
}

void Compiler::throwLastError() const {
  std::string message = oneLine(lastError());
  switch (lastStatus()) {
  case ATTN_BAD_OPTION:
    throw UsageError(message);
  case ATTN_UNSUPPORTED:
    throw UnsupportedModel(message);
  default:
    fail(message);
  }
}

attn_compile_options CompileOptions::get() const {
  auto orNull = [](const std::string &text) {
    return text.empty() ? nullptr : text.c_str();
  };
  attn_compile_options options = {};
  options.struct_size = sizeof(options);
  options.target = orNull(target);
  options.entry = orNull(entry);
  options.emit = orNull(emit);
  options.attention = orNull(attention);
  options.sparse = orNull(sparse);
  options.report = orNull(report);
  options.elide_weights = elideWeights;
  options.emulate = emulate;
  options.progress = [](const char *stage, int32_t done, int32_t total,
                        void *) { showProgress(stage, done, total); };
  return options;
}

void attn::tool::checkReadable(const std::string &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    fail("cannot read '", path, "': it is a folder; name a file");
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    fail("cannot open '", path, "': ", std::strerror(errno));
  close(descriptor);
}

ModulePtr attn::tool::loadOrCompile(const std::string &path,
                                    const CompileOptions &options) {
  checkReadable(path);
  if (path.ends_with(".so")) {
    if (!options.target.empty() || !options.entry.empty() ||
        !options.attention.empty() || !options.sparse.empty())
      throw UsageError(
          "--target, --entry, --attention and --sparse have no meaning for '" +
          path + "', which is compiled already");
    ModulePtr module(attn_rt_load(path.c_str()));
    if (!module)
      fail(attn_rt_last_error());
    return module;
  }
  const Compiler &compiler = loadCompiler();
  attn_compile_options compileOptions = options.get();
  ModulePtr module(compiler.compileJit(path.c_str(), &compileOptions));
  clearProgress();
  if (!module)
    compiler.throwLastError();
  return module;
}
