//===- TileVisits.cpp - Which keys a tile of queries meets ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Cost.h"
#include "TileProgram.h"
#include "llvm/Support/FormatVariadic.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

MaskTile TileProgram::maskTile(const QueryTile &tile) {
  MaskTile shape;
  shape.batch = tile.batch;
  shape.head = tile.head;
  shape.heads = heads;
  shape.entryBegin = tile.groupRows ? c(0) : tile.firstRow;
  shape.entryEnd =
      tile.groupRows ? entries
                     : math.min(math.add(shape.entryBegin, tile.rows), entries);
  shape.alignedRows = tile.alignedRows;
  shape.queryBegin = shape.entryBegin;
  shape.queryEnd = shape.entryEnd;
  if (op.getRows()) {
    shape.queryBegin = tile.queryRows.begin;
    shape.queryEnd = tile.queryRows.end;
  }
  shape.queryBegin = math.add(shape.queryBegin, tile.position);
  shape.queryEnd = math.add(shape.queryEnd, tile.position);
  shape.kvLen = tile.keyEnd;
  shape.operands = maskOperands;
  return shape;
}

bool TileProgram::maskHasLists() {
  if (!mask)
    return false;
  Block scratch;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(&scratch);
  MaskTile shape;
  shape.batch = c(0);
  shape.head = scratch.addArgument(b.getIndexType(), b.getLoc());
  shape.heads = heads;
  shape.entryBegin = shape.queryBegin = c(0);
  shape.entryEnd = shape.queryEnd = entries;
  shape.kvLen = kvLen;
  shape.operands = maskOperands;
  bool any = !mask.visitLists(b, b.getLoc(), shape).empty();
  scratch.dropAllDefinedValueUses();
  scratch.clear();
  return any;
}

int64_t TileProgram::headsAlike() {
  if (!mask)
    return 0;
  return mask.getHeadsAlike(constantOf(heads).value_or(ShapedType::kDynamic),
                            ValueRange(maskOperands).getTypes());
}

KeyTiles TileProgram::keyTiles(const QueryTile &tile, OpFoldResult keyBegin,
                               OpFoldResult keyEnd, bool everyPair) {
  KeyIntervals visit = {{c(0), tile.keyEnd}}, full = {{c(0), tile.keySolid}};
  if (mask && tile.mixesMasks) {
    // One list for rows of several heads: all keys, each checked.
    full.clear();
  } else if (mask) {
    MaskTile shape = maskTile(tile);
    full = mask.fullIntervals(b, b.getLoc(), shape);
    if (tile.keySolid != tile.keyEnd)
      for (KeyInterval &x : full)
        x.end = math.min(x.end, tile.keySolid);
    if (!everyPair || mask.visitLists(b, b.getLoc(), shape).empty())
      visit = mask.visitIntervals(b, b.getLoc(), shape);
  }
  if (everyPair)
    full.clear();
  return buildKeyTiles(math, visit, full, keyBegin, keyEnd, keyStep,
                       keyTile / keyStep);
}

TileProgram::State TileProgram::visitKeys(const QueryTile &tile, Value query,
                                          OpFoldResult keyBegin,
                                          OpFoldResult keyEnd, State state) {
  KeyTiles tiles = keyTiles(tile, keyBegin, keyEnd);
  for (bool partial : {true, false}) {
    const KeyTileList &list = partial ? tiles.partial : tiles.full;
    if (constantOf(list.count()) == 0)
      continue;
    auto loop = scf::ForOp::create(
        b, math.materialize(c(0)), math.materialize(list.count()),
        math.materialize(c(1)),
        ValueRange{state.maximum, state.sum, state.total});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange args = loop.getRegionIterArgs();
    OpFoldResult step = list.stepOf(math, loop.getInductionVar());
    State next = visitTile(tile, query, step, partial ? keyStep : keyTile,
                           partial, {args[0], args[1], args[2]});
    scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.total});
    state = {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
  }
  if (!mask || tile.mixesMasks)
    return state;
  KeyLists lists = mask.visitLists(b, b.getLoc(), maskTile(tile));
  for (size_t i = 0; i < lists.size(); ++i) {
    KeyInterval keys =
        intersect(b, b.getLoc(), lists[i].clip, {keyBegin, keyEnd});
    state = visitList({tile, query, keys, tiles.visited,
                       ArrayRef<KeyList>(lists).take_front(i + 1)},
                      state);
  }
  return state;
}

