//===- AttentionParts.h - What all attention operators need -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Heads, caches and the operands of attention, for the standard operators and
// those of com.microsoft.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_OPS_ATTENTIONPARTS_H
#define ATTN_LIB_FRONTEND_ONNX_OPS_ATTENTIONPARTS_H

#include "../NodeImporter.h"

namespace mlir::attn::frontend::onnx {

/// [B, S, H * D] to [B, H, S, D].
FailureOr<TensorValue> splitHeads(NodeImporter &n, const TensorValue &x,
                                  int64_t heads);

/// [B, H, S, D] to [B, S, H * D].
TensorValue joinHeads(Emitter &emit, const TensorValue &x);

/// The rows of `past` followed by those of `update`.
TensorValue appendRows(Emitter &emit, const TensorValue &past,
                       const TensorValue &update);

/// `heads` ([B, H, S, D]) with its first features turned; the tables are
/// [B or 1, S, half].
FailureOr<TensorValue> rotate(NodeImporter &n, const TensorValue &heads,
                              TensorValue cos, TensorValue sin,
                              int64_t rotatedDim, bool isInterleaved);

/// The operands of one attention, in the layout of `attn.attention`.
struct Attention {
  TensorValue query, key, value, bias, keep, lengths, sinks;
  bool hasBias = false, hasKeep = false, hasLengths = false, hasSinks = false;
  bool isCausal = false;
  /// Keys before its own that a query of causal attention sees; -1: all.
  int64_t window = -1;
  /// Position of query row 0: of all batch entries, or of each ([B]).
  Dim offset = 0;
  TensorValue offsets;
  double scale = 0, softcap = 0;
  int32_t precision = Undefined;
};

Value buildAttention(Emitter &emit, const Attention &a);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_OPS_ATTENTIONPARTS_H
