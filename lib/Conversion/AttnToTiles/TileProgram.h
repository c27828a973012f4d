//===- TileProgram.h - Builds the tile program of one attention -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_TILEPROGRAM_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_TILEPROGRAM_H

#include "KeyTiles.h"
#include "TileBuilder.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::attn {

/// Builds the tile programs of one attention at the builder's place.
class TileProgram : TileBuilder {
public:
  TileProgram(OpBuilder &builder, AttentionOp op,
              const ConvertAttnToTilesPassOptions &options);

  /// Fills the results: `output` in the layout `outputDims` and `lse`, if
  /// present. A program that decodes is chosen where the rows are few.
  SmallVector<Value> build();

  /// The layout of the output that users want; set before `build`.
  SmallVector<int64_t, 4> outputDims = {0, 1, 2, 3};

  /// How lists of keys are visited and what that is expected to cost, after
  /// `build`.
  llvm::SmallSetVector<StringRef, 2> getDecisions() const {
    llvm::SmallSetVector<StringRef, 2> unique;
    for (const std::string &text : decisions)
      unique.insert(text);
    return unique;
  }

private:
  /// The state of the online softmax of a tile of rows.
  struct State {
    Value maximum, sum, total; ///< [rows], [rows], [rows, Dv]
  };
  /// A tile of query rows of one batch entry.
  struct QueryTile {
    OpFoldResult batch;
    OpFoldResult keyHead, valueHead;
    OpFoldResult head;       ///< of the first row
    int64_t heads = 1;       ///< the rows are of so many heads
    OpFoldResult firstRow;   ///< row of the query tensor
    OpFoldResult rows;       ///< rows of the tile, some may repeat the last one
    bool groupRows = false;  ///< rows run over the heads of a group first
    bool mayRepeat = true;   ///< the rows may reach beyond the query tensor
    OpFoldResult position;   ///< query_offset of the batch entry
    OpFoldResult keyEnd;     ///< no row keeps keys from here on
    OpFoldResult keySolid;   ///< lengths and pages keep all keys before
    int64_t alignedRows = 0; ///< firstRow is a multiple of it, if not 0
    bool mixesMasks = false; ///< rows of heads with different masks
    OpFoldResult lastEntry;  ///< of the head's row list; null: each head's own
    KeyInterval queryRows;   ///< that hold the tile's rows
  };
  /// Coordinates of a tile's row, inside the body of a `linalg.generic`.
  struct Row {
    OpFoldResult head, row;
    OpFoldResult entry; ///< place in the results: `row` without a row list
  };
  /// Replaces the mask's predicate for the pairs of a tile.
  using KeepFn = std::function<OpFoldResult(const MaskPoint &point)>;

  // Parts shared by the programs (TileProgram.cpp).
  SmallVector<Value> choose(ValueRange destinations);
  SmallVector<Value> buildPrefill(ValueRange destinations);
  Value packKeys();
  Value packValues();
  Value packValuePanels();
  /// Whether all keys of every row fit one tile of a size between steps.
  bool fitsOneTile();
  /// Whether a tile of keys may reach beyond the last key.
  bool mayEndInside();
  State initialState(const QueryTile &tile);
  State addSinks(const QueryTile &tile, State state);
  State visitTile(const QueryTile &tile, Value query, OpFoldResult step,
                  int64_t keys, bool partial, State state, KeepFn keep = {});
  Value loadNatural(const QueryTile &tile, const TensorView &source,
                    OpFoldResult head, OpFoldResult firstKey, int64_t keys,
                    int64_t width);
  Value productsFromPanels(const QueryTile &tile, Value query,
                           OpFoldResult step, int64_t keys);
  Value productsFromRows(const QueryTile &tile, Value query,
                         OpFoldResult firstKey, OpFoldResult count,
                         int64_t keys);
  Value toBase2(Value x);
  Value modifyScore(MaskPoint point, Value score, bool tail);
  /// The key, or the last one where it may lie past the end.
  OpFoldResult keyInside(OpFoldResult key, bool tail);
  Value modifyScores(const QueryTile &tile, Value scores, OpFoldResult firstKey,
                     bool partial, KeepFn keep = {});
  /// With `skipZeros` a weight of zero makes zero even of NaN and infinity.
  Value addValues(const QueryTile &tile, Value weights, Value total,
                  OpFoldResult firstKey, OpFoldResult count, int64_t keys,
                  bool skipZeros = false);
  Value loadQuery(const QueryTile &tile);
  void storeRows(scf::ForallOp forall, const State &state, OpFoldResult batch,
                 OpFoldResult head, OpFoldResult firstRow, OpFoldResult rows);
  void storeOutput(scf::ForallOp forall, Value sum, Value total,
                   OpFoldResult batch, OpFoldResult head, OpFoldResult firstRow,
                   OpFoldResult rows,
                   llvm::function_ref<Value(Value, double)> orElse);
  OpFoldResult queryPosition(OpFoldResult batch);
  OpFoldResult keysInTile(const QueryTile &tile, OpFoldResult firstKey,
                          int64_t keys, bool partial);
  Value products(const QueryTile &tile, Value query, OpFoldResult step,
                 OpFoldResult count, int64_t keys);
  Value toValueType(Value weights, const QueryTile &tile, int64_t keys);
  Row rowOf(const QueryTile &tile, Value i);
  /// A score or maximum as the exponent takes it.
  Value scaled(Value x) {
    return rawScale == 1 ? x : arith::MulFOp::create(b, x, number(rawScale));
  }

