//===- KeyPlaces.cpp - Where the keys and values of a head lie ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

OpFoldResult TileProgram::headOf(std::optional<ArrayRef<int64_t>> map,
                                 OpFoldResult own, OpFoldResult head) {
  if (map) {
    // One comparison for each change along the heads.
    OpFoldResult read = c(map->front());
    for (size_t h = 1; h < map->size(); ++h)
      if ((*map)[h] != (*map)[h - 1])
        read = math.select(math.compare(arith::CmpIPredicate::sge, head, c(h)),
                           c((*map)[h]), read);
    return read;
  }
  auto all = constantOf(heads), some = constantOf(own);
  if (all && some)
    return *some ? math.floorDiv(head, *all / *some) : c(0);
  return arith::DivUIOp::create(b, math.materialize(head),
                                math.materialize(group))
      .getResult();
}

void TileProgram::setHeads(QueryTile &tile) {
  tile.keyHead = headOf(op.getKeyHeadMap(), keyHeads, tile.head);
  tile.valueHead = op.hasHeadMaps()
                       ? headOf(op.getValueHeadMap(), valueHeads, tile.head)
                       : tile.keyHead;
}

void TileProgram::scanPages() {
  OpFoldResult numbers =
      tensor::getMixedSize(b, b.getLoc(), op.getPageTable(), 1);
  Value none = empty({batches}, b.getIndexType());
  Value zero = math.materialize(c(0)), one = math.materialize(c(1));
  auto entries =
      scf::ForOp::create(b, zero, math.materialize(batches), one,
                         ValueRange{none, empty({batches}, b.getIndexType())});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(entries.getBody());
  Value batch = entries.getInductionVar();
  // The end of the last page that exists, and the first that does not.
  auto scan = scf::ForOp::create(b, zero, math.materialize(numbers), one,
                                 ValueRange{zero, math.materialize(numbers)});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(scan.getBody());
    OpFoldResult number = scan.getInductionVar();
    OpFoldResult end = scan.getRegionIterArg(0);
    OpFoldResult solid = scan.getRegionIterArg(1);
    OpFoldResult exists =
        readPage(b, b.getLoc(), op.getPageTable(), batch, number, pages).exists;
    end = math.select(exists, math.add(number, c(1)), end);
    solid = math.select(exists, solid, math.min(solid, number));
    scf::YieldOp::create(
        b, ValueRange{math.materialize(end), math.materialize(solid)});
  }
  SmallVector<Value> results;
  for (unsigned i : {0u, 1u})
    results.push_back(tensor::InsertOp::create(
        b, math.materialize(math.mul(scan.getResult(i), c(pageSize))),
        entries.getRegionIterArg(i), batch));
  scf::YieldOp::create(b, results);
  pageEnd = entries.getResult(0);
  pageSolid = entries.getResult(1);
}

bool TileProgram::hasHeadLengths() {
  return op.getKvLengths() &&
         cast<RankedTensorType>(op.getKvLengths().getType()).getRank() == 2;
}

OpFoldResult TileProgram::lengthOf(OpFoldResult batch, OpFoldResult head) {
  if (hasHeadLengths())
    return math.min(math.max(readOfHead(b, b.getLoc(), op.getKvLengths(), batch,
                                        head, heads, {}),
                             c(0)),
                    kvLen);
  Value length =
      tensor::ExtractOp::create(b, op.getKvLengths(), math.materialize(batch));
  if (!length.getType().isIndex())
    length = arith::IndexCastOp::create(b, b.getIndexType(), length);
  return math.min(math.max(length, c(0)), kvLen);
}

void TileProgram::setKeyBounds(QueryTile &tile) {
  tile.keyEnd = tile.keySolid = kvLen;
  if (op.getKvLengths()) {
    tile.keyEnd = tile.keySolid = lengthOf(tile.batch, tile.head);
    for (int64_t i = 1; hasHeadLengths() && i < tile.heads; ++i) {
      OpFoldResult next = lengthOf(tile.batch, math.add(tile.head, c(i)));
      tile.keyEnd = math.max(tile.keyEnd, next);
      tile.keySolid = math.min(tile.keySolid, next);
    }
  }
  if (!pageSize)
    return;
  auto ofEntry = [&](Value bounds) -> OpFoldResult {
    return tensor::ExtractOp::create(b, bounds, math.materialize(tile.batch))
        .getResult();
  };
  tile.keyEnd = math.min(tile.keyEnd, ofEntry(pageEnd));
  tile.keySolid = math.min(tile.keySolid, ofEntry(pageSolid));
}

OpFoldResult TileProgram::packEnd(OpFoldResult batch) {
  return op.getKvLengths() && !hasHeadLengths() ? lengthOf(batch, c(0)) : kvLen;
}

TileProgram::KeyPlace TileProgram::placeOf(OpFoldResult batch,
                                           OpFoldResult key) {
  if (!pageSize)
    return {batch, key};
  Page page = readPage(b, b.getLoc(), op.getPageTable(), batch,
                       math.floorDiv(key, pageSize), pages);
  return {page.place, math.mod(key, pageSize)};
}

int64_t TileProgram::keysTogether() {
  return pageSize && !gathered ? std::gcd(pageSize, keyStep) : 0;
}

Value TileProgram::overParts(
    const QueryTile &tile, OpFoldResult firstKey, OpFoldResult count,
    int64_t keys, Value state,
    llvm::function_ref<Value(KeyPlace, OpFoldResult, OpFoldResult, Value)>
        body) {
  int64_t width = keysTogether();
  if (!width)
    return body({keyBatch(tile), firstKey}, c(0), count, state);
  if (width == keys)
    return body(placeOf(tile.batch, firstKey), c(0), count, state);
  auto loop = scf::ForOp::create(b, math.materialize(c(0)),
                                 math.materialize(math.ceilDiv(count, width)),
                                 math.materialize(c(1)), state);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult column = math.mul(loop.getInductionVar(), c(width));
  OpFoldResult own = c(width);
  if (constantOf(count) != keys)
    own = math.min(own, math.sub(count, column));
  Value next = body(placeOf(tile.batch, math.add(firstKey, column)), column,
                    own, loop.getRegionIterArg(0));
  scf::YieldOp::create(b, next);
  return loop.getResult(0);
}
