//===- TileProgram.cpp - The loops of a tile program ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

TileProgram::TileProgram(OpBuilder &builder, AttentionOp op,
                         const ConvertAttnToTilesPassOptions &options)
    : TileBuilder(builder, op.getLoc()), op(op), options(options),
      query(lookThroughTransposes(op.getQuery(), /*lastStays=*/false)),
      key(lookThroughTransposes(op.getKey(), /*lastStays=*/false)),
      value(lookThroughTransposes(op.getValue(), /*lastStays=*/true)) {
  auto size = [&](Value operand, const TensorView &view, int64_t dim) {
    int64_t known = cast<RankedTensorType>(operand.getType()).getDimSize(dim);
    if (!ShapedType::isDynamic(known))
      return c(known);
    return tensor::getMixedSize(b, op.getLoc(), view.source, view.dims[dim]);
  };
  batches = size(op.getQuery(), query, 0);
  heads = size(op.getQuery(), query, 1);
  queryLen = size(op.getQuery(), query, 2);
  entries = op.getRows() ? tensor::getMixedSize(b, op.getLoc(), op.getRows(), 2)
                         : queryLen;
  keyHeads = size(op.getKey(), key, 1);
  valueHeads = op.hasHeadMaps() ? size(op.getValue(), value, 1) : keyHeads;
  pageSize = op.getPageSize();
  if (pageSize) {
    pages = size(op.getKey(), key, 0);
    // Without a page there are no keys.
    OpFoldResult any = math.compare(arith::CmpIPredicate::sgt, pages, c(0));
    kvLen = math.select(any, op.getKeys(b), c(0));
  } else {
    kvLen = size(op.getKey(), key, 2);
  }
  headDim = cast<RankedTensorType>(op.getQuery().getType()).getDimSize(3);
  valueDim = cast<RankedTensorType>(op.getValue().getType()).getDimSize(3);
  element = cast<FloatType>(
      cast<RankedTensorType>(op.getQuery().getType()).getElementType());
  if (auto known = op.getGroupSize())
    group = c(*known);
  else
    group = arith::DivUIOp::create(b, math.materialize(heads),
                                   math.materialize(keyHeads))
                .getResult();
  keyStep = options.keyStep;
  keyTile = options.keyTile;
  valuePanel = valueDim % options.panel ? valueDim : options.panel;
  pairs = options.bf16Pairs && !options.naturalLayout && element.isBF16() &&
          headDim % 2 == 0;
  onlyLse = op.getLse() && op.getOutput().use_empty();
  // Powers of two instead of e: log2(e) joins the scale, or follows what is
  // defined on the scores themselves.
  constexpr double log2e = llvm::numbers::log2e;
  double scale = op.getEffectiveScale();
  if (auto cap = op.getSoftcap())
    scale /= cap->convertToDouble();
  else if (!op.hasScore())
    scale *= log2e;
  queryScale = scale;
  scoreScale = 1;
  if (options.naturalLayout) {
    std::swap(queryScale, scoreScale);
    // Only an order of scores that the scale keeps lets it wait.
    if (scale > 0 && !op.getSoftcap() && !op.getBias() && !op.hasScore())
      std::swap(scoreScale, rawScale);
  }
  packStep = keyStep;
  if (MaskAttrInterface whole = op.getMaskAttr()) {
    maskOperands = op.getMaskOperands();
    mask = prepareMask(b, op.getLoc(), whole, {batches, heads, entries, kvLen},
                       maskOperands);
    // A tile of a list may be as wide as a full one.
    if (maskHasLists())
      packStep = keyTile;
  }
}

Value TileProgram::emptyOutput() {
  SmallVector<OpFoldResult> shape = {batches, heads, entries, c(valueDim)};
  SmallVector<OpFoldResult> laidOut(4);
  for (auto [i, dim] : llvm::enumerate(outputDims))
    laidOut[dim] = shape[i];
  return empty(laidOut, element);
}

SmallVector<Value> TileProgram::emptyResults() {
  SmallVector<Value> results;
  if (!onlyLse)
    results.push_back(emptyOutput());
  if (op.getLse())
    results.push_back(empty({batches, heads, entries}, compute));
  return results;
}

/// Whether both lengths are one value, so that one query means one key.
static bool isSelfAttention(AttentionOp op, const TensorView &query,
                            const TensorView &key) {
  if (op.getPageTable())
    return false;
  auto equal = ValueBoundsConstraintSet::areEqual({query.source, query.dims[2]},
                                                  {key.source, key.dims[2]});
  return succeeded(equal) && *equal;
}

