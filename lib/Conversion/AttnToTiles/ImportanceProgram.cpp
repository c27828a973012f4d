//===- ImportanceProgram.cpp - Sums of probabilities by tiles -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ImportanceProgram.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;

static constexpr double minusInfinity =
    -std::numeric_limits<double>::infinity();

ImportanceProgram::ImportanceProgram(
    OpBuilder &builder, KeyImportanceOp op,
    const ConvertAttnToTilesPassOptions &options)
    : TileBuilder(builder, op.getLoc()), op(op), options(options),
      query(lookThroughTransposes(op.getQuery(), /*lastStays=*/false)),
      key(lookThroughTransposes(op.getKey(), /*lastStays=*/false)),
      each(op.getHeads() == Reduction::Each) {
  auto size = [&](Value operand, const TensorView &view, int64_t dim) {
    int64_t known = sizeOf(operand, dim);
    if (!ShapedType::isDynamic(known))
      return c(known);
    return tensor::getMixedSize(b, op.getLoc(), view.source, view.dims[dim]);
  };
  batches = size(op.getQuery(), query, 0);
  heads = size(op.getQuery(), query, 1);
  queryLen = size(op.getQuery(), query, 2);
  kvHeads = size(op.getKey(), key, 1);
  kvLen = size(op.getKey(), key, 2);
  entries = queryLen;
  if (op.getRowList()) {
    OpFoldResult listed =
        tensor::getMixedSize(b, op.getLoc(), op.getRowList(), 2);
    entries = math.select(
        math.compare(arith::CmpIPredicate::sgt, queryLen, c(0)), listed, c(0));
  }
  if (auto known = op.getGroupSize())
    group = c(*known);
  else
    group = arith::DivUIOp::create(b, math.materialize(heads),
                                   math.materialize(math.max(kvHeads, c(1))))
                .getResult();
  features = sizeOf(op.getQuery(), 3);
  scale = op.getEffectiveScale() * llvm::numbers::log2e;
  tileRows = options.queryTile;
  if (auto length = constantOf(entries))
    tileRows = std::clamp<int64_t>(llvm::alignTo(*length, options.panel),
                                   options.panel, options.queryTile);
  tileKeys = options.queryTile;
  if (auto length = constantOf(kvLen))
    tileKeys = std::clamp<int64_t>(llvm::alignTo(*length, options.rowBlock),
                                   options.rowBlock, options.queryTile);
  if (MaskAttrInterface whole = op.getMaskAttr()) {
    maskOperands = op.getMaskOperands();
    mask = prepareMask(b, op.getLoc(), whole, {batches, heads, entries, kvLen},
                       maskOperands);
  }
}

SmallVector<Value> ImportanceProgram::build() {
  auto rows = constantOf(entries), together = constantOf(group);
  if (each)
    together = 1;
  if (rows == 0)
    return {fill(empty({batches, each ? heads : kvHeads, kvLen}, compute), 0)};
  if (!rows || !together)
    return buildTiles();
  bool few = *rows * *together <= options.decodeRows || *rows == 1;
  return few ? buildFew(*together) : buildTiles();
}

OpFoldResult ImportanceProgram::keyHeadOf(OpFoldResult head) {
  if (auto known = constantOf(group))
    return math.floorDiv(head, std::max<int64_t>(*known, 1));
  return arith::DivUIOp::create(b, math.materialize(head),
                                math.materialize(math.max(group, c(1))))
      .getResult();
}

OpFoldResult ImportanceProgram::rowOf(OpFoldResult batch, OpFoldResult head,
                                      OpFoldResult entry) {
  if (!op.getRowList())
    return entry;
  return readListedRow(b, b.getLoc(), op.getRowList(), batch, head, entry,
                       queryLen);
}

OpFoldResult ImportanceProgram::countOf(OpFoldResult batch, OpFoldResult head) {
  if (!op.getRowList())
    return entries;
  return math.max(
      readRowCount(b, b.getLoc(), op.getRowCounts(), batch, head, entries),
      c(0));
}

