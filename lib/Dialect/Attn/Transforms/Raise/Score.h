//===- Score.h - Softmax inputs as functions of a dot product ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_SCORE_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_SCORE_H

#include "Trace.h"
#include <string>

namespace mlir::attn::raise {

/// The probabilities that a contraction reads: softmax over the key axis.
struct Probability {
  Operation *softmax = nullptr; ///< the softmax, or the sum of a decomposed one
  const Expr *score = nullptr;
  bool guarded = false; ///< a row without keys gives zeros
  Type type;            ///< in which the softmax is computed
  std::string failure;  ///< why `score` is null although there is a softmax
};
Probability matchProbability(Tracer &tracer, const Expr *expr);

/// The summand of a reduction over one loop: element `indices` of the result
/// is the combination, by `combiner`, of `term` over all values of `axis`.
struct Reduction {
  StringRef combiner;
  const Expr *term = nullptr;
};
Reduction matchReduction(Tracer &tracer, Value result,
                         ArrayRef<AffineExpr> indices, AffineExpr axis);

/// A contraction of two tensors over one loop into a zero tensor.
bool isPlainContraction(Tracer &tracer, linalg::LinalgOp op);

/// A condition under which a score counts, and what it becomes otherwise.
struct MaskFactor {
  const Expr *keep;
  double fill;   ///< very negative
  bool replaces; ///< the score becomes `fill`; else `fill` is added
};

/// score = mask(softcap(scale * dot + biasBefore) + bias), all in exact
/// arithmetic equal to the program's.
struct ScoreForm {
  const Expr *dot = nullptr; ///< a load of the product of queries and keys
  double scale = 1.0;
  std::optional<double> softcap;
  const Expr *biasBefore = nullptr; ///< inside the softcap
  const Expr *bias = nullptr;
  SmallVector<MaskFactor> masks;
  bool biasAfterFill = false; ///< a bias is added to replaced scores
};

/// Scores at most this large are never seen next to a kept score: the
/// exponential of the difference is 0 in f32 for scores below 4000.
inline constexpr double maskThreshold = -5000.0;

/// Writes `expr` in that form; on failure says why.
std::optional<ScoreForm> matchScore(Tracer &tracer, const Expr *expr,
                                    const Expr *dot, std::string &failure);

/// Loads of contractions that depend on queries and keys.
SmallVector<const Expr *> dotCandidates(Tracer &tracer, const Expr *expr);

/// A bias that only removes keys: `keep` ? 0 : `fill`. Integers that a model
/// loads as a mask are taken to be 0 or 1.
std::optional<MaskFactor> matchAdditiveMask(ExprArena &arena, const Expr *term);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_SCORE_H