SmallVector<Value> TileProgram::build() {
  // One destination for all programs, so that no result needs a copy.
  SmallVector<Value> destinations = emptyResults();
  if (pageSize)
    scanPages();
  SmallVector<Value> results =
      op.getRows()
          ? guardEmptyQuery(destinations, [&] { return choose(destinations); })
          : choose(destinations);
  if (onlyLse)
    results.insert(results.begin(), emptyOutput());
  return results;
}

SmallVector<Value> TileProgram::choose(ValueRange destinations) {
  auto rowsOfHead = constantOf(entries);
  auto groupSize = constantOf(group);
  if (rowsOfHead) {
    int64_t rows = *rowsOfHead * groupSize.value_or(1);
    bool few = rows <= options.decodeRows || *rowsOfHead == 1;
    return few && rows > 0 ? buildDecode(destinations)
                           : buildPrefill(destinations);
  }
  if (!op.getRows() && isSelfAttention(op, query, key))
    return buildPrefill(destinations);
  Value one =
      math.materialize(math.compare(arith::CmpIPredicate::eq, entries, c(1)));
  OpFoldResult dynamicLen = queryLen, dynamicEntries = entries;
  auto branch = [&](bool decode) {
    return [&, decode](OpBuilder &inner, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(inner.saveInsertionPoint());
      if (decode) {
        entries = c(1);
        if (!op.getRows())
          queryLen = entries;
      }
      SmallVector<Value> results =
          decode ? buildDecode(destinations) : buildPrefill(destinations);
      queryLen = dynamicLen;
      entries = dynamicEntries;
      scf::YieldOp::create(b, results);
    };
  };
  auto choice = scf::IfOp::create(b, one, branch(true), branch(false));
  return llvm::to_vector(llvm::map_range(
      choice.getResults(), [](OpResult x) -> Value { return x; }));
}

OpFoldResult TileProgram::queryPosition(OpFoldResult batch) {
  Value offset = op.readsPositions() ? op.getQueryOffset() : Value();
  if (!offset)
    return c(0);
  return perBatch(offset, batch);
}

Value TileProgram::packKeys() {
  // Whole tiles, so that a partial one finds all of its panels.
  OpFoldResult panels =
      math.mul(math.ceilDiv(kvLen, packStep), c(packStep / options.panel));
  OpFoldResult width = c(options.panel);
  SmallVector<OpFoldResult> shape = {batches, keyHeads, panels};
  SmallVector<OpFoldResult> panel =
      pairs ? SmallVector<OpFoldResult>{c(headDim / 2), c(2 * options.panel)}
            : SmallVector<OpFoldResult>{c(headDim), width};
  llvm::append_range(shape, panel);
  Type type = pairs ? element : compute;
  Value packed = empty(shape, type);
  bool exceeds = constantOf(math.mod(kvLen, packStep)) != 0;
  // Parts of a panel that lie in one page; small ones are read key by key.
  int64_t part = pageSize ? std::gcd(pageSize, options.panel) : options.panel;
  bool oneByOne = part < 8;
  if (oneByOne)
    part = options.panel;
  auto pack =
      forall({batches, keyHeads, panels}, packed, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        SmallVector<OpFoldResult> offsets = {at[0], at[1], at[2], c(0), c(0)};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), c(1), panel[0],
                                           panel[1]};
        Value tile = slice(loop.getRegionIterArgs()[0], offsets, sizes, {3, 4});
        OpFoldResult firstOfPanel = math.mul(at[2], width);
        auto fillPart = [&](Value destination, int64_t firstLane) {
          OpFoldResult first = math.add(firstOfPanel, c(firstLane));
          KeyPlace place = {at[0], first};
          if (pageSize && !oneByOne)
            place = placeOf(at[0],
                            exceeds ? math.min(first, math.sub(kvLen, c(part)))
                                    : first);
          return generic(
              {}, destination, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
                OpFoldResult feature = index(0), row = index(1);
                if (pairs) {
                  feature = math.add(math.mul(feature, c(2)), math.mod(row, 2));
                  row = math.floorDiv(row, 2);
                }
                KeyPlace own = place;
                own.row = math.add(place.row, row);
                if (exceeds && (!pageSize || oneByOne))
                  own.row = math.min(own.row, math.sub(kvLen, c(1)));
                if (oneByOne)
                  own = placeOf(at[0], own.row);
                SmallVector<Value> at;
                for (OpFoldResult x : key.permute<OpFoldResult>(
                         {own.batch, offsets[1], own.row, feature}))
                  at.push_back(math.materialize(x));
                Value x = tensor::ExtractOp::create(b, key.source, at);
                return pairs ? x : toCompute(x);
              });
        };
        if (part == options.panel) {
          tile = fillPart(tile, 0);
        } else {
          int64_t lanes = pairs ? 2 : 1;
          SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
          for (int64_t lane = 0; lane < options.panel; lane += part) {
            SmallVector<OpFoldResult> from = {c(0), c(lane * lanes)};
            SmallVector<OpFoldResult> extent = {panel[0], c(part * lanes)};
            Value filled = fillPart(slice(tile, from, extent, {0, 1}), lane);
            tile = tensor::InsertSliceOp::create(b, filled, tile, from, extent,
                                                 strides);
          }
        }
        insert(loop, tile, 0, offsets, sizes);
      });
  return pack.getResult(0);
}

