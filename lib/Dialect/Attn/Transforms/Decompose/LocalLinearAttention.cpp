//===- LocalLinearAttention.cpp - attn.local_linear_attention as linalg ---===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// Loops over rows are (batch b, kv head g, group u, row i); then come keys j,
/// and features n, f (block of features, feature of the block).
class LocalLinearBuilder {
public:
  LocalLinearBuilder(OpBuilder &builder, LocalLinearAttentionOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(computeTypeOf(op.getQuery())) {}

  Value build();

private:
  using Body = llvm::function_ref<Value(ImplicitLocOpBuilder &, ValueRange)>;

  static int64_t sizeOf(Value tensor, int64_t dim) {
    return cast<RankedTensorType>(tensor.getType()).getDimSize(dim);
  }
  OpFoldResult c(int64_t value) { return math.constant(value); }
  AffineMap mapOf(unsigned loops, ArrayRef<unsigned> dims) {
    SmallVector<AffineExpr> exprs;
    for (unsigned dim : dims)
      exprs.push_back(b.getAffineDimExpr(dim));
    return AffineMap::get(loops, 0, exprs, b.getContext());
  }
  SmallVector<OpFoldResult> rowsWith(ArrayRef<OpFoldResult> more) {
    SmallVector<OpFoldResult> shape = rows;
    llvm::append_range(shape, more);
    return shape;
  }
  Value expand(Value tensor, ArrayRef<int64_t> dims,
               ArrayRef<ReassociationIndices> groups);
  /// Sums of products over the last loops.
  Value contract(MappedTensor x, MappedTensor y, ArrayRef<OpFoldResult> shape,
                 AffineMap map);
  /// One number for each row.
  Value perRow(ArrayRef<Value> inputs, Body body);
  /// One number for each row and feature of `inputs`, rows or [rows, n, f].
  Value perFeature(ArrayRef<Value> inputs, Body body);
  Value dot(Value x, Value y);
  Value buildWeights();
  /// `Sigma x` for a vector of each row.
  Value applySigma(Value x);
  Value solveByGradients();
  Value solveDirectly();

  ImplicitLocOpBuilder b;
  IndexMath math;
  LocalLinearAttentionOp op;
  FloatType compute;
  OpFoldResult keys, queries;
  SmallVector<OpFoldResult> rows; ///< sizes of b, g, u, i
  int64_t blocks = 1, width = 0;  ///< sizes of n and f
  Value query, key;               ///< [b, g, u, i, n, f], [b, g, j, n, f]
  Value weights, omega, ridge, mean, mu;
};

Value LocalLinearBuilder::expand(Value tensor, ArrayRef<int64_t> dims,
                                 ArrayRef<ReassociationIndices> groups) {
  auto type = RankedTensorType::get(dims, elementTypeOf(tensor));
  return tensor::ExpandShapeOp::create(b, type, tensor, groups);
}

Value LocalLinearBuilder::contract(MappedTensor x, MappedTensor y,
                                   ArrayRef<OpFoldResult> shape,
                                   AffineMap map) {
  Value start = buildFilled(b, shape, compute, 0);
  return buildGeneric(
      b, {x, y}, {start, map}, map.getNumDims() - map.getNumResults(),
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        Value product = arith::MulFOp::create(b, convertFloat(b, e[0], compute),
                                              convertFloat(b, e[1], compute));
        return arith::AddFOp::create(b, e[2], product);
      });
}

Value LocalLinearBuilder::perRow(ArrayRef<Value> inputs, Body body) {
  AffineMap all = AffineMap::getMultiDimIdentityMap(4, b.getContext());
  SmallVector<MappedTensor> mapped;
  for (Value input : inputs)
    mapped.push_back({input, all});
  return buildElementwise(b, mapped, rows, compute, body);
}

Value LocalLinearBuilder::perFeature(ArrayRef<Value> inputs, Body body) {
  SmallVector<MappedTensor> mapped;
  for (Value input : inputs) {
    bool ofRow = cast<RankedTensorType>(input.getType()).getRank() == 4;
    mapped.push_back(
        {input, ofRow ? mapOf(6, {0, 1, 2, 3}) : mapOf(6, {0, 1, 2, 3, 4, 5})});
  }
  return buildElementwise(b, mapped, rowsWith({c(blocks), c(width)}), compute,
                          [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                            SmallVector<Value> wide;
                            for (Value x : e)
                              wide.push_back(convertFloat(b, x, compute));
                            return body(b, wide);
                          });
}

