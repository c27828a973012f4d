//===- LinearAttention.cpp - The meaning of attn.linear_attention ---------===//
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

/// Builds the recurrence token by token.
class LinearAttentionBuilder {
public:
  LinearAttentionBuilder(OpBuilder &builder, LinearAttentionOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(computeTypeOf(op.getQuery())) {
    batch = tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 0);
    length = tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 2);
    keyHeads = sizeOf(op.getKey(), 1);
    group = sizeOf(op.getQuery(), 1) / keyHeads;
    features = sizeOf(op.getQuery(), 3);
    values = sizeOf(op.getValue(), 3);
  }

  SmallVector<Value> build();

private:
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
  /// Row `token` of dimension 2 of a tensor, without that dimension.
  Value row(Value tensor, Value token);
  /// Like `row`, for each query head of a group: [B, Hkv, group, D].
  Value queryRow(Value token);
  /// exp(decay) of the state rows (b, h, d); none without decay.
  Value buildDecay(Value token);
  Value decayed(Value tensor, Value factor);
  Value added(Value state, Value token);
  Value addedToNormalizer(Value normalizer, Value token);
  /// The result for the query heads of each group: [B, Hkv, group, Dv].
  Value read(Value state, Value normalizer, Value token);
  /// What the next token sees: at the end of a chunk, `own` or `before`. Each
  /// token is the end of a chunk if `ends` is none; then `before` is written.
  Value select(Value ends, Value written, Value own, Value before);
  /// What the next token's chunk found: at the end of a chunk, `own`.
  Value kept(Value ends, Value own, Value before);
  Value insertRow(Value output, Value row, Value token);
  Value sumOfProducts(MappedTensor x, MappedTensor y, MappedTensor start);

  ImplicitLocOpBuilder b;
  IndexMath math;
  LinearAttentionOp op;
  FloatType compute;
  OpFoldResult batch, length;
  int64_t keyHeads, group, features, values;
};

Value LinearAttentionBuilder::row(Value tensor, Value token) {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, op.getLoc(), tensor);
  SmallVector<OpFoldResult> offsets(sizes.size(), c(0));
  SmallVector<OpFoldResult> strides(sizes.size(), c(1));
  offsets[2] = token;
  sizes[2] = c(1);
  Value slice =
      tensor::ExtractSliceOp::create(b, tensor, offsets, sizes, strides);
  SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
  if (sizes.size() == 4)
    groups.push_back({3});
  return tensor::CollapseShapeOp::create(b, slice, groups);
}

Value LinearAttentionBuilder::queryRow(Value token) {
  Value flat = row(op.getQuery(), token);
  auto type = cast<RankedTensorType>(flat.getType());
  return tensor::ExpandShapeOp::create(
      b,
      RankedTensorType::get({type.getDimSize(0), keyHeads, group, features},
                            type.getElementType()),
      flat, SmallVector<ReassociationIndices>{{0}, {1, 2}, {3}});
}

Value LinearAttentionBuilder::buildDecay(Value token) {
  SmallVector<OpFoldResult> shape = {batch, c(keyHeads), c(features)};
  auto power = [&](ImplicitLocOpBuilder &b, Value x) -> Value {
    return math::ExpOp::create(b, convertFloat(b, x, compute));
  };
  if (op.getDecay()) {
    Value decay = row(op.getDecay(), token);
    AffineMap map =
        op.decaysByFeature() ? mapOf(3, {0, 1, 2}) : mapOf(3, {0, 1});
    return buildElementwise(
        b, {{decay, map}}, shape, compute,
        [&](ImplicitLocOpBuilder &b, ValueRange x) { return power(b, x[0]); });
  }
  if (!op.getLogDecay())
    return {};
  auto type = RankedTensorType::get({keyHeads}, compute);
  SmallVector<Attribute> numbers;
  ArrayRef<double> decays = *op.getLogDecay();
  for (double x : decays)
    numbers.push_back(b.getFloatAttr(compute, x));
  Value constants =
      arith::ConstantOp::create(b, DenseElementsAttr::get(type, numbers));
  return buildElementwise(
      b, {{constants, mapOf(3, {1})}}, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange x) { return power(b, x[0]); });
}

/// `tensor`, the state or the normaliser, times the factor of each feature. It
/// is written where it stands, as everything that a loop carries.
Value LinearAttentionBuilder::decayed(Value tensor, Value factor) {
  if (!factor)
    return tensor;
  unsigned rank = cast<RankedTensorType>(tensor.getType()).getRank();
  AffineMap all = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  return buildGeneric(b, {{factor, mapOf(rank, {0, 1, 2})}}, {tensor, all},
                      /*reductions=*/0,
                      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                        return arith::MulFOp::create(b, x[1], x[0]);
                      });
}