  // Where keys and values lie (KeyPlaces.cpp).
  /// The head of keys or values that a query head reads.
  OpFoldResult headOf(std::optional<ArrayRef<int64_t>> map, OpFoldResult own,
                      OpFoldResult head);
  void setHeads(QueryTile &tile);
  /// Reads, once for each batch entry, which of its pages exist.
  void scanPages();
  /// Sets `keyEnd` and `keySolid`.
  void setKeyBounds(QueryTile &tile);
  /// The number of keys of a query head, as far as lengths say.
  OpFoldResult lengthOf(OpFoldResult batch, OpFoldResult head);
  bool hasHeadLengths();
  /// All keys of the batch entry from here on are hidden from every head.
  OpFoldResult packEnd(OpFoldResult batch);
  /// Batch entry and row of the source at which key `key` lies.
  struct KeyPlace {
    OpFoldResult batch, row;
  };
  KeyPlace placeOf(OpFoldResult batch, OpFoldResult key);
  /// Keys that lie together wherever a step begins; 0 if all do.
  int64_t keysTogether();
  /// Runs `body` for each part of a tile's keys that lies together, with the
  /// part's first column and number of columns, over `state`.
  Value overParts(const QueryTile &tile, OpFoldResult firstKey,
                  OpFoldResult count, int64_t keys, Value state,
                  llvm::function_ref<Value(KeyPlace place, OpFoldResult column,
                                           OpFoldResult count, Value state)>
                      body);

  // Lists of rows (RoutedRows.cpp).
  /// Number of entries of a head's row list, at most `entries`.
  OpFoldResult countOf(OpFoldResult batch, OpFoldResult head);
  /// The row that an entry names, or the nearest that exists.
  OpFoldResult listedRow(OpFoldResult batch, OpFoldResult head,
                         OpFoldResult entry);
  /// Whether the entry counts and names a row that exists.
  OpFoldResult entryExists(OpFoldResult batch, OpFoldResult head,
                           OpFoldResult entry);
  /// Whether a row list of the heads from `head` on has an entry.
  OpFoldResult anyEntry(OpFoldResult batch, OpFoldResult head, int64_t heads);
  /// Rows [begin, end) of the query that hold all listed ones of the tile.
  KeyInterval rowRange(const QueryTile &tile);
  /// `build`, or zeros where the query has no row to read.
  SmallVector<Value>
  guardEmptyQuery(ValueRange destinations,
                  llvm::function_ref<SmallVector<Value>()> build);
  Value extractBroadcast(Value tensor, ArrayRef<OpFoldResult> indices,
                         bool keyMayExceed);
  /// Destinations of what is computed: the output, if used, and the lse.
  SmallVector<Value> emptyResults();
  Value emptyOutput();

  // Which keys a tile meets (TileVisits.cpp).
  State visitKeys(const QueryTile &tile, Value query, OpFoldResult keyBegin,
                  OpFoldResult keyEnd, State state);
  /// The tiles of intervals. For `everyPair` each step with kept pairs is in
  /// them, lists included, and none counts as full.
  KeyTiles keyTiles(const QueryTile &tile, OpFoldResult keyBegin,
                    OpFoldResult keyEnd, bool everyPair = false);
  MaskTile maskTile(const QueryTile &tile);
  bool maskHasLists();
  /// So many heads, from a multiple of it on, see one mask.
  int64_t headsAlike();
  /// One list of a tile and what came before it.
  struct ListVisit {
    const QueryTile &tile;
    Value query;
    KeyInterval keys;           ///< the part of the keys to visit
    ArrayRef<KeyInterval> runs; ///< steps that were visited before
    ArrayRef<KeyList> lists;    ///< the last one is visited now