Value LocalLinearBuilder::dot(Value x, Value y) {
  AffineMap all = mapOf(6, {0, 1, 2, 3, 4, 5});
  return contract({x, all}, {y, all}, rows, mapOf(6, {0, 1, 2, 3}));
}

/// exp of scores minus the row's largest; 0 for keys after the row.
Value LocalLinearBuilder::buildWeights() {
  SmallVector<OpFoldResult> shape = rowsWith({keys});
  AffineMap all = mapOf(5, {0, 1, 2, 3, 4}), ofRow = mapOf(5, {0, 1, 2, 3});
  Value products = contract({query, mapOf(7, {0, 1, 2, 3, 5, 6})},
                            {key, mapOf(7, {0, 1, 4, 5, 6})}, shape,
                            mapOf(7, {0, 1, 2, 3, 4}));
  double none = -std::numeric_limits<double>::infinity();
  OpFoldResult offset = math.sub(keys, queries);
  Value scores = buildElementwise(
      b, {{products, all}}, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        IndexMath math(b, b.getLoc());
        Value row = linalg::IndexOp::create(b, 3);
        Value at = linalg::IndexOp::create(b, 4);
        OpFoldResult seen =
            math.compare(arith::CmpIPredicate::sle, at, math.add(row, offset));
        Value score = arith::MulFOp::create(
            b, e[0], buildFloat(b, compute, op.getEffectiveScale()));
        return arith::SelectOp::create(b, math.materialize(seen), score,
                                       buildFloat(b, compute, none));
      });
  Value largest = buildGeneric(
      b, {{scores, all}}, {buildFilled(b, rows, compute, none), ofRow}, 1,
      [](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        return arith::MaximumFOp::create(b, e[0], e[1]);
      });
  return buildElementwise(
      b, {{scores, all}, {largest, ofRow}}, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        Value lowest = buildFloat(b, compute, none);
        Value hidden =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, e[0], lowest);
        Value weight =
            math::ExpOp::create(b, arith::SubFOp::create(b, e[0], e[1]));
        return arith::SelectOp::create(b, hidden, buildFloat(b, compute, 0),
                                       weight);
      });
}

/// transpose(K) (w * (K x)) - (x.q) M - (x.M) q + omega (x.q) q + ridge x, with
/// M the weighted sum of keys; in each block of features by itself.
Value LocalLinearBuilder::applySigma(Value x) {
  SmallVector<OpFoldResult> ofBlock = rowsWith({c(blocks)});
  AffineMap all = mapOf(6, {0, 1, 2, 3, 4, 5});
  AffineMap block = mapOf(6, {0, 1, 2, 3, 4});
  Value byKey = contract(
      {x, mapOf(7, {0, 1, 2, 3, 5, 6})}, {key, mapOf(7, {0, 1, 4, 5, 6})},
      rowsWith({keys, c(blocks)}), mapOf(7, {0, 1, 2, 3, 4, 5}));
  byKey = buildElementwise(b,
                           {{byKey, mapOf(6, {0, 1, 2, 3, 4, 5})},
                            {weights, mapOf(6, {0, 1, 2, 3, 4})}},
                           rowsWith({keys, c(blocks)}), compute,
                           [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                             return arith::MulFOp::create(b, e[0], e[1]);
                           });
  Value sums = contract(
      {byKey, mapOf(7, {0, 1, 2, 3, 6, 4})}, {key, mapOf(7, {0, 1, 6, 4, 5})},
      rowsWith({c(blocks), c(width)}), mapOf(7, {0, 1, 2, 3, 4, 5}));
  Value withQuery = contract({x, all}, {query, all}, ofBlock, block);
  Value withMean = contract({x, all}, {mean, all}, ofBlock, block);
  AffineMap ofRow = mapOf(6, {0, 1, 2, 3});
  return buildElementwise(
      b,
      {{sums, all},
       {withQuery, block},
       {withMean, block},
       {mean, all},
       {query, all},
       {omega, ofRow},
       {ridge, ofRow},
       {x, all}},
      rowsWith({c(blocks), c(width)}), compute,
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        auto times = [&](Value x, Value y) -> Value {
          return arith::MulFOp::create(b, x, y);
        };
        Value own = convertFloat(b, e[4], compute);
        Value result = arith::SubFOp::create(b, e[0], times(e[1], e[3]));
        result = arith::SubFOp::create(b, result, times(e[2], own));
        result =
            arith::AddFOp::create(b, result, times(times(e[5], e[1]), own));
        return arith::AddFOp::create(b, result, times(e[6], e[7]));
      });
}

