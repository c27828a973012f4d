//===- GpuCode.h - From a gpu module to machine code ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_GPU_GPUCODE_H
#define ATTN_LIB_COMPILER_GPU_GPUCODE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace mlir::attn::compiler {

/// A kernel, with what the assembler says of it.
struct KernelInfo {
  std::string name;
  int64_t threads = 0; ///< of a block
  int64_t registers = 0, sharedBytes = 0, stackBytes = 0, spillBytes = 0;
  /// Codes of remarks on lost speed, such as C7510.
  std::vector<std::string> remarks;
};

/// The one `gpu.module` of `module`, or null.
Operation *findGpuModule(ModuleOp module);

/// The kernels of a gpu module in LLVM dialect, in order; this numbers them.
std::vector<KernelInfo> listKernels(Operation *gpuModule);

/// PTX of a gpu module in LLVM dialect.
llvm::Expected<std::string> generatePtx(Operation *gpuModule,
                                        llvm::StringRef chip);

/// Machine code that ptxas made.
struct Cubin {
  llvm::SmallVector<char, 0> bytes;
  int cudaVersion = 0; ///< 13000 is 13.0
};

/// Whether there is a program ptxas.
bool hasPtxas();

/// A table of kernels for people: threads, registers, shared memory, spills.
std::string kernelTable(llvm::ArrayRef<KernelInfo> kernels);

/// Assembles PTX by the program ptxas and fills in `kernels`: ATTN_PTXAS, else
/// that on PATH, else that of CUDA_HOME, CUDA_PATH or /usr/local/cuda.
llvm::Expected<Cubin> assemblePtx(llvm::StringRef ptx, llvm::StringRef chip,
                                  std::vector<KernelInfo> &kernels);

/// Reads what `ptxas -v` printed into `kernels`, by name.
void readAssemblerReport(llvm::StringRef text,
                         std::vector<KernelInfo> &kernels);

/// The JSON value "gpu" of an artifact's metadata.
std::string describeGpu(llvm::StringRef chip, int cudaVersion,
                        llvm::ArrayRef<KernelInfo> kernels);

/// Adds the data symbol `name` to `module`, in LLVM dialect.
void embedBytes(ModuleOp module, llvm::StringRef name, llvm::StringRef bytes,
                unsigned alignment);

} // namespace mlir::attn::compiler

#endif // ATTN_LIB_COMPILER_GPU_GPUCODE_H