    const KeyList &list() const { return lists.back(); }
    /// A candidate is a number of whole steps.
    bool hasWholeSteps(int64_t keyStep) const {
      return list().granule % keyStep == 0;
    }
  };
  OpFoldResult keepInList(const ListVisit &visit, const MaskPoint &point,
                          std::optional<OpFoldResult> candidate);
  State visitList(const ListVisit &visit, State state);
  /// All keys around the list, each pair tested.
  State visitAround(const ListVisit &visit, State state);
  State visitChunk(const ListVisit &visit, OpFoldResult candidate,
                   OpFoldResult full, OpFoldResult chunk, State state);
  // Keys that are collected first, where steps would be mostly empty
  // (TileGather.cpp).
  struct Gathered {
    Value keys;                ///< numbers of all collected keys
    OpFoldResult first, total; ///< the tile's first one, how many there are
  };
  bool gathers(const ListVisit &visit);
  double mostGathered(const ListVisit &visit);
  void noteDecision(const ListVisit &visit);
  State visitGathered(const ListVisit &visit, State state);
  State visitGatheredTile(const ListVisit &visit, Value keys,
                          OpFoldResult first, OpFoldResult total, int64_t width,
                          State state);
  Value gatherRows(const ListVisit &visit, const TensorView &source,
                   OpFoldResult head, int64_t firstFeature, int64_t features,
                   int64_t width);
  /// Where the keys and values of a tile lie.
  OpFoldResult keyBatch(const QueryTile &tile) {
    return gathered ? c(0) : tile.batch;
  }
  OpFoldResult keyHead(const QueryTile &tile) {
    return gathered ? c(0) : tile.keyHead;
  }
  OpFoldResult valueHead(const QueryTile &tile) {
    return gathered ? c(0) : tile.valueHead;
  }
  OpFoldResult keyOfColumn(OpFoldResult firstKey, OpFoldResult column);
  OpFoldResult isInside(OpFoldResult key, const KeyInterval &keys);
  State visitIf(OpFoldResult condition, llvm::function_ref<State()> visit,
                llvm::function_ref<State()> otherwise);

  // What hidden pairs may not do (HiddenPairs.cpp).
  bool mayReadHidden();
  /// `state` after the keys in [keyBegin, keyEnd), free of the values that no
  /// row keeps. With `cutsSteps` the bounds are no multiples of steps.
  State withoutHidden(const QueryTile &tile, Value query, OpFoldResult keyBegin,
                      OpFoldResult keyEnd, State state, bool cutsSteps = false);
  Value isFinite(Value total, OpFoldResult rows);
  Value addKeptValues(const QueryTile &tile, Value query,
                      const KeyTileList &steps, Value maximum, Value total,
                      KeepFn keep);

  // Decoding (DecodeProgram.cpp).
  SmallVector<Value> buildDecode(ValueRange destinations);
  /// A list whose entries can be shared out to threads: the mask visits
  /// nothing else.
  std::optional<KeyList> onlyList(const QueryTile &tile);
  /// How many parts the longest list of any group of heads makes.
  OpFoldResult
  countParts(OpFoldResult groups,
             llvm::function_ref<QueryTile(Value batch, Value group)> tileOf);
  /// The keys of part `part` of `parts`: as many entries as in each other one.
  KeyInterval shareOfList(const QueryTile &tile, const KeyList &list,
                          OpFoldResult part, OpFoldResult parts);
  State merged(State a, State part, OpFoldResult rows);
  /// The larger maximum, or 0 for a row without keys: scores are taken
  /// relative to it.
  Value finiteBase(Value maximum, Value other, OpFoldResult rows);

  AttentionOp op;
  const ConvertAttnToTilesPassOptions &options;
  std::vector<std::string> decisions;
  TensorView query, key, value;
  OpFoldResult batches, heads, keyHeads, valueHeads, group, queryLen, kvLen;
  int64_t pageSize;         ///< 0 without pages
  OpFoldResult pages;       ///< of the pool
  Value pageEnd, pageSolid; ///< `keyEnd` and `keySolid` of each batch entry
  OpFoldResult entries; ///< rows of the results: `queryLen`, or of a row list
  int64_t headDim, valueDim;
  FloatType element;
  bool pairs;             ///< products of pairs of bf16
  bool onlyLse;           ///< nobody reads the output: no work on values
  double queryScale;      ///< folded into the query tile
  double scoreScale;      ///< applied to the products
  double rawScale = 1;    ///< applied to scores and maxima in the exponent
  MaskAttrInterface mask; ///< prepared; null without one
  SmallVector<Value> maskOperands;
  Value packedKeys, packedValues, packedPanels;
  std::optional<Gathered> gathered; ///< while such a tile is built
  int64_t keyStep, keyTile;         ///< keys of a partial and of a full tile
  int64_t packStep;                 ///< packed keys are a multiple of it
  int64_t valuePanel;               ///< features of a panel of values
};

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_TILEPROGRAM_H
