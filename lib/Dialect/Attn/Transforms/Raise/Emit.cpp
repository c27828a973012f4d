//===- Emit.cpp - From element expressions back to tensors ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emit.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

using namespace mlir;
using namespace mlir::attn::raise;

SmallVector<unsigned> Emitter::axesIn(unsigned mask) {
  SmallVector<unsigned> axes;
  for (unsigned a = 0; a < NumAxes; ++a)
    if (mask & axisBit(a))
      axes.push_back(a);
  return axes;
}

OpFoldResult Emitter::indexValue(AffineExpr expr) {
  if (auto value = dyn_cast<AffineConstantExpr>(expr))
    return builder.getIndexAttr(value.getValue());
  SmallVector<Value> values(arena.getNumSymbols());
  expr.walk([&](AffineExpr e) {
    auto symbol = dyn_cast<AffineSymbolExpr>(e);
    if (!symbol || values[symbol.getPosition()])
      return;
    auto [value, dim] = arena.getSymbol(symbol.getPosition());
    if (dim >= 0)
      value = tensor::DimOp::create(builder, loc, value, dim);
    else if (!value.getType().isIndex())
      value = arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                         value);
    values[symbol.getPosition()] = value;
  });
  return affine::expandAffineExpr(builder, loc, expr, {}, values);
}

Value Emitter::emptyOver(ArrayRef<unsigned> axes, Type elementType) {
  SmallVector<OpFoldResult> sizes;
  for (unsigned a : axes)
    sizes.push_back(indexValue(arena.getAxisSize(a)));
  return tensor::EmptyOp::create(builder, loc, sizes, elementType);
}

/// The access of a load through an affine map, if every index is an axis of
/// `axes` that runs over the whole dimension, or 0 in a unit dimension.
static std::optional<AffineMap> mapOf(ExprArena &arena, const Expr *load,
                                      ArrayRef<unsigned> axes) {
  SmallVector<AffineExpr> results;
  MLIRContext *context = arena.getContext();
  auto type = cast<RankedTensorType>(load->value.getType());
  for (auto [dim, index] : llvm::enumerate(load->indices)) {
    if (type.getDimSize(dim) == 1) {
      continue; // dropped
    }
    auto axis = dyn_cast<AffineDimExpr>(index);
    if (!axis ||
        arena.dimOf(load->value, dim) != arena.getAxisSize(axis.getPosition()))
      return std::nullopt;
    auto it = llvm::find(axes, axis.getPosition());
    if (it == axes.end())
      return std::nullopt;
    results.push_back(getAffineDimExpr(it - axes.begin(), context));
  }
  return AffineMap::get(axes.size(), 0, results, context);
}

Value Emitter::scalarOf(const Expr *expr, OpBuilder &b,
                        llvm::function_ref<Value(unsigned)> axisValue,
                        llvm::DenseMap<const Expr *, Value> &done) {
  if (auto it = done.find(expr); it != done.end())
    return it->second;
  auto indexOf = [&](AffineExpr affine) -> Value {
    SmallVector<Value> dims(NumAxes), symbols(arena.getNumSymbols());
    affine.walk([&](AffineExpr e) {
      if (auto dim = dyn_cast<AffineDimExpr>(e))
        dims[dim.getPosition()] = axisValue(dim.getPosition());
      if (auto symbol = dyn_cast<AffineSymbolExpr>(e)) {
        auto [value, dim] = arena.getSymbol(symbol.getPosition());
        if (dim >= 0)
          value = tensor::DimOp::create(b, loc, value, dim);
        else if (!value.getType().isIndex())
          value = arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
        symbols[symbol.getPosition()] = value;
      }
    });
    return affine::expandAffineExpr(b, loc, affine, dims, symbols);
  };
  Value result;
  switch (expr->kind) {
  case ExprKind::Constant:
    result = arith::ConstantOp::create(b, loc, cast<TypedAttr>(expr->constant));
    break;
  case ExprKind::Index: {
    result = indexOf(expr->affine);
    if (!expr->type.isIndex())
      result = arith::IndexCastOp::create(b, loc, expr->type, result);
    break;
  }
  case ExprKind::NonNegative:
  case ExprKind::IsZero: {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    result = arith::CmpIOp::create(b, loc,
                                   expr->kind == ExprKind::IsZero
                                       ? arith::CmpIPredicate::eq
                                       : arith::CmpIPredicate::sge,
                                   indexOf(expr->affine), zero);
    break;
  }
  case ExprKind::Scalar:
    result = expr->value;
    break;
  case ExprKind::Load: {
    SmallVector<Value> indices;
    for (auto [dim, index] : llvm::enumerate(expr->indices)) {
      AffineExpr last = arena.simplify(arena.dimOf(expr->value, dim) - 1);
      Value position = indexOf(index);
      // A branch that is not taken may name a row that does not exist.
      if (!arena.provablyNonNegative(arena.simplify(last - index)))
        position = arith::MinSIOp::create(b, loc, position, indexOf(last));
      if (!arena.provablyNonNegative(index))
        position = arith::MaxSIOp::create(
            b, loc, position, arith::ConstantIndexOp::create(b, loc, 0));
      indices.push_back(position);
    }
    result = tensor::ExtractOp::create(b, loc, expr->value, indices);
    break;
  }
  case ExprKind::Operation: {
    if (expr->value) {
      // Indices are computed where the program may not have: they stay inside.
      auto type = cast<RankedTensorType>(expr->value.getType());
      SmallVector<Value> indices;
      for (auto [dim, operand] : llvm::enumerate(expr->operands)) {
        Value index = scalarOf(operand, b, axisValue, done);
        Value last =
            arith::ConstantIndexOp::create(b, loc, type.getDimSize(dim) - 1);
        Value zero = arith::ConstantIndexOp::create(b, loc, 0);
        index = arith::MaxSIOp::create(b, loc, index, zero);
        indices.push_back(arith::MinSIOp::create(b, loc, index, last));
      }
      result = tensor::ExtractOp::create(b, loc, expr->value, indices);
      break;
    }
    OperationState state(loc, *expr->name);
    for (const Expr *operand : expr->operands)
      state.addOperands(scalarOf(operand, b, axisValue, done));
    state.addTypes(expr->type);
    state.addAttributes(expr->attrs.getValue());
    result = b.create(state)->getResult(0);
    break;
  }
  }
  done[expr] = result;
  return result;
}

