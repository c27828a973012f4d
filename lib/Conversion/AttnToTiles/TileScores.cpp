//===- TileScores.cpp - Products, score modifiers and masks of a tile -----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

Value TileProgram::productsFromPanels(const QueryTile &tile, Value query,
                                      OpFoldResult step, int64_t keys) {
  int64_t panels = keys / options.panel, width = options.panel;
  OpFoldResult first = math.mul(step, c(keyStep / width));
  OpFoldResult depth = pairs ? c(headDim / 2) : c(headDim);
  OpFoldResult lanes = pairs ? c(2 * width) : c(width);
  Value tileKeys =
      slice(packedKeys, {keyBatch(tile), keyHead(tile), first, c(0), c(0)},
            {c(1), c(1), c(panels), depth, lanes}, {2, 3, 4});
  Value scores = fill(empty({tile.rows, c(panels), c(width)}, compute), 0);
  auto multiply = [&](ValueRange x) -> Value {
    Value product = arith::MulFOp::create(b, toCompute(x[0]), toCompute(x[1]));
    return arith::AddFOp::create(b, x[2], product);
  };
  if (pairs) {
    auto rows = cast<RankedTensorType>(query.getType()).getDimSize(0);
    query = tensor::ExpandShapeOp::create(
        b, RankedTensorType::get({rows, headDim / 2, 2}, element), query,
        SmallVector<ReassociationIndices>{{0}, {1, 2}},
        SmallVector<OpFoldResult>{tile.rows, depth, c(2)});
    tileKeys = tensor::ExpandShapeOp::create(
        b, RankedTensorType::get({panels, headDim / 2, width, 2}, element),
        tileKeys, SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}});
    scores = generic({query, tileKeys}, scores,
                     {{0, 3, 4}, {1, 3, 2, 4}, {0, 1, 2}}, 5, 2, multiply);
  } else {
    scores = generic({query, tileKeys}, scores, {{0, 3}, {1, 3, 2}, {0, 1, 2}},
                     4, 1, multiply);
  }
  return tensor::CollapseShapeOp::create(
      b, scores, SmallVector<ReassociationIndices>{{0}, {1, 2}});
}

Value TileProgram::productsFromRows(const QueryTile &tile, Value query,
                                    OpFoldResult firstKey, OpFoldResult count,
                                    int64_t keys) {
  auto products = [&](KeyPlace place, OpFoldResult column, OpFoldResult own,
                      Value scores) -> Value {
    auto offsets = key.permute<OpFoldResult>(
        {place.batch, keyHead(tile), place.row, c(0)});
    auto sizes = key.permute<OpFoldResult>({c(1), c(1), own, c(headDim)});
    SmallVector<int64_t> kept = {key.dims[2], key.dims[3]};
    bool rowsFirst = kept[0] < kept[1];
    llvm::sort(kept);
    Value tileKeys = slice(key.source, offsets, sizes, kept);
    bool whole = constantOf(own) == keys;
    SmallVector<OpFoldResult> origin = {c(0), column},
                              visited = {tile.rows, own};
    Value destination = whole ? scores : slice(scores, origin, visited, {0, 1});
    SmallVector<unsigned> keyLoops = {1, 2};
    if (!rowsFirst)
      keyLoops = {2, 1};
    Value products =
        generic({query, tileKeys}, destination, {{0, 2}, keyLoops, {0, 1}}, 3,
                1, [&](ValueRange x) -> Value {
                  Value product = arith::MulFOp::create(b, toCompute(x[0]),
                                                        toCompute(x[1]));
                  return arith::AddFOp::create(b, x[2], product);
                });
    if (whole)
      return products;
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    return tensor::InsertSliceOp::create(b, products, scores, origin, visited,
                                         strides);
  };
  return overParts(tile, firstKey, count, keys,
                   fill(empty({tile.rows, c(keys)}, compute), 0), products);
}