Value ImportanceProgram::shiftOf(OpFoldResult batch, OpFoldResult head,
                                 OpFoldResult entry) {
  OpFoldResult inside = math.min(entry, math.sub(entries, c(1)));
  Value lse = toCompute(extract(op.getLse(), {batch, head, inside}));
  Value shift = arith::MulFOp::create(b, lse, number(llvm::numbers::log2e));
  OpFoldResult exists =
      math.compare(arith::CmpIPredicate::slt, entry, countOf(batch, head));
  if (op.getRowList())
    exists = math.logicalAnd(
        exists, readListedRow(b, b.getLoc(), op.getRowList(), op.getRowCounts(),
                              batch, head, inside, queryLen)
                    .exists);
  if (constantOf(exists) == 1)
    return shift;
  return arith::SelectOp::create(b, math.materialize(exists), shift,
                                 number(minusInfinity));
}

/// Queries as [B, H, panels, D, panel], scaled, in whole tiles of rows.
Value ImportanceProgram::packQueries() {
  OpFoldResult panels =
      math.mul(math.ceilDiv(entries, tileRows), c(tileRows / options.panel));
  OpFoldResult width = c(options.panel), depth = c(features);
  Value packed = empty({batches, heads, panels, depth, width}, compute);
  auto loop = forall({batches, heads, panels}, packed, [&](scf::ForallOp loop) {
    SmallVector<Value> at = loop.getInductionVars();
    SmallVector<OpFoldResult> offsets = {at[0], at[1], at[2], c(0), c(0)};
    SmallVector<OpFoldResult> sizes = {c(1), c(1), c(1), depth, width};
    Value tile = slice(loop.getRegionIterArgs()[0], offsets, sizes, {3, 4});
    OpFoldResult first = math.mul(at[2], width);
    tile = generic({}, tile, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
      OpFoldResult entry =
          math.min(math.add(first, index(1)), math.sub(entries, c(1)));
      return toCompute(
          extract(query.source,
                  query.permute<OpFoldResult>(
                      {at[0], at[1], rowOf(at[0], at[1], entry), index(0)})));
    });
    insert(loop, tile, 0, offsets, sizes);
  });
  return loop.getResult(0);
}

/// The lse of each entry in base 2, [B, H, rows].
Value ImportanceProgram::packShifts() {
  OpFoldResult tiles = math.ceilDiv(entries, tileRows), rows = c(tileRows);
  Value shifts = empty({batches, heads, math.mul(tiles, rows)}, compute);
  auto loop = forall({batches, heads, tiles}, shifts, [&](scf::ForallOp loop) {
    SmallVector<Value> at = loop.getInductionVars();
    OpFoldResult first = math.mul(at[2], rows);
    SmallVector<OpFoldResult> offsets = {at[0], at[1], first};
    SmallVector<OpFoldResult> sizes = {c(1), c(1), rows};
    Value tile = slice(loop.getRegionIterArgs()[0], offsets, sizes, {2});
    tile = generic({}, tile, {{0}}, 1, 0, [&](ValueRange) -> Value {
      return shiftOf(at[0], at[1], math.add(first, index(0)));
    });
    insert(loop, tile, 0, offsets, sizes);
  });
  return loop.getResult(0);
}

ImportanceProgram::KeyTile ImportanceProgram::keyTile(OpFoldResult batch,
                                                      OpFoldResult keyHead,
                                                      OpFoldResult first,
                                                      int64_t width) {
  KeyTile tile{batch, keyHead, {first, math.add(first, c(width))}, kvLen, c(0)};
  if (op.getKvLengths())
    tile.end =
        math.min(math.max(perBatch(op.getKvLengths(), batch), c(0)), kvLen);
  tile.keys.end = math.min(tile.keys.end, kvLen);
  if (op.getMask() && op.getQueryOffset())
    tile.position = perBatch(op.getQueryOffset(), batch);
  return tile;
}

