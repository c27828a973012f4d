//===- Mask.h - What a mask is asked and what it answers --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_IR_MASK_H
#define ATTN_DIALECT_ATTN_IR_MASK_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"
#include "llvm/ADT/SmallVector.h"
#include <functional>

namespace mlir::attn {

/// One (query, key) pair. Inside a `linalg.generic` the members are index
/// values; for questions at compile time they are constants.
struct MaskPoint {
  OpFoldResult batch, head;
  OpFoldResult heads;    ///< number of query heads
  OpFoldResult kvLen;    ///< number of keys in memory
  OpFoldResult entry;    ///< place of the query in the list of rows
  OpFoldResult queryRow; ///< row of the query tensor
  OpFoldResult query;    ///< position of the query: row + query_offset
  OpFoldResult key;      ///< position of the key: its row
  ValueRange operands;   ///< the mask's operands, tensors
};

/// All pairs of some queries with keys: rows in the places [entryBegin,
/// entryEnd) of the list of rows, at positions inside [queryBegin, queryEnd).
struct MaskTile {
  OpFoldResult batch, head;
  OpFoldResult heads; ///< number of query heads
  OpFoldResult entryBegin, entryEnd;
  /// If not 0: `entryBegin` is a multiple of it and there are no more rows.
  int64_t alignedRows = 0;
  OpFoldResult queryBegin, queryEnd;
  OpFoldResult kvLen; ///< number of keys of the batch entry
  ValueRange operands;
};

/// Keys [begin, end); empty when end <= begin.
struct KeyInterval {
  OpFoldResult begin, end;
};
using KeyIntervals = SmallVector<KeyInterval, 2>;

/// A list of key intervals whose number is known at run time only: the second
/// half of what a tile must visit. Candidates stand in rising order and do not
/// overlap; each begins and ends at multiples of `granule`, maybe beyond the
/// keys. The functions build operations at the builder's place.
struct KeyList {
  int64_t granule = 1;
  bool single = true; ///< every candidate is one granule long
  /// At most so many candidates are present; -1 if that is not known.
  int64_t capacity = -1;
  /// The list counts no pair with a key outside.
  KeyInterval clip;
  /// Numbers [begin, end) of the candidates that may hold keys of an interval.
  std::function<KeyInterval(OpBuilder &, Location, KeyInterval)> candidates;
  std::function<KeyInterval(OpBuilder &, Location, OpFoldResult)> entry;
  /// The candidate belongs to the list (i1).
  std::function<OpFoldResult(OpBuilder &, Location, OpFoldResult)> present;
  /// Every pair of the tile with the candidate's keys is kept (i1).
  std::function<OpFoldResult(OpBuilder &, Location, OpFoldResult)> full;
  /// The list counts the pair `point` (i1): the mask keeps it, and its key lies
  /// in a present candidate. A number says in which, if that is known.
  std::function<OpFoldResult(OpBuilder &, Location, const MaskPoint &,
                             std::optional<OpFoldResult>)>
      keep;
};
using KeyLists = SmallVector<KeyList, 1>;

/// The attention that carries a mask, as far as a verifier needs it.
struct MaskUse {
  int64_t batch, heads, queryLen, kvLen; ///< ShapedType::kDynamic if unknown
  int64_t entries;        ///< rows of the results: queryLen, or of a row list
  TypeRange operandTypes; ///< of this mask alone
};

/// The same sizes at run time.
struct MaskSizes {
  OpFoldResult batch, heads, entries, kvLen;
};

/// A row of queries at compile time.
struct MaskRow {
  int64_t head, heads, query, kvLen;
  TypeRange operandTypes; ///< of this mask alone
};

/// State of a tile: `Partial` is always right; the others are promises.
enum class TileState { Empty, Partial, Full };

} // namespace mlir::attn

namespace mlir::attn {
class MaskAttrInterface;

/// How many of the row's keys `mask` keeps; all for a mask that reads operands.
/// Of many keys some are asked, so that the number may be off by a percent.
int64_t countKeys(MaskAttrInterface mask, const MaskRow &row);

} // namespace mlir::attn

#include "attn/Dialect/Attn/IR/AttnAttrInterfaces.h.inc"

namespace mlir::attn {

/// The common part of two intervals, and whether `x` lies inside one of
/// `intervals` (i1).
KeyInterval intersect(OpBuilder &builder, Location loc, const KeyInterval &a,
                      const KeyInterval &b);
OpFoldResult isInside(OpBuilder &builder, Location loc, const KeyInterval &x,
                      ArrayRef<KeyInterval> intervals);

/// Half-open box of positions, all constant.
struct TileBox {
  int64_t queryBegin, queryEnd, keyBegin, keyEnd;
};

/// Classifies `box` by the mask's intervals, for batch 0 and head `head`.
/// Masks that read operands are never `Empty` or `Full` here.
TileState classifyTile(MaskAttrInterface mask, int64_t head, TileBox box);

/// The predicate on constants; nothing for a mask that reads operands.
std::optional<bool> keepsPair(MaskAttrInterface mask, int64_t head,
                              int64_t query, int64_t key);

/// Share of the pairs that `mask` keeps, over all heads, for query positions
/// [queryOffset, queryOffset + queryLen) and keys [0, kvLen). Nothing for a
/// mask that reads operands.
std::optional<double> maskDensity(MaskAttrInterface mask, int64_t heads,
                                  int64_t queryLen, int64_t kvLen,
                                  int64_t queryOffset);

/// The same for any mask, as an upper bound; `operandTypes` are those of its
/// operands.
double maskBound(MaskAttrInterface mask, TypeRange operandTypes, int64_t heads,
                 int64_t queryLen, int64_t kvLen, int64_t queryOffset);

/// An equal mask in simplest form; a null attribute when every pair is kept.
/// `operands` numbers the tensors that `mask` reads and becomes the list of
/// those that the result reads.
MaskAttrInterface simplifyMask(MaskAttrInterface mask,
                               SmallVectorImpl<unsigned> &operands);

/// A mask over operands that are cheap to ask, equal to `mask` over
/// `operands`, which become those of the result.
MaskAttrInterface prepareMask(OpBuilder &builder, Location loc,
                              MaskAttrInterface mask, const MaskSizes &sizes,
                              SmallVectorImpl<Value> &operands);

/// `mask` is the one that keeps every pair, in its simplest form.
bool keepsEveryPair(MaskAttrInterface mask);

/// Bound of all lengths and distances in a mask, so that sums of them with
/// positions do not overflow.
inline constexpr int64_t kMaxMaskDistance = int64_t(1) << 40;

} // namespace mlir::attn

#endif // ATTN_DIALECT_ATTN_IR_MASK_H
