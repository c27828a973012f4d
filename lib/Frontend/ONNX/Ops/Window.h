//===- Window.h - Kernels, strides, dilations and pads ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What convolutions and pools have in common.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_OPS_WINDOW_H
#define ATTN_LIB_FRONTEND_ONNX_OPS_WINDOW_H

#include "../NodeImporter.h"

namespace mlir::attn::frontend::onnx {

struct Window {
  SmallVector<int64_t> kernel, strides, dilations;
  /// Padding before and after, and the size of the result, by dimension.
  Shape low, high, output;

  size_t rank() const { return kernel.size(); }
  /// Elements from the first to the last one that the kernel touches.
  int64_t extent(size_t i) const { return dilations[i] * (kernel[i] - 1) + 1; }
};

/// The value of an attribute with one number for each spatial dimension.
FailureOr<SmallVector<int64_t>> spatialAttr(NodeImporter &n, StringRef name,
                                            size_t rank, int64_t otherwise,
                                            int64_t least);

/// Reads strides, dilations, pads, auto_pad and ceil_mode for inputs whose
/// spatial dimensions are `spatial`.
FailureOr<Window> readWindow(NodeImporter &n, ArrayRef<Dim> spatial,
                             ArrayRef<int64_t> kernel);

/// Pads, or cuts where a number is negative, the dimensions from 2 on.
TensorValue padSpatial(Emitter &emit, const TensorValue &x, ArrayRef<Dim> low,
                       ArrayRef<Dim> high, Value scalar);

/// Folds the window of each output element, of an input that is padded
/// already.
TensorValue reduceWindow(Emitter &emit, const TensorValue &padded,
                         const Window &window, Value init, ScalarBody combine);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_OPS_WINDOW_H
