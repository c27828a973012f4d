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
      auto buffer = rt::WeightBufferOp::create(
          builder, op.getLoc(),
          MemRefType::get(tensor.getShape(), tensor.getElementType()),
          builder.getI64IntegerAttr(it->second));
      // Without 'writable', bufferization never writes to the mapping.
      Value result = bufferization::ToTensorOp::create(
          builder, op.getLoc(), tensor, buffer, /*restrict=*/true);
      op.replaceAllUsesWith(result);
      op.erase();
    }
    module->setAttr("attn.weights", attributes.getArrayAttr(table));
  }
};

} // namespace
} // namespace mlir::attn
