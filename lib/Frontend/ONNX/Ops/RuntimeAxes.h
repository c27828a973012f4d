//===- RuntimeAxes.h - Axes that are read at run time -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators whose list of axes is an input of the model. Their number is
// known, so the rank of the result is, too.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_OPS_RUNTIMEAXES_H
#define ATTN_LIB_FRONTEND_ONNX_OPS_RUNTIMEAXES_H

#include "../Emitter.h"

namespace mlir::attn::frontend::onnx {

struct RuntimeAxes {
  /// For each dimension, whether it is among the axes.
  SmallVector<Value> isGiven;
  int64_t count = 0;

  /// The shape with a 1 at each axis, and without the axes.
  Shape withOnes(Emitter &emit, ArrayRef<Dim> shape) const;
  Shape without(Emitter &emit, ArrayRef<Dim> shape) const;
  /// The shape of all dimensions, with a 1 inserted at each axis.
  Shape inserted(Emitter &emit, ArrayRef<Dim> shape) const;
};

/// Axes of a tensor of rank `rank` (of rank + count when `addsRank`); nullopt
/// when their number is not known or larger than the rank.
std::optional<RuntimeAxes> readRuntimeAxes(Emitter &emit, TensorValue &axes,
                                           int64_t rank, bool addsRank = false);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_OPS_RUNTIMEAXES_H
