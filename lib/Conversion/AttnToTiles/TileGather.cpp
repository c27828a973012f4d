//===- TileGather.cpp - Tiles of keys that do not stand together ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Cost.h"
#include "TileProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace mlir;
using namespace mlir::attn;

/// Candidates of few keys are collected.
bool TileProgram::gathers(const ListVisit &visit) {
  const KeyList &list = visit.list();
  return list.single && list.granule < keyStep && keyStep % list.granule == 0;
}

/// The share of the keys around a list up to which its keys are better gathered
/// than all of them tested; 1 if always.
double TileProgram::mostGathered(const ListVisit &visit) {
  if (options.sparse != SparsePath::Auto)
    return 1;
  double most =
      listLimit({visit.list().granule, /*gathers=*/true, visit.tile.groupRows});
  // No need to ask if no list is that long.
  auto keys = constantOf(kvLen);
  int64_t capacity = visit.list().capacity;
  if (keys && capacity >= 0 &&
      capacity * visit.list().granule <= most * static_cast<double>(*keys))
    return 1;
  return most;
}

OpFoldResult TileProgram::keyOfColumn(OpFoldResult firstKey,
                                      OpFoldResult column) {
  if (!gathered)
    return math.add(firstKey, column);
  // Columns past the last key repeat it.
  OpFoldResult place = math.min(math.add(gathered->first, column),
                                math.sub(gathered->total, c(1)));
  Value key =
      tensor::ExtractOp::create(b, gathered->keys, math.materialize(place));
  return arith::IndexCastOp::create(b, b.getIndexType(), key).getResult();
}

TileProgram::State TileProgram::visitGathered(const ListVisit &visit,
                                              State state) {
  const KeyList &list = visit.list();
  Location loc = b.getLoc();
  int64_t granule = list.granule;
  // Room for all keys, and for the granule that is written last in vain.
  OpFoldResult room = math.add(kvLen, c(2 * granule));
  if (visit.tile.groupRows)
    room = c(options.keySplit + 2 * granule);
  Type number = b.getI32Type();
  Value none = empty({room}, number);
  KeyInterval numbers = list.candidates(b, loc, visit.keys);
  OpFoldResult any =
      math.compare(arith::CmpIPredicate::slt, visit.keys.begin, visit.keys.end);
  numbers.end = math.select(any, numbers.end, numbers.begin);
  auto collect = scf::ForOp::create(
      b, math.materialize(numbers.begin), math.materialize(numbers.end),
      math.materialize(c(1)), ValueRange{none, math.materialize(c(0))});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(collect.getBody());
    OpFoldResult candidate = collect.getInductionVar();
    Value keys = collect.getRegionIterArg(0);
    OpFoldResult count = collect.getRegionIterArg(1);
    OpFoldResult present = list.present(b, loc, candidate);
    KeyInterval entry = list.entry(b, loc, candidate);
    for (int64_t i = 0; i < granule; ++i) {
      Value key = arith::IndexCastOp::create(
          b, number, math.materialize(math.add(entry.begin, c(i))));
      keys = tensor::InsertOp::create(b, key, keys,
                                      math.materialize(math.add(count, c(i))));
    }
    // Keys beyond the part to visit, in the first and last granule.
    OpFoldResult inside = math.min(entry.end, visit.keys.end);
    OpFoldResult added =
        math.select(present, math.sub(inside, entry.begin), c(0));
    scf::YieldOp::create(
        b, ValueRange{keys, math.materialize(math.add(count, added))});
  }
  OpFoldResult total = collect.getResult(1);
  auto visitTiles = [&](OpFoldResult first, OpFoldResult count, int64_t width) {
    auto loop =
        scf::ForOp::create(b, math.materialize(c(0)), math.materialize(count),
                           math.materialize(c(1)),
                           ValueRange{state.maximum, state.sum, state.total});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange args = loop.getRegionIterArgs();
    OpFoldResult place =
        math.add(first, math.mul(loop.getInductionVar(), c(width)));
    State next = visitGatheredTile(visit, collect.getResult(0), place, total,
                                   width, {args[0], args[1], args[2]});
    scf::YieldOp::create(b, ValueRange{next.maximum, next.sum, next.total});
    state = {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
  };
  auto visitAll = [&]() -> State {
    // Wide tiles, then narrow ones for the rest.
    OpFoldResult wide = math.floorDiv(total, keyTile);
    OpFoldResult inWide = math.mul(wide, c(keyTile));
    visitTiles(c(0), wide, keyTile);
    visitTiles(inWide, math.ceilDiv(math.sub(total, inWide), keyStep), keyStep);
    return state;
  };
  double most = mostGathered(visit);
  if (most >= 1)
    return visitAll();
  // In 64ths of the keys around.
  OpFoldResult range =
      math.max(math.sub(visit.keys.end, visit.keys.begin), c(0));
  OpFoldResult are = math.mul(total, c(64));
  OpFoldResult may = math.mul(range, c(std::lround(64 * most)));
  State before = state;
  return visitIf(math.compare(arith::CmpIPredicate::sle, are, may), visitAll,
                 [&] { return visitAround(visit, before); });
}

/// The rows of the tile's keys, [width, features].
Value TileProgram::gatherRows(const ListVisit &visit, const TensorView &source,
                              OpFoldResult head, int64_t firstFeature,
                              int64_t features, int64_t width) {
  bool asIs = pairs && packedKeys;
  return generic({}, empty({c(width), c(features)}, asIs ? element : compute),
                 {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
                   KeyPlace place =
                       placeOf(visit.tile.batch, keyOfColumn(c(0), index(0)));
                   OpFoldResult feature = math.add(index(1), c(firstFeature));
                   SmallVector<Value> at;
                   for (OpFoldResult x : source.permute<OpFoldResult>(
                            {place.batch, head, place.row, feature}))
                     at.push_back(math.materialize(x));
                   Value x = tensor::ExtractOp::create(b, source.source, at);
                   return asIs ? x : toCompute(x);
                 });
}

