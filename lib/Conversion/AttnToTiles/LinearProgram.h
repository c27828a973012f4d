//===- LinearProgram.h - Tile program of a recurrence -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_LINEARPROGRAM_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_LINEARPROGRAM_H

#include "TileBuilder.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/Linear.h"

namespace mlir::attn {

/// Builds the tile program of one `attn.linear_attention`: in parallel over
/// batch entries, key heads and slices of value features, a loop over chunks of
/// tokens that carries the state.
class LinearProgram : TileBuilder, StaticHeads {
public:
  LinearProgram(OpBuilder &builder, LinearAttentionOp op,
                const ConvertAttnToTilesPassOptions &options);

  /// One value for each result; the output is in the layout `outputDims`.
  SmallVector<Value> build();

  /// The layout of the output that users want; set before `build`.
  SmallVector<int64_t, 4> outputDims = {0, 1, 2, 3};

private:
  /// What one thread works on.
  struct Place {
    OpFoldResult batch, keyHead;
    OpFoldResult firstFeature; ///< of the values
  };
  /// What a chunk takes and leaves.
  struct Carried {
    Value output;     ///< [1, group, S, features of a slice], laid out
    Value state;      ///< [panels * D, panel]
    Value normalizer; ///< [D]; none unless outputs are normalised
    SmallVector<Value> values() const {
      SmallVector<Value> result = {output, state};
      if (normalizer)
        result.push_back(normalizer);
      return result;
    }
    static Carried from(ValueRange values) {
      return {values[0], values[1], values.size() > 2 ? values[2] : Value()};
    }
  };
  /// Decays of a chunk of tokens, all powers of a sum of logarithms.
  struct Decays {
    Value sums;     ///< [tokens]: base 2 logarithm from the chunk's start on
    Value fromPast; ///< [tokens]: of the state that a token sees
    Value toEnd;    ///< [tokens]: of a token until the chunk's end
    Value ofState;  ///< [D]: of the state over the chunk
  };
  /// The same where each feature has its own: [tokens, D], base 2 logarithms.
  struct FeatureDecays {
    Value until; ///< from the start of a block of tokens to a token, inclusive
    Value after; ///< from behind a token to the end of its block
  };
  /// What all panels of a chunk share.
  struct Chunk {
    int64_t tokens;
    OpFoldResult first;
    Value query;     ///< [group * tokens, D]; decayed, if features differ
    Value keys;      ///< [tokens, D]; decayed, if features differ
    Value keysToEnd; ///< [D, tokens], decayed until the chunk's end
    Value scores;    ///< [group * tokens, tokens], decayed, causal
    Value beta;      ///< [tokens]
    Value overlaps;  ///< [tokens, tokens]: minus what a token recalls of others
    Value inverses;  ///< [tokens, block]: of the blocks on the diagonal
    Value fromPast;  ///< [group * tokens]
    Value divisors;  ///< [group * tokens]
    Decays decays;
    Value decayOfFeatures; ///< [D], before the chunk's only token
  };

  Carried visit(const Place &place, OpFoldResult begin, OpFoldResult end,
                Carried carried);
  Carried visitWrites(const Place &place, Carried carried);
  Carried visitChunk(const Place &place, int64_t tokens, OpFoldResult first,
                     Carried carried);
  Carried visitPanel(const Place &place, const Chunk &chunk, OpFoldResult panel,
                     Carried carried);
  Decays buildDecays(const Place &place, int64_t tokens, OpFoldResult first);
  /// Base 2 logarithm of the decay of a token, inside a body.
  Value logDecay(const Place &place, OpFoldResult token);
  Value clampedLog(Value x);
  Value buildFeatureDecays(const Place &place, OpFoldResult first,
                           OpFoldResult tokens);
  /// The factor of a pair of tokens of a chunk, inside a body over [row, key].
  Value pairDecay(const Decays &decays, OpFoldResult row);
  void addScores(const Place &place, Chunk &chunk);
  void addBeta(const Place &place, Chunk &chunk);
  void addDelta(Chunk &chunk, Value products);

  // Features that decay each by its own number (LinearFeatures.cpp).
  /// Products of the tokens of a chunk, and of its keys among themselves.
  struct Products {
    Value scores, overlaps;
    FeatureDecays decays;
  };
  Value buildAcross(Value tile);
  void addFeatureScores(const Place &place, Chunk &chunk);
  Products addLevel(const Chunk &chunk, Value half, const Products &before);
  Value decayed(Value rows, Value decays, int64_t tokens);

  Value solve(const Chunk &chunk, Value right);
  Value loadRows(const Place &place, const TensorView &source, int64_t perHead,
                 int64_t headsTogether, OpFoldResult first, double scale);
  Value storeOutput(const Place &place, const Chunk &chunk, Value rows,
                    OpFoldResult panel, Value output);
  Value times(Value tile, Value rowFactors);
  Value initialState(const Place &place);
  Value initialNormalizer(const Place &place);
  Value storeState(Value state, Value destination);

  LinearAttentionOp op;
  int64_t panel;   ///< value features that are computed together
  int64_t panels;  ///< of a slice
  Value logDecays; ///< constants of the key heads, base 2
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_LINEARPROGRAM_H
