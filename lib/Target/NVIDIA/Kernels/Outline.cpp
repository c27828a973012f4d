//===- Outline.cpp - Parallel loops become launches of kernels ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPUOUTLINEPASS
#include "attn/Target/NVIDIA/Passes.h.inc"

namespace {

bool isScalarConstant(Value x) {
  auto constant = x.getDefiningOp<arith::ConstantOp>();
  return constant && !isa<ShapedType>(constant.getType());
}

/// The values of a kernel in the order of its parameters.
struct Operands {
  SmallVector<Value> ins, outs, scalars, constants;
};

Operands collect(scf::ForallOp loop) {
  Operands operands;
  llvm::append_range(operands.outs, loop.getOutputs());
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(loop.getRegion(), used);
  used.insert_range(loop.getDynamicLowerBound());
  used.insert_range(loop.getDynamicUpperBound());
  used.insert_range(loop.getDynamicStep());
  for (Value x : used) {
    if (isScalarConstant(x))
      operands.constants.push_back(x);
    else if (isa<TensorType>(x.getType()))
      operands.ins.push_back(x);
    else
      operands.scalars.push_back(x);
  }
  return operands;
}

/// The number of points of the loop.
Value countPoints(ImplicitLocOpBuilder &b, scf::ForallOp loop) {
  Value count = arith::ConstantIndexOp::create(b, 1);
  for (auto [lower, upper, step] :
       llvm::zip(loop.getMixedLowerBound(), loop.getMixedUpperBound(),
                 loop.getMixedStep())) {
    auto value = [&](OpFoldResult x) {
      return getValueOrCreateConstantIndexOp(b, b.getLoc(), x);
    };
    Value size = arith::SubIOp::create(b, value(upper), value(lower));
    if (!isConstantIntValue(step, 1))
      size = arith::CeilDivSIOp::create(b, size, value(step));
    Value zero = arith::ConstantIndexOp::create(b, 0);
    size = arith::MaxSIOp::create(b, size, zero);
    count = arith::MulIOp::create(b, count, size);
  }
  return count;
}

struct AttnGpuOutlinePass final
    : impl::AttnGpuOutlinePassBase<AttnGpuOutlinePass> {
  void runOnOperation() override {
    SmallVector<scf::ForallOp> loops;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function->hasAttr(kernelAttrName))
        continue;
      function.walk<WalkOrder::PreOrder>([&](scf::ForallOp loop) {
        loops.push_back(loop);
        return WalkResult::skip();
      });
    }
    SymbolTable symbols(getOperation());
    for (scf::ForallOp loop : loops)
      outline(loop, symbols);
  }

  void outline(scf::ForallOp loop, SymbolTable &symbols) {
    Operands operands = collect(loop);
    SmallVector<Value> parameters(operands.ins);
    llvm::append_range(parameters, operands.outs);
    llvm::append_range(parameters, operands.scalars);
    StringRef parent = loop->getParentOfType<func::FuncOp>().getName();
    OpBuilder module(&getContext());
    auto kernel = func::FuncOp::create(
        module, loop.getLoc(), (parent + "_kernel").str(),
        module.getFunctionType(ValueRange(parameters).getTypes(),
                               loop.getResultTypes()));
    kernel.setPrivate();
    kernel->setAttr(kernelAttrName, module.getUnitAttr());
    symbols.insert(kernel, getOperation().getBody()->end());
    Block *body = kernel.addEntryBlock();
    IRMapping map;
    map.map(operands.ins, body->getArguments().take_front(operands.ins.size()));
    ValueRange outs =
        body->getArguments().slice(operands.ins.size(), operands.outs.size());
    map.map(operands.scalars,
            body->getArguments().take_back(operands.scalars.size()));
    auto inner = OpBuilder::atBlockBegin(body);
    for (Value x : operands.constants)
      map.map(x, inner.clone(*x.getDefiningOp())->getResult(0));
    auto clone = cast<scf::ForallOp>(inner.clone(*loop, map));
    // A tensor that is read as well as written has two names.
    clone.getOutputsMutable().assign(outs);
    func::ReturnOp::create(inner, loop.getLoc(), clone->getResults());

    ImplicitLocOpBuilder b(loop.getLoc(), loop);
    Value one = arith::ConstantIndexOp::create(b, 1);
    auto launch = device::LaunchOp::create(
        b, loop.getResultTypes(), SymbolRefAttr::get(kernel),
        countPoints(b, loop), one, one, operands.ins, operands.outs,
        operands.scalars, /*threads=*/1, /*shared_bytes=*/0,
        /*tensor_maps=*/ArrayAttr());
    loop.replaceAllUsesWith(launch.getResults());
    loop.erase();
  }
};

} // namespace
} // namespace mlir::attn