TileProgram::State TileProgram::visitIf(OpFoldResult condition,
                                        llvm::function_ref<State()> visit,
                                        llvm::function_ref<State()> otherwise) {
  if (auto known = constantOf(condition))
    return *known ? visit() : otherwise();
  auto branch = [&](llvm::function_ref<State()> body) {
    return [this, body](OpBuilder &inner, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(inner.saveInsertionPoint());
      State state = body();
      scf::YieldOp::create(b,
                           ValueRange{state.maximum, state.sum, state.total});
    };
  };
  auto choice = scf::IfOp::create(b, math.materialize(condition), branch(visit),
                                  branch(otherwise));
  return {choice.getResult(0), choice.getResult(1), choice.getResult(2)};
}

/// Whether a pair of a list counts now: neither intervals nor lists before it
/// have met it.
OpFoldResult TileProgram::keepInList(const ListVisit &visit,
                                     const MaskPoint &point,
                                     std::optional<OpFoldResult> candidate) {
  Location loc = b.getLoc();
  OpFoldResult kept = visit.list().keep(b, loc, point, candidate);
  for (const KeyList &earlier : visit.lists.drop_back())
    kept = math.logicalAnd(
        kept, math.logicalNot(earlier.keep(b, loc, point, std::nullopt)));
  for (const KeyInterval &run : visit.runs) {
    OpFoldResult before = math.compare(arith::CmpIPredicate::slt, point.key,
                                       math.mul(run.begin, c(keyStep)));
    OpFoldResult after = math.compare(arith::CmpIPredicate::sge, point.key,
                                      math.mul(run.end, c(keyStep)));
    kept = math.logicalAnd(kept, math.logicalOr(before, after));
  }
  return kept;
}

void TileProgram::noteDecision(const ListVisit &visit) {
  const KeyList &list = visit.list();
  ListVisitKind kind = {list.granule, gathers(visit), visit.tile.groupRows};
  std::string text;
  llvm::raw_string_ostream os(text);
  os << (kind.decodes ? "few rows, lists of " : "lists of ");
  if (list.granule == 1)
    os << "single keys";
  else
    os << list.granule << " keys";
  // What is listed costs so much for each key around the list.
  double sparse = costOfListed(kind), dense = costOfTested(kind);
  auto keys = constantOf(kvLen);
  bool isBound = keys && *keys > 0 && list.capacity >= 0;
  double share = 1;
  if (isBound)
    share = std::min(1.0, static_cast<double>(list.capacity) *
                              static_cast<double>(list.granule) /
                              static_cast<double>(*keys));
  double most = kind.gathers ? mostGathered(visit) : 1;
  if (options.sparse == SparsePath::Never)
    os << ": not followed, all keys around are tested";
  else if (most >= 1)
    os << (kind.gathers ? ": gathered" : ": followed");
  else
    os << llvm::formatv(
        ": gathered up to {0:F0} % of the keys around, then all "
        "of these are tested",
        most * 100);
  if (isBound)
    os << llvm::formatv("; cost at most {0:F2}", share * sparse);
  else
    os << llvm::formatv("; cost {0:F2} of what is listed", sparse);
  os << llvm::formatv(", with tests {0:F2}, of all keys untested", dense);
  decisions.push_back(text);
}