ImportanceProgram::Sight
ImportanceProgram::look(const KeyTile &tile, OpFoldResult head,
                        OpFoldResult firstRow, OpFoldResult numRows,
                        int64_t alignedRows, bool mixesMasks) {
  Location loc = b.getLoc();
  auto less = arith::CmpIPredicate::slt;
  OpFoldResult count = countOf(tile.batch, head);
  OpFoldResult any = math.compare(less, tile.keys.begin, tile.end);
  OpFoldResult all =
      math.compare(arith::CmpIPredicate::sle, tile.keys.end, tile.end);
  if (mixesMasks)
    return {any, mask ? math.boolean(false) : all};
  any = math.logicalAnd(any, math.compare(less, firstRow, count));
  if (!mask)
    return {any, all};
  MaskTile shape;
  shape.batch = tile.batch;
  shape.head = head;
  shape.heads = heads;
  shape.entryBegin = firstRow;
  shape.entryEnd = math.min(math.add(firstRow, numRows), entries);
  shape.alignedRows = alignedRows;
  shape.queryBegin = shape.entryBegin;
  shape.queryEnd = shape.entryEnd;
  if (op.getRowList()) {
    // Rows stand in any order.
    OpFoldResult last = math.min(shape.entryEnd, count);
    auto range = scf::ForOp::create(
        b, math.materialize(firstRow), math.materialize(last),
        math.materialize(c(1)),
        ValueRange{math.materialize(queryLen), math.materialize(c(0))},
        [&](OpBuilder &inner, Location, Value entry, ValueRange range) {
          OpBuilder::InsertionGuard guard(b);
          b.restoreInsertionPoint(inner.saveInsertionPoint());
          OpFoldResult row = rowOf(tile.batch, head, entry);
          scf::YieldOp::create(
              b, ValueRange{math.materialize(math.min(range[0], row)),
                            math.materialize(
                                math.max(range[1], math.add(row, c(1))))});
        });
    shape.queryBegin = range.getResult(0);
    shape.queryEnd = range.getResult(1);
  }
  shape.queryBegin = math.add(shape.queryBegin, tile.position);
  shape.queryEnd = math.add(shape.queryEnd, tile.position);
  shape.kvLen = tile.end;
  shape.operands = maskOperands;
  auto meets = [&](const KeyInterval &x) {
    KeyInterval common = intersect(b, loc, x, tile.keys);
    return math.compare(less, common.begin, common.end);
  };
  OpFoldResult seen = math.boolean(false);
  for (const KeyInterval &interval : mask.visitIntervals(b, loc, shape))
    seen = math.logicalOr(seen, meets(interval));
  for (const KeyList &list : mask.visitLists(b, loc, shape)) {
    KeyInterval part = intersect(b, loc, list.clip, tile.keys);
    KeyInterval numbers = list.candidates(b, loc, part);
    OpFoldResult end = math.select(math.compare(less, part.begin, part.end),
                                   numbers.end, numbers.begin);
    auto loop = scf::ForOp::create(
        b, math.materialize(numbers.begin), math.materialize(end),
        math.materialize(c(1)), math.materialize(math.boolean(false)),
        [&](OpBuilder &inner, Location, Value candidate, ValueRange found) {
          OpBuilder::InsertionGuard guard(b);
          b.restoreInsertionPoint(inner.saveInsertionPoint());
          OpFoldResult present = list.present(b, loc, candidate);
          scf::YieldOp::create(
              b, math.materialize(math.logicalOr(found[0], present)));
        });
    seen = math.logicalOr(seen, loop.getResult(0));
  }
  all = math.logicalAnd(
      all, isInside(b, loc, tile.keys, mask.fullIntervals(b, loc, shape)));
  return {math.logicalAnd(any, seen), all};
}

