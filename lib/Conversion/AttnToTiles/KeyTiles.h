//===- KeyTiles.h - Which key tiles a query tile visits ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_KEYTILES_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_KEYTILES_H

#include "attn/Dialect/Attn/IR/Mask.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

namespace mlir::attn {

/// Tiles of equal width, as runs of whole steps, one run after the other.
class KeyTileList {
public:
  /// `runs` count in steps of `keyStep` keys; a tile is `width` steps wide.
  KeyTileList(const IndexMath &math, ArrayRef<KeyInterval> runs, int64_t width);

  /// Number of tiles; a constant 0 if there is none at compile time.
  OpFoldResult count() const { return total; }

  /// First step of tile number `tile`.
  OpFoldResult stepOf(const IndexMath &math, OpFoldResult tile) const;

private:
  SmallVector<KeyInterval> runs;
  SmallVector<OpFoldResult> firstTile; ///< number of each run's first tile
  OpFoldResult total;
  int64_t width;
};

/// The two loops of a query tile.
struct KeyTiles {
  KeyTileList partial;  ///< one step each, element mask needed
  KeyTileList full;     ///< `stepsPerTile` steps each, every pair is kept
  KeyIntervals visited; ///< the steps of both, disjoint
};

/// Splits the steps that touch `visit` into full tiles inside `full` and
/// single steps. Intervals hold keys and are clipped to [keyBegin, keyEnd);
/// `keyBegin` is a multiple of `keyStep`.
KeyTiles buildKeyTiles(const IndexMath &math, const KeyIntervals &visit,
                       const KeyIntervals &full, OpFoldResult keyBegin,
                       OpFoldResult keyEnd, int64_t keyStep,
                       int64_t stepsPerTile);

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_KEYTILES_H
