//===- LinearProgram.cpp - A recurrence in chunks -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "LinearProgram.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// Tokens whose mutual recall is inverted as one product of powers: more would
/// let the powers grow before they cancel.
static constexpr int64_t block = 8;
/// Tokens that a program takes together, at most.
static constexpr int64_t maxTokens = 64;
/// The same where each feature decays by its own number, a power of 2: products
/// of tokens cost more than what they save in passes over the state.
static constexpr int64_t maxFeatureTokens = 16;
/// Rows of a tile of queries, at most (unless a block has more).
static constexpr int64_t maxRows = 512;
/// A factor of 2 to this power is 0 in f32; sums of it stay finite.
static constexpr double forgets = -160;

LinearProgram::LinearProgram(OpBuilder &builder, LinearAttentionOp op,
                             const ConvertAttnToTilesPassOptions &options)
    : TileBuilder(builder, op.getLoc()),
      StaticHeads(builder, op.getLoc(), op.getQuery(), op.getKey(),
                  op.getValue()),
      op(op) {
  panel = values % options.panel ? values : options.panel;
  panels = values / panel;
  // Few heads: their value features are work for more threads.
  constexpr int64_t enoughHeads = 4;
  if (!op.getNormalizerOut())
    for (int64_t slices = 1; keyHeads * slices < enoughHeads && panels % 2 == 0;
         slices *= 2)
      panels /= 2;
  if (auto decays = op.getLogDecay()) {
    SmallVector<Attribute> numbers;
    for (double x : *decays)
      numbers.push_back(
          b.getFloatAttr(compute, std::max(x * llvm::numbers::log2e, forgets)));
    auto type = RankedTensorType::get({keyHeads}, compute);
    logDecays =
        arith::ConstantOp::create(b, DenseElementsAttr::get(type, numbers));
  }
}

/// Each row of `tile` times its factor.
Value LinearProgram::times(Value tile, Value rowFactors) {
  return generic(rowFactors, tile, {{0}, {0, 1}}, 2, 0,
                 [&](ValueRange x) -> Value {
                   return arith::MulFOp::create(b, x[1], x[0]);
                 });
}

/// Rows of `perHead` tokens from `first` on, head by head.
Value LinearProgram::loadRows(const Place &place, const TensorView &source,
                              int64_t perHead, int64_t headsTogether,
                              OpFoldResult first, double scale) {
  Value tile = empty({c(headsTogether * perHead), c(features)}, compute);
  return generic({}, tile, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
    OpFoldResult row = index(0), head = place.keyHead;
    if (headsTogether > 1) {
      head = math.add(math.mul(head, c(headsTogether)),
                      math.floorDiv(row, perHead));
      row = math.mod(row, perHead);
    }
    Value x = toCompute(
        extract(source.source,
                source.permute<OpFoldResult>(
                    {place.batch, head, math.add(first, row), index(1)})));
    return scale == 1 ? x : arith::MulFOp::create(b, x, number(scale));
  });
}

/// A natural logarithm in base 2, none so small that sums overflow.
Value LinearProgram::clampedLog(Value x) {
  x = arith::MulFOp::create(b, toCompute(x), number(llvm::numbers::log2e));
  Value none =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, number(forgets));
  return arith::SelectOp::create(b, none, number(forgets), x);
}

Value LinearProgram::logDecay(const Place &place, OpFoldResult token) {
  if (logDecays)
    return extract(logDecays, {place.keyHead});
  return clampedLog(
      extract(op.getDecay(), {place.batch, place.keyHead, token}));
}