Value ImportanceProgram::choose(OpFoldResult condition,
                                llvm::function_ref<Value()> yes,
                                llvm::function_ref<Value()> no) {
  if (auto known = constantOf(condition))
    return *known ? yes() : no();
  auto branch = [&](llvm::function_ref<Value()> body) {
    return [this, body](OpBuilder &inner, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(inner.saveInsertionPoint());
      scf::YieldOp::create(b, body());
    };
  };
  return scf::IfOp::create(b, math.materialize(condition), branch(yes),
                           branch(no))
      .getResult(0);
}

/// The probability of a pair whose scaled product is `score`.
Value ImportanceProgram::weigh(const KeyTile &tile, Value score, Value shift,
                               const Pair &pair, bool partial) {
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, shift,
                                     number(minusInfinity));
  Value weight =
      math::Exp2Op::create(b, arith::SubFOp::create(b, score, shift));
  OpFoldResult kept = math.boolean(true);
  if (partial) {
    if (op.getKvLengths())
      kept = math.compare(arith::CmpIPredicate::slt, pair.key, tile.end);
    if (mask) {
      MaskPoint point;
      point.batch = tile.batch;
      point.head = pair.head;
      point.heads = heads;
      point.kvLen = kvLen;
      point.entry = math.min(pair.entry, math.sub(entries, c(1)));
      point.queryRow = rowOf(tile.batch, pair.head, point.entry);
      point.query = math.add(point.queryRow, tile.position);
      point.key = math.min(pair.key, math.sub(kvLen, c(1)));
      point.operands = maskOperands;
      kept = math.logicalAnd(kept, mask.keep(b, b.getLoc(), point));
    }
  }
  weight = arith::SelectOp::create(b, none, number(0), weight);
  if (constantOf(kept) == 1)
    return weight;
  return arith::SelectOp::create(b, math.materialize(kept), weight, number(0));
}

Value ImportanceProgram::combine(Reduction how, Value x, Value y) {
  if (how == Reduction::Max)
    return arith::MaximumFOp::create(b, x, y);
  return arith::AddFOp::create(b, x, y);
}

Value ImportanceProgram::reduceColumns(Value seen, int64_t rows) {
  auto add = [&](ValueRange x) -> Value {
    return arith::AddFOp::create(b, x[0], x[1], arith::FastMathFlags::reassoc);
  };
  Value start = fill(empty({c(rows)}, compute), 0);
  if (op.getRows() == Reduction::Sum)
    return generic(seen, start, {{0, 1}, {0}}, 2, 1, add);
  // The largest number, and apart from it whether there is a NaN.
  Value largest =
      generic(seen, start, {{0, 1}, {0}}, 2, 1, [&](ValueRange x) -> Value {
        constexpr auto flags =
            arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
        return arith::MaxNumFOp::create(b, x[0], x[1], flags);
      });
  Value isNaN =
      generic(seen, empty({c(rows), c(sizeOf(seen, 1))}, compute),
              {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                Value isNumber = arith::CmpFOp::create(
                    b, arith::CmpFPredicate::ORD, x[0], x[0]);
                return arith::SelectOp::create(b, isNumber, number(0), x[0]);
              });
  Value anyNaN = generic(isNaN, fill(empty({c(rows)}, compute), -0.0),
                         {{0, 1}, {0}}, 2, 1, add);
  return generic(anyNaN, largest, {{0}, {0}}, 1, 0, [&](ValueRange x) -> Value {
    Value isNumber =
        arith::CmpFOp::create(b, arith::CmpFPredicate::ORD, x[0], x[0]);
    return arith::SelectOp::create(b, isNumber, x[1], x[0]);
  });
}