/// The tile's keys and values take the places of the whole tensors while the
/// tile is built.
TileProgram::State TileProgram::visitGatheredTile(const ListVisit &visit,
                                                  Value keys,
                                                  OpFoldResult first,
                                                  OpFoldResult total,
                                                  int64_t width, State state) {
  gathered = {keys, first, total};
  TensorView allKeys = key, allValues = value;
  Value allPacked = packedKeys, allPanels = packedPanels;
  Value allPairs = packedValues;
  auto expanded = [&](Value tile, int64_t rank) {
    SmallVector<OpFoldResult> shape = {c(1), c(1)};
    SmallVector<int64_t> sizes = {1, 1};
    SmallVector<ReassociationIndices> groups = {{0, 1, 2}};
    for (int64_t dim = 0; dim < rank; ++dim) {
      int64_t size = cast<RankedTensorType>(tile.getType()).getDimSize(dim);
      shape.push_back(c(size));
      sizes.push_back(size);
      if (dim)
        groups.push_back({dim + 2});
    }
    return tensor::ExpandShapeOp::create(
        b,
        RankedTensorType::get(
            sizes, cast<RankedTensorType>(tile.getType()).getElementType()),
        tile, groups, shape);
  };
  auto intoPanels = [&](Value panels, int64_t panel, Value part) {
    auto type = cast<RankedTensorType>(part.getType());
    SmallVector<OpFoldResult> offsets = {c(panel), c(0), c(0)};
    SmallVector<OpFoldResult> sizes = {c(1), c(type.getDimSize(0)),
                                       c(type.getDimSize(1))};
    SmallVector<OpFoldResult> strides(3, b.getIndexAttr(1));
    return tensor::InsertSliceOp::create(b, part, panels, offsets, sizes,
                                         strides)
        .getResult();
  };
  // In their natural layout, each load reads the rows that it needs.
  Value keyRows;
  if (!options.naturalLayout)
    keyRows = gatherRows(visit, key, visit.tile.keyHead, 0, headDim, width);
  if (packedKeys) {
    // The layouts of all packed keys and values.
    int64_t lanes = options.panel, panels = width / lanes;
    OpFoldResult depth = c(pairs ? headDim / 2 : headDim);
    OpFoldResult columns = c(pairs ? 2 * lanes : lanes);
    Value packed =
        empty({c(panels), depth, columns}, pairs ? element : compute);
    for (int64_t panel = 0; panel < panels; ++panel) {
      Value part =
          slice(packed, {c(panel), c(0), c(0)}, {c(1), depth, columns}, {1, 2});
      part = generic({}, part, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
        OpFoldResult feature = index(0), row = index(1);
        if (pairs) {
          feature = math.add(math.mul(feature, c(2)), math.mod(row, 2));
          row = math.floorDiv(row, 2);
        }
        row = math.add(row, c(panel * lanes));
        return tensor::ExtractOp::create(
            b, keyRows,
            ValueRange{math.materialize(row), math.materialize(feature)});
      });
      packed = intoPanels(packed, panel, part);
    }
    packedKeys = expanded(packed, 3);
  }
  if (packedValues) {
    Value valueRows =
        gatherRows(visit, value, visit.tile.valueHead, 0, valueDim, width);
    Value flat = empty({c(width / 2), c(2 * valueDim)}, element);
    flat = generic({}, flat, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
      OpFoldResult lane = index(1);
      OpFoldResult row = math.add(math.mul(index(0), c(2)), math.mod(lane, 2));
      OpFoldResult feature = math.floorDiv(lane, 2);
      return tensor::ExtractOp::create(
          b, valueRows,
          ValueRange{math.materialize(row), math.materialize(feature)});
    });
    SmallVector<ReassociationIndices> groups = {{0, 1, 2}, {3, 4}};
    packedValues = tensor::ExpandShapeOp::create(
        b, RankedTensorType::get({1, 1, width / 2, valueDim, 2}, element), flat,
        groups,
        SmallVector<OpFoldResult>{c(1), c(1), c(width / 2), c(valueDim), c(2)});
  } else if (packedPanels) {
    int64_t valuePanels = valueDim / valuePanel;
    Value values = empty({c(valuePanels), c(width), c(valuePanel)}, compute);
    for (int64_t panel = 0; panel < valuePanels; ++panel)
      values = intoPanels(values, panel,
                          gatherRows(visit, value, visit.tile.valueHead,
                                     panel * valuePanel, valuePanel, width));
    packedPanels = expanded(values, 3);
  } else if (!options.naturalLayout) {
    Value valueRows =
        gatherRows(visit, value, visit.tile.valueHead, 0, valueDim, width);
    key = {expanded(keyRows, 2)};
    value = {expanded(valueRows, 2)};
  }
  bool mayExceed = width != keyTile || keyStep == keyTile;
  auto keep = [&](const MaskPoint &point) {
    OpFoldResult candidate = math.floorDiv(point.key, visit.list().granule);
    OpFoldResult kept = keepInList(visit, point, candidate);
    if (mayExceed)
      kept = math.logicalAnd(kept,
                             math.compare(arith::CmpIPredicate::slt,
                                          math.add(gathered->first, index(1)),
                                          gathered->total));
    return kept;
  };
  State result = visitTile(visit.tile, visit.query, c(0), width,
                           /*partial=*/true, state, keep);
  key = allKeys;
  value = allValues;
  packedValues = allPairs;
  packedKeys = allPacked;
  packedPanels = allPanels;
  gathered.reset();
  return result;
}
