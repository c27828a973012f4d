//===- LinearFeatures.cpp - Chunks whose features decay differently -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The product of two tokens, each feature decayed by what lies between them, is
// no product of matrices: decays relative to one place for all tokens would
// overflow. But with a place between the two tokens the decays on both sides
// are at most 1. The pairs of a chunk fall into levels: of halves of the chunk,
// of its halves' halves, and so on down to neighbours. In each level the place
// is the end of the first half, and all blocks together are one product, of
// which the pairs of the level count.
//
//===----------------------------------------------------------------------===//
#include "LinearProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn;

/// The transpose of a tile.
Value LinearProgram::buildAcross(Value tile) {
  return generic({}, empty({c(sizeOf(tile, 1)), c(sizeOf(tile, 0))}, compute),
                 {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
                   return extract(tile, {index(1), index(0)});
                 });
}

/// Rows of tokens, head by head, times the decays of their token.
Value LinearProgram::decayed(Value rows, Value decays, int64_t tokens) {
  int64_t count = sizeOf(rows, 0);
  return generic(rows, empty({c(count), c(features)}, compute),
                 {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                   OpFoldResult token = index(0);
                   if (count != tokens)
                     token = math.mod(token, tokens);
                   return arith::MulFOp::create(
                       b, x[0], extract(decays, {token, index(1)}));
                 });
}

/// Adds the pairs of tokens in neighbouring blocks of `half` tokens, and makes
/// one block of both.
LinearProgram::Products LinearProgram::addLevel(const Chunk &chunk, Value half,
                                                const Products &before) {
  int64_t tokens = chunk.tokens;
  OpFoldResult rows = c(tokens), depth = c(features);
  auto [until, after] = before.decays;
  Value zero = math.materialize(c(0)), one = math.materialize(c(1));
  Value whole = arith::AddIOp::create(b, half, half);
  auto isSecond = [&](Value token) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                 arith::AndIOp::create(b, token, half), zero);
  };
  // To the end of the first half: from there, or until there.
  Value toMiddle =
      generic({until, after}, empty({rows, depth}, compute),
              {{0, 1}, {0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                Value log =
                    arith::SelectOp::create(b, isSecond(index(0)), x[0], x[1]);
                return math::Exp2Op::create(b, log);
              });
  Value keys = decayed(chunk.keys, toMiddle, tokens);
  Value across = buildAcross(keys);
  auto add = [&](Value left, Value sum, double start) {
    OpFoldResult count = c(sizeOf(left, 0));
    Value part =
        contract(left, across, fill(empty({count, rows}, compute), start));
    return generic(part, sum, {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) {
      Value row = index(0), column = index(1);
      if (sizeOf(left, 0) != tokens)
        row = math.materialize(math.mod(row, tokens));
      // The highest bit in which the tokens differ says where they part.
      Value apart = arith::XOrIOp::create(b, row, column);
      auto holds = [&](arith::CmpIPredicate predicate, Value x, Value y) {
        return arith::CmpIOp::create(b, predicate, x, y);
      };
      Value counts = arith::AndIOp::create(
          b, holds(arith::CmpIPredicate::sge, apart, half),
          holds(arith::CmpIPredicate::slt, apart, whole));
      counts = arith::AndIOp::create(
          b, counts, holds(arith::CmpIPredicate::slt, column, row));
      return arith::SelectOp::create(b, counts, x[0], x[1]).getResult();
    });
  };
  Products next = before;
  next.scores = add(decayed(chunk.query, toMiddle, tokens), before.scores, 0);
  if (before.overlaps)
    next.overlaps = add(keys, before.overlaps, -0.0);
  // What the other half decays by, for the half that is farther away. All is
  // read before the logarithms change in place.
  auto otherHalf = [&](bool ofSecond) {
    return generic(
        {}, empty({rows, depth}, compute), {{0, 1}}, 2, 0,
        [&](ValueRange) -> Value {
          Value token = index(0);
          Value place = arith::AndIOp::create(
              b, token, arith::SubIOp::create(b, whole, one));
          Value begin = arith::SubIOp::create(b, token, place);
          Value last = arith::SubIOp::create(
              b, arith::AddIOp::create(b, begin, ofSecond ? half : whole), one);
          Value other = extract(until, {last, index(1)});
          Value none = number(0);
          return arith::SelectOp::create(b, isSecond(token),
                                         ofSecond ? other : none,
                                         ofSecond ? none : other);
        });
  };
  auto lengthen = [&](Value logs, Value more) {
    return generic(more, logs, {{0, 1}, {0, 1}}, 2, 0,
                   [&](ValueRange x) -> Value {
                     return arith::AddFOp::create(b, x[1], x[0]);
                   });
  };
  Value ofFirst = otherHalf(true), ofSecond = otherHalf(false);
  next.decays = {lengthen(until, ofFirst), lengthen(after, ofSecond)};
  return next;
}

