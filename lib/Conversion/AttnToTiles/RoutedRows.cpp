//===- RoutedRows.cpp - Tiles whose rows come from a list -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

OpFoldResult TileProgram::countOf(OpFoldResult batch, OpFoldResult head) {
  return readRowCount(b, b.getLoc(), op.getRowCounts(), batch, head, entries);
}

OpFoldResult TileProgram::listedRow(OpFoldResult batch, OpFoldResult head,
                                    OpFoldResult entry) {
  return readListedRow(b, b.getLoc(), op.getRows(), batch, head, entry,
                       queryLen);
}

OpFoldResult TileProgram::entryExists(OpFoldResult batch, OpFoldResult head,
                                      OpFoldResult entry) {
  return readListedRow(b, b.getLoc(), op.getRows(), op.getRowCounts(), batch,
                       head, entry, queryLen)
      .exists;
}

OpFoldResult TileProgram::anyEntry(OpFoldResult batch, OpFoldResult head,
                                   int64_t heads) {
  OpFoldResult most = c(0);
  for (int64_t i = 0; i < heads; ++i)
    most = math.max(most, countOf(batch, math.add(head, c(i))));
  return math.compare(arith::CmpIPredicate::sgt, most, c(0));
}

KeyInterval TileProgram::rowRange(const QueryTile &tile) {
  // Rows stand in any order.
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(tile.rows),
      math.materialize(c(1)),
      ValueRange{math.materialize(queryLen), math.materialize(c(0))},
      [&](OpBuilder &inner, Location loc, Value i, ValueRange range) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        OpFoldResult row = rowOf(tile, i).row;
        OpFoldResult begin = math.min(range[0], row);
        OpFoldResult end = math.max(range[1], math.add(row, c(1)));
        scf::YieldOp::create(
            b, ValueRange{math.materialize(begin), math.materialize(end)});
      });
  return {loop.getResult(0), loop.getResult(1)};
}

SmallVector<Value>
TileProgram::guardEmptyQuery(ValueRange destinations,
                             llvm::function_ref<SmallVector<Value>()> build) {
  auto zeros = [&] {
    SmallVector<Value> results;
    if (!onlyLse)
      results.push_back(fill(destinations.front(), 0));
    if (op.getLse())
      results.push_back(
          fill(destinations.back(), -std::numeric_limits<double>::infinity()));
    return results;
  };
  if (auto length = constantOf(queryLen))
    return *length > 0 ? build() : zeros();
  Value any =
      math.materialize(math.compare(arith::CmpIPredicate::sgt, queryLen, c(0)));
  auto branch = [&](llvm::function_ref<SmallVector<Value>()> part) {
    return [&, part](OpBuilder &inner, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.restoreInsertionPoint(inner.saveInsertionPoint());
      scf::YieldOp::create(b, part());
    };
  };
  auto choice = scf::IfOp::create(b, any, branch(build), branch(zeros));
  return llvm::to_vector(llvm::map_range(
      choice.getResults(), [](OpResult x) -> Value { return x; }));
}
