//===- ScalarFunction.h - Scalar code as functions of numbers ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_X86_SCALARFUNCTION_H
#define ATTN_LIB_TARGET_X86_SCALARFUNCTION_H

#include "mlir/IR/Value.h"

namespace mlir::attn {

/// Name of the activation of `attn_rt.matmul` that `result` is of `argument`,
/// or "" if it is none. Decided by values: models write each in many ways.
llvm::StringRef recognizeActivation(Value result, Value argument);

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_X86_SCALARFUNCTION_H