/// What the rows of one tile give each key, column by column.
Value ImportanceProgram::visitRows(const KeyTile &tile, Value keys,
                                   OpFoldResult head, OpFoldResult rowTile,
                                   bool partial, Value seen) {
  int64_t panels = tileRows / options.panel;
  OpFoldResult firstRow = math.mul(rowTile, c(tileRows));
  Value rows =
      slice(packedQueries,
            {tile.batch, head, math.mul(rowTile, c(panels)), c(0), c(0)},
            {c(1), c(1), c(panels), c(features), c(options.panel)}, {2, 3, 4});
  Value shifts = slice(packedShifts, {tile.batch, head, firstRow},
                       {c(1), c(1), c(tileRows)}, {2});
  Value scores =
      fill(empty({c(tileKeys), c(panels), c(options.panel)}, compute), 0);
  scores = generic({keys, rows}, scores, {{0, 3}, {1, 3, 2}, {0, 1, 2}}, 4, 1,
                   [&](ValueRange x) -> Value {
                     Value product = arith::MulFOp::create(b, x[0], x[1]);
                     return arith::AddFOp::create(b, x[2], product);
                   });
  scores = tensor::CollapseShapeOp::create(
      b, scores, SmallVector<ReassociationIndices>{{0}, {1, 2}});
  Value weights =
      generic({}, scores, {{0, 1}}, 2, 0, [&](ValueRange x) -> Value {
        Value shift = extract(shifts, {index(1)});
        return weigh(tile, x[0], shift,
                     {head, math.add(firstRow, index(1)),
                      math.add(tile.keys.begin, index(0))},
                     partial);
      });
  return generic(
      weights, seen, {{0, 1}, {0, 1}}, 2, 0,
      [&](ValueRange x) -> Value { return combine(op.getRows(), x[1], x[0]); });
}

/// The importance of the keys by the rows of one head, [keys].
Value ImportanceProgram::visitHead(const KeyTile &tile, Value keys,
                                   OpFoldResult head) {
  Value start = fill(empty({c(tileKeys), c(tileRows)}, compute), 0);
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)),
                         math.materialize(math.ceilDiv(entries, tileRows)),
                         math.materialize(c(1)), start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    OpFoldResult rowTile = loop.getInductionVar();
    Value seen = loop.getRegionIterArg(0);
    Sight sight = look(tile, head, math.mul(rowTile, c(tileRows)), c(tileRows),
                       tileRows, /*mixesMasks=*/false);
    auto visit = [&](bool partial) {
      return visitRows(tile, keys, head, rowTile, partial, seen);
    };
    Value next = choose(
        sight.any,
        [&] {
          return choose(
              sight.all, [&] { return visit(false); },
              [&] { return visit(true); });
        },
        [&] { return seen; });
    scf::YieldOp::create(b, next);
  }
  return reduceColumns(loop.getResult(0), tileKeys);
}

SmallVector<Value> ImportanceProgram::buildTiles() {
  packedQueries = packQueries();
  packedShifts = packShifts();
  OpFoldResult sets = each ? heads : kvHeads;
  Value importance = empty({batches, sets, kvLen}, compute);
  auto loop = forall(
      {batches, sets, math.ceilDiv(kvLen, tileKeys)}, importance,
      [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        OpFoldResult first = math.mul(at[2], c(tileKeys));
        OpFoldResult keyHead = each ? keyHeadOf(at[1]) : at[1];
        KeyTile tile = keyTile(at[0], keyHead, first, tileKeys);
        Value keys = generic(
            {}, empty({c(tileKeys), c(features)}, compute), {{0, 1}}, 2, 0,
            [&](ValueRange) -> Value {
              OpFoldResult row =
                  math.min(math.add(first, index(0)), math.sub(kvLen, c(1)));
              Value x = toCompute(extract(
                  key.source, key.permute<OpFoldResult>(
                                  {tile.batch, keyHead, row, index(1)})));
              return arith::MulFOp::create(b, x, number(scale));
            });
        Value total;
        if (each || constantOf(group) == 1) {
          total = visitHead(tile, keys, at[1]);
        } else {
          OpFoldResult firstHead = math.mul(at[1], group);
          auto ofGroup = scf::ForOp::create(
              b, math.materialize(c(0)), math.materialize(group),
              math.materialize(c(1)), fill(empty({c(tileKeys)}, compute), 0));
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(ofGroup.getBody());
          OpFoldResult head = math.add(firstHead, ofGroup.getInductionVar());
          Value own = visitHead(tile, keys, head);
          Value next = generic(own, ofGroup.getRegionIterArg(0), {{0}, {0}}, 1,
                               0, [&](ValueRange x) -> Value {
                                 return combine(op.getHeads(), x[1], x[0]);
                               });
          scf::YieldOp::create(b, next);
          total = ofGroup.getResult(0);
        }
        OpFoldResult count = math.sub(tile.keys.end, first);
        SmallVector<OpFoldResult> offsets = {at[0], at[1], first};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), count};
        Value place = slice(loop.getRegionIterArgs()[0], offsets, sizes, {2});
        total = slice(total, c(0), count, {0});
        place = generic(total, place, {{0}, {0}}, 1, 0,
                        [](ValueRange x) -> Value { return x[0]; });
        insert(loop, place, 0, offsets, sizes);
      });
  return {loop.getResult(0)};
}

