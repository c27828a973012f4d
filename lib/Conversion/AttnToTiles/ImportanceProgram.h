//===- ImportanceProgram.h - Sums of probabilities by tiles -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_IMPORTANCEPROGRAM_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_IMPORTANCEPROGRAM_H

#include "TileBuilder.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/IR/Selection.h"

namespace mlir::attn {

/// Builds the tile program of one `attn.key_importance` with lse. In parallel
/// over batch entries, heads and tiles of keys, a loop over those tiles of
/// query rows that the mask lets see the keys. Keys stand in the rows of a tile
/// and queries in its columns, so that what is reduced lies along the columns.
/// Few query rows stand in the rows instead, as in decoding.
class ImportanceProgram : TileBuilder {
public:
  ImportanceProgram(OpBuilder &builder, KeyImportanceOp op,
                    const ConvertAttnToTilesPassOptions &options);

  SmallVector<Value> build();

  /// Unused: the importance has no features.
  SmallVector<int64_t, 4> outputDims = {0, 1, 2, 3};

private:
  /// Keys of one head and batch entry.
  struct KeyTile {
    OpFoldResult batch, keyHead;
    KeyInterval keys;      ///< of the tile, cut to those in memory
    OpFoldResult end;      ///< keys of the batch entry
    OpFoldResult position; ///< of query row 0
  };
  /// Whether a tile of query rows sees some of the keys, and all of them.
  struct Sight {
    OpFoldResult any, all;
  };

  SmallVector<Value> buildTiles();
  SmallVector<Value> buildFew(int64_t headsTogether);
  Value packQueries();
  Value packShifts();
  Value visitHead(const KeyTile &tile, Value keys, OpFoldResult head);
  Value visitRows(const KeyTile &tile, Value keys, OpFoldResult head,
                  OpFoldResult rowTile, bool partial, Value seen);
  Value visitFew(const KeyTile &tile, OpFoldResult head, int64_t headsTogether,
                 Value query, Value shifts);
  Sight look(const KeyTile &tile, OpFoldResult head, OpFoldResult firstRow,
             OpFoldResult numRows, int64_t alignedRows, bool mixesMasks);
  Value choose(OpFoldResult condition, llvm::function_ref<Value()> yes,
               llvm::function_ref<Value()> no);
  /// Weights of pairs; `headOf`, `entryOf` and `key` are about a body over
  /// [rows, columns].
  struct Pair {
    OpFoldResult head, entry, key;
  };
  Value weigh(const KeyTile &tile, Value score, Value shift, const Pair &pair,
              bool partial);
  Value combine(Reduction how, Value x, Value y);
  /// [rows] of [rows, columns]; NaN spreads.
  Value reduceColumns(Value seen, int64_t rows);
  KeyTile keyTile(OpFoldResult batch, OpFoldResult keyHead, OpFoldResult first,
                  int64_t width);
  OpFoldResult keyHeadOf(OpFoldResult head);
  OpFoldResult rowOf(OpFoldResult batch, OpFoldResult head, OpFoldResult entry);
  OpFoldResult countOf(OpFoldResult batch, OpFoldResult head);
  /// lse in base 2; minus infinity where an entry has no row.
  Value shiftOf(OpFoldResult batch, OpFoldResult head, OpFoldResult entry);

  KeyImportanceOp op;
  const ConvertAttnToTilesPassOptions &options;
  TensorView query, key;
  OpFoldResult batches, heads, kvHeads, group, queryLen, kvLen;
  OpFoldResult entries; ///< rows of a head; 0 if there is none to read
  int64_t features, tileRows, tileKeys;
  double scale; ///< of scores in base 2
  bool each;    ///< heads of a group stay apart
  MaskAttrInterface mask;
  SmallVector<Value> maskOperands;
  Value packedQueries, packedShifts;
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_IMPORTANCEPROGRAM_H