Value LocalLinearBuilder::solveByGradients() {
  Value zero = buildFilled(b, rowsWith({c(blocks), c(width)}), compute, 0);
  Value norm = dot(mu, mu);
  auto loop = scf::ForOp::create(
      b, math.materialize(c(0)), math.materialize(c(*op.getIterations())),
      math.materialize(c(1)), ValueRange{zero, mu, mu, norm});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ValueRange args = loop.getRegionIterArgs();
  Value x = args[0], rest = args[1], direction = args[2], square = args[3];
  Value applied = applySigma(direction);
  // A row that is done, or that is not finite, goes no further.
  Value step = perRow(
      {square, dot(direction, applied), norm},
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        Value bound =
            arith::MulFOp::create(b, e[2], buildFloat(b, compute, 1e-12));
        Value active =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, e[0], bound);
        Value divisor =
            arith::AddFOp::create(b, e[1], buildFloat(b, compute, 1e-30));
        Value step = arith::DivFOp::create(b, e[0], divisor);
        return arith::SelectOp::create(b, active, step,
                                       buildFloat(b, compute, 0));
      });
  auto stepped = [&](Value from, Value along, bool forth) {
    AffineMap all = mapOf(6, {0, 1, 2, 3, 4, 5});
    return buildGeneric(b, {{along, all}, {step, mapOf(6, {0, 1, 2, 3})}},
                        {from, all}, 0,
                        [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                          Value by = arith::MulFOp::create(b, e[0], e[1]);
                          if (forth)
                            return arith::AddFOp::create(b, e[2], by);
                          return arith::SubFOp::create(b, e[2], by);
                        });
  };
  Value nextX = stepped(x, direction, true);
  Value nextRest = stepped(rest, applied, false);
  Value nextSquare = dot(nextRest, nextRest);
  Value factor = perRow({square, nextSquare},
                        [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                          Value zero = buildFloat(b, compute, 0);
                          Value none = arith::CmpFOp::create(
                              b, arith::CmpFPredicate::OEQ, e[0], zero);
                          Value ratio = arith::DivFOp::create(b, e[1], e[0]);
                          return arith::SelectOp::create(b, none, zero, ratio);
                        });
  AffineMap all = mapOf(6, {0, 1, 2, 3, 4, 5});
  Value nextDirection = buildGeneric(
      b, {{nextRest, all}, {factor, mapOf(6, {0, 1, 2, 3})}}, {direction, all},
      0, [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        return arith::AddFOp::create(b, e[0],
                                     arith::MulFOp::create(b, e[1], e[2]));
      });
  AffineMap ofRow = AffineMap::getMultiDimIdentityMap(4, b.getContext());
  Value carried =
      buildGeneric(b, {{nextSquare, ofRow}}, {square, ofRow}, 0,
                   [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                     // Once 0 or a NaN, a row has ended.
                     Value goes =
                         arith::CmpFOp::create(b, arith::CmpFPredicate::OGT,
                                               e[1], buildFloat(b, compute, 0));
                     return arith::SelectOp::create(b, goes, e[0], e[1]);
                   });
  scf::YieldOp::create(b, ValueRange{nextX, nextRest, nextDirection, carried});
  return loop.getResult(0);
}

