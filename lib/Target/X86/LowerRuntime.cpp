//===- LowerRuntime.cpp - attn_rt operations become calls -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERRUNTIMEPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

struct AttnLowerRuntimePass final
    : impl::AttnLowerRuntimePassBase<AttnLowerRuntimePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    LLVMTypeConverter converter(&getContext());
    SmallVector<rt::WeightBufferOp> weights;
    module.walk([&](rt::WeightBufferOp op) { weights.push_back(op); });
    for (rt::WeightBufferOp op : weights)
      lower(op, converter);
  }

  func::FuncOp declare(StringRef name, FunctionType type) {
    ModuleOp module = getOperation();
    if (auto found = module.lookupSymbol<func::FuncOp>(name))
      return found;
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    auto function = func::FuncOp::create(builder, module.getLoc(), name, type);
    function.setPrivate();
    return function;
  }

  void lower(rt::WeightBufferOp op, LLVMTypeConverter &converter) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    func::FuncOp get =
        declare("attn_rt_weight",
                builder.getFunctionType({builder.getI64Type()}, {pointer}));
    Value index = arith::ConstantOp::create(builder, loc, op.getIndexAttr());
    Value address =
        func::CallOp::create(builder, loc, get, ValueRange{index}).getResult(0);
    auto type = cast<MemRefType>(op.getResult().getType());
    Value descriptor = MemRefDescriptor::fromStaticShape(
        builder, loc, converter, type, address);
    Value buffer =
        UnrealizedConversionCastOp::create(builder, loc, type, descriptor)
            .getResult(0);
    op.replaceAllUsesWith(buffer);
    op.erase();
  }
};

} // namespace
} // namespace mlir::attn