/// The importance of the keys by a few rows of some heads, [keys].
Value ImportanceProgram::visitFew(const KeyTile &tile, OpFoldResult head,
                                  int64_t headsTogether, Value query,
                                  Value shifts) {
  int64_t ofHead = *constantOf(entries), rows = headsTogether * ofHead;
  int64_t width = options.keyTile;
  OpFoldResult count = math.sub(tile.keys.end, tile.keys.begin);
  auto keyOffsets = key.permute<OpFoldResult>(
      {tile.batch, tile.keyHead, tile.keys.begin, c(0)});
  auto keySizes = key.permute<OpFoldResult>({c(1), c(1), count, c(features)});
  SmallVector<int64_t> kept = {key.dims[2], key.dims[3]};
  bool rowsFirst = kept[0] < kept[1];
  llvm::sort(kept);
  Value keys = slice(key.source, keyOffsets, keySizes, kept);
  SmallVector<unsigned> keyLoops = {1, 2};
  if (!rowsFirst)
    keyLoops = {2, 1};
  Value scores = fill(empty({c(rows), c(width)}, compute), 0);
  SmallVector<OpFoldResult> origin = {c(0), c(0)}, visited = {c(rows), count};
  SmallVector<OpFoldResult> strides(2, c(1));
  Value products =
      generic({query, keys}, slice(scores, origin, visited, {0, 1}),
              {{0, 2}, keyLoops, {0, 1}}, 3, 1, [&](ValueRange x) -> Value {
                Value product =
                    arith::MulFOp::create(b, toCompute(x[0]), toCompute(x[1]));
                return arith::AddFOp::create(b, x[2], product);
              });
  scores = tensor::InsertSliceOp::create(b, products, scores, origin, visited,
                                         strides);
  Value weights =
      generic(shifts, scores, {{0}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
        Value row = index(0);
        return weigh(tile, x[1], x[0],
                     {math.add(head, math.floorDiv(row, ofHead)),
                      math.mod(row, ofHead),
                      math.add(tile.keys.begin, index(1))},
                     /*partial=*/true);
      });
  auto rowOfTile = [&](int64_t row) {
    return slice(weights, {c(row), c(0)}, {c(1), c(width)}, {1});
  };
  auto accumulate = [&](Value part, Value sum, Reduction how) {
    return generic(part, sum, {{0}, {0}}, 1, 0, [&](ValueRange x) -> Value {
      return combine(how, x[1], x[0]);
    });
  };
  Value total = fill(empty({c(width)}, compute), 0);
  bool apart = ofHead > 1 && op.getRows() != op.getHeads() && !each;
  for (int64_t h = 0; h < headsTogether; ++h) {
    // With one row of each head, its reduction is that of the heads.
    Reduction how = ofHead == 1 && !each ? op.getHeads() : op.getRows();
    Value own = apart ? fill(empty({c(width)}, compute), -0.0) : total;
    for (int64_t row = 0; row < ofHead; ++row)
      own = accumulate(rowOfTile(h * ofHead + row), own, how);
    total = apart ? accumulate(own, total, op.getHeads()) : own;
  }
  return total;
}

