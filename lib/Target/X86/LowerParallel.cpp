//===- LowerParallel.cpp - Parallel loops run in the runtime --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/SymbolTable.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERPARALLELPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// The only operation of the loop's body, if it is a call.
func::CallOp bodyCall(scf::ParallelOp loop) {
  Block *body = loop.getBody();
  if (!loop.getInitVals().empty() ||
      !llvm::hasSingleElement(body->without_terminator()))
    return nullptr;
  return dyn_cast<func::CallOp>(body->front());
}

/// Trip counts as index values.
SmallVector<Value> tripCounts(ImplicitLocOpBuilder &b, scf::ParallelOp loop) {
  SmallVector<Value> counts;
  for (auto [lower, upper, step] : llvm::zip_equal(
           loop.getLowerBound(), loop.getUpperBound(), loop.getStep())) {
    Value extent = b.createOrFold<arith::SubIOp>(upper, lower);
    counts.push_back(b.createOrFold<arith::CeilDivSIOp>(extent, step));
  }
  return counts;
}

struct AttnLowerParallelPass final
    : impl::AttnLowerParallelPassBase<AttnLowerParallelPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    SmallVector<scf::ParallelOp> loops;
    module.walk([&](scf::ParallelOp loop) {
      if (bodyCall(loop) && !loop->getParentOfType<scf::ParallelOp>())
        loops.push_back(loop);
    });
    if (loops.empty())
      return;
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    auto run = module.lookupSymbol<func::FuncOp>("attn_rt_parallel_for");
    if (!run) {
      run = func::FuncOp::create(
          top, module.getLoc(), "attn_rt_parallel_for",
          top.getFunctionType({pointer, top.getI64Type(), pointer}, {}));
      run.setPrivate();
    }
    for (scf::ParallelOp loop : loops)
      lower(loop, run, symbols);
  }

  /// The loop's captured values travel in a structure on the caller's stack;
  /// a function with the signature that the runtime expects unpacks it,
  /// recovers the induction variables from the linear iteration and calls the
  /// loop's function.
  void lower(scf::ParallelOp loop, func::FuncOp run, SymbolTable &symbols) {
    MLIRContext *context = &getContext();
    LLVMTypeConverter converter(context);
    auto pointer = LLVM::LLVMPointerType::get(context);
    func::CallOp call = bodyCall(loop);
    ImplicitLocOpBuilder b(loop.getLoc(), loop);

    SmallVector<Value> counts = tripCounts(b, loop), captured;
    Value total = counts.front();
    for (Value count : ArrayRef(counts).drop_front())
      total = b.createOrFold<arith::MulIOp>(total, count);
    auto capture = [&](ValueRange values) {
      unsigned first = captured.size();
      llvm::append_range(captured, values);
      return first;
    };
    unsigned rank = loop.getNumLoops();
    unsigned lowerAt = capture(loop.getLowerBound());
    unsigned stepAt = capture(loop.getStep());
    unsigned countAt = capture(counts);
    // Each operand of the call: an induction variable or a captured value.
    SmallVector<std::pair<bool, unsigned>> operands;
    for (Value operand : call.getOperands()) {
      auto argument = dyn_cast<BlockArgument>(operand);
      if (argument && argument.getOwner() == loop.getBody())
        operands.push_back({true, argument.getArgNumber()});
      else
        operands.push_back({false, capture(operand)});
    }
    SmallVector<Type> fields;
    for (Value value : captured)
      fields.push_back(converter.convertType(value.getType()));
    auto structure = LLVM::LLVMStructType::getLiteral(context, fields);

    auto parent = loop->getParentOfType<func::FuncOp>();
    auto body = func::FuncOp::create(
        loop.getLoc(), (call.getCallee() + "_range").str(),
        b.getFunctionType({b.getI64Type(), b.getI64Type(), pointer}, {}));
    body.setPrivate();
    symbols.insert(body, std::next(Block::iterator(parent)));
    Block *entry = body.addEntryBlock();
    {
      ImplicitLocOpBuilder in(loop.getLoc(), entry, entry->begin());
      SmallVector<Value> values;
      for (auto [i, value] : llvm::enumerate(captured)) {
        Value field = LLVM::GEPOp::create(
            in, pointer, structure, entry->getArgument(2),
            ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
        Value loaded = LLVM::LoadOp::create(in, fields[i], field);
        values.push_back(
            UnrealizedConversionCastOp::create(in, value.getType(), loaded)
                .getResult(0));
      }
      auto toIndex = [&](Value value) -> Value {
        return arith::IndexCastOp::create(in, in.getIndexType(), value);
      };
      Value begin = toIndex(entry->getArgument(0));
      Value end = toIndex(entry->getArgument(1));
      auto each = scf::ForOp::create(in, begin, end,
                                     arith::ConstantIndexOp::create(in, 1));
      {
        OpBuilder::InsertionGuard guard(in);
        in.setInsertionPointToStart(each.getBody());
        SmallVector<Value> ivs(rank);
        Value rest = each.getInductionVar();
        for (unsigned i = rank; i-- > 0;) {
          Value position = rest;
          if (i) {
            Value count = values[countAt + i];
            position = arith::RemUIOp::create(in, rest, count);
            rest = arith::DivUIOp::create(in, rest, count);
          }
          position = arith::MulIOp::create(in, position, values[stepAt + i]);
          ivs[i] = arith::AddIOp::create(in, position, values[lowerAt + i]);
        }
        SmallVector<Value> passed;
        for (auto [isInduction, index] : operands)
          passed.push_back(isInduction ? ivs[index] : values[index]);
        func::CallOp::create(in, call.getCalleeAttr(), TypeRange(), passed);
      }
      func::ReturnOp::create(in);
    }

    // The structure lies at the function's entry: a loop around must not let
    // the stack grow.
    Value storage;
    {
      ImplicitLocOpBuilder first(loop.getLoc(), &parent.getBody().front(),
                                 parent.getBody().front().begin());
      Value one = LLVM::ConstantOp::create(first, first.getI64Type(), 1);
      storage = LLVM::AllocaOp::create(first, pointer, structure, one);
    }
    for (auto [i, value] : llvm::enumerate(captured)) {
      Value field = LLVM::GEPOp::create(
          b, pointer, structure, storage,
          ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
      Value converted =
          UnrealizedConversionCastOp::create(b, fields[i], value).getResult(0);
      LLVM::StoreOp::create(b, converted, field);
    }
    Value function = func::ConstantOp::create(b, body.getFunctionType(),
                                              FlatSymbolRefAttr::get(body));
    Value address =
        UnrealizedConversionCastOp::create(b, pointer, function).getResult(0);
    Value size = arith::IndexCastOp::create(b, b.getI64Type(), total);
    func::CallOp::create(b, run, ValueRange{address, size, storage});
    loop.erase();
  }
};

} // namespace
} // namespace mlir::attn
