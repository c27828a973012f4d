//===- Checks.h - What verifiers of selections share ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_IR_SELECTION_CHECKS_H
#define ATTN_LIB_DIALECT_ATTN_IR_SELECTION_CHECKS_H

#include "attn/Dialect/Attn/IR/Selection.h"

namespace mlir::attn {

/// A tensor of an operation and its name in messages.
struct NamedTensor {
  NamedTensor(Value value, StringRef name)
      : type(dyn_cast_if_present<RankedTensorType>(value ? value.getType()
                                                         : Type())),
        name(name) {}
  RankedTensorType type; ///< null where absent or no tensor
  StringRef name;
};

/// Dimension `i` of `a` and `j` of `b` may be equal at run time. Absent tensors
/// pass.
LogicalResult checkEqual(Operation *op, NamedTensor a, unsigned i,
                         NamedTensor b, unsigned j);

/// Dimension `i` of `a` may be 1 or equal to dimension `j` of `b`.
LogicalResult checkOneOrEqual(Operation *op, NamedTensor a, unsigned i,
                              NamedTensor b, unsigned j);

/// Dimension `i` of `a` may be `size`.
LogicalResult checkSize(Operation *op, NamedTensor a, unsigned i, int64_t size,
                        StringRef why);

LogicalResult checkRank(Operation *op, NamedTensor a, int64_t rank,
                        StringRef why);

LogicalResult checkElement(Operation *op, NamedTensor a, NamedTensor b);

/// Attribute `name` is at least `least`.
LogicalResult checkAtLeast(Operation *op, StringRef name, int64_t number,
                           int64_t least);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_IR_SELECTION_CHECKS_H
