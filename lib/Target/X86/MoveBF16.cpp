//===- MoveBF16.cpp - bf16 values move as 16-bit integers -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNMOVEBF16PASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// The type with i16 in the place of bf16; null if there is no bf16 in it.
Type asBits(Type type) {
  Type bits = IntegerType::get(type.getContext(), 16);
  if (type.isBF16())
    return bits;
  if (auto vector = dyn_cast<VectorType>(type))
    if (vector.getElementType().isBF16())
      return vector.clone(bits);
  return {};
}

/// Operations that only move values, so that the bits are all that matters.
bool movesValues(Operation *op) {
  return isa<LLVM::LoadOp, LLVM::StoreOp, LLVM::MaskedLoadOp,
             LLVM::MaskedStoreOp, LLVM::SelectOp, LLVM::ShuffleVectorOp,
             LLVM::ExtractElementOp, LLVM::InsertElementOp>(op);
}

struct AttnMoveBF16Pass final : impl::AttnMoveBF16PassBase<AttnMoveBF16Pass> {
  void runOnOperation() override {
    SmallVector<Operation *> moves;
    getOperation()->walk([&](Operation *op) {
      if (movesValues(op))
        moves.push_back(op);
    });
    for (Operation *op : moves) {
      OpBuilder builder(op);
      for (OpOperand &operand : op->getOpOperands())
        if (Type bits = asBits(operand.get().getType()))
          operand.set(LLVM::BitcastOp::create(builder, op->getLoc(), bits,
                                              operand.get()));
      builder.setInsertionPointAfter(op);
      for (OpResult result : op->getResults()) {
        Type type = result.getType();
        Type bits = asBits(type);
        if (!bits)
          continue;
        result.setType(bits);
        auto cast =
            LLVM::BitcastOp::create(builder, op->getLoc(), type, result);
        result.replaceAllUsesExcept(cast, cast);
      }
    }
  }
};

} // namespace
} // namespace mlir::attn
