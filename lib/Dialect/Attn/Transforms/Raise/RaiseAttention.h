//===- RaiseAttention.h - Parts of the pass that raises attention -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H

#include "Mask.h"
#include "Operand.h"

namespace mlir::attn::raise {

/// What is known under given extents of batch, head, query and key axis.
struct Scope {
  Scope(MLIRContext *context, const DimEqualities &equalities,
        OpBuilder &builder, Location loc)
      : arena(context, &equalities), tracer(arena),
        emitter(arena, builder, loc) {}
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

/// The element of `tensor` under the scores' axes; null when it may broadcast
/// in a way that only run time tells.
const Expr *scoreElement(Tracer &tracer, Value tensor);

/// Undoes a repetition of key and value heads in front of `op`.
bool shareKeyHeads(AttentionOp op, Scope &scope, OpBuilder &builder);

/// Turns what is provable about the mask tensors of `op` into an attribute and
/// smaller tensors. `scope` has the extents of the attention's scores.
bool refineMask(AttentionOp op, Scope &scope, OpBuilder &builder);

/// Turns a bias that depends on a row and a key by their distance alone into
/// one number for each distance, which a score region reads.
bool shareDistances(AttentionOp op, Scope &scope, OpBuilder &builder);

/// Every use of `value` rounds its elements, in place, to `type`.
bool onlyRounded(Value value, Type type,
                 SmallVectorImpl<Operation *> &roundings);

/// `tensor` with elements of the wider type.
Value widen(OpBuilder &builder, Location loc, Value tensor, Type wide);

/// The result of `product` from the attention's output.
Value restoreLayout(OpBuilder &builder, Location loc, Value output,
                    ValueProduct &product);

/// The output with rows without keys repaired as `mask` asks. With `follow`,
/// it has the layout of that transpose's result.
Value repairRows(OpBuilder &builder, Location loc, AttentionOp attention,
                 const MaskPlan::Operands &mask, linalg::TransposeOp follow);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_RAISEATTENTION_H