/// Rows of keys or values as they lie; those past the end are zeros.
Value TileProgram::loadNatural(const QueryTile &tile, const TensorView &source,
                               OpFoldResult head, OpFoldResult firstKey,
                               int64_t keys, int64_t width) {
  return generic({}, empty({c(keys), c(width)}, element), {{0, 1}}, 2, 0,
                 [&](ValueRange) -> Value {
                   OpFoldResult row = keyOfColumn(firstKey, index(0));
                   OpFoldResult inside = row;
                   bool tail = !gathered && mayEndInside();
                   if (tail)
                     inside = math.min(row, math.sub(kvLen, c(1)));
                   KeyPlace place = placeOf(tile.batch, inside);
                   SmallVector<Value> at;
                   for (OpFoldResult x : source.permute<OpFoldResult>(
                            {place.batch, head, place.row, index(1)}))
                     at.push_back(math.materialize(x));
                   Value x = tensor::ExtractOp::create(b, source.source, at);
                   if (!tail)
                     return x;
                   Value kept = math.materialize(math.compare(
                       arith::CmpIPredicate::slt, row, tile.keyEnd));
                   Value zero =
                       arith::ConstantOp::create(b, b.getFloatAttr(element, 0));
                   return arith::SelectOp::create(b, kept, x, zero);
                 });
}

Value TileProgram::addValues(const QueryTile &tile, Value weights, Value total,
                             OpFoldResult firstKey, OpFoldResult count,
                             int64_t keys, bool skipZeros) {
  auto multiply = [&](ValueRange x) -> Value {
    Value weight = toCompute(x[0]);
    Value product = arith::MulFOp::create(b, weight, toCompute(x[1]));
    if (skipZeros) {
      Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, weight,
                                           number(0));
      product = arith::SelectOp::create(b, isZero, number(0), product);
    }
    return arith::AddFOp::create(b, x[2], product);
  };
  OpFoldResult width = c(valueDim);
  if (options.naturalLayout)
    return generic({weights, loadNatural(tile, value, tile.valueHead, firstKey,
                                         keys, valueDim)},
                   total, {{0, 2}, {2, 1}, {0, 1}}, 3, 1, multiply);
  if (packedValues) {
    // Pairs of rows; those past the last key are zero.
    OpFoldResult depth = c(keys / 2);
    Value tileValues = slice(packedValues,
                             {keyBatch(tile), valueHead(tile),
                              math.floorDiv(firstKey, 2), c(0), c(0)},
                             {c(1), c(1), depth, width, c(2)}, {2, 3, 4});
    auto rows = cast<RankedTensorType>(weights.getType()).getDimSize(0);
    weights = tensor::ExpandShapeOp::create(
        b, RankedTensorType::get({rows, keys / 2, 2}, element), weights,
        SmallVector<ReassociationIndices>{{0}, {1, 2}},
        SmallVector<OpFoldResult>{tile.rows, depth, c(2)});
    return generic({weights, tileValues}, total, {{0, 2, 3}, {2, 1, 3}, {0, 1}},
                   4, 2, multiply);
  }
  if (packedPanels) {
    // Rows past the last key are zero, so that every step is whole.
    int64_t panels = valueDim / valuePanel;
    Value tileValues = slice(
        packedPanels, {keyBatch(tile), valueHead(tile), c(0), firstKey, c(0)},
        {c(1), c(1), c(panels), c(keys), c(valuePanel)}, {2, 3, 4});
    auto rows = cast<RankedTensorType>(total.getType()).getDimSize(0);
    SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
    Value inPanels = tensor::ExpandShapeOp::create(
        b, RankedTensorType::get({rows, panels, valuePanel}, compute), total,
        groups, SmallVector<OpFoldResult>{tile.rows, c(panels), c(valuePanel)});
    inPanels = generic({weights, tileValues}, inPanels,
                       {{0, 3}, {1, 3, 2}, {0, 1, 2}}, 4, 1, multiply);
    return tensor::CollapseShapeOp::create(b, inPanels, groups);
  }
  return overParts(
      tile, firstKey, count, keys, total,
      [&](KeyPlace place, OpFoldResult column, OpFoldResult own, Value state) {
        auto offsets = value.permute<OpFoldResult>(
            {place.batch, valueHead(tile), place.row, c(0)});
        auto sizes = value.permute<OpFoldResult>({c(1), c(1), own, width});
        Value rows =
            slice(value.source, offsets, sizes, {value.dims[2], value.dims[3]});
        Value ofPart = weights;
        if (constantOf(own) != keys)
          ofPart = slice(weights, {c(0), column}, {tile.rows, own}, {0, 1});
        return generic({ofPart, rows}, state, {{0, 2}, {2, 1}, {0, 1}}, 3, 1,
                       multiply);
      });
}

