//===- LocalLinearProgram.cpp - Local linear attention by tiles -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "LocalLinearProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;

LocalLinearProgram::LocalLinearProgram(
    OpBuilder &builder, LocalLinearAttentionOp op,
    const ConvertAttnToTilesPassOptions &options)
    : TileBuilder(builder, op.getLoc()),
      StaticHeads(builder, op.getLoc(), op.getQuery(), op.getKey(),
                  op.getValue()),
      op(op) {
  tileRows = options.queryTile;
  if (auto length = constantOf(queryLen))
    tileRows = std::clamp<int64_t>(llvm::alignTo(*length, options.rowBlock),
                                   options.rowBlock, tileRows);
}

Value LocalLinearProgram::zeros(int64_t width) {
  return fill(empty({c(tileRows), c(width)}, compute), 0);
}

Value LocalLinearProgram::rowOp(ArrayRef<Value> inputs, Value destination,
                                Body body) {
  static constexpr unsigned both[] = {0, 1};
  auto rank = [](Value x) {
    return cast<RankedTensorType>(x.getType()).getRank();
  };
  SmallVector<ArrayRef<unsigned>> dims;
  for (Value input : inputs)
    dims.push_back(ArrayRef<unsigned>(both, rank(input)));
  dims.push_back(ArrayRef<unsigned>(both, rank(destination)));
  return generic(inputs, destination, dims, rank(destination), 0, body);
}

/// Keys or values from `first` on, or their transpose; the last one repeats.
Value LocalLinearProgram::loadTile(const Rows &rows, const TensorView &source,
                                   OpFoldResult first, int64_t width,
                                   bool across) {
  SmallVector<OpFoldResult> shape = {c(tileKeys), c(width)};
  if (across)
    std::swap(shape[0], shape[1]);
  return generic(
      {}, empty(shape, compute), {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
        OpFoldResult row = index(across ? 1 : 0);
        OpFoldResult feature = index(across ? 0 : 1);
        row = math.min(math.add(first, row), math.sub(kvLen, c(1)));
        return toCompute(extract(
            source.source, source.permute<OpFoldResult>(
                               {rows.batch, rows.keyHead, row, feature})));
      });
}

