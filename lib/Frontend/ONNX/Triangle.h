//===- Triangle.h - Stored triangles are computed ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models store causal masks as tables of one value on and below a diagonal
// and another above it. As index arithmetic, every later pass knows what they
// hold.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_TRIANGLE_H
#define ATTN_LIB_FRONTEND_ONNX_TRIANGLE_H

#include "Emitter.h"

namespace mlir::attn::frontend::onnx {

/// The tensor of `type` with the row-major elements `raw`, computed at the
/// start of the function, if its two dimensions besides ones are a triangle;
/// else null.
Value emitTriangle(Emitter &emit, RankedTensorType type, StringRef raw);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_TRIANGLE_H