Value TileProgram::loadQuery(const QueryTile &tile) {
  bool asItIs = options.naturalLayout || (pairs && packedKeys);
  Value destination =
      empty({tile.rows, c(headDim)}, asItIs ? element : compute);
  return generic({}, destination, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
    Row row = rowOf(tile, index(0));
    SmallVector<Value> at;
    for (OpFoldResult x :
         query.permute<OpFoldResult>({tile.batch, row.head, row.row, index(1)}))
      at.push_back(math.materialize(x));
    Value x = tensor::ExtractOp::create(b, query.source, at);
    if (asItIs)
      return x;
    return arith::MulFOp::create(b, toCompute(x), number(queryScale));
  });
}

TileProgram::Row TileProgram::rowOf(const QueryTile &tile, Value i) {
  OpFoldResult head = tile.head, entry;
  if (tile.groupRows) {
    int64_t length = *constantOf(entries);
    head = math.add(head, math.floorDiv(i, length));
    entry = math.mod(i, length);
  } else {
    entry = math.add(tile.firstRow, i);
    if (tile.mayRepeat)
      entry = math.min(entry, tile.lastEntry ? tile.lastEntry
                                             : math.sub(entries, c(1)));
  }
  if (!op.getRows())
    return {head, entry, entry};
  return {head, listedRow(tile.batch, head, entry), entry};
}

TileProgram::State TileProgram::initialState(const QueryTile &tile) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  // No two constant tiles of the program are alike: a pass that shared one
  // would make it read-only and cost a copy for each key tile.
  Value total = fill(empty({tile.rows, c(valueDim)}, compute), -0.0);
  Value maximum = generic({}, empty({tile.rows}, compute), {{0}}, 1, 0,
                          [&](ValueRange) -> Value { return number(none); });
  return {maximum, fill(empty({tile.rows}, compute), 0), total};
}

bool TileProgram::fitsOneTile() {
  // With a mask or lengths, steps that nobody sees are left out instead.
  auto keys = constantOf(kvLen);
  return !options.naturalLayout && keys && *keys > 0 &&
         *keys <= 2 * options.keyTile && *keys % options.keyTile != 0 &&
         !op.getMask() && !op.getKvLengths() && !op.getPageTable();
}

bool TileProgram::mayEndInside() {
  return op.getKvLengths() || pageSize ||
         constantOf(math.mod(kvLen, packStep)) != 0;
}

OpFoldResult TileProgram::keysInTile(const QueryTile &tile,
                                     OpFoldResult firstKey, int64_t keys,
                                     bool partial) {
  if (!partial || gathered || !mayEndInside())
    return c(keys);
  return math.min(c(keys), math.sub(tile.keyEnd, firstKey));
}

Value TileProgram::products(const QueryTile &tile, Value query,
                            OpFoldResult step, OpFoldResult count,
                            int64_t keys) {
  if (packedKeys)
    return productsFromPanels(tile, query, step, keys);
  if (options.naturalLayout) {
    Value tileKeys = loadNatural(tile, key, tile.keyHead,
                                 math.mul(step, c(keyStep)), keys, headDim);
    return generic({query, tileKeys},
                   fill(empty({tile.rows, c(keys)}, compute), 0),
                   {{0, 2}, {1, 2}, {0, 1}}, 3, 1, [&](ValueRange x) -> Value {
                     Value product = arith::MulFOp::create(b, toCompute(x[0]),
                                                           toCompute(x[1]));
                     return arith::AddFOp::create(b, x[2], product);
                   });
  }
  return productsFromRows(tile, query, math.mul(step, c(keyStep)), count, keys);
}

