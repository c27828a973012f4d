//===- DecodeProgram.cpp - Attention of few query rows --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

SmallVector<Value> TileProgram::buildDecode(ValueRange destinations) {
  // Wide pages are read in pieces as wide as tiles. Listed blocks keep steps
  // that they are multiples of.
  if (pageSize && !maskHasLists())
    keyStep = std::max(keyStep, std::gcd(pageSize, keyTile));
  // Rows of all heads of a group stand together, if their number is known.
  int64_t length = *constantOf(entries);
  auto groupSize = constantOf(group);
  int64_t headsTogether = groupSize.value_or(1), alike = headsAlike();
  // Heads with lists of their own visit them alone.
  if (maskHasLists())
    headsTogether = std::gcd(headsTogether, alike);
  OpFoldResult rows = c(headsTogether * length), width = c(valueDim);
  OpFoldResult groups = math.floorDiv(heads, headsTogether);
  auto tileOf = [&](Value batch, Value ofGroup) {
    QueryTile tile;
    tile.batch = batch;
    tile.head = math.mul(ofGroup, c(headsTogether));
    tile.heads = headsTogether;
    setHeads(tile);
    if (groupSize && !op.hasHeadMaps())
      tile.keyHead = tile.valueHead =
          math.floorDiv(ofGroup, *groupSize / headsTogether);
    tile.mixesMasks = alike % headsTogether != 0;
    tile.firstRow = c(0);
    tile.rows = rows;
    tile.groupRows = true;
    tile.mayRepeat = false;
    tile.position = queryPosition(tile.batch);
    setKeyBounds(tile);
    if (op.getRows()) {
      tile.keyEnd = math.select(anyEntry(tile.batch, tile.head, headsTogether),
                                tile.keyEnd, c(0));
      tile.queryRows = rowRange(tile);
    }
    return tile;
  };
  OpFoldResult splits = countParts(groups, tileOf);
  SmallVector<Value> parts = {empty({batches, groups, splits, rows}, compute),
                              empty({batches, groups, splits, rows}, compute)};
  if (!onlyLse)
    parts.push_back(empty({batches, groups, splits, rows, width}, compute));

  auto split =
      forall({batches, groups, splits}, parts, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        QueryTile tile = tileOf(at[0], at[1]);
        std::optional<KeyList> list = onlyList(tile);
        KeyInterval keys;
        if (list) {
          keys = shareOfList(tile, *list, at[2], splits);
        } else {
          keys.begin = math.mul(at[2], c(options.keySplit));
          keys.end =
              math.min(math.add(keys.begin, c(options.keySplit)), tile.keyEnd);
        }
        Value query = loadQuery(tile);
        State state =
            visitKeys(tile, query, keys.begin, keys.end, initialState(tile));
        state = withoutHidden(tile, query, keys.begin, keys.end, state,
                              /*cutsSteps=*/list.has_value());
        SmallVector<OpFoldResult> offsets = {at[0], at[1], at[2], c(0)};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), c(1), rows};
        insert(loop, state.maximum, 0, offsets, sizes);
        insert(loop, state.sum, 1, offsets, sizes);
        if (onlyLse)
          return;
        offsets.push_back(c(0));
        sizes.push_back(width);
        insert(loop, state.total, 2, offsets, sizes);
      });

  OpFoldResult headRows = c(length);
  auto merge = forall({batches, heads}, destinations, [&](scf::ForallOp loop) {
    SmallVector<Value> at = loop.getInductionVars();
    QueryTile tile;
    tile.batch = at[0];
    tile.head = at[1];
    tile.firstRow = c(0);
    tile.rows = headRows;
    tile.mayRepeat = false;
    OpFoldResult ofGroup = math.floorDiv(at[1], headsTogether);
    OpFoldResult first = math.mul(math.mod(at[1], headsTogether), headRows);
    State state = initialState(tile);
    if (op.getSinkLogits())
      state = addSinks(tile, state);
    auto parts =
        scf::ForOp::create(b, math.materialize(c(0)), math.materialize(splits),
                           math.materialize(c(1)),
                           ValueRange{state.maximum, state.sum, state.total});
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(parts.getBody());
      ValueRange args = parts.getRegionIterArgs();
      OpFoldResult part = parts.getInductionVar();
      SmallVector<OpFoldResult> offsets = {at[0], ofGroup, part, first};
      SmallVector<OpFoldResult> sizes = {c(1), c(1), c(1), headRows};
      Value maximum = slice(split.getResult(0), offsets, sizes, {3});
      Value sum = slice(split.getResult(1), offsets, sizes, {3});
      offsets.push_back(c(0));
      sizes.push_back(width);
      Value total;
      if (!onlyLse)
        total = slice(split.getResult(2), offsets, sizes, {3, 4});
      State next =
          merged({args[0], args[1], args[2]}, {maximum, sum, total}, headRows);
      scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.total});
    }
    storeRows(loop,
              {parts.getResult(0), parts.getResult(1), parts.getResult(2)},
              tile.batch, tile.head, c(0), headRows);
  });
  keyStep = options.keyStep;
  return llvm::to_vector(llvm::map_range(
      merge.getResults(), [](OpResult x) -> Value { return x; }));
}

std::optional<KeyList> TileProgram::onlyList(const QueryTile &tile) {
  if (!mask || tile.mixesMasks || options.sparse == SparsePath::Never)
    return std::nullopt;
  MaskTile shape = maskTile(tile);
  KeyTiles tiles = keyTiles(tile, c(0), tile.keyEnd);
  if (constantOf(tiles.partial.count()) != 0 ||
      constantOf(tiles.full.count()) != 0)
    return std::nullopt;
  KeyLists lists = mask.visitLists(b, b.getLoc(), shape);
  if (lists.size() != 1)
    return std::nullopt;
  const KeyList &list = lists.front();
  // No part cuts a step that is visited as a whole, or would be a large block.
  bool cuts = list.granule % keyStep && keyStep % list.granule;
  if (!list.single || cuts || list.granule > options.keySplit)
    return std::nullopt;
  return list;
}

