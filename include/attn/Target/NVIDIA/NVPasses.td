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


def AttnEmulate : Pass<"attn-emulate", "ModuleOp"> {
  let summary = "turn final gpu modules into host functions on the emulator";
  let description = [{
    Moves each function of the `gpu.module`s of a module (`llvm`, `nvvm` and
    `attn_nv` operations, before these become PTX) into the module itself as a
    host function: target operations become calls of `attn_emu_*`, each access
    to memory asks the emulator first, shared memory becomes offsets into the
    block's memory. For a kernel NAME it adds `NAME__emu(ptr)`, which takes an
    array of pointers to the arguments, and the constant `NAME__emu_info` that
    `attn_emu_launch` takes. If there is no `gpu.module`, the module's own
    kernels and their functions are taken.

    Operations that the emulator does not know are errors.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
}

#endif // ATTN_TARGET_NVIDIA_NVPASSES_TD