/// Visits the candidates of a list that are present, in chunks that are one
/// tile each.
TileProgram::State TileProgram::visitList(const ListVisit &visit, State state) {
  noteDecision(visit);
  if (options.sparse == SparsePath::Never)
    return visitAround(visit, state);
  if (gathers(visit))
    return visitGathered(visit, state);
  const KeyList &list = visit.list();
  Location loc = b.getLoc();
  bool wholeSteps = visit.hasWholeSteps(keyStep);
  int64_t width = wholeSteps ? std::gcd(list.granule, keyTile) : keyStep;
  KeyInterval numbers = list.candidates(b, loc, visit.keys);
  OpFoldResult any =
      math.compare(arith::CmpIPredicate::slt, visit.keys.begin, visit.keys.end);
  numbers.end = math.select(any, numbers.end, numbers.begin);
  SmallVector<Value> start = {state.maximum, state.sum, state.total};
  // Candidates of parts of a step share steps: those before `next` are done.
  if (!wholeSteps)
    start.push_back(math.materialize(c(0)));
  auto loop = scf::ForOp::create(b, math.materialize(numbers.begin),
                                 math.materialize(numbers.end),
                                 math.materialize(c(1)), start);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult candidate = loop.getInductionVar();
  ValueRange args = loop.getRegionIterArgs();
  State before = {args[0], args[1], args[2]};
  OpFoldResult present = list.present(b, loc, candidate);
  KeyInterval part =
      intersect(b, loc, list.entry(b, loc, candidate), visit.keys);
  KeyInterval chunks = {math.floorDiv(part.begin, width),
                        math.ceilDiv(part.end, width)};
  OpFoldResult next;
  if (!wholeSteps) {
    chunks.begin = math.max(chunks.begin, args[3]);
    next = math.select(present, math.max(chunks.end, args[3]), args[3]);
  }
  auto nothing = [&] { return before; };
  State after = visitIf(
      present,
      [&]() -> State {
        OpFoldResult full =
            wholeSteps ? list.full(b, loc, candidate) : math.boolean(false);
        if (list.single && wholeSteps && width == list.granule)
          return visitChunk(visit, candidate, full, chunks.begin, before);
        auto inner = scf::ForOp::create(
            b, math.materialize(chunks.begin), math.materialize(chunks.end),
            math.materialize(c(1)), args.take_front(3));
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(inner.getBody());
        ValueRange own = inner.getRegionIterArgs();
        State state =
            visitChunk(visit, candidate, full, inner.getInductionVar(),
                       {own[0], own[1], own[2]});
        scf::YieldOp::create(b,
                             ValueRange{state.maximum, state.sum, state.total});
        return {inner.getResult(0), inner.getResult(1), inner.getResult(2)};
      },
      nothing);
  SmallVector<Value> results = {after.maximum, after.sum, after.total};
  if (!wholeSteps)
    results.push_back(math.materialize(next));
  scf::YieldOp::create(b, results);
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

OpFoldResult TileProgram::isInside(OpFoldResult key, const KeyInterval &keys) {
  return math.logicalAnd(
      math.compare(arith::CmpIPredicate::sge, key, keys.begin),
      math.compare(arith::CmpIPredicate::slt, key, keys.end));
}

TileProgram::State TileProgram::visitAround(const ListVisit &visit,
                                            State state) {
  KeyInterval steps = {math.floorDiv(visit.keys.begin, keyStep),
                       math.ceilDiv(visit.keys.end, keyStep)};
  OpFoldResult any =
      math.compare(arith::CmpIPredicate::slt, visit.keys.begin, visit.keys.end);
  steps.end = math.select(any, steps.end, steps.begin);
  auto keep = [&](const MaskPoint &point) {
    return math.logicalAnd(keepInList(visit, point, std::nullopt),
                           isInside(point.key, visit.keys));
  };
  // Wide tiles, then narrow ones for the rest.
  OpFoldResult wide =
      math.floorDiv(math.sub(steps.end, steps.begin), keyTile / keyStep);
  KeyInterval rest = {
      math.add(steps.begin, math.mul(wide, c(keyTile / keyStep))), steps.end};
  for (int64_t width : {keyTile, keyStep}) {
    bool isWide = width == keyTile;
    auto loop = scf::ForOp::create(
        b, math.materialize(isWide ? c(0) : rest.begin),
        math.materialize(isWide ? wide : rest.end), math.materialize(c(1)),
        ValueRange{state.maximum, state.sum, state.total});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange args = loop.getRegionIterArgs();
    OpFoldResult step = loop.getInductionVar();
    if (isWide)
      step = math.add(steps.begin, math.mul(step, c(keyTile / keyStep)));
    State next = visitTile(visit.tile, visit.query, step, width,
                           /*partial=*/true, {args[0], args[1], args[2]}, keep);
    scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.total});
    state = {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
  }
  return state;
}

/// Visits one tile of a list. What the intervals visited is left out.
TileProgram::State TileProgram::visitChunk(const ListVisit &visit,
                                           OpFoldResult candidate,
                                           OpFoldResult full,
                                           OpFoldResult chunk, State state) {
  Location loc = b.getLoc();
  bool wholeSteps = visit.hasWholeSteps(keyStep);
  int64_t width =
      wholeSteps ? std::gcd(visit.list().granule, keyTile) : keyStep;
  OpFoldResult step = math.mul(chunk, c(width / keyStep));
  KeyInterval steps = {step, math.add(step, c(width / keyStep))};
  OpFoldResult seen = attn::isInside(b, loc, steps, visit.runs);
  for (const KeyInterval &run : visit.runs) {
    KeyInterval common = intersect(b, loc, run, steps);
    full = math.logicalAnd(full, math.compare(arith::CmpIPredicate::sge,
                                              common.begin, common.end));
  }
  if (visit.lists.size() > 1)
    full = math.boolean(false);
  if (mayEndInside())
    full = math.logicalAnd(full, math.compare(arith::CmpIPredicate::sle,
                                              math.mul(steps.end, c(keyStep)),
                                              visit.tile.keySolid));
  auto keep = [&](const MaskPoint &point) {
    std::optional<OpFoldResult> known;
    if (wholeSteps)
      known = candidate;
    return keepInList(visit, point, known);
  };
  auto tileOf = [&](bool partial) {
    return visitTile(visit.tile, visit.query, step, width, partial, state,
                     partial ? KeepFn(keep) : KeepFn());
  };
  return visitIf(
      seen, [&] { return state; },
      [&] {
        return visitIf(
            full, [&] { return tileOf(false); }, [&] { return tileOf(true); });
      });
}
