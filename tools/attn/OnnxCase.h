//===- OnnxCase.h - One folder in the layout of ONNX's tests ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_ONNXCASE_H
#define ATTN_TOOLS_ATTN_ONNXCASE_H

#include "Compiler.h"
#include <filesystem>
#include <string>

namespace attn::tool {

enum class CaseStatus { Passed, Failed, Skipped };

struct CaseResult {
  CaseStatus status = CaseStatus::Passed;
  std::string reason;
};

/// Compiles model.onnx and runs each test_data_set_*: input_<i>.pb belongs to
/// the model's input i, output_<i>.pb to its output i. The tolerance is rtol
/// 1e-3 and atol 1e-7 unless a data.json says otherwise. Never throws.
CaseResult runCase(const std::filesystem::path &folder,
                   const CompileOptions &options);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_ONNXCASE_H
