//===- Selections.h - What selections choose and cost -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_EXPLAIN_SELECTIONS_H
#define ATTN_LIB_COMPILER_EXPLAIN_SELECTIONS_H

#include "mlir/IR/Operation.h"
#include <optional>
#include <string>

namespace mlir::attn {

/// An operation that chooses heads, rows, keys or spans.
struct Choice {
  Operation *op;
  std::string name, chooses;
  double operations = 0;  ///< scalar products and comparisons
  bool isNominal = false; ///< for `nominalLength`
};

/// Describes `op`, if it is one.
std::optional<Choice> describeChoice(Operation *op);

/// Scalar products of all scores and sums of an attention-like operation, as if
/// it were dense; 0 for others.
double denseOperations(Operation *op);

} // namespace mlir::attn

#endif // ATTN_LIB_COMPILER_EXPLAIN_SELECTIONS_H