/// Values as [B, Hkv, Dv / panel, Skv, panel], in whole steps of keys.
Value TileProgram::packValuePanels() {
  int64_t panels = valueDim / valuePanel, rows = packStep;
  OpFoldResult steps = math.ceilDiv(kvLen, rows);
  Value packed = empty(
      {batches, valueHeads, c(panels), math.mul(steps, c(rows)), c(valuePanel)},
      compute);
  bool exceeds = constantOf(math.mod(kvLen, rows)) != 0;
  auto pack =
      forall({batches, valueHeads, steps}, packed, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        OpFoldResult end = packEnd(at[0]), first = math.mul(at[2], c(rows));
        SmallVector<OpFoldResult> offsets = {at[0], at[1], c(0), first, c(0)};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), c(panels), c(rows),
                                           c(valuePanel)};
        Value tile =
            slice(loop.getRegionIterArgs()[0], offsets, sizes, {2, 3, 4});
        for (int64_t panel = 0; panel < panels; ++panel) {
          SmallVector<OpFoldResult> place = {c(panel), c(0), c(0)};
          SmallVector<OpFoldResult> extent = {c(1), c(rows), c(valuePanel)};
          SmallVector<OpFoldResult> strides(3, b.getIndexAttr(1));
          Value part = slice(tile, place, extent, {1, 2});
          part = generic({}, part, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
            OpFoldResult row = math.add(first, index(0));
            OpFoldResult feature = math.add(index(1), c(panel * valuePanel));
            OpFoldResult inside =
                exceeds ? math.min(row, math.sub(kvLen, c(1))) : row;
            KeyPlace place = placeOf(offsets[0], inside);
            SmallVector<Value> at;
            for (OpFoldResult x : value.permute<OpFoldResult>(
                     {place.batch, offsets[1], place.row, feature}))
              at.push_back(math.materialize(x));
            Value x = toCompute(tensor::ExtractOp::create(b, value.source, at));
            if (!mayEndInside())
              return x;
            // What a length hides may be anything, also NaN.
            Value kept = math.materialize(
                math.compare(arith::CmpIPredicate::slt, row, end));
            return arith::SelectOp::create(b, kept, x, number(0));
          });
          tile = tensor::InsertSliceOp::create(b, part, tile, place, extent,
                                               strides);
        }
        insert(loop, tile, 0, offsets, sizes);
      });
  return pack.getResult(0);
}

