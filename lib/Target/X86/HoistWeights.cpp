//===- HoistWeights.cpp - Compute what depends on weights only once -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Epilogue.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNHOISTWEIGHTSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// Fewer elements than this cost less than a read of memory.
constexpr int64_t minElements = 16;

int64_t numElements(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.hasStaticShape() ? tensor.getNumElements() : 1;
}

/// Whether `op` only repeats elements of a smaller tensor, which readers
/// rather do themselves.
bool isBroadcast(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp.getNumDpsInits() != 1)
    return false;
  auto yielded = dyn_cast<BlockArgument>(
      linalgOp.getBlock()->getTerminator()->getOperand(0));
  if (!yielded || yielded.getOwner() != linalgOp.getBlock() ||
      yielded.getArgNumber() >= linalgOp.getNumDpsInputs())
    return false;
  Value input = linalgOp.getDpsInputs()[yielded.getArgNumber()];
  return numElements(input.getType()) < numElements(op->getResult(0).getType());
}

/// Whether `op` costs nothing worth keeping: it makes a constant, a view or a
/// scalar.
bool isLight(Operation *op) {
  return op->hasTrait<OpTrait::ConstantLike>() ||
         isa<rt::WeightOp, rt::PreparedOp, tensor::EmptyOp,
             tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp,
             tensor::ExtractSliceOp, linalg::FillOp>(op) ||
         !llvm::all_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>) ||
         isBroadcast(op);
}

/// The values that `op` and its regions use.
SetVector<Value> usedValues(Operation *op) {
  SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values;
}

/// The work of one function that depends on weights only.
class Hoisting {
public:
  explicit Hoisting(func::FuncOp function) : function(function) {}

  /// Fills `roots` with the values to keep.
  void find() {
    for (Operation &op : function.getBody().front())
      if (isConstantWork(&op))
        constant.insert(&op);
    for (Operation &op : function.getBody().front())
      if (!constant.contains(&op))
        for (Value value : usedValues(&op))
          demand(value);
  }

  /// Clones what makes `roots`, in order.
  void cloneTo(OpBuilder &builder, IRMapping &mapping) {
    llvm::SmallPtrSet<Operation *, 32> needed;
    SmallVector<Value> worklist(roots.begin(), roots.end());
    while (!worklist.empty()) {
      Operation *op = worklist.pop_back_val().getDefiningOp();
      if (op && needed.insert(op).second)
        llvm::append_range(worklist, usedValues(op));
    }
    for (Operation &op : function.getBody().front())
      if (needed.contains(&op))
        builder.clone(op, mapping);
  }

  SetVector<Value> roots;

private:
  bool isConstantWork(Operation *op) {
    if (op->getNumResults() == 0 || !isMemoryEffectFree(op))
      return false;
    if (!isa<rt::WeightOp>(op) &&
        !isa<arith::ArithDialect, linalg::LinalgDialect, math::MathDialect,
             tensor::TensorDialect>(op->getDialect()))
      return false;
    for (Type type : op->getResultTypes()) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (tensor ? !tensor.hasStaticShape() : !type.isIntOrIndexOrFloat())
        return false;
    }
    return llvm::all_of(usedValues(op), [&](Value value) {
      return value.getDefiningOp() && constant.contains(value.getDefiningOp());
    });
  }

  void demand(Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !constant.contains(op) || !seen.insert(value).second)
      return;
    if (!isLight(op) && numElements(value.getType()) >= minElements) {
      roots.insert(value);
      return;
    }
    for (Value operand : usedValues(op))
      demand(operand);
  }

  func::FuncOp function;
  llvm::SmallPtrSet<Operation *, 32> constant;
  DenseSet<Value> seen;
};

struct AttnHoistWeightsPass final
    : impl::AttnHoistWeightsPassBase<AttnHoistWeightsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (module.lookupSymbol(initName)) {
      module.emitError("a function is named '") << initName << "' already";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    func::FuncOp init;
    SmallVector<Value> results;
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (function.isExternal() || !function.isPublic())
        continue;
      Hoisting hoisting(function);
      hoisting.find();
      if (hoisting.roots.empty())
        continue;
      if (!init) {
        init = func::FuncOp::create(builder, module.getLoc(), initName,
                                    builder.getFunctionType({}, {}));
        init->setAttr("llvm.emit_c_interface", builder.getUnitAttr());
        builder.setInsertionPointToStart(init.addEntryBlock());
      }
      IRMapping mapping;
      hoisting.cloneTo(builder, mapping);
      OpBuilder inside(function.getBody());
      for (Value root : hoisting.roots) {
        Value prepared = rt::PreparedOp::create(
            inside, root.getLoc(), root.getType(),
            inside.getI64IntegerAttr(static_cast<int64_t>(results.size())));
        results.push_back(mapping.lookup(root));
        root.replaceAllUsesWith(prepared);
      }
      function.walk([](Operation *op) {
        if (auto product = dyn_cast<rt::MatmulOp>(op))
          product.setConstantB(isModelConstant(product.getB()));
        if (auto conv = dyn_cast<rt::ConvOp>(op))
          conv.setConstantW(isModelConstant(conv.getW()));
      });
    }
    if (!init)
      return;
    func::ReturnOp::create(builder, module.getLoc(), results);
    SmallVector<Type> types(ValueRange(results).getTypes());
    init.setFunctionType(builder.getFunctionType({}, types));
    module->setAttr("attn.prepared", builder.getTypeArrayAttr(types));
  }
};

} // namespace
} // namespace mlir::attn
