//===- Driver.h - From a model file to code ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_DRIVER_H
#define ATTN_LIB_COMPILER_DRIVER_H

#include "CodeGen.h"
#include "Gpu/GpuCode.h"
#include "attn/Compiler/attn_compiler.h"
#include "attn/Target/X86/Pipeline.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringSet.h"
#include <vector>

namespace mlir::attn::compiler {

/// The result code that an error carries; ATTN_FAILED by default.
class StatusError : public llvm::ErrorInfo<StatusError> {
public:
  static char ID;
  StatusError(int status, std::string message)
      : status(status), message(std::move(message)) {}
  void log(llvm::raw_ostream &os) const override { os << message; }
  std::error_code convertToErrorCode() const override {
    return llvm::inconvertibleErrorCode();
  }
  int status;
  std::string message;
};

/// Where a compilation stops.
enum class Stage {
  Import,
  Raised,
  Tiles,
  Gpu,   ///< kernels in the gpu dialect
  NVVM,  ///< kernels in LLVM dialect
  PTX,   ///< text, of the kernels only
  Cubin, ///< machine code, of the kernels only
  Bufferized,
  LLVMDialect,
  LLVMIR,
  Object
};

/// Whether `stage` is printed as MLIR.
inline bool isMLIR(Stage stage) {
  return stage != Stage::PTX && stage != Stage::Cubin && stage < Stage::LLVMIR;
}

/// Whether only code for GPUs has `stage`.
inline bool isOfGpu(Stage stage) {
  return stage >= Stage::Gpu && stage <= Stage::Cubin;
}

/// One compilation. Owns the context and the module.
class Driver {
public:
  explicit Driver(const attn_compile_options &options);
  ~Driver();

  /// Reads MODEL.onnx or FILE.mlir and finds its entry function.
  llvm::Error load(StringRef path);
  /// Goes on to `stage`, or to LLVMDialect if it lies behind that.
  llvm::Error lowerTo(Stage stage);
  /// The code of the whole module, after `lowerTo(Stage::LLVMDialect)`.
  llvm::Expected<llvm::SmallVector<char, 0>> generate(CodeKind kind);

  ModuleOp getModule() { return *module; }
  func::FuncOp getEntry() { return entry; }
  /// The JSON text that the artifact embeds.
  const std::string &getMetadata() const { return metadata; }
  /// The kernels of a GPU's module, after `lowerTo(Stage::PTX)`: their text,
  /// machine code (from Stage::Cubin on) and what the assembler said.
  const std::string &getPtx() const { return ptx; }
  const Cubin &getCubin() const { return cubin; }
  ArrayRef<KernelInfo> getKernels() const { return kernels; }
  /// Why a GPU computes attention by definition, or "".
  const std::string &getFallback() const { return fallback; }
  /// Objects of all code: the host's, and that of emulated kernels, if any.
  llvm::Expected<std::vector<llvm::SmallVector<char, 0>>> generateObjects();
  /// Folder in which weight files lie.
  const std::string &getFolder() const { return folder; }
  llvm::Expected<Target> getTarget();

private:
  llvm::Error run(StringRef what, llvm::function_ref<void(PassManager &)> fill);
  llvm::Error findEntry();
  llvm::Error describe();
  /// Does `work` and has reached `next`, unless that is behind the stage that
  /// is wanted or was reached before.
  llvm::Error advance(Stage next, const char *what,
                      llvm::function_ref<llvm::Error()> work);
  llvm::Error lowerForX86(const Target &target, AttentionPath attention,
                          SparsePath sparse);
  llvm::Error lowerForGpu(const Target &target, AttentionPath attention);
  /// The module with tile programs; what follows is computed along with it.
  llvm::Error keepTiles(StringRef chip, AttentionPath attention);
  /// The module with kernels in the gpu dialect. Where a tile program has no
  /// kernel, attention is computed by definition.
  llvm::Error keepKernels(StringRef chip, AttentionPath attention);
  /// Runs the pipeline of the kernels on a copy of `from`.
  llvm::Error buildKernels(ModuleOp from, StringRef chip,
                           AttentionPath attention);
  /// Makes the contents of `other` those of the module.
  void adopt(ModuleOp other);
  /// The kernels as PTX, or as functions for the emulator.
  llvm::Error generateKernels(const Target &target);
  llvm::Error emulateKernels();
  /// Composes the metadata; `extra` is one more entry, or empty.
  llvm::Error describeModule(const Target &target, StringRef extra);
  /// The first error that MLIR reported, or `fallback`.
  llvm::Error collected(const Twine &fallback);

  attn_compile_options options;
  MLIRContext context;
  std::unique_ptr<ScopedDiagnosticHandler> handler;
  std::string diagnostics;
  std::string path, folder, signature, metadata;
  OwningOpRef<ModuleOp> module;
  func::FuncOp entry;
  std::string entryName, ptx;
  Cubin cubin;
  OwningOpRef<ModuleOp> emulated; ///< kernels as functions of the host
  /// Of a GPU: the module before its pipeline, at stages of it, and after it.
  OwningOpRef<ModuleOp> raised, withTiles, withKernels, lowered;
  std::string fallback, kernelError;
  std::vector<KernelInfo> kernels;
  Stage wanted = Stage::Import, reached = Stage::Import;
  int32_t numSteps = 0, numDone = 0;
};

/// The stage called `name`; an error lists the known ones.
llvm::Expected<Stage> findStage(StringRef name);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_DRIVER_H
