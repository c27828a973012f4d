//===- Rebuild.cpp - What surrounds a raised attention --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RaiseAttention.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

bool mlir::attn::raise::onlyRounded(Value value, Type type,
                                    SmallVectorImpl<Operation *> &roundings) {
  for (Operation *user : value.getUsers()) {
    auto op = dyn_cast<linalg::LinalgOp>(user);
    if (!op || op->getNumResults() != 1 || op.getNumDpsInputs() != 1 ||
        !isElementwise(op, 0) ||
        op.getMatchingIndexingMap(op.getDpsInputOperand(0)) !=
            op.getIndexingMapMatchingResult(op->getResult(0)))
      return false;
    Operation *body =
        op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
    if (!isa_and_nonnull<arith::TruncFOp>(body) ||
        body->getOperand(0) != op.getBlock()->getArgument(0) ||
        body->getResult(0).getType() != type)
      return false;
    roundings.push_back(user);
  }
  return !roundings.empty();
}

Value mlir::attn::raise::widen(OpBuilder &builder, Location loc, Value tensor,
                               Type wide) {
  Value init = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, tensor), wide);
  AffineMap identity =
      AffineMap::getMultiDimIdentityMap(4, builder.getContext());
  SmallVector<utils::IteratorType> loops(4, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), tensor, init,
             ArrayRef<AffineMap>{identity, identity}, loops,
             [&](OpBuilder &b, Location l, ValueRange args) {
               linalg::YieldOp::create(
                   b, l,
                   arith::ExtFOp::create(b, l, wide, args[0]).getResult());
             })
      .getResult(0);
}

