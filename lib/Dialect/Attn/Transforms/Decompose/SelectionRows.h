//===- SelectionRows.h - Rows of scores, ready to choose from ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_SELECTIONROWS_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_SELECTIONROWS_H

#include "Builders.h"
#include "attn/Dialect/Attn/IR/Selection.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

namespace mlir::attn {

/// An index operand that is one number or one for each row. A null value
/// stands for an absent operand.
struct RowNumber {
  Value scalar; ///< index
  Value tensor; ///< [rows] of any integer type
};

/// The scores of an `attn.top_k` with all leading dimensions in one, as
/// integers of the same order.
struct SelectionRows {
  OpFoldResult rows, columns, capacity;
  Value images;  ///< [rows, columns]: greater is better, `none` never selected
  Value budgets; ///< [rows] index
  Value weights; ///< [rows, columns] floats, for the rules that add them up
  Value targets; ///< [rows] floats: the sum of weights that ends a selection
  IntegerType imageType;

  /// The image of what is never selected, the smallest one.
  Value none(ImplicitLocOpBuilder &b) const;
  /// The image of what is always selected, the largest one.
  Value forced(ImplicitLocOpBuilder &b) const;
};

SelectionRows buildSelectionRows(ImplicitLocOpBuilder &b, TopKOp op);

/// [rows, capacity] and [rows] in the shape of the operation's results.
SmallVector<Value> restoreSelection(ImplicitLocOpBuilder &b, TopKOp op,
                                    Value indices, Value counts);

/// `value` (index) as `type`, an integer or index.
Value convertFromIndex(ImplicitLocOpBuilder &b, Value value, Type type);

/// All dimensions of `tensor` but the last `kept` ones become one.
Value joinLeading(ImplicitLocOpBuilder &b, Value tensor, int64_t kept);

/// The reverse: the first dimension of `tensor` becomes the first `leading`
/// ones of `like`. The result is of type `wanted`.
Value splitLeading(ImplicitLocOpBuilder &b, Value tensor, Value like,
                   unsigned leading, Type wanted);

/// Adds `x` to `sum` where `condition` holds.
Value addIf(ImplicitLocOpBuilder &b, Value condition, Value sum, Value x);

/// An operand (index, or a tensor that broadcasts to `leading`, whose
/// dimensions are those of `like`) for rows in which `leading` is one.
RowNumber buildRowNumber(ImplicitLocOpBuilder &b, Value operand, Value like,
                         ArrayRef<OpFoldResult> leading);

/// The softmax of the spans' logits, [B, H, S, K] of sizes `spans`: its powers
/// and, for each row, their sum. Uniform where a row has no logit above minus
/// infinity; a NaN counts as minus infinity.
struct Gate {
  Value powers, total;
};
Gate buildGate(ImplicitLocOpBuilder &b, Value logits,
               ArrayRef<OpFoldResult> spans, FloatType compute);

/// An operand that is one number or one for each batch entry; 0 when absent.
OpFoldResult numberOf(ImplicitLocOpBuilder &b, Value operand, Value batch);

/// Scaled products of all queries and keys, [B, H, S, Skv].
Value buildProducts(ImplicitLocOpBuilder &b, Value query, Value key,
                    double scale, FloatType compute);

/// Rows of `input`, [B, H, S, D], by their index, [B, H or 1, N]; zeros where
/// there is none.
Value buildGatheredRows(ImplicitLocOpBuilder &b, Value input, Value rows);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_DECOMPOSE_SELECTIONROWS_H
