//===- LowerKernels.cpp - Kernels on tensors become code of one thread ----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "attn/Dialect/Device/IR/DeviceDialect.h"
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
    auto module =
        gpu::GPUModuleOp::create(b, getOperation().getLoc(), kernelModuleName);
    symbols.insert(module);
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

  LogicalResult lower(device::LaunchOp launch, func::FuncOp kernel,
                      gpu::GPUModuleOp module) {
    scf::ForallOp loop = *kernel.getOps<scf::ForallOp>().begin();
    OpBuilder b(&getContext());
    auto create = [&](int64_t threads) {
      b.setInsertionPointToEnd(module.getBody());
      auto target = gpu::GPUFuncOp::create(b, kernel.getLoc(), kernel.getName(),
                                           parametersOf(kernel));
      target->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                      b.getUnitAttr());
      target.setKnownBlockSize(
          std::array<int32_t, 3>{static_cast<int32_t>(threads), 1, 1});
      return target;
    };
    auto finish = [&](gpu::GPUFuncOp target) {
      b.setInsertionPointToEnd(&target.getFunctionBody().front());
      gpu::ReturnOp::create(b, kernel.getLoc());
      launch.setKernelAttr(
          SymbolRefAttr::get(b.getContext(), kernelModuleName,
                             {FlatSymbolRefAttr::get(target.getNameAttr())}));
    };
    std::string reason;
    if (PointEmitter::accepts(loop)) {
      gpu::GPUFuncOp target = create(PointEmitter::threads);
      PointEmitter emitter(kernel, target);
      if (succeeded(emitter.emit(loop))) {
        finish(target);
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
      gpu::GPUFuncOp target = create(warps * 32);
      FragmentEmitter emitter(kernel, target, sharedMemory(module));
      if (succeeded(emitter.emit(loop))) {
        finish(target);
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
