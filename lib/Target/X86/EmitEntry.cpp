//===- EmitEntry.cpp - The entry point that the runtime calls -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/SymbolTable.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNEMITENTRYPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

struct AttnEmitEntryPass final
    : impl::AttnEmitEntryPassBase<AttnEmitEntryPass> {
  using Base::Base;

  void rename(StringRef from, StringRef to) {
    ModuleOp module = getOperation();
    if (auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(from)) {
      (void)SymbolTable::replaceAllSymbolUses(
          function, StringAttr::get(&getContext(), to), module);
      if (module.lookupSymbol(to))
        function.erase();
      else
        function.setSymName(to);
    }
  }

  /// Adds `void packed(void **arguments)`, which calls `name`.
  void emitPacked(OpBuilder &builder, StringRef name, StringRef packedName) {
    ModuleOp module = getOperation();
    builder.setInsertionPointToEnd(module.getBody());
    Location loc = module.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    auto voidType = LLVM::LLVMVoidType::get(&getContext());
    auto packed = LLVM::LLVMFuncOp::create(
        builder, loc, packedName,
        LLVM::LLVMFunctionType::get(voidType, {pointer}));
    Block *block = packed.addEntryBlock(builder);
    builder.setInsertionPointToStart(block);
    // The wrapper's first argument is the place of the results, if any.
    auto original = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
    auto wrapper =
        module.lookupSymbol<LLVM::LLVMFuncOp>(("_mlir_ciface_" + name).str());
    bool hasResults =
        !isa<LLVM::LLVMVoidType>(original.getFunctionType().getReturnType());
    SmallVector<Value> arguments;
    for (unsigned i = 0; i < wrapper.getNumArguments(); ++i) {
      Value slot = LLVM::GEPOp::create(
          builder, loc, pointer, pointer, block->getArgument(0),
          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(hasResults ? i : i + 1)});
      arguments.push_back(LLVM::LoadOp::create(builder, loc, pointer, slot));
    }
    LLVM::CallOp::create(builder, loc, wrapper, arguments);
    LLVM::ReturnOp::create(builder, loc, ValueRange());
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    rename("_mlir_memref_to_llvm_alloc",
           onDevice ? "attn_gpu_alloc" : "attn_rt_alloc");
    rename("_mlir_memref_to_llvm_free",
           onDevice ? "attn_gpu_free" : "attn_rt_free");
    if (!module.lookupSymbol("_mlir_ciface_" + entry)) {
      module.emitError("the entry function '")
          << entry << "' has no C wrapper; it must be public and work on "
          << "tensors";
      return signalPassFailure();
    }
    for (auto function : module.getOps<LLVM::LLVMFuncOp>())
      if (!function.isExternal())
        function.setLinkage(LLVM::Linkage::Internal);

    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    emitPacked(builder, entry, "attn_packed_main");
    if (module.lookupSymbol(initName))
      emitPacked(builder, initName, "attn_packed_init");

    builder.setInsertionPointToEnd(module.getBody());
    std::string text = metadata;
    text.push_back('\0');
    Location loc = module.getLoc();
    auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), text.size());
    LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true,
                           LLVM::Linkage::External, "attn_metadata",
                           builder.getStringAttr(text));
  }
};

} // namespace
} // namespace mlir::attn