/// Gauss and Jordan's elimination on [Sigma, mu], column after column; no
/// pivots, since Sigma is positive definite.
Value LocalLinearBuilder::solveDirectly() {
  // [b, g, u, i, n, r, c], a column more than rows.
  SmallVector<OpFoldResult> shape =
      rowsWith({c(blocks), c(width), c(width + 1)});
  Value centred = buildElementwise(
      b,
      {{key, mapOf(7, {0, 1, 4, 5, 6})}, {query, mapOf(7, {0, 1, 2, 3, 5, 6})}},
      rowsWith({keys, c(blocks), c(width)}), compute,
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        return arith::SubFOp::create(b, convertFloat(b, e[0], compute),
                                     convertFloat(b, e[1], compute));
      });
  Value weighted =
      buildElementwise(b,
                       {{centred, mapOf(7, {0, 1, 2, 3, 4, 5, 6})},
                        {weights, mapOf(7, {0, 1, 2, 3, 4})}},
                       rowsWith({keys, c(blocks), c(width)}), compute,
                       [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                         return arith::MulFOp::create(b, e[0], e[1]);
                       });
  Value sigma = contract({weighted, mapOf(8, {0, 1, 2, 3, 7, 4, 5})},
                         {centred, mapOf(8, {0, 1, 2, 3, 7, 4, 6})},
                         rowsWith({c(blocks), c(width), c(width)}),
                         mapOf(8, {0, 1, 2, 3, 4, 5, 6}));
  OpFoldResult last = c(width - 1);
  Value system = buildElementwise(
      b, {{ridge, mapOf(7, {0, 1, 2, 3})}, {mu, mapOf(7, {0, 1, 2, 3, 4, 5})}},
      shape, compute, [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        IndexMath math(b, b.getLoc());
        SmallVector<Value> at;
        for (unsigned loop = 0; loop < 7; ++loop)
          at.push_back(linalg::IndexOp::create(b, loop));
        Value isMu = math.materialize(
            math.compare(arith::CmpIPredicate::sgt, at[6], last));
        Value diagonal = math.materialize(
            math.compare(arith::CmpIPredicate::eq, at[5], at[6]));
        at[6] = math.materialize(math.min(at[6], last));
        Value own = tensor::ExtractOp::create(b, sigma, at);
        Value more = arith::SelectOp::create(b, diagonal, e[0],
                                             buildFloat(b, compute, 0));
        own = arith::AddFOp::create(b, own, more);
        return arith::SelectOp::create(b, isMu, e[1], own);
      });
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)), math.materialize(c(width)),
                         math.materialize(c(1)), ValueRange{system});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value pivot = loop.getInductionVar(), own = loop.getRegionIterArgs()[0];
    // The pivot with its row and column, as sums of which one term counts: no
    // other operation joins a reduction, so `own` is written when all is read.
    auto pick = [&](bool row, bool column) {
      SmallVector<unsigned> kept = {0, 1, 2, 3, 4};
      SmallVector<OpFoldResult> shape = rowsWith({c(blocks)});
      if (!row)
        shape.push_back(c(width));
      if (!column)
        shape.push_back(c(width + 1));
      // Loops: b, g, u, i, n, then what is kept of r and c, then the rest.
      unsigned reductions = row + column;
      unsigned rowLoop = row ? 7 - reductions : 5;
      unsigned columnLoop = column ? 6 : (row ? 5 : 6);
      for (unsigned loop = 5; loop < 7 - reductions; ++loop)
        kept.push_back(loop);
      MappedTensor all{own, mapOf(7, {0, 1, 2, 3, 4, rowLoop, columnLoop})};
      return buildGeneric(
          b, {all}, {buildFilled(b, shape, compute, 0), mapOf(7, kept)},
          reductions, [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
            IndexMath math(b, b.getLoc());
            OpFoldResult here = math.boolean(true);
            for (auto [picked, loop] :
                 {std::pair(row, rowLoop), std::pair(column, columnLoop)})
              if (picked)
                here = math.logicalAnd(
                    here,
                    math.compare(arith::CmpIPredicate::eq,
                                 linalg::IndexOp::create(b, loop).getResult(),
                                 pivot));
            Value x = arith::SelectOp::create(b, math.materialize(here), e[0],
                                              buildFloat(b, compute, 0));
            return arith::AddFOp::create(b, e[1], x);
          });
    };
    Value ofRow = pick(true, false), ofColumn = pick(false, true);
    Value ofBoth = pick(true, true);
    // The pivot's column becomes that of the unit matrix.
    Value next = buildGeneric(
        b,
        {{ofColumn, mapOf(7, {0, 1, 2, 3, 4, 5})},
         {ofRow, mapOf(7, {0, 1, 2, 3, 4, 6})},
         {ofBoth, mapOf(7, {0, 1, 2, 3, 4})}},
        {own, mapOf(7, {0, 1, 2, 3, 4, 5, 6})}, 0,
        [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
          Value isPivot =
              arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                    linalg::IndexOp::create(b, 5), pivot);
          Value less =
              arith::SubFOp::create(b, e[0], buildFloat(b, compute, 1));
          Value factor = arith::SelectOp::create(b, isPivot, less, e[0]);
          Value share = arith::DivFOp::create(b, e[1], e[2]);
          return arith::SubFOp::create(b, e[3],
                                       arith::MulFOp::create(b, factor, share));
        });
    scf::YieldOp::create(b, next);
  }
  Value solved = loop.getResult(0);
  return buildElementwise(b, {}, rowsWith({c(blocks), c(width)}), compute,
                          [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
                            SmallVector<Value> at;
                            for (unsigned loop = 0; loop < 6; ++loop)
                              at.push_back(linalg::IndexOp::create(b, loop));
                            at.push_back(
                                arith::ConstantIndexOp::create(b, width));
                            return tensor::ExtractOp::create(b, solved, at);
                          });
}