LinearProgram::Decays LinearProgram::buildDecays(const Place &place,
                                                 int64_t tokens,
                                                 OpFoldResult first) {
  Decays decays;
  OpFoldResult rows = c(tokens);
  auto power = [&](Value x) -> Value { return math::Exp2Op::create(b, x); };
  if (logDecays) {
    decays.sums = generic(
        {}, empty({rows}, compute), {{0}}, 1, 0, [&](ValueRange) -> Value {
          Value count = arith::IndexCastOp::create(
              b, b.getI32Type(), math.materialize(math.add(index(0), c(1))));
          return arith::MulFOp::create(
              b, logDecay(place, c(0)),
              arith::SIToFPOp::create(b, compute, count));
        });
  } else {
    Value own = generic({}, empty({rows}, compute), {{0}}, 1, 0,
                        [&](ValueRange) -> Value {
                          return logDecay(place, math.add(first, index(0)));
                        });
    Value until =
        generic({}, empty({rows, rows}, compute), {{0, 1}}, 2, 0,
                [&](ValueRange) -> Value {
                  Value row = index(0), column = index(1);
                  Value x = extract(own, {column});
                  Value past = arith::CmpIOp::create(
                      b, arith::CmpIPredicate::sle, column, row);
                  return arith::SelectOp::create(b, past, x, number(0));
                });
    decays.sums = generic(until, fill(empty({rows}, compute), 0), {{0, 1}, {0}},
                          2, 1, [&](ValueRange x) -> Value {
                            return arith::AddFOp::create(b, x[0], x[1]);
                          });
  }
  decays.fromPast = generic(decays.sums, empty({rows}, compute), {{0}, {0}}, 1,
                            0, [&](ValueRange x) { return power(x[0]); });
  decays.toEnd = generic(decays.sums, empty({rows}, compute), {{0}, {0}}, 1, 0,
                         [&](ValueRange x) -> Value {
                           Value last = extract(decays.sums, {c(tokens - 1)});
                           return power(arith::SubFOp::create(b, last, x[0]));
                         });
  decays.ofState = generic(
      {}, empty({c(features)}, compute), {{0}}, 1, 0, [&](ValueRange) -> Value {
        return power(extract(decays.sums, {c(tokens - 1)}));
      });
  return decays;
}

/// What is left of each feature's row of the state after tokens with their own
/// decays.
Value LinearProgram::buildFeatureDecays(const Place &place, OpFoldResult first,
                                        OpFoldResult tokens) {
  OpFoldResult rows = c(features);
  Value logs = fill(empty({rows}, compute), 0);
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)), math.materialize(tokens),
                         math.materialize(c(1)), ValueRange{logs});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    OpFoldResult token = math.add(first, loop.getInductionVar());
    Value sum = generic(
        {}, loop.getRegionIterArgs()[0], {{0}}, 1, 0,
        [&](ValueRange x) -> Value {
          OpFoldResult feature = index(0);
          Value own = clampedLog(extract(
              op.getDecay(), {place.batch, place.keyHead, token, feature}));
          return arith::AddFOp::create(b, x[0], own);
        });
    scf::YieldOp::create(b, sum);
  }
  return generic(
      loop.getResult(0), empty({rows}, compute), {{0}, {0}}, 1, 0,
      [&](ValueRange x) -> Value { return math::Exp2Op::create(b, x[0]); });
}

Value LinearProgram::pairDecay(const Decays &decays, OpFoldResult row) {
  Value from = extract(decays.sums, {index(1)});
  Value to = extract(decays.sums, {row});
  return math::Exp2Op::create(b, arith::SubFOp::create(b, to, from));
}

void LinearProgram::addBeta(const Place &place, Chunk &chunk) {
  bool ofAll = sizeOf(op.getBeta(), 1) == 1;
  chunk.beta =
      generic({}, empty({c(chunk.tokens)}, compute), {{0}}, 1, 0,
              [&](ValueRange) -> Value {
                return toCompute(extract(
                    op.getBeta(), {place.batch, ofAll ? c(0) : place.keyHead,
                                   math.add(chunk.first, index(0))}));
              });
}