Value mlir::attn::raise::repairRows(OpBuilder &builder, Location loc,
                                    AttentionOp attention,
                                    const MaskPlan::Operands &mask,
                                    linalg::TransposeOp follow) {
  MLIRContext *context = builder.getContext();
  Value laid = attention.getOutput();
  SmallVector<int64_t> order = {0, 1, 2, 3};
  if (follow) {
    order.assign(follow.getPermutation().begin(),
                 follow.getPermutation().end());
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(builder, loc, attention.getQuery());
    sizes[3] = tensor::getMixedSize(builder, loc, attention.getValue(), 3);
    SmallVector<OpFoldResult> permuted;
    for (int64_t dim : order)
      permuted.push_back(sizes[dim]);
    Value init = tensor::EmptyOp::create(
        builder, loc, permuted,
        cast<RankedTensorType>(laid.getType()).getElementType());
    laid = linalg::TransposeOp::create(builder, loc, laid, init, order)
               .getResult()[0];
  }
  auto type = cast<RankedTensorType>(laid.getType());
  Type element = type.getElementType();
  auto dimOfAxis = [&](unsigned axis) -> unsigned {
    return llvm::find(order, static_cast<int64_t>(axis)) - order.begin();
  };
  SmallVector<AffineExpr> rowDims;
  for (unsigned axis : mask.rowAxes)
    rowDims.push_back(getAffineDimExpr(dimOfAxis(axis), context));
  AffineMap identity = AffineMap::getMultiDimIdentityMap(4, context);
  AffineMap rows = AffineMap::get(4, 0, rowDims, context);
  SmallVector<utils::IteratorType> parallel(4, utils::IteratorType::parallel);

  auto ifOp = scf::IfOp::create(builder, loc, TypeRange{type}, mask.allRowsKeep,
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(ifOp.thenBlock());
  scf::YieldOp::create(builder, loc, laid);
  builder.setInsertionPointToStart(ifOp.elseBlock());
  Value patched;
  if (mask.uniformRows) {
    // The mean of the values over all keys, in f32.
    Value values = attention.getValue();
    Type wide = element.isF64() ? element : builder.getF32Type();
    auto size = [&](int64_t dim) {
      return tensor::getMixedSize(builder, loc, values, dim);
    };
    Value zero = arith::ConstantOp::create(builder, loc,
                                           builder.getFloatAttr(wide, 0.0));
    Value init =
        linalg::FillOp::create(
            builder, loc, zero,
            tensor::EmptyOp::create(
                builder, loc,
                SmallVector<OpFoldResult>{size(0), size(1), size(3)}, wide)
                .getResult())
            .getResult(0);
    AffineExpr d[4];
    bindDims(context, d[0], d[1], d[2], d[3]);
    SmallVector<utils::IteratorType> kinds(parallel);
    kinds[2] = utils::IteratorType::reduction;
    Value sums =
        linalg::GenericOp::create(
            builder, loc, init.getType(), values, init,
            ArrayRef<AffineMap>{
                identity, AffineMap::get(4, 0, {d[0], d[1], d[3]}, context)},
            kinds,
            [&](OpBuilder &b, Location l, ValueRange args) {
              Value x = args[0];
              if (x.getType() != wide)
                x = arith::ExtFOp::create(b, l, wide, x);
              linalg::YieldOp::create(
                  b, l, arith::AddFOp::create(b, l, x, args[1]).getResult());
            })
            .getResult(0);
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value keys = arith::MaxSIOp::create(
        builder, loc, tensor::DimOp::create(builder, loc, values, 2), one);
    Value count = arith::SIToFPOp::create(
        builder, loc, wide,
        arith::IndexCastOp::create(builder, loc, builder.getI64Type(), keys));
    // Query head h belongs to key head h / (H / Hkv).
    Value heads = tensor::DimOp::create(builder, loc, attention.getQuery(), 1);
    Value keyHeads = tensor::DimOp::create(builder, loc, values, 1);
    Value group = arith::DivUIOp::create(
        builder, loc, heads,
        arith::MaxSIOp::create(builder, loc, keyHeads, one));
    patched =
        linalg::GenericOp::create(
            builder, loc, type, mask.rowKeeps, laid,
            ArrayRef<AffineMap>{rows, identity}, parallel,
            [&](OpBuilder &b, Location l, ValueRange args) {
              auto index = [&](unsigned axis) -> Value {
                return linalg::IndexOp::create(b, l, dimOfAxis(axis));
              };
              Value sum = tensor::ExtractOp::create(
                  b, l, sums,
                  ValueRange{index(0),
                             arith::DivUIOp::create(b, l, index(1), group),
                             index(3)});
              Value mean = arith::DivFOp::create(b, l, sum, count);
              if (wide != element)
                mean = arith::TruncFOp::create(b, l, element, mean);
              linalg::YieldOp::create(
                  b, l,
                  arith::SelectOp::create(b, l, args[0], args[1], mean)
                      .getResult());
            })
            .getResult(0);
  } else {
    auto unmasked = cast<AttentionOp>(builder.clone(*attention));
    unmasked.removeMaskAttr();
    unmasked.getKeepMutable().clear();
    unmasked.getQueryOffsetMutable().clear();
    unmasked->setAttr(
        "attn.origin",
        builder.getStringAttr(
            attention->getAttrOfType<StringAttr>("attn.origin").getValue() +
            "; rows without keys"));
    SmallVector<AffineExpr> natural;
    for (unsigned axis = 0; axis < 4; ++axis)
      natural.push_back(getAffineDimExpr(dimOfAxis(axis), context));
    patched = linalg::GenericOp::create(
                  builder, loc, type,
                  ValueRange{mask.rowKeeps, unmasked.getOutput()}, laid,
                  ArrayRef<AffineMap>{
                      rows, AffineMap::get(4, 0, natural, context), identity},
                  parallel,
                  [&](OpBuilder &b, Location l, ValueRange args) {
                    linalg::YieldOp::create(
                        b, l,
                        arith::SelectOp::create(b, l, args[0], args[2], args[1])
                            .getResult());
                  })
                  .getResult(0);
  }
  scf::YieldOp::create(builder, loc, patched);
  return ifOp.getResult(0);
}

Value mlir::attn::raise::restoreLayout(OpBuilder &builder, Location loc,
                                       Value output, ValueProduct &product) {
  // From [batch, head, query, feature] to the loops in the order
  // leading..., query, feature.
  Value value = output;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<unsigned> order(product.leading);
  order.push_back(product.queryLoop);
  order.push_back(product.valueLoop);
  switch (product.leading.size()) {
  case 0:
    value = tensor::CollapseShapeOp::create(
        builder, loc, value, SmallVector<ReassociationIndices>{{0, 1, 2}, {3}});
    break;
  case 1:
    value = tensor::CollapseShapeOp::create(
        builder, loc, value,
        SmallVector<ReassociationIndices>{{0, 1}, {2}, {3}});
    break;
  case 3: {
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(builder, loc, value);
    SmallVector<int64_t> shape(type.getShape());
    int64_t groups = ShapedType::isDynamic(shape[1]) ? ShapedType::kDynamic
                                                     : shape[1] / product.split;
    OpFoldResult groupSize =
        ShapedType::isDynamic(groups)
            ? OpFoldResult(
                  arith::DivUIOp::create(builder, loc, cast<Value>(sizes[1]),
                                         arith::ConstantIndexOp::create(
                                             builder, loc, product.split))
                      .getResult())
            : OpFoldResult(builder.getIndexAttr(groups));
    shape[1] = groups;
    shape.insert(shape.begin() + 2, product.split);
    sizes[1] = groupSize;
    sizes.insert(sizes.begin() + 2, builder.getIndexAttr(product.split));
    value = tensor::ExpandShapeOp::create(
        builder, loc, RankedTensorType::get(shape, type.getElementType()),
        value, SmallVector<ReassociationIndices>{{0}, {1, 2}, {3}, {4}}, sizes);
    break;
  }
  default:
    break;
  }
  AffineMap map =
      product.op.getIndexingMapMatchingResult(product.op->getResult(0));
  SmallVector<int64_t> permutation;
  for (AffineExpr e : map.getResults())
    permutation.push_back(
        llvm::find(order, cast<AffineDimExpr>(e).getPosition()) -
        order.begin());
  if (!llvm::is_sorted(permutation)) {
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(builder, loc, value);
    SmallVector<OpFoldResult> permuted;
    for (int64_t dim : permutation)
      permuted.push_back(sizes[dim]);
    Value init =
        tensor::EmptyOp::create(builder, loc, permuted, type.getElementType());
    value = linalg::TransposeOp::create(builder, loc, value, init, permutation)
                .getResult()[0];
  }
  Type wanted = cast<RankedTensorType>(product.op->getResult(0).getType())
                    .clone(type.getElementType());
  if (value.getType() != wanted)
    value = tensor::CastOp::create(builder, loc, wanted, value);
  return value;
}