Value LocalLinearBuilder::build() {
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  auto keyType = cast<RankedTensorType>(op.getKey().getType());
  int64_t kvHeads = keyType.getDimSize(1), group = op.getGroupSize();
  int64_t features = type.getDimSize(3);
  width = op.getFeatureBlock().value_or(features);
  blocks = features / width;
  keys = tensor::getMixedSize(b, op.getLoc(), op.getKey(), 2);
  queries = tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 2);
  rows = {tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 0), c(kvHeads),
          c(group), queries};
  query = expand(
      op.getQuery(),
      {type.getDimSize(0), kvHeads, group, type.getDimSize(2), blocks, width},
      {{0}, {1, 2}, {3}, {4, 5}});
  key = expand(
      op.getKey(),
      {keyType.getDimSize(0), kvHeads, keyType.getDimSize(2), blocks, width},
      {{0}, {1}, {2}, {3, 4}});
  weights = buildWeights();
  AffineMap ofRow = mapOf(5, {0, 1, 2, 3});
  omega = buildGeneric(b, {{weights, mapOf(5, {0, 1, 2, 3, 4})}},
                       {buildFilled(b, rows, compute, 0), ofRow}, 1,
                       [](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                         return arith::AddFOp::create(b, e[1], e[0]);
                       });
  ridge = perRow({omega}, [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
    Value ridge = buildFloat(b, compute, op.getRidge().convertToDouble());
    if (op.getAbsolute())
      return ridge;
    return arith::MulFOp::create(b, ridge, e[0]);
  });
  mean = contract(
      {weights, mapOf(7, {0, 1, 2, 3, 6})}, {key, mapOf(7, {0, 1, 6, 4, 5})},
      rowsWith({c(blocks), c(width)}), mapOf(7, {0, 1, 2, 3, 4, 5}));
  mu = perFeature({mean, omega, query},
                  [](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                    return arith::SubFOp::create(
                        b, e[0], arith::MulFOp::create(b, e[1], e[2]));
                  });
  Value rho = op.getIterations() ? solveByGradients() : solveDirectly();

  Value delta = perRow({omega, dot(mu, rho)},
                       [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
                         Value delta = arith::SubFOp::create(b, e[0], e[1]);
                         Value zero = buildFloat(b, compute, 0);
                         double epsilon = op.getEpsilon().convertToDouble();
                         Value negative = arith::CmpFOp::create(
                             b, arith::CmpFPredicate::OLT, delta, zero);
                         Value shift = arith::SelectOp::create(
                             b, negative, buildFloat(b, compute, -epsilon),
                             buildFloat(b, compute, epsilon));
                         return arith::AddFOp::create(b, delta, shift);
                       });
  Value ofQuery = dot(query, rho);
  Value ofKey = contract({rho, mapOf(7, {0, 1, 2, 3, 5, 6})},
                         {key, mapOf(7, {0, 1, 4, 5, 6})}, rowsWith({keys}),
                         mapOf(7, {0, 1, 2, 3, 4}));
  AffineMap all = mapOf(5, {0, 1, 2, 3, 4});
  Value shares = buildElementwise(
      b, {{weights, all}, {ofKey, all}, {ofQuery, ofRow}, {delta, ofRow}},
      rowsWith({keys}), compute,
      [&](ImplicitLocOpBuilder &b, ValueRange e) -> Value {
        Value one = buildFloat(b, compute, 1);
        Value line = arith::SubFOp::create(b, one, e[1]);
        line = arith::AddFOp::create(b, line, e[2]);
        return arith::DivFOp::create(b, arith::MulFOp::create(b, e[0], line),
                                     e[3]);
      });
  Value output = contract({shares, mapOf(6, {0, 1, 2, 3, 5})},
                          {op.getValue(), mapOf(6, {0, 1, 5, 4})},
                          rowsWith({c(sizeOf(op.getValue(), 3))}),
                          mapOf(6, {0, 1, 2, 3, 4}));
  FloatType element = elementTypeOf(op.getOutput());
  output = buildElementwise(b, {{output, all}},
                            rowsWith({c(sizeOf(op.getValue(), 3))}), element,
                            [&](ImplicitLocOpBuilder &b, ValueRange e) {
                              return convertFloat(b, e[0], element);
                            });
  output = tensor::CollapseShapeOp::create(
      b, output, SmallVector<ReassociationIndices>{{0}, {1, 2}, {3}, {4}});
  return castTensor(b, output, op.getOutput().getType());
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder,
                                         LocalLinearAttentionOp op) {
  return {LocalLinearBuilder(builder, op).build()};
}