Value LinearAttentionBuilder::sumOfProducts(MappedTensor x, MappedTensor y,
                                            MappedTensor start) {
  return buildGeneric(
      b, {x, y}, start, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        Value product =
            arith::MulFOp::create(b, convertFloat(b, elements[0], compute),
                                  convertFloat(b, elements[1], compute));
        return arith::AddFOp::create(b, elements[2], product);
      });
}

/// `state` after the token's key and value joined it.
Value LinearAttentionBuilder::added(Value state, Value token) {
  Value key = row(op.getKey(), token), value = row(op.getValue(), token);
  SmallVector<MappedTensor> inputs = {{key, mapOf(4, {0, 1, 2})},
                                      {value, mapOf(4, {0, 1, 3})}};
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, op.getLoc(), state);
  if (op.getBeta()) {
    // What the state already answers to this key.
    Value recalled = buildFilled(b, {sizes[0], sizes[1], sizes[3]}, compute, 0);
    recalled = sumOfProducts({state, mapOf(4, {0, 1, 3, 2})},
                             {key, mapOf(4, {0, 1, 3})},
                             {recalled, mapOf(4, {0, 1, 2})});
    Value beta = row(op.getBeta(), token);
    bool ofAll = cast<RankedTensorType>(beta.getType()).getDimSize(1) == 1;
    AffineMap map =
        ofAll ? AffineMap::get(
                    4, 0, {b.getAffineDimExpr(0), b.getAffineConstantExpr(0)},
                    b.getContext())
              : mapOf(4, {0, 1});
    inputs.push_back({recalled, mapOf(4, {0, 1, 3})});
    inputs.push_back({beta, map});
  }
  return buildGeneric(
      b, inputs, {state, mapOf(4, {0, 1, 2, 3})}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value key = convertFloat(b, x[0], compute);
        Value value = convertFloat(b, x[1], compute);
        if (op.getBeta()) {
          value = arith::SubFOp::create(b, value, x[2]);
          value =
              arith::MulFOp::create(b, value, convertFloat(b, x[3], compute));
        }
        return arith::AddFOp::create(b, x.back(),
                                     arith::MulFOp::create(b, key, value));
      });
}

Value LinearAttentionBuilder::addedToNormalizer(Value normalizer, Value token) {
  AffineMap all = AffineMap::getMultiDimIdentityMap(3, b.getContext());
  return buildGeneric(
      b, {{row(op.getKey(), token), all}}, {normalizer, all}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddFOp::create(b, x[1], convertFloat(b, x[0], compute));
      });
}

Value LinearAttentionBuilder::read(Value state, Value normalizer, Value token) {
  Value query = queryRow(token);
  SmallVector<OpFoldResult> shape = {batch, c(keyHeads), c(group), c(values)};
  Value sums = buildFilled(b, shape, compute, 0);
  sums = sumOfProducts({query, mapOf(5, {0, 1, 2, 4})},
                       {state, mapOf(5, {0, 1, 4, 3})},
                       {sums, mapOf(5, {0, 1, 2, 3})});
  SmallVector<MappedTensor> inputs = {{sums, mapOf(4, {0, 1, 2, 3})}};
  if (normalizer) {
    Value divisors = buildFilled(b, {batch, c(keyHeads), c(group)}, compute, 0);
    divisors = sumOfProducts({query, mapOf(4, {0, 1, 2, 3})},
                             {normalizer, mapOf(4, {0, 1, 3})},
                             {divisors, mapOf(4, {0, 1, 2})});
    inputs.push_back({divisors, mapOf(4, {0, 1, 2})});
  }
  return buildElementwise(
      b, inputs, shape, elementTypeOf(op.getOutput()),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value result = x[0];
        // The scale of a normalised output cancels.
        if (normalizer) {
          Value zero = buildFloat(b, compute, 0);
          Value none =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x[1], zero);
          result = arith::DivFOp::create(b, result, x[1]);
          result = arith::SelectOp::create(b, none, zero, result);
        } else if (op.getEffectiveScale() != 1) {
          result = arith::MulFOp::create(
              b, result, buildFloat(b, compute, op.getEffectiveScale()));
        }
        return convertFloat(b, result, elementTypeOf(op.getOutput()));
      });
}

Value LinearAttentionBuilder::select(Value ends, Value written, Value own,
                                     Value before) {
  unsigned rank = cast<RankedTensorType>(own.getType()).getRank();
  AffineMap all = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  AffineExpr head = b.getAffineDimExpr(1);
  if (cast<RankedTensorType>(written.getType()).getDimSize(1) == 1)
    head = b.getAffineConstantExpr(0);
  AffineMap heads =
      AffineMap::get(rank, 0, {b.getAffineDimExpr(0), head}, b.getContext());
  if (!ends)
    return buildGeneric(b, {{written, heads}, {own, all}}, {before, all},
                        /*reductions=*/0,
                        [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                          return arith::SelectOp::create(b, x[0], x[1], x[2]);
                        });
  return buildGeneric(
      b, {{written, heads}, {before, all}}, {own, all}, /*reductions=*/0,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value chosen = arith::SelectOp::create(b, x[0], x[2], x[1]);
        return arith::SelectOp::create(b, ends, chosen, x[2]);
      });
}