SmallVector<Value> ImportanceProgram::buildFew(int64_t headsTogether) {
  int64_t ofHead = *constantOf(entries), rows = headsTogether * ofHead;
  int64_t width = options.keyTile, steps = options.keySplit / width;
  OpFoldResult sets = each ? heads : kvHeads;
  int64_t alike =
      mask
          ? mask.getHeadsAlike(constantOf(heads).value_or(ShapedType::kDynamic),
                               ValueRange(maskOperands).getTypes())
          : 0;
  bool mixesMasks = alike % headsTogether != 0 || op.getRowList();
  Value importance = empty({batches, sets, kvLen}, compute);
  auto loop = forall(
      {batches, sets, math.ceilDiv(kvLen, options.keySplit)}, importance,
      [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        OpFoldResult head = math.mul(at[1], c(headsTogether));
        OpFoldResult keyHead = each ? keyHeadOf(at[1]) : at[1];
        OpFoldResult begin = math.mul(at[2], c(options.keySplit));
        auto headOf = [&](Value row) {
          return math.add(head, math.floorDiv(row, ofHead));
        };
        Value own = generic(
            {}, empty({c(rows), c(features)}, compute), {{0, 1}}, 2, 0,
            [&](ValueRange) -> Value {
              Value row = index(0);
              OpFoldResult h = headOf(row);
              OpFoldResult source = rowOf(at[0], h, math.mod(row, ofHead));
              Value x = toCompute(extract(
                  query.source,
                  query.permute<OpFoldResult>({at[0], h, source, index(1)})));
              return arith::MulFOp::create(b, x, number(scale));
            });
        Value shifts =
            generic({}, empty({c(rows)}, compute), {{0}}, 1, 0,
                    [&](ValueRange) -> Value {
                      Value row = index(0);
                      return shiftOf(at[0], headOf(row), math.mod(row, ofHead));
                    });
        OpFoldResult count =
            math.min(c(options.keySplit), math.sub(kvLen, begin));
        SmallVector<OpFoldResult> offsets = {at[0], at[1], begin};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), count};
        Value place = slice(loop.getRegionIterArgs()[0], offsets, sizes, {2});
        auto parts = scf::ForOp::create(
            b, math.materialize(c(0)),
            math.materialize(math.min(c(steps), math.ceilDiv(count, width))),
            math.materialize(c(1)), place);
        {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(parts.getBody());
          OpFoldResult inner = math.mul(parts.getInductionVar(), c(width));
          KeyTile tile = keyTile(at[0], keyHead, math.add(begin, inner), width);
          Sight sight = look(tile, head, c(0), c(ofHead), 0, mixesMasks);
          Value total = choose(
              sight.any,
              [&] { return visitFew(tile, head, headsTogether, own, shifts); },
              [&] { return fill(empty({c(width)}, compute), 0); });
          OpFoldResult here = math.sub(tile.keys.end, tile.keys.begin);
          Value to = slice(parts.getRegionIterArg(0), inner, here, {0});
          to = generic(slice(total, c(0), here, {0}), to, {{0}, {0}}, 1, 0,
                       [](ValueRange x) -> Value { return x[0]; });
          OpFoldResult one = c(1);
          scf::YieldOp::create(
              b, tensor::InsertSliceOp::create(b, to, parts.getRegionIterArg(0),
                                               inner, here, one)
                     .getResult());
        }
        insert(loop, parts.getResult(0), 0, offsets, sizes);
      });
  return {loop.getResult(0)};
}