/// The delta rule in a chunk. With the strictly lower triangular
/// `A = diag(beta) (K transpose(K)) * decays`, what the chunk writes is
/// `inverse(I + A) diag(beta) (V - decayed K S)`.
void LinearProgram::addDelta(Chunk &chunk, Value products) {
  OpFoldResult rows = c(chunk.tokens), width = c(block);
  chunk.overlaps = generic(
      chunk.beta, products, {{0}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
        Value row = index(0);
        Value result = arith::MulFOp::create(b, x[1], x[0]);
        result = arith::NegFOp::create(b, result);
        if (chunk.decays.sums)
          result =
              arith::MulFOp::create(b, result, pairDecay(chunk.decays, row));
        Value past =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, index(1), row);
        return arith::SelectOp::create(b, past, result, number(0));
      });
  // The inverse of I - N for the blocks N on the diagonal, whose 8th power is
  // 0, is (I + N) (I + N^2) (I + N^4).
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(c(chunk.tokens / block)),
      math.materialize(c(1)), ValueRange{empty({rows, width}, compute)});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult at = math.mul(loop.getInductionVar(), c(block));
  Value n = slice(chunk.overlaps, {at, at}, {width, width}, {0, 1});
  auto square = [&](Value x, double zero) {
    return contract(x, x, fill(empty({width, width}, compute), zero));
  };
  auto withUnit = [&](Value x) {
    return generic(x, empty({width, width}, compute), {{0, 1}, {0, 1}}, 2, 0,
                   [&](ValueRange x) -> Value {
                     Value diagonal = arith::CmpIOp::create(
                         b, arith::CmpIPredicate::eq, index(0), index(1));
                     return arith::SelectOp::create(b, diagonal, number(1),
                                                    x[0]);
                   });
  };
  Value second = square(n, 0), fourth = square(second, -0.0);
  Value product = contract(withUnit(n), withUnit(second),
                           fill(empty({width, width}, compute), 0));
  Value inverse =
      slice(loop.getRegionIterArgs()[0], {at, c(0)}, {width, width}, {0, 1});
  inverse = contract(product, withUnit(fourth), fill(inverse, 0));
  SmallVector<OpFoldResult> strides(2, c(1));
  inverse = tensor::InsertSliceOp::create(
      b, inverse, loop.getRegionIterArgs()[0],
      SmallVector<OpFoldResult>{at, c(0)},
      SmallVector<OpFoldResult>{width, width}, strides);
  scf::YieldOp::create(b, inverse);
  chunk.inverses = loop.getResult(0);
}

/// X in (I - overlaps) X = right, block of rows after block of rows.
Value LinearProgram::solve(const Chunk &chunk, Value right) {
  if (chunk.tokens == 1)
    return right;
  OpFoldResult width = c(panel), blockRows = c(block);
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(c(chunk.tokens / block)),
      math.materialize(c(1)),
      ValueRange{empty({c(chunk.tokens), width}, compute)});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value solved = loop.getRegionIterArgs()[0];
  OpFoldResult at = math.mul(loop.getInductionVar(), c(block));
  Value rest = generic(slice(right, {at, c(0)}, {blockRows, width}, {0, 1}),
                       empty({blockRows, width}, compute), {{0, 1}, {0, 1}}, 2,
                       0, [&](ValueRange x) -> Value { return x[0]; });
  rest = contract(slice(chunk.overlaps, {at, c(0)}, {blockRows, at}, {0, 1}),
                  slice(solved, {c(0), c(0)}, {at, width}, {0, 1}), rest);
  Value own = slice(solved, {at, c(0)}, {blockRows, width}, {0, 1});
  own = contract(
      slice(chunk.inverses, {at, c(0)}, {blockRows, blockRows}, {0, 1}), rest,
      fill(own, 0));
  SmallVector<OpFoldResult> strides(2, c(1));
  solved = tensor::InsertSliceOp::create(
      b, own, solved, SmallVector<OpFoldResult>{at, c(0)},
      SmallVector<OpFoldResult>{blockRows, width}, strides);
  scf::YieldOp::create(b, solved);
  return loop.getResult(0);
}

Value LinearProgram::storeOutput(const Place &place, const Chunk &chunk,
                                 Value rows, OpFoldResult panelIndex,
                                 Value output) {
  OpFoldResult tokens = c(chunk.tokens), width = c(panel);
  TensorView view{output, outputDims};
  SmallVector<OpFoldResult> strides(4, c(1));
  for (int64_t head = 0; head < group; ++head) {
    auto offsets = view.permute<OpFoldResult>(
        {c(0), c(head), chunk.first, math.mul(panelIndex, width)});
    auto sizes = view.permute<OpFoldResult>({c(1), c(1), tokens, width});
    OpFoldResult firstRow = c(head * chunk.tokens);
    SmallVector<Value> inputs = {
        slice(rows, {firstRow, c(0)}, {tokens, width}, {0, 1})};
    SmallVector<ArrayRef<unsigned>> dims;
    unsigned both[] = {0, 1}, row[] = {0};
    dims.push_back(both);
    if (chunk.divisors) {
      inputs.push_back(slice(chunk.divisors, {firstRow}, {tokens}, {0}));
      dims.push_back(row);
    }
    dims.push_back(both);
    Value own = slice(output, offsets, sizes, {outputDims[2], outputDims[3]});
    own = generic(inputs, own, dims, 2, 0, [&](ValueRange x) -> Value {
      Value result = x[0];
      if (chunk.divisors) {
        Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1],
                                           number(0));
        result = arith::DivFOp::create(b, result, x[1]);
        result = arith::SelectOp::create(b, none, number(0), result);
      }
      return element == compute
                 ? result
                 : arith::TruncFOp::create(b, element, result).getResult();
    });
    output =
        tensor::InsertSliceOp::create(b, own, output, offsets, sizes, strides);
  }
  return output;
}