Value mlir::attn::raise::dropUnitDims(OpBuilder &builder, Location loc,
                                      Value tensor, ArrayRef<int64_t> dims) {
  if (dims.empty())
    return tensor;
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices group;
  bool hasKept = false;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    bool drop = llvm::is_contained(dims, dim);
    // A kept dimension opens a new group when the current one has its own.
    if (!drop && hasKept) {
      groups.push_back(group);
      group.clear();
    }
    hasKept |= !drop;
    group.push_back(dim);
  }
  if (!hasKept)
    return tensor::CollapseShapeOp::create(builder, loc, tensor,
                                           ArrayRef<ReassociationIndices>{});
  groups.push_back(group);
  return tensor::CollapseShapeOp::create(builder, loc, tensor, groups);
}

Value mlir::attn::raise::insertUnitDims(OpBuilder &builder, Location loc,
                                        Value tensor,
                                        ArrayRef<int64_t> positions,
                                        int64_t rank) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (static_cast<int64_t>(positions.size()) == rank)
    return tensor;
  SmallVector<int64_t> shape(rank, 1);
  SmallVector<OpFoldResult> sizes(rank, builder.getIndexAttr(1));
  SmallVector<ReassociationIndices> groups(positions.size());
  int64_t next = 0;
  for (auto [k, position] : llvm::enumerate(positions)) {
    shape[position] = type.getDimSize(k);
    sizes[position] =
        type.isDynamicDim(k)
            ? OpFoldResult(
                  tensor::DimOp::create(builder, loc, tensor, k).getResult())
            : builder.getIndexAttr(type.getDimSize(k));
    int64_t end = k + 1 == positions.size() ? rank : position + 1;
    while (next < end)
      groups[k].push_back(next++);
  }
  return tensor::ExpandShapeOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), tensor,
      groups, sizes);
}

Value Emitter::map(
    ArrayRef<Value> inputs, ArrayRef<SmallVector<unsigned>> inputAxes,
    ArrayRef<unsigned> axes, Type elementType,
    llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  MLIRContext *context = arena.getContext();
  SmallVector<AffineMap> maps;
  for (auto &own : inputAxes) {
    SmallVector<AffineExpr> results;
    for (unsigned a : own)
      results.push_back(
          getAffineDimExpr(llvm::find(axes, a) - axes.begin(), context));
    maps.push_back(AffineMap::get(axes.size(), 0, results, context));
  }
  maps.push_back(AffineMap::getMultiDimIdentityMap(axes.size(), context));
  Value init = emptyOver(axes, elementType);
  SmallVector<utils::IteratorType> iterators(axes.size(),
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), inputs, init, maps, iterators,
             [&](OpBuilder &b, Location l, ValueRange args) {
               linalg::YieldOp::create(b, l, body(b, l, args.drop_back()));
             })
      .getResult(0);
}

