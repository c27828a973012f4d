//===- DeallocateBuffers.cpp - Free buffers after their last use ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Bufferization/IR/BufferDeallocationOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/SymbolTable.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNDEALLOCATEBUFFERSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

struct AttnDeallocateBuffersPass final
    : impl::AttnDeallocateBuffersPassBase<AttnDeallocateBuffersPass> {
  void runOnOperation() override {
    SymbolTableCollection symbols;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal() || function->hasAttr("attn.outlined"))
        continue;
      if (failed(bufferization::deallocateBuffersOwnershipBased(
              function, bufferization::DeallocationOptions(), symbols)))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace mlir::attn