LinearProgram::Carried LinearProgram::visitPanel(const Place &place,
                                                 const Chunk &chunk,
                                                 OpFoldResult panelIndex,
                                                 Carried carried) {
  OpFoldResult tokens = c(chunk.tokens), width = c(panel);
  OpFoldResult depth = c(features), firstRow = math.mul(panelIndex, depth);
  Value state = slice(carried.state, {firstRow, c(0)}, {depth, width}, {0, 1});
  if (chunk.decayOfFeatures)
    state = times(state, chunk.decayOfFeatures);
  OpFoldResult firstFeature =
      math.add(place.firstFeature, math.mul(panelIndex, width));
  auto valueAt = [&]() -> Value {
    return toCompute(extract(
        value.source,
        value.permute<OpFoldResult>({place.batch, place.keyHead,
                                     math.add(chunk.first, index(0)),
                                     math.add(firstFeature, index(1))})));
  };
  Value written = empty({tokens, width}, compute);
  if (chunk.beta) {
    written = contract(chunk.keys, state, fill(written, 0));
    SmallVector<Value> inputs = {chunk.beta};
    SmallVector<ArrayRef<unsigned>> dims;
    unsigned both[] = {0, 1}, row[] = {0};
    dims.push_back(row);
    if (chunk.decays.sums) {
      inputs.push_back(chunk.decays.fromPast);
      dims.push_back(row);
    }
    dims.push_back(both);
    written = generic(inputs, written, dims, 2, 0, [&](ValueRange x) -> Value {
      Value recalled = x.back();
      if (chunk.decays.sums)
        recalled = arith::MulFOp::create(b, recalled, x[1]);
      Value rest = arith::SubFOp::create(b, valueAt(), recalled);
      return arith::MulFOp::create(b, rest, x[0]);
    });
    written = solve(chunk, written);
  } else {
    written = generic({}, written, {{0, 1}}, 2, 0,
                      [&](ValueRange) -> Value { return valueAt(); });
  }
  Value rows = empty({c(group * chunk.tokens), width}, compute);
  rows = contract(chunk.query, state, fill(rows, -0.0));
  if (chunk.fromPast)
    rows = times(rows, chunk.fromPast);
  rows = contract(chunk.scores, written, rows);
  carried.output = storeOutput(place, chunk, rows, panelIndex, carried.output);
  if (chunk.decays.ofState)
    state = times(state, chunk.decays.ofState);
  state = contract(chunk.keysToEnd, written, state);
  SmallVector<OpFoldResult> strides(2, c(1));
  carried.state = tensor::InsertSliceOp::create(
      b, state, carried.state, SmallVector<OpFoldResult>{firstRow, c(0)},
      SmallVector<OpFoldResult>{depth, width}, strides);
  return carried;
}

/// Products of the tokens of a chunk whose features decay alike.
void LinearProgram::addScores(const Place &place, Chunk &chunk) {
  int64_t tokens = chunk.tokens;
  OpFoldResult rows = c(group * tokens), columns = c(tokens);
  Value keysAcross = generic(
      {}, empty({c(features), columns}, compute), {{0, 1}}, 2, 0,
      [&](ValueRange) -> Value {
        OpFoldResult token = math.add(chunk.first, index(1));
        return toCompute(extract(
            key.source, key.permute<OpFoldResult>(
                            {place.batch, place.keyHead, token, index(0)})));
      });
  if (op.getBeta()) {
    chunk.keys = loadRows(place, key, tokens, 1, chunk.first, 1);
    if (tokens > 1)
      addDelta(chunk, contract(chunk.keys, keysAcross,
                               fill(empty({columns, columns}, compute), -0.0)));
  }
  Value scores = contract(chunk.query, keysAcross,
                          fill(empty({rows, columns}, compute), 0));
  auto tokenOf = [&](Value row) { return math.mod(row, tokens); };
  if (tokens > 1)
    scores = generic({}, scores, {{0, 1}}, 2, 0, [&](ValueRange x) -> Value {
      OpFoldResult row = tokenOf(index(0));
      Value result = x[0];
      if (chunk.decays.sums)
        result = arith::MulFOp::create(b, result, pairDecay(chunk.decays, row));
      Value past = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, index(1),
                                         math.materialize(row));
      return arith::SelectOp::create(b, past, result, number(0));
    });
  chunk.scores = scores;
  chunk.keysToEnd = keysAcross;
  if (!chunk.decays.sums)
    return;
  chunk.keysToEnd =
      generic(keysAcross, empty({c(features), columns}, compute),
              {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                return arith::MulFOp::create(
                    b, x[0], extract(chunk.decays.toEnd, {index(1)}));
              });
  chunk.fromPast = chunk.decays.fromPast;
  if (group > 1)
    chunk.fromPast = generic(
        {}, empty({rows}, compute), {{0}}, 1, 0, [&](ValueRange) -> Value {
          return extract(chunk.decays.fromPast, {tokenOf(index(0))});
        });
}

