//===- IndexMath.h - Index arithmetic that folds constants ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_UTILS_INDEXMATH_H
#define ATTN_DIALECT_ATTN_UTILS_INDEXMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace mlir::attn {

/// Builds `arith` operations on index (and i1) values, but computes at once
/// what is constant. Constants are index or i1 attributes; with constant
/// arguments the builder is not touched.
class IndexMath {
public:
  IndexMath(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  OpFoldResult constant(int64_t value) const;
  OpFoldResult boolean(bool value) const;

  OpFoldResult add(OpFoldResult a, OpFoldResult b) const;
  OpFoldResult sub(OpFoldResult a, OpFoldResult b) const;
  OpFoldResult mul(OpFoldResult a, OpFoldResult b) const;
  OpFoldResult min(OpFoldResult a, OpFoldResult b) const; ///< signed
  OpFoldResult max(OpFoldResult a, OpFoldResult b) const; ///< signed
  /// Rounds down, for a positive constant divisor.
  OpFoldResult floorDiv(OpFoldResult a, int64_t b) const;
  /// Rounds up, for a positive constant divisor.
  OpFoldResult ceilDiv(OpFoldResult a, int64_t b) const;
  /// Never negative, for a positive constant divisor.
  OpFoldResult mod(OpFoldResult a, int64_t b) const;

  OpFoldResult compare(arith::CmpIPredicate predicate, OpFoldResult a,
                       OpFoldResult b) const;
  OpFoldResult logicalAnd(OpFoldResult a, OpFoldResult b) const;
  OpFoldResult logicalOr(OpFoldResult a, OpFoldResult b) const;
  OpFoldResult logicalNot(OpFoldResult a) const;
  OpFoldResult select(OpFoldResult condition, OpFoldResult a,
                      OpFoldResult b) const;

  /// A value for `x`, with a constant operation where needed.
  Value materialize(OpFoldResult x) const;

private:
  OpBuilder &builder;
  Location loc;
};

/// The integer behind a constant, sign-extended; a boolean is 0 or 1.
std::optional<int64_t> constantOf(OpFoldResult x);

} // namespace mlir::attn

#endif // ATTN_DIALECT_ATTN_UTILS_INDEXMATH_H