/// Values as [B, Hkv, Skv / 2, Dv, 2]: the pairs of a dot product of pairs.
Value TileProgram::packValues() {
  OpFoldResult steps = math.ceilDiv(kvLen, packStep);
  OpFoldResult pairsPerStep = c(packStep / 2);
  SmallVector<OpFoldResult> shape = {
      batches, valueHeads, math.mul(steps, pairsPerStep), c(valueDim), c(2)};
  // A row per pair, features and pair interleaved.
  SmallVector<OpFoldResult> flat(shape.begin(), shape.begin() + 3);
  flat.push_back(c(2 * valueDim));
  Value packed = empty(flat, element);
  auto op =
      forall({batches, valueHeads, steps}, packed, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        OpFoldResult end = packEnd(at[0]);
        SmallVector<OpFoldResult> offsets = {
            at[0], at[1], math.mul(at[2], pairsPerStep), c(0)};
        SmallVector<OpFoldResult> sizes = {c(1), c(1), pairsPerStep,
                                           c(2 * valueDim)};
        Value tile = slice(loop.getRegionIterArgs()[0], offsets, sizes, {2, 3});
        OpFoldResult first = math.mul(at[2], c(packStep));
        Value filled =
            generic({}, tile, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
              OpFoldResult lane = index(1);
              OpFoldResult row = math.add(
                  first, math.add(math.mul(index(0), c(2)), math.mod(lane, 2)));
              OpFoldResult feature = math.floorDiv(lane, 2);
              OpFoldResult inside = math.min(row, math.sub(kvLen, c(1)));
              KeyPlace place = placeOf(offsets[0], inside);
              if (pageSize && pageSize % 2 == 0) {
                // Both rows of a pair lie in one page.
                OpFoldResult even = math.add(first, math.mul(index(0), c(2)));
                place =
                    placeOf(offsets[0], math.min(even, math.sub(kvLen, c(2))));
                place.row = math.add(place.row, math.mod(lane, 2));
              }
              SmallVector<Value> at;
              for (OpFoldResult x : value.permute<OpFoldResult>(
                       {place.batch, offsets[1], place.row, feature}))
                at.push_back(math.materialize(x));
              Value x = tensor::ExtractOp::create(b, value.source, at);
              // What a length hides may be anything, also NaN.
              Value zero =
                  arith::ConstantOp::create(b, b.getFloatAttr(element, 0));
              Value kept = math.materialize(
                  math.compare(arith::CmpIPredicate::slt, row, end));
              return arith::SelectOp::create(b, kept, x, zero);
            });
        insert(loop, filled, 0, offsets, sizes);
      });
  SmallVector<ReassociationIndices> groups = {{0}, {1}, {2}, {3, 4}};
  SmallVector<int64_t> type;
  for (OpFoldResult size : shape)
    type.push_back(constantOf(size).value_or(ShapedType::kDynamic));
  return tensor::ExpandShapeOp::create(b, RankedTensorType::get(type, element),
                                       op.getResult(0), groups, shape);
}

/// An element of `tensor`, whose dimensions may be 1 where the attention's are
/// not. With `keyMayExceed` the key index may lie past the end.
Value TileProgram::extractBroadcast(Value tensor,
                                    ArrayRef<OpFoldResult> indices,
                                    bool keyMayExceed) {
  auto type = cast<RankedTensorType>(tensor.getType());
  OpFoldResult whole[] = {batches, heads, queryLen, kvLen};
  SmallVector<Value> at;
  for (int64_t dim = 0; dim < 4; ++dim) {
    int64_t known = type.getDimSize(dim);
    OpFoldResult index = indices[dim];
    if (known == 1) {
      index = c(0);
    } else {
      bool certain = known > 1 || constantOf(whole[dim]) == 1;
      if (!certain || (dim == 3 && keyMayExceed)) {
        OpFoldResult size = tensor::getMixedSize(b, b.getLoc(), tensor, dim);
        index = math.min(index, math.sub(size, c(1)));
      }
    }
    at.push_back(math.materialize(index));
  }
  return tensor::ExtractOp::create(b, tensor, at);
}

OpFoldResult TileProgram::keyInside(OpFoldResult key, bool tail) {
  return tail ? math.min(key, math.sub(kvLen, c(1))) : key;
}

/// A number to base 2 from one to base e. The lowest finite numbers stay
/// finite: they mask a pair unless all pairs of the row carry them.
Value TileProgram::toBase2(Value x) {
  constexpr double lowest = -std::numeric_limits<float>::max();
  Value scaled = arith::MulFOp::create(b, x, number(llvm::numbers::log2e));
  Value minusInf = number(-std::numeric_limits<double>::infinity());
  Value isLow = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, scaled,
                                      number(lowest));
  Value finite = arith::SelectOp::create(b, isLow, number(lowest), scaled);
  Value isNone =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, minusInf);
  return arith::SelectOp::create(b, isNone, minusInf, finite);
}