LinearProgram::Carried LinearProgram::visitChunk(const Place &place,
                                                 int64_t tokens,
                                                 OpFoldResult first,
                                                 Carried carried) {
  Chunk chunk;
  chunk.tokens = tokens;
  chunk.first = first;
  OpFoldResult rows = c(group * tokens);
  bool normalizes = carried.normalizer != nullptr;
  if (op.decaysByFeature() && tokens == 1)
    chunk.decayOfFeatures = buildFeatureDecays(place, first, c(1));
  else if (!op.decaysByFeature() && (logDecays || op.getDecay()))
    chunk.decays = buildDecays(place, tokens, first);
  chunk.query = loadRows(place, query, tokens, group, first,
                         normalizes ? 1.0 : op.getEffectiveScale());
  if (op.getBeta())
    addBeta(place, chunk);
  if (op.decaysByFeature() && tokens > 1)
    addFeatureScores(place, chunk);
  else
    addScores(place, chunk);
  if (normalizes) {
    auto sum = [&](Value tile, Value start) {
      return generic(tile, start, {{0, 1}, {0}}, 2, 1,
                     [&](ValueRange x) -> Value {
                       return arith::AddFOp::create(b, x[0], x[1]);
                     });
    };
    if (chunk.decayOfFeatures)
      carried.normalizer =
          generic(chunk.decayOfFeatures, carried.normalizer, {{0}, {0}}, 1, 0,
                  [&](ValueRange x) -> Value {
                    return arith::MulFOp::create(b, x[1], x[0]);
                  });
    Value shares =
        generic(chunk.query, empty({rows, c(features)}, compute),
                {{0, 1}, {0, 1}}, 2, 0, [&](ValueRange x) -> Value {
                  return arith::MulFOp::create(
                      b, x[0], extract(carried.normalizer, {index(1)}));
                });
    Value divisors = sum(shares, fill(empty({rows}, compute), 0));
    if (chunk.fromPast)
      divisors = generic(chunk.fromPast, divisors, {{0}, {0}}, 1, 0,
                         [&](ValueRange x) -> Value {
                           return arith::MulFOp::create(b, x[1], x[0]);
                         });
    chunk.divisors = sum(chunk.scores, divisors);
    if (chunk.decays.ofState)
      carried.normalizer =
          generic(chunk.decays.ofState, carried.normalizer, {{0}, {0}}, 1, 0,
                  [&](ValueRange x) -> Value {
                    return arith::MulFOp::create(b, x[1], x[0]);
                  });
    carried.normalizer = sum(chunk.keysToEnd, carried.normalizer);
  }
  if (panels == 1)
    return visitPanel(place, chunk, c(0), carried);
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(c(panels)),
      math.materialize(c(1)), ValueRange{carried.output, carried.state});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Carried own = Carried::from(loop.getRegionIterArgs());
  own = visitPanel(place, chunk, loop.getInductionVar(), own);
  scf::YieldOp::create(b, own.values());
  carried.output = loop.getResult(0);
  carried.state = loop.getResult(1);
  return carried;
}

