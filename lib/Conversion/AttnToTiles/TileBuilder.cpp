//===- TileBuilder.cpp - What tile programs are made of -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileBuilder.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::attn;

TensorView mlir::attn::lookThroughTransposes(Value tensor, bool lastStays) {
  TensorView view{tensor};
  while (auto transpose = view.source.getDefiningOp<linalg::TransposeOp>()) {
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    TensorView next{transpose.getInput()};
    for (auto [i, dim] : llvm::enumerate(view.dims))
      next.dims[i] = permutation[dim];
    if (lastStays && next.dims[3] != 3)
      break;
    view = next;
  }
  return view;
}

StaticHeads::StaticHeads(OpBuilder &builder, Location loc, Value q, Value k,
                         Value v)
    : query(lookThroughTransposes(q, /*lastStays=*/true)),
      key(lookThroughTransposes(k, /*lastStays=*/true)),
      value(lookThroughTransposes(v, /*lastStays=*/true)) {
  auto size = [&](const TensorView &view, int64_t dim) {
    return tensor::getMixedSize(builder, loc, view.source, view.dims[dim]);
  };
  auto queryType = cast<RankedTensorType>(q.getType());
  batches = size(query, 0);
  queryLen = size(query, 2);
  kvLen = size(key, 2);
  heads = queryType.getDimSize(1);
  keyHeads = cast<RankedTensorType>(k.getType()).getDimSize(1);
  group = heads / keyHeads;
  features = queryType.getDimSize(3);
  values = cast<RankedTensorType>(v.getType()).getDimSize(3);
  element = cast<FloatType>(queryType.getElementType());
}

Value TileBuilder::extract(Value source, ArrayRef<OpFoldResult> indices) {
  SmallVector<Value> at;
  for (OpFoldResult x : indices)
    at.push_back(math.materialize(x));
  return tensor::ExtractOp::create(b, source, at);
}

Value TileBuilder::contract(Value left, Value right, Value start) {
  return generic({left, right}, start, {{0, 2}, {2, 1}, {0, 1}}, 3, 1,
                 [&](ValueRange x) -> Value {
                   Value product = arith::MulFOp::create(b, x[0], x[1]);
                   return arith::AddFOp::create(b, x[2], product);
                 });
}

OpFoldResult TileBuilder::perBatch(Value operand, OpFoldResult batch) {
  if (!isa<RankedTensorType>(operand.getType()))
    return operand;
  Value own = extract(operand, batch);
  if (!own.getType().isIndex())
    own = arith::IndexCastOp::create(b, b.getIndexType(), own);
  return own;
}

Value TileBuilder::empty(ArrayRef<OpFoldResult> shape, Type element) {
  return tensor::EmptyOp::create(b, shape, element);
}

Value TileBuilder::number(double value) {
  return arith::ConstantOp::create(b, b.getFloatAttr(compute, value));
}

Value TileBuilder::fill(Value destination, double number) {
  auto type = cast<RankedTensorType>(destination.getType());
  Value scalar = arith::ConstantOp::create(
      b, b.getFloatAttr(cast<FloatType>(type.getElementType()), number));
  return linalg::FillOp::create(b, scalar, destination).getResult(0);
}

Value TileBuilder::index(unsigned loop) {
  return linalg::IndexOp::create(b, loop);
}

Value TileBuilder::toCompute(Value x) {
  auto type = cast<FloatType>(x.getType());
  if (type.getWidth() < compute.getWidth())
    return arith::ExtFOp::create(b, compute, x);
  if (type.getWidth() > compute.getWidth())
    return arith::TruncFOp::create(b, compute, x);
  return x;
}

/// `dims` lists, for each input and then the destination, the loop of each of
/// its dimensions. The last `reductions` loops are reductions.
Value TileBuilder::generic(ArrayRef<Value> inputs, Value destination,
                           ArrayRef<ArrayRef<unsigned>> dims, unsigned loops,
                           unsigned reductions, Body body) {
  SmallVector<AffineMap> maps;
  for (ArrayRef<unsigned> list : dims) {
    SmallVector<AffineExpr> exprs;
    for (unsigned loop : list)
      exprs.push_back(b.getAffineDimExpr(loop));
    maps.push_back(AffineMap::get(loops, 0, exprs, b.getContext()));
  }
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::parallel);
  for (unsigned i = loops - reductions; i < loops; ++i)
    iterators[i] = utils::IteratorType::reduction;
  auto op = linalg::GenericOp::create(
      b, destination.getType(), inputs, destination, maps, iterators,
      [&](OpBuilder &inner, Location, ValueRange elements) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        linalg::YieldOp::create(b, body(elements));
      });
  return op.getResult(0);
}

/// A slice that keeps only the dimensions `kept`.
Value TileBuilder::slice(Value source, ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> kept) {
  auto type = cast<RankedTensorType>(source.getType());
  SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (int64_t dim : kept)
    shape.push_back(
        getConstantIntValue(sizes[dim]).value_or(ShapedType::kDynamic));
  return tensor::ExtractSliceOp::create(
      b, RankedTensorType::get(shape, type.getElementType()), source, offsets,
      sizes, strides);
}

void TileBuilder::insert(scf::ForallOp forall, Value tile, unsigned result,
                         ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes) {
  OpBuilder::InsertionGuard guard(b);
  scf::InParallelOp parallel = forall.getTerminator();
  b.setInsertionPointToEnd(parallel.getBody());
  SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
  tensor::ParallelInsertSliceOp::create(
      b, tile, forall.getRegionIterArgs()[result], offsets, sizes, strides);
}

scf::ForallOp
TileBuilder::forall(ArrayRef<OpFoldResult> bounds, ValueRange destinations,
                    llvm::function_ref<void(scf::ForallOp)> body) {
  auto op = scf::ForallOp::create(b, bounds, destinations,
                                  /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(op.getTerminator());
  body(op);
  return op;
}