SmallVector<Value> LocalLinearProgram::overKeys(const Rows &rows,
                                                ValueRange carried, Step step) {
  auto loop = scf::ForOp::create(b, math.materialize(c(0)),
                                 math.materialize(rows.keyTiles),
                                 math.materialize(c(1)), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult first = math.mul(loop.getInductionVar(), c(tileKeys));
  scf::YieldOp::create(b, step(first, loop.getRegionIterArgs()));
  return llvm::to_vector(llvm::map_range(
      loop.getResults(), [](OpResult x) -> Value { return x; }));
}

Value LocalLinearProgram::buildScores(const Rows &rows, Value keysAcross,
                                      OpFoldResult firstKey) {
  Value scores = contract(rows.query, keysAcross, zeros(tileKeys));
  double scale = op.getEffectiveScale() * llvm::numbers::log2e;
  OpFoldResult offset = math.sub(kvLen, queryLen);
  return generic({}, scores, {{0, 1}}, 2, 0, [&](ValueRange x) -> Value {
    OpFoldResult row =
        math.min(math.add(rows.first, index(0)), math.sub(queryLen, c(1)));
    OpFoldResult last = math.sub(math.add(row, offset), firstKey);
    Value seen = math.materialize(
        math.compare(arith::CmpIPredicate::sle, index(1), last));
    Value score = arith::MulFOp::create(b, x[0], number(scale));
    return arith::SelectOp::create(
        b, seen, score, number(-std::numeric_limits<double>::infinity()));
  });
}

Value LocalLinearProgram::buildWeights(const Rows &rows, Value keysAcross,
                                       OpFoldResult firstKey) {
  Value scores = buildScores(rows, keysAcross, firstKey);
  return rowOp({rows.maximum}, scores, [&](ValueRange x) -> Value {
    return math::Exp2Op::create(b, arith::SubFOp::create(b, x[1], x[0]));
  });
}

/// The first pass, with the largest score so far (as in online softmax). Each
/// row sees the first key, so that after one tile it is finite.
void LocalLinearProgram::sumWeights(Rows &rows) {
  constexpr auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  constexpr double none = -std::numeric_limits<double>::infinity();
  OpFoldResult count = c(tileRows);
  auto larger = [&](ValueRange x) -> Value {
    return arith::MaxNumFOp::create(b, x[0], x[1], flags);
  };
  SmallVector<Value> sums = {fill(empty({count}, compute), none),
                             fill(empty({count}, compute), 0), zeros(features)};
  sums = overKeys(rows, sums, [&](OpFoldResult first, ValueRange args) {
    Value across = loadTile(rows, key, first, features, /*across=*/true);
    Value scores = buildScores(rows, across, first);
    Value largest = generic(scores, fill(empty({count}, compute), none),
                            {{0, 1}, {0}}, 2, 1, larger);
    Value base = rowOp({args[0], largest}, empty({count}, compute), larger);
    auto power = [&](ValueRange x) -> Value {
      return math::Exp2Op::create(b, arith::SubFOp::create(b, x[0], x[1]));
    };
    auto times = [&](ValueRange x) -> Value {
      return arith::MulFOp::create(b, x[1], x[0]);
    };
    Value shrink = rowOp({args[0], base}, empty({count}, compute), power);
    Value maximum = rowOp({largest}, args[0], larger);
    Value weights =
        generic(base, scores, {{0}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
          return math::Exp2Op::create(b, arith::SubFOp::create(b, x[1], x[0]));
        });
    Value omega = rowOp({shrink}, args[1], times);
    omega = generic(weights, omega, {{0, 1}, {0}}, 2, 1,
                    [&](ValueRange x) -> Value {
                      return arith::AddFOp::create(b, x[0], x[1]);
                    });
    Value mean = rowOp({shrink}, args[2], times);
    Value keys = loadTile(rows, key, first, features, /*across=*/false);
    mean = contract(weights, keys, mean);
    return SmallVector<Value>{maximum, omega, mean};
  });
  rows.maximum = sums[0];
  rows.omega = sums[1];
  rows.mean = sums[2];
  double ridge = op.getRidge().convertToDouble();
  rows.ridge =
      rowOp({rows.omega}, empty({count}, compute), [&](ValueRange x) -> Value {
        if (op.getAbsolute())
          return number(ridge);
        return arith::MulFOp::create(b, x[0], number(ridge));
      });
  rows.mu =
      rowOp({rows.mean, rows.omega, rows.query},
            empty({count, c(features)}, compute), [&](ValueRange x) -> Value {
              return arith::SubFOp::create(
                  b, x[0], arith::MulFOp::create(b, x[1], x[2]));
            });
}

Value LocalLinearProgram::rowDot(Value x, Value y) {
  Value products = rowOp({x, y}, empty({c(tileRows), c(features)}, compute),
                         [&](ValueRange e) -> Value {
                           return arith::MulFOp::create(b, e[0], e[1]);
                         });
  return generic(products, fill(empty({c(tileRows)}, compute), 0),
                 {{0, 1}, {0}}, 2, 1, [&](ValueRange e) -> Value {
                   return arith::AddFOp::create(b, e[0], e[1]);
                 });
}

/// transpose(K) (w * (K x)) - (x.q) M - (x.M) q + omega (x.q) q + ridge x, with
/// M the weighted sum of keys.
Value LocalLinearProgram::applySigma(const Rows &rows, Value x) {
  Value sums =
      overKeys(rows, zeros(features), [&](OpFoldResult first, ValueRange args) {
        Value across = loadTile(rows, key, first, features, /*across=*/true);
        Value weights = buildWeights(rows, across, first);
        Value byKey = contract(
            x, across, fill(empty({c(tileRows), c(tileKeys)}, compute), -0.0));
        byKey = rowOp({weights}, byKey, [&](ValueRange e) -> Value {
          return arith::MulFOp::create(b, e[1], e[0]);
        });
        Value keys = loadTile(rows, key, first, features, /*across=*/false);
        return SmallVector<Value>{contract(byKey, keys, args[0])};
      })[0];
  Value withQuery = rowDot(x, rows.query), withMean = rowDot(x, rows.mean);
  return rowOp(
      {withQuery, withMean, rows.mean, rows.query, rows.omega, rows.ridge, x},
      sums, [&](ValueRange e) -> Value {
        auto times = [&](Value x, Value y) -> Value {
          return arith::MulFOp::create(b, x, y);
        };
        Value result = arith::SubFOp::create(b, e[7], times(e[0], e[2]));
        result = arith::SubFOp::create(b, result, times(e[1], e[3]));
        result =
            arith::AddFOp::create(b, result, times(times(e[4], e[0]), e[3]));
        return arith::AddFOp::create(b, result, times(e[5], e[6]));
      });
}

/// Conjugate gradients on all rows of the tile; those that are done stand
/// still.
Value LocalLinearProgram::solve(const Rows &rows) {
  OpFoldResult count = c(tileRows);
  Value norm = rowDot(rows.mu, rows.mu);
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(c(*op.getIterations())),
      math.materialize(c(1)),
      ValueRange{zeros(features), rows.mu, rows.mu, norm});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ValueRange args = loop.getRegionIterArgs();
  Value x = args[0], rest = args[1], direction = args[2], square = args[3];
  Value applied = applySigma(rows, direction);
  Value step = rowOp(
      {square, rowDot(direction, applied), norm}, empty({count}, compute),
      [&](ValueRange e) -> Value {
        Value bound = arith::MulFOp::create(b, e[2], number(1e-12));
        Value active =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, e[0], bound);
        Value divisor = arith::AddFOp::create(b, e[1], number(1e-30));
        return arith::SelectOp::create(
            b, active, arith::DivFOp::create(b, e[0], divisor), number(0));
      });
  Value nextX = rowOp({step, direction}, x, [&](ValueRange e) -> Value {
    return arith::AddFOp::create(b, e[2], arith::MulFOp::create(b, e[0], e[1]));
  });
  Value nextRest = rowOp({step, applied}, rest, [&](ValueRange e) -> Value {
    return arith::SubFOp::create(b, e[2], arith::MulFOp::create(b, e[0], e[1]));
  });
  Value nextSquare = rowDot(nextRest, nextRest);
  Value factor =
      rowOp({square, nextSquare}, empty({count}, compute),
            [&](ValueRange e) -> Value {
              Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                 e[0], number(0));
              return arith::SelectOp::create(
                  b, none, number(0), arith::DivFOp::create(b, e[1], e[0]));
            });
  Value nextDirection =
      rowOp({factor, nextRest}, direction, [&](ValueRange e) -> Value {
        return arith::AddFOp::create(b, e[1],
                                     arith::MulFOp::create(b, e[0], e[2]));
      });
  // Once 0 or a NaN, a row has ended.
  Value carried = rowOp({nextSquare}, square, [&](ValueRange e) -> Value {
    Value goes =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, e[1], number(0));
    return arith::SelectOp::create(b, goes, e[0], e[1]);
  });
  scf::YieldOp::create(b, ValueRange{nextX, nextRest, nextDirection, carried});
  return loop.getResult(0);
}

