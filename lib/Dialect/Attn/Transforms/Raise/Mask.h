//===- Mask.h - What the masks of a score mean ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_MASK_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_MASK_H

#include "Emit.h"
#include "Score.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"

namespace mlir::attn::raise {

/// The conditions of a mask, sorted by what is known about them.
struct Conditions {
  /// Key <= row + offset, proven from the program.
  std::optional<AffineExpr> causalOffset;
  /// Key >= row + offset - window.
  std::optional<std::pair<AffineExpr, int64_t>> window;
  SmallVector<const Expr *> padding; ///< depends on batch and key only
  SmallVector<const Expr *> dense;   ///< everything else
  bool empty() const {
    return !causalOffset && !window && padding.empty() && dense.empty();
  }
};

/// Takes the conjunction `keep` apart.
Conditions classify(ExprArena &arena, const Expr *keep);

/// The masks and biases of a score, decided but not built.
class MaskPlan {
public:
  /// On failure says why in `failure`.
  static std::optional<MaskPlan> make(ExprArena &arena, const ScoreForm &form,
                                      const Probability &probability,
                                      std::string &failure);

  struct Operands {
    MaskAttrInterface mask;
    Value queryOffset, keep, bias;
    BiasOrder order = BiasOrder::AfterSoftcap;
    /// Where rows without keys need another value: which rows keep a key, over
    /// `rowAxes`, and whether all do (an i1).
    Value rowKeeps, allRowsKeep;
    SmallVector<unsigned> rowAxes;
    bool uniformRows = false; ///< the other value is the mean of the values
  };
  Operands build(ExprArena &arena, Emitter &emitter, OpBuilder &builder,
                 Location loc) const;

  /// For people: "causal, key padding".
  std::string describe() const;

private:
  Conditions structure; ///< becomes the mask attribute and a keep tensor
  /// A finite mask whose rows without keys must be told apart: all
  /// conditions, and those that are finite.
  const Expr *all = nullptr, *finite = nullptr;
  double vanishing = 0; ///< bias of rows without keys; 0 when none is needed
  const Expr *bias = nullptr;
  BiasOrder order = BiasOrder::AfterSoftcap;
  /// Rows without keys are repaired behind the attention.
  bool repair = false;
};

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_MASK_H
