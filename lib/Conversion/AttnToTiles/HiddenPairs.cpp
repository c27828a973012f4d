//===- HiddenPairs.cpp - Hidden values stay out of a tile's rows ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// Whether a visited tile may hold a value that a row does not keep. What only
/// lengths hide is not read, or zero.
bool TileProgram::mayReadHidden() {
  return op.getMask() || op.getKeep() || pageSize || hasHeadLengths() ||
         (op.getKvLengths() && (op.getBias() || op.hasScore()));
}

Value TileProgram::isFinite(Value total, OpFoldResult rows) {
  // A sum that holds NaN or infinity is never finite again.
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddFOp::create(b, x, y, arith::FastMathFlags::reassoc);
  };
  Value ofRows =
      generic(total, fill(empty({rows}, compute), 0), {{0, 1}, {0}}, 2, 1,
              [&](ValueRange x) -> Value { return add(x[0], x[1]); });
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(rows), math.materialize(c(1)),
      number(0), [&](OpBuilder &inner, Location loc, Value row, ValueRange x) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        Value ofRow = tensor::ExtractOp::create(b, ofRows, row);
        scf::YieldOp::create(inner, loc, add(x[0], ofRow));
      });
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT,
                               math::AbsFOp::create(b, loop.getResult(0)),
                               number(std::numeric_limits<double>::infinity()));
}

/// The weighted sum of the kept values. `maximum` is that of all visited
/// scores, so that nothing has to be scaled later.
Value TileProgram::addKeptValues(const QueryTile &tile, Value query,
                                 const KeyTileList &steps, Value maximum,
                                 Value total, KeepFn keep) {
  Value base = finiteBase(maximum, maximum, tile.rows);
  auto loop = scf::ForOp::create(b, math.materialize(c(0)),
                                 math.materialize(steps.count()),
                                 math.materialize(c(1)), total);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult step = steps.stepOf(math, loop.getInductionVar());
  OpFoldResult firstKey = math.mul(step, c(keyStep));
  OpFoldResult count = keysInTile(tile, firstKey, keyStep, /*partial=*/true);
  Value scores = products(tile, query, step, count, keyStep);
  scores = modifyScores(tile, scores, firstKey, /*partial=*/true, keep);
  Value weights =
      generic({scores, base}, scores, {{0, 1}, {0}, {0, 1}}, 2, 0,
              [&](ValueRange x) -> Value {
                return math::Exp2Op::create(
                    b, arith::SubFOp::create(b, scaled(x[0]), scaled(x[1])));
              });
  Value sum = addValues(tile, toValueType(weights, tile, keyStep),
                        loop.getRegionIterArg(0), firstKey, count, keyStep,
                        /*skipZeros=*/true);
  scf::YieldOp::create(b, sum);
  return loop.getResult(0);
}

/// The weight of a hidden pair is zero, but zero times NaN or infinity is NaN.
/// Such values are rare: a tile that met one is summed again, pair by pair.
TileProgram::State TileProgram::withoutHidden(const QueryTile &tile,
                                              Value query,
                                              OpFoldResult keyBegin,
                                              OpFoldResult keyEnd, State state,
                                              bool cutsSteps) {
  if (onlyLse || !mayReadHidden())
    return state;
  KeyTileList steps =
      keyTiles(tile, keyBegin, keyEnd, /*everyPair=*/true).partial;
  if (constantOf(steps.count()) == 0)
    return state;
  auto finite = scf::IfOp::create(
      b, isFinite(state.total, tile.rows),
      [&](OpBuilder &inner, Location loc) {
        scf::YieldOp::create(inner, loc, state.total);
      },
      [&](OpBuilder &inner, Location loc) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        Value total = fill(state.total, 0);
        auto keep = [&](const MaskPoint &point) {
          return math.logicalAnd(mask.keep(b, b.getLoc(), point),
                                 isInside(point.key, {keyBegin, keyEnd}));
        };
        total = addKeptValues(tile, query, steps, state.maximum, total,
                              cutsSteps ? KeepFn(keep) : KeepFn());
        scf::YieldOp::create(inner, loc, total);
      });
  state.total = finite.getResult(0);
  return state;
}
