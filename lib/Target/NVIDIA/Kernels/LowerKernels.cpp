//===- LowerKernels.cpp - Kernels on tensors become code of one thread ----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HopperEmitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPULOWERKERNELSPASS
#include "attn/Target/NVIDIA/Passes.h.inc"

namespace {
using namespace nvidia;

/// Parameters: a pointer and the dynamic sizes of each tensor, then scalars.
FunctionType parametersOf(func::FuncOp kernel) {
  MLIRContext *context = kernel.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context);
  Type wide = IntegerType::get(context, 64);
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor) {
      types.push_back(type.isIndex() ? wide : type);
      continue;
    }
    types.push_back(pointer);
    types.append(tensor.getNumDynamicDims(), wide);
  }
  return FunctionType::get(context, types, {});
}

struct AttnGpuLowerKernelsPass final
    : impl::AttnGpuLowerKernelsPassBase<AttnGpuLowerKernelsPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<device::LaunchOp> launches;
    getOperation().walk([&](device::LaunchOp op) { launches.push_back(op); });
    if (launches.empty())
      return;
    SymbolTable symbols(getOperation());
    OpBuilder b(&getContext());
    auto module = symbols.lookup<gpu::GPUModuleOp>(kernelModuleName);
    if (!module) {
      module = gpu::GPUModuleOp::create(b, getOperation().getLoc(),
                                        kernelModuleName);
      symbols.insert(module);
    }
    getOperation()->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                            b.getUnitAttr());
    for (device::LaunchOp launch : launches) {
      auto kernel =
          symbols.lookup<func::FuncOp>(launch.getKernel().getRootReference());
      if (!kernel)
        continue;
      if (failed(lower(launch, kernel, module)))
        return signalPassFailure();
      symbols.erase(kernel);
    }
  }

  /// Dynamic shared memory, shared by all kernels of the module.
  LLVM::GlobalOp sharedMemory(gpu::GPUModuleOp module) {
    constexpr StringLiteral name = "shared_memory";
    if (auto global = module.lookupSymbol<LLVM::GlobalOp>(name))
      return global;
    auto b = OpBuilder::atBlockBegin(module.getBody());
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
    return LLVM::GlobalOp::create(b, module.getLoc(), type,
                                  /*isConstant=*/false, LLVM::Linkage::External,
                                  name, Attribute(), /*alignment=*/1024,
                                  /*addrSpace=*/3);
  }

  gpu::GPUFuncOp create(func::FuncOp kernel, gpu::GPUModuleOp module,
                        int64_t threads) {
    auto b = OpBuilder::atBlockEnd(module.getBody());
    auto target = gpu::GPUFuncOp::create(b, kernel.getLoc(), kernel.getName(),
                                         parametersOf(kernel));
    target->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    target.setKnownBlockSize(
        std::array<int32_t, 3>{static_cast<int32_t>(threads), 1, 1});
    return target;
  }

  void finish(device::LaunchOp launch, gpu::GPUFuncOp target) {
    auto b = OpBuilder::atBlockEnd(&target.getFunctionBody().front());
    gpu::ReturnOp::create(b, target.getLoc());
    launch.setKernelAttr(
        SymbolRefAttr::get(b.getContext(), kernelModuleName,
                           {FlatSymbolRefAttr::get(target.getNameAttr())}));
  }

  /// With a producer and warpgroups, if the program has the form for them.
  bool lowerForWarpgroups(device::LaunchOp launch, func::FuncOp kernel,
                          gpu::GPUModuleOp module) {
    scf::ForallOp loop = *kernel.getOps<scf::ForallOp>().begin();
    gpu::GPUFuncOp target = create(kernel, module, 1);
    HopperEmitter emitter(kernel, target, sharedMemory(module), launch,
                          skipRescale);
    if (failed(emitter.emit(loop))) {
      launch.emitRemark() << "has no warpgroups: " << emitter.reason();
      target.erase();
      return false;
    }
    finish(launch, target);
    // Without it ptxas cannot tell the registers of a warp at the start.
    target->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    IntegerAttr::get(IntegerType::get(&getContext(), 32), 1));
    target.setKnownBlockSize(std::array<int32_t, 3>{
        static_cast<int32_t>(emitter.blockThreads()), 1, 1});
    launch.setThreads(emitter.blockThreads());
    launch.setSharedBytes(emitter.sharedBytes());
    launch.setTensorMapsAttr(emitter.tensorMaps());
    return true;
  }

  LogicalResult lower(device::LaunchOp launch, func::FuncOp kernel,
                      gpu::GPUModuleOp module) {
    scf::ForallOp loop = *kernel.getOps<scf::ForallOp>().begin();
    OpBuilder b(&getContext());
    std::string reason = "it has neither tiles nor elements of its own";
    if (PointEmitter::accepts(loop)) {
      gpu::GPUFuncOp target = create(kernel, module, PointEmitter::threads);
      PointEmitter emitter(kernel, target);
      if (succeeded(emitter.emit(loop))) {
        finish(launch, target);
        b.setInsertionPoint(launch);
        Value threads = arith::ConstantIndexOp::create(b, launch.getLoc(),
                                                       PointEmitter::threads);
        launch.getGridXMutable().assign(arith::CeilDivSIOp::create(
            b, launch.getLoc(), launch.getGridX(), threads));
        launch.setThreads(PointEmitter::threads);
        return success();
      }
      reason = emitter.reason();
      target.erase();
    } else if (int64_t warps = FragmentEmitter::warpsFor(loop)) {
      if (chip == "sm_90a" && lowerForWarpgroups(launch, kernel, module))
        return success();
      gpu::GPUFuncOp target = create(kernel, module, warps * 32);
      FragmentEmitter emitter(kernel, target, sharedMemory(module));
      if (succeeded(emitter.emit(loop))) {
        finish(launch, target);
        launch.setThreads(emitter.threads());
        launch.setSharedBytes(emitter.sharedBytes());
        return success();
      }
      reason = emitter.reason();
      target.erase();
    }
    return launch.emitOpError("has no kernel for ")
           << chip << ", since " << reason
           << "; compute it outside of the device";
  }
};

} // namespace
} // namespace mlir::attn
