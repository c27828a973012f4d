//===- KeyTiles.cpp - Which key tiles a query tile visits -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KeyTiles.h"

using namespace mlir;
using namespace mlir::attn;

/// More intervals than this are visited as one hull, to bound the code size.
static constexpr size_t maxRuns = 3;

static bool isEmpty(const KeyInterval &x) {
  auto begin = constantOf(x.begin), end = constantOf(x.end);
  return (begin && end && *begin >= *end) || x.begin == x.end;
}

KeyTileList::KeyTileList(const IndexMath &math, ArrayRef<KeyInterval> all,
                         int64_t width)
    : total(math.constant(0)), width(width) {
  for (const KeyInterval &run : all) {
    if (isEmpty(run))
      continue;
    runs.push_back(run);
    firstTile.push_back(total);
    total = math.add(total, math.floorDiv(math.sub(run.end, run.begin), width));
  }
}

OpFoldResult KeyTileList::stepOf(const IndexMath &math,
                                 OpFoldResult tile) const {
  OpFoldResult step = math.constant(0);
  for (auto [i, run] : llvm::enumerate(runs)) {
    OpFoldResult inRun = math.sub(tile, firstTile[i]);
    OpFoldResult here =
        math.add(run.begin, math.mul(inRun, math.constant(width)));
    // Tiles of later runs have larger numbers; an empty run is skipped since
    // the next one begins at the same number.
    step = i == 0 ? here
                  : math.select(math.compare(arith::CmpIPredicate::sge, tile,
                                             firstTile[i]),
                                here, step);
  }
  return step;
}

/// Clips to [begin, end) and makes every interval non-negative in length.
static KeyIntervals clip(const IndexMath &math, const KeyIntervals &intervals,
                         OpFoldResult begin, OpFoldResult end) {
  KeyIntervals result;
  for (const KeyInterval &x : intervals) {
    KeyInterval clipped{math.max(x.begin, begin), math.min(x.end, end)};
    clipped.begin = math.min(clipped.begin, end);
    clipped.end = math.max(clipped.begin, clipped.end);
    if (!isEmpty(clipped))
      result.push_back(clipped);
  }
  return result;
}

/// Sorted by begin, then cut so that no two overlap.
static void makeDisjoint(const IndexMath &math, KeyIntervals &runs) {
  for (size_t last = runs.size(); last > 1; --last)
    for (size_t i = 0; i + 1 < last; ++i) {
      KeyInterval a = runs[i], b = runs[i + 1];
      OpFoldResult swap =
          math.compare(arith::CmpIPredicate::sgt, a.begin, b.begin);
      runs[i] = {math.select(swap, b.begin, a.begin),
                 math.select(swap, b.end, a.end)};
      runs[i + 1] = {math.select(swap, a.begin, b.begin),
                     math.select(swap, a.end, b.end)};
    }
  for (size_t i = 1; i < runs.size(); ++i) {
    runs[i].begin = math.max(runs[i].begin, runs[i - 1].end);
    runs[i].end = math.max(runs[i].begin, runs[i].end);
  }
}

/// An empty interval must not stretch the hull: its begin is past all keys.
static void mergeIntoHull(const IndexMath &math, KeyIntervals &runs,
                          OpFoldResult begin, OpFoldResult end) {
  KeyInterval hull{end, begin};
  for (const KeyInterval &x : runs) {
    OpFoldResult empty =
        math.compare(arith::CmpIPredicate::sge, x.begin, x.end);
    hull.begin = math.min(hull.begin, math.select(empty, end, x.begin));
    hull.end = math.max(hull.end, math.select(empty, begin, x.end));
  }
  hull.end = math.max(hull.begin, hull.end);
  runs = {hull};
}

KeyTiles mlir::attn::buildKeyTiles(const IndexMath &math,
                                   const KeyIntervals &visit,
                                   const KeyIntervals &full,
                                   OpFoldResult keyBegin, OpFoldResult keyEnd,
                                   int64_t keyStep, int64_t stepsPerTile) {
  KeyIntervals visitRuns = clip(math, visit, keyBegin, keyEnd);
  KeyIntervals fullRuns = clip(math, full, keyBegin, keyEnd);
  if (visitRuns.size() > maxRuns)
    mergeIntoHull(math, visitRuns, keyBegin, keyEnd);
  // Any subset of the full intervals is a right answer.
  if (fullRuns.size() > maxRuns)
    fullRuns.truncate(maxRuns);

  for (KeyInterval &x : visitRuns) {
    // An interval without keys must not grow to a step.
    OpFoldResult empty =
        math.compare(arith::CmpIPredicate::sge, x.begin, x.end);
    x.begin = math.floorDiv(x.begin, keyStep);
    x.end = math.select(empty, x.begin, math.ceilDiv(x.end, keyStep));
  }
  makeDisjoint(math, visitRuns);
  for (KeyInterval &x : fullRuns) {
    x.begin = math.ceilDiv(x.begin, keyStep);
    x.end = math.max(x.begin, math.floorDiv(x.end, keyStep));
  }
  makeDisjoint(math, fullRuns);
  OpFoldResult width = math.constant(stepsPerTile);
  for (KeyInterval &x : fullRuns) {
    OpFoldResult tiles = math.floorDiv(math.sub(x.end, x.begin), stepsPerTile);
    x.end = math.add(x.begin, math.mul(tiles, width));
  }

  // What the full tiles leave over: the gaps before, between and after them.
  KeyIntervals partialRuns;
  for (const KeyInterval &run : visitRuns) {
    OpFoldResult begin = run.begin;
    for (size_t i = 0; i <= fullRuns.size(); ++i) {
      OpFoldResult end =
          i < fullRuns.size() ? math.min(run.end, fullRuns[i].begin) : run.end;
      partialRuns.push_back({begin, math.max(begin, end)});
      if (i < fullRuns.size())
        begin = math.max(begin, fullRuns[i].end);
    }
  }
  return {KeyTileList(math, partialRuns, 1),
          KeyTileList(math, fullRuns, stepsPerTile), visitRuns};
}
