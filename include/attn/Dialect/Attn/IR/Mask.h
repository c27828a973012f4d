//===- Mask.h - What a mask is asked and what it answers --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_IR_MASK_H
#define ATTN_DIALECT_ATTN_IR_MASK_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"
#include "llvm/ADT/SmallVector.h"

namespace mlir::attn {

/// One (query, key) pair. Inside a `linalg.generic` the members are index
/// values; for questions at compile time they are constants.
struct MaskPoint {
  OpFoldResult batch, head;
  OpFoldResult queryRow; ///< row of the query tensor
  OpFoldResult query;    ///< position of the query: row + query_offset
  OpFoldResult key;      ///< position of the key: its row
  ValueRange operands;   ///< the mask's operands, tensors
};

/// All pairs of the query positions [queryBegin, queryEnd) with keys.
struct MaskTile {
  OpFoldResult batch, head;
  OpFoldResult queryRow; ///< row of the first query
  OpFoldResult queryBegin, queryEnd;
  OpFoldResult kvLen; ///< number of keys
  ValueRange operands;
};

/// Keys [begin, end); empty when end <= begin.
struct KeyInterval {
  OpFoldResult begin, end;
};
using KeyIntervals = SmallVector<KeyInterval, 2>;

/// The attention that carries a mask, as far as a verifier needs it.
struct MaskUse {
  int64_t batch, heads, queryLen, kvLen; ///< ShapedType::kDynamic if unknown
  TypeRange operandTypes;                ///< of this mask alone
};

/// State of a tile: `Partial` is always right; the others are promises.
enum class TileState { Empty, Partial, Full };

} // namespace mlir::attn

#include "attn/Dialect/Attn/IR/AttnAttrInterfaces.h.inc"

namespace mlir::attn {

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

/// An equal mask in simplest form; a null attribute when every pair is kept.
/// `operands` numbers the tensors that `mask` reads and becomes the list of
/// those that the result reads.
MaskAttrInterface simplifyMask(MaskAttrInterface mask,
                               SmallVectorImpl<unsigned> &operands);

/// `mask` is the one that keeps every pair, in its simplest form.
bool keepsEveryPair(MaskAttrInterface mask);

/// Bound of all lengths and distances in a mask, so that sums of them with
/// positions do not overflow.
inline constexpr int64_t kMaxMaskDistance = int64_t(1) << 40;

} // namespace mlir::attn

#endif // ATTN_DIALECT_ATTN_IR_MASK_H