/// Numbers of the candidates of a list that a tile visits.
static KeyInterval candidatesOf(OpBuilder &b, const IndexMath &math,
                                const KeyList &list, OpFoldResult keyEnd) {
  Location loc = b.getUnknownLoc();
  KeyInterval keys = intersect(b, loc, list.clip, {math.constant(0), keyEnd});
  KeyInterval numbers = list.candidates(b, loc, keys);
  OpFoldResult any =
      math.compare(arith::CmpIPredicate::slt, keys.begin, keys.end);
  numbers.end =
      math.select(any, math.max(numbers.begin, numbers.end), numbers.begin);
  return numbers;
}

OpFoldResult TileProgram::countParts(
    OpFoldResult groups,
    llvm::function_ref<QueryTile(Value batch, Value group)> tileOf) {
  OpFoldResult ofAllKeys = math.ceilDiv(kvLen, options.keySplit);
  if (!mask)
    return ofAllKeys;
  auto loop = [&](OpFoldResult end, Value most, auto body) {
    auto op =
        scf::ForOp::create(b, math.materialize(c(0)), math.materialize(end),
                           math.materialize(c(1)), most);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    scf::YieldOp::create(
        b, ValueRange{body(op.getInductionVar(), op.getRegionIterArg(0))});
    return op;
  };
  bool byEntries = true;
  Value one = math.materialize(c(1));
  auto all = loop(batches, one, [&](Value batch, Value most) -> Value {
    return loop(groups, most,
                [&](Value ofGroup, Value most) -> Value {
                  QueryTile tile = tileOf(batch, ofGroup);
                  std::optional<KeyList> list = onlyList(tile);
                  byEntries = list.has_value();
                  if (!list)
                    return most;
                  KeyInterval numbers =
                      candidatesOf(b, math, *list, tile.keyEnd);
                  OpFoldResult parts =
                      math.ceilDiv(math.sub(numbers.end, numbers.begin),
                                   options.keySplit / list->granule);
                  return math.materialize(math.max(most, parts));
                })
        .getResult(0);
  });
  if (byEntries)
    return all.getResult(0);
  all.erase();
  return ofAllKeys;
}

KeyInterval TileProgram::shareOfList(const QueryTile &tile, const KeyList &list,
                                     OpFoldResult part, OpFoldResult parts) {
  KeyInterval numbers = candidatesOf(b, math, list, tile.keyEnd);
  OpFoldResult count = math.sub(numbers.end, numbers.begin);
  auto begin = [&](OpFoldResult part) {
    Value shared = math.materialize(math.mul(part, count));
    OpFoldResult own =
        arith::DivUIOp::create(b, shared, math.materialize(parts)).getResult();
    OpFoldResult number = math.add(numbers.begin, own);
    OpFoldResult key = list.entry(b, b.getLoc(), number).begin;
    key = math.select(
        math.compare(arith::CmpIPredicate::slt, number, numbers.end), key,
        tile.keyEnd);
    return math.select(math.compare(arith::CmpIPredicate::eq, part, c(0)), c(0),
                       key);
  };
  return {begin(part), begin(math.add(part, c(1)))};
}

/// The state over two disjoint sets of keys (the meaning of `attn.merge`).
TileProgram::State TileProgram::merged(State a, State part, OpFoldResult rows) {
  constexpr auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  Value base = finiteBase(a.maximum, part.maximum, rows);
  auto shrinkOf = [&](Value own) {
    return generic({own, base}, empty({rows}, compute), {{0}, {0}, {0}}, 1, 0,
                   [&](ValueRange x) -> Value {
                     return math::Exp2Op::create(
                         b,
                         arith::SubFOp::create(b, scaled(x[0]), scaled(x[1])));
                   });
  };
  Value shrink = shrinkOf(a.maximum), partShrink = shrinkOf(part.maximum);
  Value newMaximum = generic(
      part.maximum, a.maximum, {{0}, {0}}, 1, 0, [&](ValueRange x) -> Value {
        return arith::MaxNumFOp::create(b, x[0], x[1], flags);
      });
  auto combine = [&](ValueRange x) -> Value {
    Value own = arith::MulFOp::create(b, x[3], x[0]);
    return arith::AddFOp::create(b, own, arith::MulFOp::create(b, x[2], x[1]));
  };
  Value sum = generic({shrink, partShrink, part.sum}, a.sum,
                      {{0}, {0}, {0}, {0}}, 1, 0, combine);
  if (onlyLse)
    return {newMaximum, sum, a.total};
  Value total = generic({shrink, partShrink, part.total}, a.total,
                        {{0}, {0}, {0, 1}, {0, 1}}, 2, 0, combine);
  return {newMaximum, sum, total};
}

Value TileProgram::finiteBase(Value maximum, Value other, OpFoldResult rows) {
  constexpr auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  return generic({maximum, other}, empty({rows}, compute), {{0}, {0}, {0}}, 1,
                 0, [&](ValueRange x) -> Value {
                   Value larger =
                       arith::MaxNumFOp::create(b, x[0], x[1], flags);
                   Value none = arith::CmpFOp::create(
                       b, arith::CmpFPredicate::OEQ, larger,
                       number(-std::numeric_limits<double>::infinity()));
                   return arith::SelectOp::create(b, none, number(0), larger);
                 });
}