Value LinearAttentionBuilder::kept(Value ends, Value own, Value before) {
  AffineMap all = AffineMap::getMultiDimIdentityMap(
      cast<RankedTensorType>(own.getType()).getRank(), b.getContext());
  return buildGeneric(b, {{own, all}}, {before, all}, /*reductions=*/0,
                      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                        return arith::SelectOp::create(b, ends, x[0], x[1]);
                      });
}

Value LinearAttentionBuilder::insertRow(Value output, Value row, Value token) {
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, op.getLoc(), output);
  SmallVector<OpFoldResult> offsets(4, c(0)), strides(4, c(1));
  offsets[2] = token;
  sizes[2] = c(1);
  Value flat = tensor::CollapseShapeOp::create(
      b, row, SmallVector<ReassociationIndices>{{0}, {1, 2}, {3}});
  auto type = cast<RankedTensorType>(flat.getType());
  Value slice = tensor::ExpandShapeOp::create(
      b,
      RankedTensorType::get({type.getDimSize(0), keyHeads * group, 1, values},
                            type.getElementType()),
      flat, SmallVector<ReassociationIndices>{{0}, {1, 2}, {3}});
  return tensor::InsertSliceOp::create(b, slice, output, offsets, sizes,
                                       strides);
}

SmallVector<Value> LinearAttentionBuilder::build() {
  SmallVector<OpFoldResult> stateShape = {batch, c(keyHeads), c(features),
                                          c(values)};
  SmallVector<OpFoldResult> shape = {batch, c(keyHeads * group), length,
                                     c(values)};
  bool normalizes = op.getNormalizerOut() != nullptr;
  auto start = [&](Value given, ArrayRef<OpFoldResult> shape) -> Value {
    Value zeros = buildFilled(b, shape, compute, 0);
    return given ? castTensor(b, given, zeros.getType()) : zeros;
  };
  SmallVector<Value> states = {start(op.getState(), stateShape)};
  if (normalizes)
    states.push_back(start(op.getNormalizer(),
                           ArrayRef<OpFoldResult>(stateShape).drop_back()));
  // Carried: the output, the states, and with `writes` the states that a chunk
  // found.
  SmallVector<Value> carried = {
      buildEmpty(b, shape, elementTypeOf(op.getOutput()))};
  llvm::append_range(carried, states);
  bool single = op.getChunkSize() == 1;
  if (op.getWrites() && !single)
    llvm::append_range(carried, states);
  size_t count = states.size();
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)), math.materialize(length),
                         math.materialize(c(1)), carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value token = loop.getInductionVar();
    SmallVector<Value> args(loop.getRegionIterArgs());
    Value factor = buildDecay(token);
    Value state = added(decayed(args[1], factor), token);
    Value normalizer;
    if (normalizes)
      normalizer = addedToNormalizer(decayed(args[2], factor), token);
    SmallVector<Value> next = {
        insertRow(args[0], read(state, normalizer, token), token), state};
    if (normalizes)
      next.push_back(normalizer);
    if (op.getWrites() && !single) {
      int64_t chunk = op.getChunkSize();
      OpFoldResult after = math.add(token, c(1));
      OpFoldResult ends = math.logicalOr(
          math.compare(arith::CmpIPredicate::eq, math.mod(after, chunk), c(0)),
          math.compare(arith::CmpIPredicate::eq, after, length));
      Value last = math.materialize(ends);
      Value written =
          row(op.getWrites(), math.materialize(math.floorDiv(token, chunk)));
      for (size_t i = 0; i < count; ++i) {
        Value before = args[1 + count + i];
        if (op.getDecayUnwritten())
          before = decayed(before, factor);
        next[1 + i] = select(last, written, next[1 + i], before);
        next.push_back(kept(last, next[1 + i], before));
      }
    }
    // A chunk of one token found what the loop carries.
    if (op.getWrites() && single) {
      Value written = row(op.getWrites(), token);
      for (size_t i = 0; i < count; ++i) {
        Value before = args[1 + i];
        if (op.getDecayUnwritten())
          before = decayed(before, factor);
        next[1 + i] = select({}, written, next[1 + i], before);
      }
    }
    scf::YieldOp::create(b, next);
  }
  SmallVector<Value> results;
  for (auto [value, result] : llvm::zip(loop.getResults(), op->getResults()))
    results.push_back(castTensor(b, value, result.getType()));
  return results;
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder,
                                         LinearAttentionOp op) {
  return LinearAttentionBuilder(builder, op).build();
}
