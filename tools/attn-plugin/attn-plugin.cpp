//===- attn-plugin.cpp - The dialect and passes for a stock mlir-opt ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/InitAll.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm-c/Core.h"
#include "llvm/Config/llvm-config.h"

/// The plugin interface's version, or 0, which every program refuses, when the
/// program that loads the plugin contains another LLVM: C++ classes are not
/// the same there, and a mismatch would end in a crash.
static uint32_t checkHost() {
  unsigned major = 0, minor = 0, patch = 0;
  LLVMGetVersion(&major, &minor, &patch);
  if (major == LLVM_VERSION_MAJOR && minor == LLVM_VERSION_MINOR)
    return MLIR_PLUGIN_API_VERSION;
  llvm::errs() << "error: AttnPlugin was built for LLVM " << LLVM_VERSION_STRING
               << ", but the program that loads it uses LLVM " << major << '.'
               << minor << '.' << patch
               << "; build the plugin against that LLVM (cmake -DMLIR_DIR=...)"
               << '\n';
  return 0;
}

extern "C" LLVM_ATTRIBUTE_WEAK mlir::DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {checkHost(), "Attn", LLVM_VERSION_STRING,
          [](mlir::DialectRegistry *registry) {
            mlir::attn::registerAllDialects(*registry);
          }};
}

extern "C" LLVM_ATTRIBUTE_WEAK mlir::PassPluginLibraryInfo
mlirGetPassPluginInfo() {
  return {checkHost(), "Attn", LLVM_VERSION_STRING,
          [] { mlir::attn::registerAllPasses(); }};
}
