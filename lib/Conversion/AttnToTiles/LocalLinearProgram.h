//===- LocalLinearProgram.h - Local linear attention by tiles ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_LOCALLINEARPROGRAM_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_LOCALLINEARPROGRAM_H

#include "TileBuilder.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/Linear.h"

namespace mlir::attn {

/// Builds the tile program of one `attn.local_linear_attention`: for a tile of
/// rows, passes over the tiles of keys it sees, one for sums of the weights,
/// one for each step of conjugate gradients, one for the output. Weights are
/// made anew in each pass; no matrix of keys by rows or of features exists.
class LocalLinearProgram : TileBuilder, StaticHeads {
public:
  LocalLinearProgram(OpBuilder &builder, LocalLinearAttentionOp op,
                     const ConvertAttnToTilesPassOptions &options);

  SmallVector<Value> build();

  /// The layout of the output that users want; set before `build`.
  SmallVector<int64_t, 4> outputDims = {0, 1, 2, 3};

private:
  struct Rows {
    OpFoldResult batch, head, keyHead, first;
    OpFoldResult keyTiles; ///< number of tiles of keys that any row sees
    Value query;           ///< [rows, D]
    Value maximum;         ///< [rows]: of scores in base 2
    Value omega, ridge;    ///< [rows]
    Value mean, mu;        ///< [rows, D]
  };
  /// What a pass does with a tile of keys; returns what is carried on.
  using Step = llvm::function_ref<SmallVector<Value>(OpFoldResult firstKey,
                                                     ValueRange carried)>;

  Value loadTile(const Rows &rows, const TensorView &source, OpFoldResult first,
                 int64_t width, bool across);
  Value zeros(int64_t width);
  SmallVector<Value> overKeys(const Rows &rows, ValueRange carried, Step step);
  /// Scores in base 2, minus infinity where a row does not see a key.
  Value buildScores(const Rows &rows, Value keysAcross, OpFoldResult firstKey);
  Value buildWeights(const Rows &rows, Value keysAcross, OpFoldResult firstKey);
  void sumWeights(Rows &rows);
  Value rowDot(Value x, Value y);
  Value applySigma(const Rows &rows, Value x);
  Value solve(const Rows &rows);
  Value buildOutput(const Rows &rows, Value rho);
  /// An operation on rows: inputs are [rows] or as wide as the destination.
  Value rowOp(ArrayRef<Value> inputs, Value destination, Body body);

  LocalLinearAttentionOp op;
  int64_t tileRows, tileKeys = 64;
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_LOCALLINEARPROGRAM_H