/// Whole chunks first, then blocks, then single tokens: no chunk is ragged, so
/// that the state is exact wherever the tokens end.
LinearProgram::Carried LinearProgram::visit(const Place &place,
                                            OpFoldResult begin,
                                            OpFoldResult end, Carried carried) {
  int64_t most =
      std::min<int64_t>(op.getChunkSize() / block * block, maxTokens);
  // The rows of all heads of a group stand in one tile.
  while (most > block && group * most > maxRows)
    most = most / 2 / block * block;
  if (op.decaysByFeature())
    most = std::min(most, maxFeatureTokens);
  SmallVector<int64_t> sizes = {1};
  if (most >= block)
    sizes.push_back(block);
  if (most > block)
    sizes.push_back(most);
  for (int64_t tokens : llvm::reverse(sizes)) {
    OpFoldResult count = math.floorDiv(math.sub(end, begin), tokens);
    if (constantOf(count) == 0)
      continue;
    auto loop =
        scf::ForOp::create(b, math.materialize(c(0)), math.materialize(count),
                           math.materialize(c(1)), carried.values());
    OpFoldResult from = begin;
    begin = math.add(begin, math.mul(count, c(tokens)));
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      OpFoldResult first =
          math.add(from, math.mul(loop.getInductionVar(), c(tokens)));
      Carried own = visitChunk(place, tokens, first,
                               Carried::from(loop.getRegionIterArgs()));
      scf::YieldOp::create(b, own.values());
    }
    carried = Carried::from(loop.getResults());
  }
  return carried;
}

/// Chunk after chunk, of which some leave the state as it was.
LinearProgram::Carried LinearProgram::visitWrites(const Place &place,
                                                  Carried carried) {
  int64_t size = op.getChunkSize();
  auto loop = scf::ForOp::create(b, math.materialize(c(0)),
                                 math.materialize(math.ceilDiv(queryLen, size)),
                                 math.materialize(c(1)), carried.values());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult chunk = loop.getInductionVar();
  Carried before = Carried::from(loop.getRegionIterArgs());
  OpFoldResult begin = math.mul(chunk, c(size));
  OpFoldResult end = math.min(math.add(begin, c(size)), queryLen);
  bool ofAll = sizeOf(op.getWrites(), 1) == 1;
  Value written = extract(op.getWrites(),
                          {place.batch, ofAll ? c(0) : place.keyHead, chunk});
  Value factor = number(1);
  Value featureFactors;
  if (op.getDecayUnwritten() && op.decaysByFeature()) {
    featureFactors = buildFeatureDecays(place, begin, math.sub(end, begin));
  } else if (op.getDecayUnwritten() && (logDecays || op.getDecay())) {
    auto sum =
        scf::ForOp::create(b, math.materialize(begin), math.materialize(end),
                           math.materialize(c(1)), ValueRange{number(0)});
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(sum.getBody());
    Value more = arith::AddFOp::create(b, sum.getRegionIterArgs()[0],
                                       logDecay(place, sum.getInductionVar()));
    scf::YieldOp::create(b, more);
    b.setInsertionPointAfter(sum);
    factor = math::Exp2Op::create(b, sum.getResult(0));
  }
  // A copy, since the chunk works in place; of use only where nothing is
  // written, which also keeps it from looking like no copy at all.
  auto copy = [&](Value tile, unsigned rank) {
    unsigned both[] = {0, 1};
    ArrayRef<unsigned> dims(both, rank);
    SmallVector<OpFoldResult> shape;
    for (int64_t size : cast<RankedTensorType>(tile.getType()).getShape())
      shape.push_back(c(size));
    return generic(tile, empty(shape, compute), {dims, dims}, rank, 0,
                   [&](ValueRange x) -> Value {
                     Value own = arith::MulFOp::create(b, x[0], factor);
                     return arith::SelectOp::create(b, written, number(0), own);
                   });
  };
  auto decayed = [&](Value tile, unsigned rank) {
    if (!featureFactors)
      return tile;
    unsigned both[] = {0, 1};
    ArrayRef<unsigned> dims(both, rank);
    return generic({}, tile, {dims}, rank, 0, [&](ValueRange x) -> Value {
      Value own = extract(featureFactors, {math.mod(index(0), features)});
      return arith::MulFOp::create(b, x[0], own);
    });
  };
  Value kept = decayed(copy(before.state, 2), 2), keptNormalizer;
  if (before.normalizer)
    keptNormalizer = decayed(copy(before.normalizer, 1), 1);
  Carried after = visit(place, begin, end, before);
  auto select = [&](Value own, Value old, unsigned rank) {
    unsigned both[] = {0, 1};
    ArrayRef<unsigned> dims(both, rank);
    return generic(old, own, {dims, dims}, rank, 0, [&](ValueRange x) -> Value {
      return arith::SelectOp::create(b, written, x[1], x[0]);
    });
  };
  after.state = select(after.state, kept, 2);
  if (after.normalizer)
    after.normalizer = select(after.normalizer, keptNormalizer, 1);
  scf::YieldOp::create(b, after.values());
  return Carried::from(loop.getResults());
}

