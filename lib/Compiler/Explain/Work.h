//===- Work.h - How much of the dense work an operation does ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_EXPLAIN_WORK_H
#define ATTN_LIB_COMPILER_EXPLAIN_WORK_H

#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/IR/Linear.h"
#include "attn/Dialect/Attn/IR/Selection.h"

namespace mlir::attn {

/// The lengths for which shares are told when the model leaves them open.
inline constexpr int64_t nominalLength = 1024;

/// Share of all scores that an attention computes.
struct Share {
  std::optional<double> value; ///< nothing if only the data tells
  bool isBound = false;        ///< the data may make it less
  bool isNominal = false;      ///< for `nominalLength`
  std::string reason;          ///< what of the data it depends on

  /// "100 %", "at most 25.0 % at 1024", "by data".
  std::string text() const;
  /// "saves at least 75.0 % of the pairs (8 of 32 blocks)"; empty where the
  /// share says all.
  std::string note() const;
  bool isLess() const { return !value || isBound || *value < 1; }
};

Share shareOf(AttentionOp op);
Share shareOf(LinearAttentionOp op);
Share shareOf(SpanAttentionOp op);

/// A length and whether it had to be assumed.
int64_t lengthOr(int64_t length, bool &isNominal);

} // namespace mlir::attn

#endif // ATTN_LIB_COMPILER_EXPLAIN_WORK_H
