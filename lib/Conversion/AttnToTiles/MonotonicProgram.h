//===- MonotonicProgram.h - Alignments in parallel --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_MONOTONICPROGRAM_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_MONOTONICPROGRAM_H

#include "TileBuilder.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/Linear.h"

namespace mlir::attn {

/// Builds the program of one `attn.monotonic_align`: in parallel over batch
/// entries and heads, one scan over the sources for each target.
class MonotonicProgram : TileBuilder {
public:
  MonotonicProgram(OpBuilder &builder, MonotonicAlignOp op,
                   const ConvertAttnToTilesPassOptions &)
      : TileBuilder(builder, op.getLoc()), op(op) {}

  SmallVector<Value> build();

  /// The layout of the output that users want; set before `build`.
  SmallVector<int64_t, 4> outputDims = {0, 1, 2, 3};

private:
  using Step = llvm::function_ref<SmallVector<Value>(Value, ValueRange)>;

  /// `step` gets the index and what is carried, and returns what is carried on.
  SmallVector<Value> loop(OpFoldResult end, ValueRange carried, Step step);

  MonotonicAlignOp op;
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_MONOTONICPROGRAM_H
