//===- ImportOnnx.h - ONNX models as MLIR modules ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one entry point of the ONNX frontend.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_FRONTEND_ONNX_IMPORTONNX_H
#define ATTN_FRONTEND_ONNX_IMPORTONNX_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <string>

namespace mlir {
class DialectRegistry;
namespace attn::frontend::onnx {

struct ImportOptions {
  /// Name of the public function.
  std::string functionName = "main";
  /// Constants of more bytes stay in their file as `attn_rt.weight`.
  int64_t maxInlineBytes = 1024;
};

/// The dialects of an imported module.
void registerImportDialects(DialectRegistry &registry);

/// Imports the model at `path`: one function on tensors whose arguments and
/// results carry `attn.name` and `attn.dims`. On failure the result is null
/// and `error` says why, with one further line for each unsupported node.
/// `isUnsupported`: the model is sound, but holds something that the importer
/// lacks.
OwningOpRef<ModuleOp> importOnnx(StringRef path, MLIRContext *context,
                                 const ImportOptions &options,
                                 std::string &error,
                                 bool *isUnsupported = nullptr);

} // namespace attn::frontend::onnx
} // namespace mlir

#endif // ATTN_FRONTEND_ONNX_IMPORTONNX_H
