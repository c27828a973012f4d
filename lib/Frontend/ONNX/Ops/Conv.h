//===- Conv.h - Convolution of padded inputs --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The convolution behind Conv, ConvTranspose and the integer ones.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_OPS_CONV_H
#define ATTN_LIB_FRONTEND_ONNX_OPS_CONV_H

#include "Window.h"

namespace mlir::attn::frontend::onnx {

/// Convolves x [N, C, spatial...], padded already, with w [M, C / groups,
/// kernel...]; both have one element type, in which the result comes.
TensorValue convolve(Emitter &emit, const TensorValue &x, const TensorValue &w,
                     const Window &window, int64_t groups);

/// The spatial dimensions of the first two inputs, checked, and the window.
struct ConvShape {
  int64_t groups;
  Window window;
};
FailureOr<ConvShape> readConv(NodeImporter &n, const TensorValue &x,
                              const TensorValue &w);

/// Adds a bias [M] to [N, M, spatial...].
TensorValue addChannelBias(Emitter &emit, const TensorValue &x,
                           const TensorValue &bias);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_OPS_CONV_H
