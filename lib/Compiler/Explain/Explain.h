//===- Explain.h - A report on the attentions of a model --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_COMPILER_EXPLAIN_EXPLAIN_H
#define ATTN_LIB_COMPILER_EXPLAIN_EXPLAIN_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace mlir::attn {

/// A part of the compilation, run on a module in place.
using ExplainStage = function_ref<LogicalResult(ModuleOp)>;

enum class ReportForm { Text, Json };

/// Describes each attention of `module`: origin, heads, sizes, mask, density,
/// the path that it takes, and why not a better one; and what the selections of
/// the module choose and cost. `raise` recognises
/// attentions; `lower` chooses their paths and leaves no attention. Both say
/// what they did by remarks, which this function records: a `passed` remark at
/// the place of an attention names its path, a `missed` one gives the reason
/// for a worse path, or for a softmax that stays. Changes the module, and
/// takes the context's remark engine, so the context is used up.
FailureOr<std::string> explainModule(ModuleOp module, ExplainStage raise,
                                     ExplainStage lower,
                                     ReportForm form = ReportForm::Text);

} // namespace mlir::attn

#endif // ATTN_LIB_COMPILER_EXPLAIN_EXPLAIN_H
