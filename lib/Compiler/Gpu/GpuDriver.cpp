//===- GpuDriver.cpp - From tiles to an artifact for a GPU ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Driver.h"
#include "../Jit.h"
#include "attn/Target/NVIDIA/HostPasses.h"
#include "attn/Target/NVIDIA/NVPasses.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::compiler;

/// Leaves only declarations in a gpu module: passes for the host would change
/// the order of the kernels' code, which is chosen with care.
static void keepDeclarations(Operation *gpuModule) {
  for (Operation &op :
       llvm::make_early_inc_range(gpuModule->getRegion(0).front())) {
    auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
    if (!function) {
      if (!op.hasTrait<OpTrait::IsTerminator>())
        op.erase();
      continue;
    }
    function.getBody().dropAllReferences();
    function.getBody().getBlocks().clear();
    function.setLinkage(LLVM::Linkage::External);
  }
}

/// A module that holds a copy of `op` only.
static OwningOpRef<ModuleOp> cloneAlone(Operation *op) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(op->getLoc());
  module->push_back(op->clone());
  return module;
}

llvm::Error Driver::generateKernels(const Target &target) {
  Operation *gpuModule = findGpuModule(*module);
  if (gpuModule)
    kernels = listKernels(gpuModule);
  if (kernels.empty())
    return llvm::Error::success();
  if (options.emulate)
    return emulateKernels();
  OwningOpRef<ModuleOp> device = cloneAlone(gpuModule);
  PassManager passes(&context);
  passes.addPass(createAttnNVToPTX());
  passes.addPass(createConvertNVVMToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  if (failed(passes.run(*device)))
    return collected("the kernels cannot become PTX");
  auto text = generatePtx(findGpuModule(*device), target.chip);
  if (!text)
    return text.takeError();
  ptx = std::move(*text);
  return llvm::Error::success();
}

llvm::Error Driver::emulateKernels() {
  emulated = cloneAlone(findGpuModule(*module));
  PassManager passes(&context);
  passes.addPass(createAttnEmulate());
  if (failed(passes.run(*emulated)))
    return collected("the kernels cannot be emulated");
  // The table of what the emulator knows of each, in the metadata's order.
  OpBuilder builder = OpBuilder::atBlockEnd(emulated->getBody());
  Location loc = emulated->getLoc();
  auto pointer = LLVM::LLVMPointerType::get(&context);
  auto type = LLVM::LLVMArrayType::get(pointer, kernels.size());
  auto table = LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true,
                                      LLVM::Linkage::External, emulatedName,
                                      Attribute());
  builder.createBlock(&table.getInitializerRegion());
  Value value = LLVM::UndefOp::create(builder, loc, type);
  for (auto [i, kernel] : llvm::enumerate(kernels)) {
    Value info = LLVM::AddressOfOp::create(builder, loc, pointer,
                                           kernel.name + "__emu_info");
    value = LLVM::InsertValueOp::create(builder, loc, value, info, i);
  }
  LLVM::ReturnOp::create(builder, loc, value);
  return llvm::Error::success();
}

llvm::Error Driver::lowerForGpu(const Target &target, AttentionPath attention) {
  if (llvm::Error error = advance(Stage::Tiles, "building kernels", [&] {
        return keepTiles(target.chip, attention);
      }))
    return error;
  if (llvm::Error error = advance(Stage::Gpu, "building kernels", [&] {
        return keepKernels(target.chip, attention);
      }))
    return error;
  if (llvm::Error error = advance(Stage::NVVM, "lowering kernels", [&] {
        adopt(*lowered);
        return llvm::Error::success();
      }))
    return error;
  if (llvm::Error error = advance(Stage::PTX, "generating code of the kernels",
                                  [&] { return generateKernels(target); }))
    return error;
  std::string what = "assembling " + std::to_string(kernels.size()) +
                     (kernels.size() == 1 ? " kernel" : " kernels") +
                     " by ptxas";
  if (llvm::Error error =
          advance(Stage::Cubin, what.c_str(), [&]() -> llvm::Error {
            if (ptx.empty())
              return llvm::Error::success();
            auto code = assemblePtx(ptx, target.chip, kernels);
            if (!code)
              return code.takeError();
            cubin = std::move(*code);
            return llvm::Error::success();
          }))
    return error;
  if (llvm::Error error =
          advance(Stage::Bufferized, "assigning buffers", [&]() -> llvm::Error {
            std::string gpu =
                ",\"gpu\":" +
                describeGpu(target.chip, cubin.cudaVersion, kernels);
            if (llvm::Error error = describeModule(target, gpu))
              return error;
            if (Operation *gpuModule = findGpuModule(*module))
              keepDeclarations(gpuModule);
            llvm::Error error = run("bufferized", [&](PassManager &pm) {
              buildGpuHostPipeline(pm);
            });
            if (!error || fallback.empty())
              return error;
            // Why there is no better code says more.
            llvm::consumeError(std::move(error));
            return compiler::failure(fallback);
          }))
    return error;
  return advance(Stage::LLVMDialect, "lowering to LLVM", [&]() -> llvm::Error {
    llvm::Error error = run("llvm-dialect", [&](PassManager &pm) {
      X86Options x86;
      x86.vectorBytes = target.vectorBytes;
      x86.entry = entryName;
      buildX86LLVMPipeline(pm, x86);
      AttnEmitEntryPassOptions options;
      options.entry = entryName;
      options.metadata = metadata;
      options.onDevice = true;
      pm.addPass(createAttnEmitEntryPass(options));
    });
    if (error)
      return error;
    if (!cubin.bytes.empty())
      embedBytes(*module, "attn_gpu_cubin",
                 StringRef(cubin.bytes.data(), cubin.bytes.size()), 64);
    if (!ptx.empty())
      embedBytes(*module, "attn_gpu_ptx",
                 StringRef(ptx.c_str(), ptx.size() + 1), 16);
    return llvm::Error::success();
  });
}
