//===- LowerWeights.cpp - Number the weights ------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERWEIGHTSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

struct AttnLowerWeightsPass final
    : impl::AttnLowerWeightsPassBase<AttnLowerWeightsPass> {
  /// Reads the result of `op` from the buffer `number`.
  static void replace(OpBuilder &builder, Operation *op, int64_t number) {
    auto tensor = cast<RankedTensorType>(op->getResult(0).getType());
    auto buffer = rt::WeightBufferOp::create(
        builder, op->getLoc(),
        MemRefType::get(tensor.getShape(), tensor.getElementType()),
        builder.getI64IntegerAttr(number));
    // Without 'writable', bufferization never writes to the buffer.
    Value result = bufferization::ToTensorOp::create(
        builder, op->getLoc(), tensor, buffer, /*restrict=*/true);
    op->replaceAllUsesWith(ValueRange{result});
    op->erase();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder attributes(&getContext());
    SmallVector<Attribute> table;
    DenseMap<Attribute, int64_t> numbers;
    SmallVector<rt::WeightOp> weights;
    module.walk([&](rt::WeightOp op) { weights.push_back(op); });
    for (rt::WeightOp op : weights) {
      auto tensor = cast<RankedTensorType>(op.getResult().getType());
      Attribute entry = attributes.getDictionaryAttr({
          attributes.getNamedAttr("name", op.getNameAttr()),
          attributes.getNamedAttr("file", op.getFileAttr()),
          attributes.getNamedAttr("offset", op.getOffsetAttr()),
          attributes.getNamedAttr("type", TypeAttr::get(tensor)),
      });
      auto [it, isNew] = numbers.try_emplace(entry, table.size());
      if (isNew)
        table.push_back(entry);
      OpBuilder builder(op);
      replace(builder, op, it->second);
    }
    SmallVector<rt::PreparedOp> prepared;
    module.walk([&](rt::PreparedOp op) { prepared.push_back(op); });
    for (rt::PreparedOp op : prepared) {
      OpBuilder builder(op);
      replace(builder, op, static_cast<int64_t>(table.size() + op.getIndex()));
    }
    module->setAttr("attn.weights", attributes.getArrayAttr(table));
  }
};

} // namespace
} // namespace mlir::attn
