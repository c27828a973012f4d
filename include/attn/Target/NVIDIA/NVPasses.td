//===- NVPasses.td - The two ends of a GPU module -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_NVPASSES_TD
#define ATTN_TARGET_NVIDIA_NVPASSES_TD

include "mlir/Pass/PassBase.td"

def AttnNVToPTX : Pass<"attn-nv-to-ptx"> {
  let summary = "lower attn_nv operations to PTX";
  let description = [{
    Replaces each `attn_nv` operation by `llvm.inline_asm` or an intrinsic of
    the LLVM dialect. Runs on the final gpu module, beside
    `convert-nvvm-to-llvm`.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
}


#endif // ATTN_TARGET_NVIDIA_NVPASSES_TD
