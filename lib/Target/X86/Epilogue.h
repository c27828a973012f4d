//===- Epilogue.h - What a library call does after a product *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_X86_EPILOGUE_H
#define ATTN_LIB_TARGET_X86_EPILOGUE_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::attn {

/// Whether `value` has the same elements at each call.
bool isModelConstant(Value value);

/// Whether `op` computes each element of its result from one element of each
/// operand.
bool isElementwise(linalg::GenericOp op);

/// `add` of the element `value` of a product and one of `bias`.
struct BiasAddition {
  arith::AddFOp add;
  Value value;
  OpOperand *bias;
};

/// The addition to `product` of a model constant in f32 that varies along
/// `loop` only.
std::optional<BiasAddition> findBias(linalg::GenericOp op, OpOperand *product,
                                     unsigned loop);

/// A copy, of rank 1, of what `findBias` found.
Value cloneBias(OpBuilder &builder, Value bias);

/// The operand to which `op` applies a known activation and does nothing else,
/// or null.
std::pair<OpOperand *, llvm::StringRef> findActivation(linalg::GenericOp op);

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_X86_EPILOGUE_H
