//===- Outline.cpp - Parallel loops become launches of kernels ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
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

/// Whether an element is written by itself.
bool isWrittenByElement(Value x) {
  return llvm::any_of(x.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    if (isa<tensor::InsertOp>(user))
      return true;
    auto loop = dyn_cast<scf::ForOp>(user);
    return loop && use.getOperandNumber() >= loop.getNumControlOperands() &&
           isWrittenByElement(loop.getTiedLoopRegionIterArg(&use));
  });
}

/// `x`, a value of the loop's body, computed again before the loop; null if it
/// depends on the point.
Value computeBefore(ImplicitLocOpBuilder &b, scf::ForallOp loop, Value x) {
  if (!loop->isAncestor(x.getParentBlock()->getParentOp()))
    return x;
  Operation *op = x.getDefiningOp();
  if (!op || op->getNumRegions() ||
      !isa<arith::ArithDialect, tensor::TensorDialect>(op->getDialect()))
    return {};
  IRMapping map;
  for (Value operand : op->getOperands()) {
    Value before = computeBefore(b, loop, operand);
    if (!before)
      return {};
    map.map(operand, before);
  }
  return b.clone(*op, map)->getResult(cast<OpResult>(x).getResultNumber());
}

/// Lists that a point collects, of a size known at run time only, live in a
/// part of one tensor that the host allocates.
scf::ForallOp hoistScratch(scf::ForallOp loop) {
  SmallVector<tensor::EmptyOp> lists;
  loop.walk([&](tensor::EmptyOp op) {
    if (!op.getType().hasStaticShape() || isWrittenByElement(op))
      lists.push_back(op);
  });
  for (tensor::EmptyOp list : lists) {
    ImplicitLocOpBuilder b(list.getLoc(), loop);
    SmallVector<OpFoldResult> sizes;
    bool isKnown = true;
    for (OpFoldResult size : list.getMixedSizes()) {
      if (auto value = dyn_cast<Value>(size)) {
        Value before = computeBefore(b, loop, value);
        isKnown &= before != nullptr;
        size = before;
      }
      sizes.push_back(size);
    }
    if (!isKnown)
      continue;
    SmallVector<OpFoldResult> all = {countPoints(b, loop)};
    llvm::append_range(all, sizes);
    Value scratch =
        tensor::EmptyOp::create(b, all, list.getType().getElementType());
    SmallVector<Value> outs(loop.getOutputs());
    outs.push_back(scratch);
    auto wider = scf::ForallOp::create(b, loop.getMixedLowerBound(),
                                       loop.getMixedUpperBound(),
                                       loop.getMixedStep(), outs, std::nullopt);
    wider.getTerminator().erase();
    Block *body = wider.getBody();
    SmallVector<Value> arguments(body->getArguments());
    Value own = arguments.pop_back_val();
    b.setInsertionPointToEnd(body);
    body->getOperations().splice(body->end(), loop.getBody()->getOperations());
    for (auto [from, to] : llvm::zip(loop.getBody()->getArguments(), arguments))
      from.replaceAllUsesWith(to);
    b.setInsertionPointToStart(body);
    Value point = arith::ConstantIndexOp::create(b, 0);
    for (auto [index, lower, upper, step] :
         llvm::zip(wider.getInductionVars(), wider.getMixedLowerBound(),
                   wider.getMixedUpperBound(), wider.getMixedStep())) {
      auto value = [&](OpFoldResult x) {
        return getValueOrCreateConstantIndexOp(b, b.getLoc(), x);
      };
      Value size = arith::SubIOp::create(b, value(upper), value(lower));
      Value number = arith::SubIOp::create(b, index, value(lower));
      if (!isConstantIntValue(step, 1)) {
        size = arith::CeilDivSIOp::create(b, size, value(step));
        number = arith::DivUIOp::create(b, number, value(step));
      }
      point = arith::MulIOp::create(b, point, size);
      point = arith::AddIOp::create(b, point, number);
    }
    b.setInsertionPoint(list);
    SmallVector<OpFoldResult> offsets(all.size(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> ones(all.size(), b.getIndexAttr(1));
    offsets[0] = point;
    all = {b.getIndexAttr(1)};
    llvm::append_range(all, list.getMixedSizes());
    Value part = tensor::ExtractSliceOp::create(b, list.getType(), own, offsets,
                                                all, ones);
    list.replaceAllUsesWith(part);
    list.erase();
    for (auto [from, to] : llvm::zip(loop.getResults(), wider.getResults()))
      from.replaceAllUsesWith(to);
    loop.erase();
    loop = wider;
  }
  return loop;
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
    loop = hoistScratch(loop);
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
