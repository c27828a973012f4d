//===- RaiseAttention.h - Parts of the pass that raises attention -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H

#include "Mask.h"
#include "Operand.h"

namespace mlir::attn::raise {

/// What is known under given extents of batch, head, query and key axis.
struct Scope {
  explicit Scope(MLIRContext *context, OpBuilder &builder, Location loc)
      : arena(context), tracer(arena), emitter(arena, builder, loc) {}
  ExprArena arena;
  Tracer tracer;
  Emitter emitter;
};

/// Why a softmax stays as it is.
struct Decline {
  Operation *softmax = nullptr;
  std::string kind, reason, suggestion;
};

/// The roles of the loops of a product of probabilities and values.
struct ValueProduct {
  linalg::LinalgOp op;
  unsigned probabilityOperand;   ///< 0 or 1
  SmallVector<unsigned> leading; ///< batch and head loops, outermost first
  unsigned queryLoop, keyLoop, valueLoop;
  /// Extent of the last of three leading loops, or the number of heads in a
  /// single leading loop that holds batch and heads.
  int64_t split = 1;
};
std::optional<ValueProduct> matchValueProduct(linalg::LinalgOp op,
                                              unsigned probabilityOperand,
                                              std::string &failure);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H
