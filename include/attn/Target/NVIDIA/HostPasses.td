//===- HostPasses.td - Host code of modules for a GPU ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_HOSTPASSES_TD
#define ATTN_TARGET_NVIDIA_HOSTPASSES_TD

include "mlir/Pass/PassBase.td"

def AttnGpuFreeBuffersPass
    : Pass<"attn-gpu-free-buffers", "::mlir::func::FuncOp"> {
  let summary = "free device memory of the host's code after its last use";
  let description = [{
    Pre:  buffers, without deallocations.
    Post: what a block allocates and does not pass on is freed there, after the
          last operation that uses it or a view of it. The runtime frees the
          rest at the end of the run.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def AttnGpuLowerHostPass : Pass<"attn-gpu-lower-host", "::mlir::ModuleOp"> {
  let summary = "launches and accesses to device memory become calls";
  let description = [{
    Pre:  host code on buffers, which all lie in device memory, and the
          kernels, or their declarations, in one `gpu.module`.
    Post: `attn_gpu.launch`, copies, loads and stores of elements, weights and
          constants are calls of the runtime's `attn_gpu_*` functions. Kernels
          are numbered in the order of the `gpu.module`, which is gone.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect"
  ];
}

#endif // ATTN_TARGET_NVIDIA_HOSTPASSES_TD
