//===- attn-test-import.cpp - Prints imported models ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-test-import [--quiet] [--functions] MODEL...
// Prints the module of each model, or, with --quiet, one line each. The exit
// code is 0 if every model was imported, else 1.
//
//===----------------------------------------------------------------------===//
#include "attn/Frontend/ONNX/ImportOnnx.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
namespace frontend = mlir::attn::frontend::onnx;

static llvm::cl::list<std::string>
    paths(llvm::cl::Positional, llvm::cl::desc("models"), llvm::cl::OneOrMore);
static llvm::cl::opt<bool> quiet("quiet",
                                 llvm::cl::desc("one line for each model"));
static llvm::cl::opt<bool> locations("locations",
                                     llvm::cl::desc("print locations"));

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::cl::ParseCommandLineOptions(argc, argv, "imports ONNX models\n");
  int exitCode = 0;
  for (const std::string &path : paths) {
    MLIRContext context(MLIRContext::Threading::DISABLED);
    std::string error;
    OwningOpRef<ModuleOp> module =
        frontend::importOnnx(path, &context, {}, error);
    if (!module)
      exitCode = 1;
    if (quiet) {
      llvm::outs() << (module ? "ok " : "error ") << (module ? path : error)
                   << "\n";
    } else if (module) {
      OpPrintingFlags flags;
      if (locations)
        flags.enableDebugInfo(true, false);
      module->print(llvm::outs(), flags);
      llvm::outs() << "\n";
    } else {
      llvm::errs() << "error: " << error << "\n";
    }
    llvm::outs().flush();
  }
  return exitCode;
}