/// The score to base 2 of a product: scale, softcap, bias and region. With
/// `tail` the key may lie past the end.
Value TileProgram::modifyScore(MaskPoint point, Value score, bool tail) {
  auto times = [&](Value value, double factor) -> Value {
    if (factor == 1)
      return value;
    return arith::MulFOp::create(b, value, number(factor));
  };
  auto readBias = [&]() {
    return toCompute(extractBroadcast(
        op.getBias(), {point.batch, point.head, point.queryRow, point.key},
        tail));
  };
  auto add = [&](Value bias) { score = arith::AddFOp::create(b, score, bias); };
  bool before = op.getBias() && op.getSoftcap() &&
                op.getBiasOrder() == BiasOrder::BeforeSoftcap;
  // A region gets the score to base e.
  double unit = op.hasScore() ? 1 : llvm::numbers::log2e;
  score = times(score, scoreScale);
  if (auto softcap = op.getSoftcap()) {
    double cap = softcap->convertToDouble();
    if (before)
      add(times(readBias(), 1 / cap));
    score = times(math::TanhOp::create(b, score), cap * unit);
  }
  if (op.getBias() && !before)
    add(op.hasScore() ? readBias() : toBase2(readBias()));
  if (!op.hasScore())
    return score;
  point.key = keyInside(point.key, tail);
  return toBase2(op.buildScore(b, point, score));
}

Value TileProgram::modifyScores(const QueryTile &tile, Value scores,
                                OpFoldResult firstKey, bool partial,
                                KeepFn keep) {
  bool tail = partial && !gathered && mayEndInside();
  bool masked = partial && mask;
  // What the bounds of the whole tile do not tell.
  bool ownLengths = partial && tile.heads > 1 && hasHeadLengths();
  bool holes = partial && pageSize;
  if (scoreScale == 1 && !op.getSoftcap() && !op.getBias() && !op.getKeep() &&
      !op.hasScore() && !tail && !masked && !ownLengths && !holes)
    return scores;
  return generic({}, scores, {{0, 1}}, 2, 0, [&](ValueRange x) -> Value {
    Value score = x[0];
    OpFoldResult queryRow = index(0);
    Row row = rowOf(tile, cast<Value>(queryRow));
    OpFoldResult key = keyOfColumn(firstKey, index(1));
    MaskPoint point;
    point.batch = tile.batch;
    point.head = row.head;
    point.heads = heads;
    point.kvLen = kvLen;
    point.entry = row.entry;
    point.queryRow = row.row;
    if (masked || op.hasScore())
      point.query = math.add(row.row, tile.position);
    point.key = key;
    point.operands = maskOperands;
    score = modifyScore(point, score, tail);
    OpFoldResult kept = math.boolean(true);
    if (op.getKeep())
      kept = extractBroadcast(op.getKeep(),
                              {tile.batch, row.head, row.row, key}, tail);
    if (masked) {
      // Reads of the mask's operands stay inside.
      if (mask.getNumMaskOperands())
        point.key = keyInside(key, tail);
      kept = math.logicalAnd(kept, keep ? keep(point)
                                        : mask.keep(b, b.getLoc(), point));
    }
    if (ownLengths)
      kept =
          math.logicalAnd(kept, math.compare(arith::CmpIPredicate::slt, key,
                                             lengthOf(tile.batch, row.head)));
    else if (tail)
      kept = math.logicalAnd(
          kept, math.compare(arith::CmpIPredicate::slt, key, tile.keyEnd));
    if (holes)
      kept = math.logicalAnd(
          kept, readPage(b, b.getLoc(), op.getPageTable(), tile.batch,
                         math.floorDiv(keyInside(key, tail), pageSize), pages)
                    .exists);
    if (constantOf(kept) == 1)
      return score;
    return arith::SelectOp::create(
        b, math.materialize(kept), score,
        number(-std::numeric_limits<double>::infinity()));
  });
}

TileProgram::State TileProgram::addSinks(const QueryTile &tile, State state) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  auto logit = [&]() -> Value {
    OpFoldResult head = rowOf(tile, index(0)).head;
    Value x = tensor::ExtractOp::create(b, op.getSinkLogits(),
                                        math.materialize(head));
    return arith::MulFOp::create(b, toCompute(x),
                                 number(llvm::numbers::log2e / rawScale));
  };
  state.maximum = generic({}, state.maximum, {{0}}, 1, 0,
                          [&](ValueRange) -> Value { return logit(); });
  state.sum = generic(
      state.maximum, state.sum, {{0}, {0}}, 1, 0, [&](ValueRange x) -> Value {
        Value absent = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[0],
                                             number(none));
        return arith::SelectOp::create(b, absent, number(0), number(1));
      });
  return state;
}