Value LocalLinearProgram::buildOutput(const Rows &rows, Value rho) {
  OpFoldResult count = c(tileRows);
  double epsilon = op.getEpsilon().convertToDouble();
  Value inverse = rowOp(
      {rows.omega, rowDot(rows.mu, rho)}, empty({count}, compute),
      [&](ValueRange e) -> Value {
        Value delta = arith::SubFOp::create(b, e[0], e[1]);
        Value negative = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT,
                                               delta, number(0));
        Value shift = arith::SelectOp::create(b, negative, number(-epsilon),
                                              number(epsilon));
        return arith::DivFOp::create(b, number(1),
                                     arith::AddFOp::create(b, delta, shift));
      });
  Value ofQuery = rowDot(rows.query, rho);
  return overKeys(
      rows, zeros(values), [&](OpFoldResult first, ValueRange args) {
        Value across = loadTile(rows, key, first, features, /*across=*/true);
        Value weights = buildWeights(rows, across, first);
        Value line =
            contract(rho, across,
                     fill(empty({c(tileRows), c(tileKeys)}, compute), -0.0));
        line = rowOp({weights, ofQuery, inverse}, line,
                     [&](ValueRange e) -> Value {
                       Value x = arith::SubFOp::create(b, number(1), e[3]);
                       x = arith::AddFOp::create(b, x, e[1]);
                       x = arith::MulFOp::create(b, x, e[0]);
                       return arith::MulFOp::create(b, x, e[2]);
                     });
        Value tile = loadTile(rows, value, first, values, /*across=*/false);
        return SmallVector<Value>{contract(line, tile, args[0])};
      })[0];
}

SmallVector<Value> LocalLinearProgram::build() {
  TensorView laidOut{Value(), outputDims};
  SmallVector<OpFoldResult> shape = {batches, c(heads), queryLen, c(values)};
  Value result = empty(laidOut.permute<OpFoldResult>(shape), element);
  OpFoldResult tiles = math.ceilDiv(queryLen, tileRows);
  auto loop =
      forall({batches, c(heads), tiles}, result, [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        Rows rows;
        rows.batch = at[0];
        rows.head = at[1];
        rows.keyHead = math.floorDiv(at[1], group);
        rows.first = math.mul(at[2], c(tileRows));
        OpFoldResult valid =
            math.min(c(tileRows), math.sub(queryLen, rows.first));
        // Keys up to the last row's own.
        OpFoldResult seen =
            math.add(math.sub(kvLen, queryLen), math.add(rows.first, valid));
        rows.keyTiles = math.ceilDiv(seen, tileKeys);
        rows.query = generic(
            {}, empty({c(tileRows), c(features)}, compute), {{0, 1}}, 2, 0,
            [&](ValueRange) -> Value {
              OpFoldResult row = math.min(math.add(rows.first, index(0)),
                                          math.sub(queryLen, c(1)));
              return toCompute(extract(
                  query.source, query.permute<OpFoldResult>(
                                    {rows.batch, rows.head, row, index(1)})));
            });
        sumWeights(rows);
        Value output = buildOutput(rows, solve(rows));
        auto offsets = laidOut.permute<OpFoldResult>(
            {rows.batch, rows.head, rows.first, c(0)});
        auto sizes =
            laidOut.permute<OpFoldResult>({c(1), c(1), valid, c(values)});
        Value own = slice(loop.getRegionIterArgs()[0], offsets, sizes,
                          {outputDims[2], outputDims[3]});
        Value from = slice(output, {c(0), c(0)}, {valid, c(values)}, {0, 1});
        own = generic(from, own, {{0, 1}, {0, 1}}, 2, 0,
                      [&](ValueRange x) -> Value {
                        return element == compute
                                   ? x[0]
                                   : arith::TruncFOp::create(b, element, x[0])
                                         .getResult();
                      });
        insert(loop, own, 0, offsets, sizes);
      });
  return {loop.getResult(0)};
}