Value TileProgram::toValueType(Value weights, const QueryTile &tile,
                               int64_t keys) {
  if (!packedValues && (!options.naturalLayout || element == compute))
    return weights;
  return generic(weights, empty({tile.rows, c(keys)}, element),
                 {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                   return arith::TruncFOp::create(b, element, x[0]);
                 });
}

TileProgram::State TileProgram::visitTile(const QueryTile &tile, Value query,
                                          OpFoldResult step, int64_t keys,
                                          bool partial, State state,
                                          KeepFn keep) {
  OpFoldResult firstKey = math.mul(step, c(keyStep));
  OpFoldResult count = keysInTile(tile, firstKey, keys, partial);
  Value scores = products(tile, query, step, count, keys);
  scores = modifyScores(tile, scores, firstKey, partial, keep);

  constexpr auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  auto larger = [&](ValueRange x) -> Value {
    return arith::MaxNumFOp::create(b, x[0], x[1], flags);
  };
  Value rowMaximum = fill(empty({tile.rows}, compute),
                          -std::numeric_limits<double>::infinity());
  rowMaximum = generic(scores, rowMaximum, {{0, 1}, {0}}, 2, 1, larger);
  Value base = finiteBase(state.maximum, rowMaximum, tile.rows);
  // With a scale that waits, of `base` times it: one multiply-add.
  auto power = [&](ValueRange x) -> Value {
    return math::Exp2Op::create(b,
                                arith::SubFOp::create(b, scaled(x[0]), x[1]));
  };
  auto times = [&](ValueRange x) -> Value {
    return arith::MulFOp::create(b, x[1], x[0]);
  };
  if (rawScale != 1)
    base = generic(base, empty({tile.rows}, compute), {{0}, {0}}, 1, 0,
                   [&](ValueRange x) { return scaled(x[0]); });
  Value shrink = generic({state.maximum, base}, empty({tile.rows}, compute),
                         {{0}, {0}, {0}}, 1, 0, power);
  // In place, now that the old maximum is no longer needed.
  Value maximum = generic(rowMaximum, state.maximum, {{0}, {0}}, 1, 0, larger);
  Value sum = generic(shrink, state.sum, {{0}, {0}}, 1, 0, times);
  Value weights =
      generic({scores, base}, scores, {{0, 1}, {0}, {0, 1}}, 2, 0, power);
  sum = generic(weights, sum, {{0, 1}, {0}}, 2, 1, [&](ValueRange x) -> Value {
    return arith::AddFOp::create(b, x[0], x[1], arith::FastMathFlags::reassoc);
  });
  if (onlyLse)
    return {maximum, sum, state.total};
  weights = toValueType(weights, tile, keys);
  Value total = generic(shrink, state.total, {{0}, {0, 1}}, 2, 0, times);
  total = addValues(tile, weights, total, firstKey, count, keys);
  return {maximum, sum, total};
}

void TileProgram::storeOutput(scf::ForallOp forall, Value sum, Value total,
                              OpFoldResult batch, OpFoldResult head,
                              OpFoldResult firstRow, OpFoldResult rows,
                              llvm::function_ref<Value(Value, double)> orElse) {
  OpFoldResult width = c(valueDim);
  Value inverse =
      generic(sum, empty({rows}, compute), {{0}, {0}}, 1, 0,
              [&](ValueRange x) -> Value {
                Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                   x[0], number(0));
                Value inverse = arith::DivFOp::create(b, number(1), x[0]);
                return arith::SelectOp::create(b, none, number(0), inverse);
              });
  TensorView output{forall.getRegionIterArgs()[0], outputDims};
  auto offsets = output.permute<OpFoldResult>({batch, head, firstRow, c(0)});
  auto sizes = output.permute<OpFoldResult>({c(1), c(1), rows, width});
  Value destination =
      slice(output.source, offsets, sizes, {outputDims[2], outputDims[3]});
  Value result = generic(
      {slice(total, {c(0), c(0)}, {rows, width}, {0, 1}), inverse}, destination,
      {{0, 1}, {0}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
        Value y = arith::MulFOp::create(b, x[0], x[1]);
        y = orElse(y, 0);
        return element == compute
                   ? y
                   : arith::TruncFOp::create(b, element, y).getResult();
      });
  insert(forall, result, 0, offsets, sizes);
}

