//===- MaskQueries.cpp - Questions to a mask at compile time --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "llvm/Support/MathExtras.h"
#include <random>

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
  MaskTile tile;
  tile.batch = math.constant(0);
  tile.head = tile.heads = math.constant(head);
  tile.entryBegin = tile.queryBegin = math.constant(queryBegin);
  tile.entryEnd = tile.queryEnd = math.constant(queryEnd);
  tile.kvLen = math.constant(kvLen);
  return tile;
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
  IndexMath math(builder, loc);
  for (const KeyList &list : mask.visitLists(builder, loc, tile)) {
    KeyInterval keys =
        intersect(builder, loc, list.clip,
                  {math.constant(box.keyBegin), math.constant(box.keyEnd)});
    if (*constantOf(keys.begin) >= *constantOf(keys.end))
      continue;
    KeyInterval numbers = list.candidates(builder, loc, keys);
    if (*constantOf(numbers.begin) < *constantOf(numbers.end))
      return TileState::Partial;
  }
  return TileState::Empty;
}

std::optional<bool> mlir::attn::keepsPair(MaskAttrInterface mask, int64_t head,
                                          int64_t query, int64_t key) {
  if (mask.getNumMaskOperands())
    return std::nullopt;
  OpBuilder builder(mask.getContext());
  IndexMath math(builder, builder.getUnknownLoc());
  MaskPoint point;
  point.batch = math.constant(0);
  point.head = point.heads = math.constant(head);
  point.kvLen = math.constant(key + 1);
  point.entry = point.queryRow = point.query = math.constant(query);
  point.key = math.constant(key);
  return *constantOf(mask.keep(builder, builder.getUnknownLoc(), point)) != 0;
}

int64_t mlir::attn::countKeys(MaskAttrInterface mask, const MaskRow &row) {
  if (mask.getNumMaskOperands())
    return row.kvLen;
  OpBuilder builder(mask.getContext());
  Location loc = builder.getUnknownLoc();
  // A report needs two digits. Of many keys some are taken, at random, since an
  // even choice would meet strided masks in step.
  constexpr int64_t maxKeys = 256;
  std::minstd_rand random(1 + row.head * 1000003 + row.query);
  MaskTile tile =
      constantTile(builder, row.head, row.query, row.query + 1, row.kvLen);
  auto visit = normalize(mask.visitIntervals(builder, loc, tile), row.kvLen);
  auto full = normalize(mask.fullIntervals(builder, loc, tile), row.kvLen);
  if (!mask.visitLists(builder, loc, tile).empty())
    visit = {{0, row.kvLen}};
  double kept = 0;
  for (auto [begin, end] : visit) {
    int64_t length = end - begin, hits = 0;
    int64_t samples = std::min(length, maxKeys);
    if (visit == full) {
      kept += static_cast<double>(length);
      continue;
    }
    std::uniform_int_distribution<int64_t> anyKey(begin, end - 1);
    for (int64_t i = 0; i < samples; ++i)
      hits += *keepsPair(mask, row.head, row.query,
                         length <= maxKeys ? begin + i : anyKey(random));
    kept += static_cast<double>(length) * hits / samples;
  }
  return static_cast<int64_t>(kept + 0.5);
}

double mlir::attn::maskBound(MaskAttrInterface mask, TypeRange operandTypes,
                             int64_t heads, int64_t queryLen, int64_t kvLen,
                             int64_t queryOffset) {
  if (heads <= 0 || queryLen <= 0 || kvLen <= 0)
    return 1.0;
  // No product of lengths overflows.
  queryLen = std::min(queryLen, int64_t(1) << 30);
  heads = std::min(heads, int64_t(1) << 30);
  // Of many rows some are taken, evenly.
  constexpr int64_t maxRows = 1024;
  int64_t total = heads * queryLen;
  int64_t step = llvm::divideCeil(total, maxRows);
  int64_t rows = 0;
  double kept = 0;
  for (int64_t row = step / 2; row < total; row += step, ++rows)
    kept += static_cast<double>(
        mask.getMaxKeys({row / queryLen, heads, row % queryLen + queryOffset,
                         kvLen, operandTypes}));
  return kept / (static_cast<double>(rows) * static_cast<double>(kvLen));
}

std::optional<double> mlir::attn::maskDensity(MaskAttrInterface mask,
                                              int64_t heads, int64_t queryLen,
                                              int64_t kvLen,
                                              int64_t queryOffset) {
  if (mask.getNumMaskOperands())
    return std::nullopt;
  return maskBound(mask, {}, heads, queryLen, kvLen, queryOffset);
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
