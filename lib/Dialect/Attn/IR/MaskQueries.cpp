//===- MaskQueries.cpp - Questions to a mask at compile time --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// The intervals as integers, clipped to [0, kvLen), sorted and disjoint.
SmallVector<std::pair<int64_t, int64_t>>
normalize(const KeyIntervals &intervals, int64_t kvLen) {
  SmallVector<std::pair<int64_t, int64_t>> sorted, result;
  for (const KeyInterval &interval : intervals) {
    int64_t begin = std::max<int64_t>(*constantOf(interval.begin), 0);
    int64_t end = std::min(*constantOf(interval.end), kvLen);
    if (begin < end)
      sorted.push_back({begin, end});
  }
  llvm::sort(sorted);
  for (auto [begin, end] : sorted) {
    if (!result.empty() && begin <= result.back().second)
      result.back().second = std::max(result.back().second, end);
    else
      result.push_back({begin, end});
  }
  return result;
}

MaskTile constantTile(OpBuilder &builder, int64_t head, int64_t queryBegin,
                      int64_t queryEnd, int64_t kvLen) {
  IndexMath math(builder, builder.getUnknownLoc());
  return {math.constant(0),
          math.constant(head),
          math.constant(queryBegin),
          math.constant(queryBegin),
          math.constant(queryEnd),
          math.constant(kvLen),
          ValueRange()};
}

} // namespace

TileState mlir::attn::classifyTile(MaskAttrInterface mask, int64_t head,
                                   TileBox box) {
  if (mask.getNumMaskOperands())
    return TileState::Partial;
  OpBuilder builder(mask.getContext());
  Location loc = builder.getUnknownLoc();
  int64_t kvLen = box.keyEnd;
  MaskTile tile =
      constantTile(builder, head, box.queryBegin, box.queryEnd, kvLen);
  for (auto [begin, end] :
       normalize(mask.fullIntervals(builder, loc, tile), kvLen))
    if (begin <= box.keyBegin && box.keyEnd <= end)
      return TileState::Full;
  for (auto [begin, end] :
       normalize(mask.visitIntervals(builder, loc, tile), kvLen))
    if (begin < box.keyEnd && box.keyBegin < end)
      return TileState::Partial;
  return TileState::Empty;
}

std::optional<bool> mlir::attn::keepsPair(MaskAttrInterface mask, int64_t head,
                                          int64_t query, int64_t key) {
  if (mask.getNumMaskOperands())
    return std::nullopt;
  OpBuilder builder(mask.getContext());
  IndexMath math(builder, builder.getUnknownLoc());
  MaskPoint point{math.constant(0),     math.constant(head),
                  math.constant(query), math.constant(query),
                  math.constant(key),   ValueRange()};
  return *constantOf(mask.keep(builder, builder.getUnknownLoc(), point)) != 0;
}

std::optional<double> mlir::attn::maskDensity(MaskAttrInterface mask,
                                              int64_t heads, int64_t queryLen,
                                              int64_t kvLen,
                                              int64_t queryOffset) {
  if (mask.getNumMaskOperands())
    return std::nullopt;
  if (heads <= 0 || queryLen <= 0 || kvLen <= 0)
    return 1.0;
  OpBuilder builder(mask.getContext());
  Location loc = builder.getUnknownLoc();
  // Rows are sampled evenly: a report needs three digits, not every row.
  int64_t step = std::max<int64_t>(1, queryLen / 512);
  int64_t rows = 0;
  double kept = 0;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = step / 2; row < queryLen; row += step) {
      int64_t query = row + queryOffset;
      MaskTile tile = constantTile(builder, head, query, query + 1, kvLen);
      auto visit = normalize(mask.visitIntervals(builder, loc, tile), kvLen);
      auto full = normalize(mask.fullIntervals(builder, loc, tile), kvLen);
      ++rows;
      if (visit == full) {
        for (auto [begin, end] : visit)
          kept += static_cast<double>(end - begin);
        continue;
      }
      for (auto [begin, end] : visit)
        for (int64_t key = begin; key < end; ++key)
          kept += *keepsPair(mask, head, query, key);
    }
  }
  return kept / (static_cast<double>(rows) * static_cast<double>(kvLen));
}

MaskAttrInterface
mlir::attn::simplifyMask(MaskAttrInterface mask,
                         SmallVectorImpl<unsigned> &operands) {
  MaskAttrInterface simple;
  do {
    simple = mask;
    mask = cast<MaskAttrInterface>(simple.simplify(operands));
  } while (mask != simple);
  return keepsEveryPair(simple) ? MaskAttrInterface() : simple;
}