Value Emitter::tensorOf(const Expr *expr, ArrayRef<unsigned> axes) {
  SmallVector<AffineExpr> extent;
  for (unsigned a : axes)
    extent.push_back(arena.getAxisSize(a));
  for (Built &entry : built[expr])
    if (entry.axes == axes && entry.sizes == extent &&
        entry.value.getParentBlock() == builder.getInsertionBlock())
      return entry.value;

  MLIRContext *context = arena.getContext();
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<const Expr *> loads;
  llvm::DenseSet<const Expr *> seen;
  auto collect = [&](auto &&self, const Expr *e) -> void {
    if (!seen.insert(e).second)
      return;
    if (e->kind == ExprKind::Load)
      if (auto map = mapOf(arena, e, axes)) {
        auto type = cast<RankedTensorType>(e->value.getType());
        SmallVector<int64_t> units;
        for (int64_t dim = 0; dim < type.getRank(); ++dim)
          if (type.getDimSize(dim) == 1)
            units.push_back(dim);
        inputs.push_back(dropUnitDims(builder, loc, e->value, units));
        maps.push_back(*map);
        loads.push_back(e);
      }
    for (const Expr *operand : e->operands)
      self(self, operand);
  };
  collect(collect, expr);

  Value result;
  if (expr->kind == ExprKind::Load && loads.size() == 1 &&
      maps.front().isIdentity()) {
    result = inputs.front(); // it is there already
  } else {
    maps.push_back(AffineMap::getMultiDimIdentityMap(axes.size(), context));
    Value init = emptyOver(axes, expr->type);
    SmallVector<utils::IteratorType> iterators(axes.size(),
                                               utils::IteratorType::parallel);
    result =
        linalg::GenericOp::create(
            builder, loc, init.getType(), inputs, init, maps, iterators,
            [&](OpBuilder &b, Location l, ValueRange args) {
              llvm::DenseMap<const Expr *, Value> done;
              for (auto [load, arg] : llvm::zip(loads, args))
                done[load] = arg;
              auto axisValue = [&](unsigned a) -> Value {
                return linalg::IndexOp::create(
                    b, l, llvm::find(axes, a) - axes.begin());
              };
              linalg::YieldOp::create(b, l, scalarOf(expr, b, axisValue, done));
            })
            .getResult(0);
  }
  built[expr].push_back(
      {SmallVector<unsigned>(axes), std::move(extent), result});
  return result;
}

Value Emitter::allOf(Value tensor) {
  Value &result = allBuilt[tensor];
  if (result)
    return result;
  MLIRContext *context = arena.getContext();
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  Value yes =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
  Value empty = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{},
                                        builder.getI1Type());
  Value init = linalg::FillOp::create(builder, loc, yes, empty).getResult(0);
  AffineMap maps[] = {AffineMap::getMultiDimIdentityMap(rank, context),
                      AffineMap::get(rank, 0, context)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::reduction);
  Value reduced =
      linalg::GenericOp::create(
          builder, loc, init.getType(), tensor, init, maps, iterators,
          [&](OpBuilder &b, Location l, ValueRange args) {
            linalg::YieldOp::create(
                b, l,
                arith::AndIOp::create(b, l, args[0], args[1]).getResult());
          })
          .getResult(0);
  return result =
             tensor::ExtractOp::create(builder, loc, reduced, ValueRange());
}

Value Emitter::anyOver(Value tensor, ArrayRef<unsigned> axes, unsigned axis) {
  Value &result = anyBuilt[{tensor, axis}];
  if (result)
    return result;
  MLIRContext *context = arena.getContext();
  SmallVector<unsigned> kept;
  SmallVector<AffineExpr> results;
  SmallVector<utils::IteratorType> iterators;
  for (auto [i, a] : llvm::enumerate(axes)) {
    iterators.push_back(a == axis ? utils::IteratorType::reduction
                                  : utils::IteratorType::parallel);
    if (a == axis)
      continue;
    kept.push_back(a);
    results.push_back(getAffineDimExpr(i, context));
  }
  Value no =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));
  Value init = linalg::FillOp::create(builder, loc, no,
                                      emptyOver(kept, builder.getI1Type()))
                   .getResult(0);
  AffineMap maps[] = {AffineMap::getMultiDimIdentityMap(axes.size(), context),
                      AffineMap::get(axes.size(), 0, results, context)};
  result =
      linalg::GenericOp::create(
          builder, loc, init.getType(), tensor, init, maps, iterators,
          [&](OpBuilder &b, Location l, ValueRange args) {
            linalg::YieldOp::create(
                b, l, arith::OrIOp::create(b, l, args[0], args[1]).getResult());
          })
          .getResult(0);
  return result;
}

Value Emitter::asScores(Value tensor, ArrayRef<unsigned> axes) {
  SmallVector<int64_t> positions;
  for (unsigned a : axes)
    positions.push_back(a);
  return insertUnitDims(builder, loc, tensor, positions, 4);
}