void TileProgram::storeRows(scf::ForallOp forall, const State &state,
                            OpFoldResult batch, OpFoldResult head,
                            OpFoldResult firstRow, OpFoldResult rows) {
  auto orElse = [&](Value x, double otherwise) -> Value {
    if (!op.getRows())
      return x;
    OpFoldResult exists =
        entryExists(batch, head, math.add(firstRow, index(0)));
    return arith::SelectOp::create(b, math.materialize(exists), x,
                                   number(otherwise));
  };
  auto front = [&](Value tile, ArrayRef<OpFoldResult> sizes) {
    SmallVector<OpFoldResult> zeros(sizes.size(), c(0));
    return slice(tile, zeros, sizes,
                 llvm::to_vector(llvm::seq<int64_t>(0, sizes.size())));
  };
  Value sum = front(state.sum, {rows});
  if (!onlyLse)
    storeOutput(forall, sum, state.total, batch, head, firstRow, rows, orElse);
  if (!op.getLse())
    return;
  SmallVector<OpFoldResult> lseOffsets = {batch, head, firstRow};
  SmallVector<OpFoldResult> lseSizes = {c(1), c(1), rows};
  unsigned place = onlyLse ? 0 : 1;
  Value lse =
      slice(forall.getRegionIterArgs()[place], lseOffsets, lseSizes, {2});
  lse = generic({front(state.maximum, {rows}), sum}, lse, {{0}, {0}, {0}}, 1, 0,
                [&](ValueRange x) -> Value {
                  Value base = arith::MulFOp::create(
                      b, x[0], number(llvm::numbers::ln2 * rawScale));
                  Value log = math::LogOp::create(b, x[1]);
                  return orElse(arith::AddFOp::create(b, base, log),
                                -std::numeric_limits<double>::infinity());
                });
  insert(forall, lse, place, lseOffsets, lseSizes);
}

SmallVector<Value> TileProgram::buildPrefill(ValueRange destinations) {
  // Short static queries get a smaller tile.
  int64_t tileRows = options.queryTile;
  if (auto length = constantOf(entries))
    tileRows = std::clamp<int64_t>(llvm::alignTo(*length, options.rowBlock),
                                   options.rowBlock, tileRows);
  if (pairs)
    std::swap(queryScale, scoreScale);
  if (fitsOneTile())
    packStep = keyStep = keyTile =
        llvm::alignTo(*constantOf(kvLen), options.keyStep);
  if (!options.naturalLayout) {
    packedKeys = packKeys();
    if (onlyLse)
      ;
    else if (pairs)
      packedValues = packValues();
    else
      packedPanels = packValuePanels();
  }
  OpFoldResult tiles = math.ceilDiv(entries, tileRows);
  bool even = constantOf(math.mod(entries, tileRows)) == 0;
  auto loop =
      forall({batches, heads, tiles}, destinations, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        QueryTile tile;
        tile.batch = at[0];
        tile.head = at[1];
        setHeads(tile);
        tile.firstRow = math.mul(at[2], c(tileRows));
        tile.alignedRows = tileRows;
        OpFoldResult left = math.sub(entries, tile.firstRow);
        OpFoldResult valid = even ? c(tileRows) : math.min(c(tileRows), left);
        // Whole row blocks; those past the end repeat the last row.
        tile.rows = c(tileRows);
        if (!even && !options.naturalLayout &&
            constantOf(entries).value_or(tileRows) >= tileRows)
          tile.rows = math.min(c(tileRows),
                               math.mul(math.ceilDiv(left, options.rowBlock),
                                        c(options.rowBlock)));
        tile.mayRepeat = !even || op.getRows();
        tile.position = queryPosition(tile.batch);
        setKeyBounds(tile);
        if (op.getRows()) {
          OpFoldResult count = countOf(tile.batch, tile.head);
          tile.lastEntry = math.max(c(0), math.sub(count, c(1)));
          // A tile without entries visits no key.
          OpFoldResult any =
              math.compare(arith::CmpIPredicate::slt, tile.firstRow, count);
          tile.keyEnd = math.select(any, tile.keyEnd, c(0));
          tile.queryRows = rowRange(tile);
        }
        State state = initialState(tile);
        if (op.getSinkLogits())
          state = addSinks(tile, state);
        Value query = loadQuery(tile);
        state = visitKeys(tile, query, c(0), tile.keyEnd, state);
        state = withoutHidden(tile, query, c(0), tile.keyEnd, state);
        storeRows(loop, state, tile.batch, tile.head, tile.firstRow, valid);
      });
  packedKeys = packedValues = packedPanels = {};
  keyStep = options.keyStep;
  keyTile = options.keyTile;
  packStep = maskHasLists() ? keyTile : keyStep;
  if (pairs)
    std::swap(queryScale, scoreScale);
  return llvm::to_vector(llvm::map_range(
      loop.getResults(), [](OpResult x) -> Value { return x; }));
}