void LinearProgram::addFeatureScores(const Place &place, Chunk &chunk) {
  int64_t tokens = chunk.tokens;
  OpFoldResult rows = c(tokens), depth = c(features);
  chunk.keys = loadRows(place, key, tokens, 1, chunk.first, 1);
  Products products;
  products.decays.until = generic(
      {}, empty({rows, depth}, compute), {{0, 1}}, 2, 0,
      [&](ValueRange) -> Value {
        OpFoldResult token = math.add(chunk.first, index(0));
        return clampedLog(extract(
            op.getDecay(), {place.batch, place.keyHead, token, index(1)}));
      });
  products.decays.after = fill(empty({rows, depth}, compute), 0);
  // A token and itself: nothing lies between them.
  Value own = contract(chunk.query, buildAcross(chunk.keys),
                       fill(empty({c(group * tokens), rows}, compute), 0));
  products.scores =
      generic({}, own, {{0, 1}}, 2, 0, [&](ValueRange x) -> Value {
        Value same =
            arith::CmpIOp::create(b, arith::CmpIPredicate::eq, index(1),
                                  math.materialize(math.mod(index(0), tokens)));
        return arith::SelectOp::create(b, same, x[0], number(0));
      });
  if (chunk.beta)
    products.overlaps = fill(empty({rows, rows}, compute), -0.0);
  SmallVector<Value> start = {math.materialize(c(1)), products.decays.until,
                              products.decays.after, products.scores};
  if (chunk.beta)
    start.push_back(products.overlaps);
  auto levels = scf::ForOp::create(b, math.materialize(c(0)),
                                   math.materialize(c(llvm::Log2_64(tokens))),
                                   math.materialize(c(1)), start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(levels.getBody());
    ValueRange args = levels.getRegionIterArgs();
    Products next =
        addLevel(chunk, args[0],
                 {args[3], chunk.beta ? args[4] : Value(), {args[1], args[2]}});
    SmallVector<Value> results = {
        arith::AddIOp::create(b, args[0], args[0]).getResult(),
        next.decays.until, next.decays.after, next.scores};
    if (chunk.beta)
      results.push_back(next.overlaps);
    scf::YieldOp::create(b, results);
  }
  auto power = [&](Value logs) {
    return generic(
        logs, empty({rows, depth}, compute), {{0, 1}, {0, 1}}, 2, 0,
        [&](ValueRange x) -> Value { return math::Exp2Op::create(b, x[0]); });
  };
  Value fromPast = power(levels.getResult(1)),
        toEnd = power(levels.getResult(2));
  chunk.scores = levels.getResult(3);
  if (chunk.beta)
    addDelta(chunk, levels.getResult(4));
  chunk.keysToEnd = buildAcross(decayed(chunk.keys, toEnd, tokens));
  chunk.query = decayed(chunk.query, fromPast, tokens);
  chunk.keys = decayed(chunk.keys, fromPast, tokens);
  chunk.decays.ofState =
      generic({}, empty({depth}, compute), {{0}}, 1, 0, [&](ValueRange) {
        return extract(fromPast, {c(tokens - 1), index(0)});
      });
}
