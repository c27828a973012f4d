//===- Operands.h - Mask operands for each head -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_IR_MASK_OPERANDS_H
#define ATTN_LIB_DIALECT_ATTN_IR_MASK_OPERANDS_H

#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"

namespace mlir::attn {

/// What a mask operand [B, H, ...] should be: B is 1 or the batch size, H
/// divides the number of heads.
struct MaskOperand {
  StringRef name;
  int64_t rank;
  bool members = false; ///< i1, else integers
};

LogicalResult verifyMaskOperand(Type type, MaskOperand expected,
                                const MaskUse &use,
                                function_ref<InFlightDiagnostic()> emit);

/// Dimension `dim` of `type` is `size`, where both are known.
LogicalResult verifyMaskDim(Type type, StringRef name, int64_t dim,
                            int64_t size, StringRef meaning,
                            function_ref<InFlightDiagnostic()> emit);

/// Builds a check that dimension `dim` of `operand` is `size`, unless that is
/// known. A wrong operand ends the run with a message.
void checkMaskDim(OpBuilder &builder, Location loc, Value operand,
                  StringRef name, int64_t dim, OpFoldResult size,
                  StringRef meaning);

/// Two operands of one shape and element type.
LogicalResult verifyAlike(TypeRange types, StringRef first, StringRef second,
                          function_ref<InFlightDiagnostic()> emit);

/// So many heads share what they read of an operand of type `type`; 0 if all
/// do.
int64_t headsThatShare(Type type, int64_t heads);

} // namespace mlir::attn

#endif // ATTN_LIB_DIALECT_ATTN_IR_MASK_OPERANDS_H