Value LinearProgram::initialState(const Place &place) {
  Value tile = empty({c(panels * features), c(panel)}, compute);
  if (!op.getState())
    return fill(tile, 0);
  return generic({}, tile, {{0, 1}}, 2, 0, [&](ValueRange) -> Value {
    OpFoldResult column = math.mul(math.floorDiv(index(0), features), c(panel));
    column = math.add(math.add(place.firstFeature, column), index(1));
    return extract(op.getState(), {place.batch, place.keyHead,
                                   math.mod(index(0), features), column});
  });
}

Value LinearProgram::initialNormalizer(const Place &place) {
  if (!op.getNormalizerOut())
    return {};
  Value tile = empty({c(features)}, compute);
  if (!op.getNormalizer())
    return fill(tile, 0);
  return generic({}, tile, {{0}}, 1, 0, [&](ValueRange) -> Value {
    return extract(op.getNormalizer(), {place.batch, place.keyHead, index(0)});
  });
}

Value LinearProgram::storeState(Value state, Value destination) {
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)), math.materialize(c(panels)),
                         math.materialize(c(1)), ValueRange{destination});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult number = loop.getInductionVar();
  SmallVector<OpFoldResult> offsets = {c(0), math.mul(number, c(panel))};
  SmallVector<OpFoldResult> sizes = {c(features), c(panel)};
  SmallVector<OpFoldResult> strides(2, c(1));
  Value from =
      slice(state, {math.mul(number, c(features)), c(0)}, sizes, {0, 1});
  Value to = slice(loop.getRegionIterArgs()[0], offsets, sizes, {0, 1});
  to = generic(from, to, {{0, 1}, {0, 1}}, 2, 0,
               [&](ValueRange x) -> Value { return x[0]; });
  to = tensor::InsertSliceOp::create(b, to, loop.getRegionIterArgs()[0],
                                     offsets, sizes, strides);
  scf::YieldOp::create(b, to);
  return loop.getResult(0);
}

SmallVector<Value> LinearProgram::build() {
  SmallVector<OpFoldResult> shape = {batches, c(keyHeads * group), queryLen,
                                     c(values)};
  TensorView laidOut{Value(), outputDims};
  SmallVector<Value> results = {
      empty(laidOut.permute<OpFoldResult>(shape), element),
      empty({batches, c(keyHeads), c(features), c(values)}, compute)};
  if (op.getNormalizerOut())
    results.push_back(empty({batches, c(keyHeads), c(features)}, compute));
  int64_t sliceWidth = panels * panel;
  auto loop = forall(
      {batches, c(keyHeads), c(values / sliceWidth)}, results,
      [&](scf::ForallOp loop) {
        SmallVector<Value> at = loop.getInductionVars();
        ValueRange destinations = loop.getRegionIterArgs();
        Place place{at[0], at[1], math.mul(at[2], c(sliceWidth))};
        auto offsets = laidOut.permute<OpFoldResult>(
            {place.batch, math.mul(place.keyHead, c(group)), c(0),
             place.firstFeature});
        auto sizes = laidOut.permute<OpFoldResult>(
            {c(1), c(group), queryLen, c(sliceWidth)});
        Carried carried{slice(destinations[0], offsets, sizes, {0, 1, 2, 3}),
                        initialState(place), initialNormalizer(place)};
        carried = op.getWrites() ? visitWrites(place, carried)
                                 : visit(place, c(0), queryLen, carried);
        insert(loop, carried.output, 0, offsets, sizes);
        SmallVector<OpFoldResult> stateOffsets = {place.batch, place.keyHead,
                                                  c(0), place.firstFeature};
        SmallVector<OpFoldResult> stateSizes = {c(1), c(1), c(features),
                                                c(sliceWidth)};
        Value state = slice(destinations[1], stateOffsets, stateSizes, {2, 3});
        state = storeState(carried.state, state);
        insert(loop, state, 1, stateOffsets, stateSizes);
        if (carried.normalizer)
          insert(loop, carried.normalizer, 2,
                 {place.batch, place.keyHead, c(0)}, {c(1), c(1), c(features)});
      });
  return llvm::to_vector(llvm::map_range(
      loop.getResults(), [](OpResult x) -> Value { return x; }));
}
