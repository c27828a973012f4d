//===- Rope.cpp - The linalg meaning of attn.rope -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, RopeOp op) {
  if (isKnownEmpty(op.getInput()) || isKnownEmpty(op.getCos()))
    return {op.getInput()};
  Location loc = op.getLoc();
  ImplicitLocOpBuilder b(loc, builder);
  IndexMath math(b, loc);
  FloatType element = elementTypeOf(op.getInput());
  FloatType compute = computeTypeOf(op.getInput());

  // The two halves of the rotated features, each [B, H, S, R/2].
  int64_t angleRank = cast<RankedTensorType>(op.getCos().getType()).getRank();
  OpFoldResult half = tensor::getMixedSize(b, loc, op.getCos(), angleRank - 1);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, op.getInput());
  sizes[3] = half;
  SmallVector<OpFoldResult> offsetsX(4, math.constant(0));
  SmallVector<OpFoldResult> offsetsY = offsetsX;
  SmallVector<OpFoldResult> strides(4, math.constant(1));
  offsetsY[3] = op.getInterleaved() ? math.constant(1) : half;
  strides[3] = math.constant(op.getInterleaved() ? 2 : 1);
  Value x = tensor::ExtractSliceOp::create(b, op.getInput(), offsetsX, sizes,
                                           strides);
  Value y = tensor::ExtractSliceOp::create(b, op.getInput(), offsetsY, sizes,
                                           strides);

  // `cos` and `sin` of a dynamic batch size may hold one row for all entries.
  MLIRContext *context = b.getContext();
  AffineExpr batch = b.getAffineDimExpr(0);
  bool readAngles = false;
  if (angleRank == 3) {
    DimExtent extent = classifyDim(op.getCos(), 0, op.getInput(), 0);
    readAngles = extent == DimExtent::OneOrWhole;
    if (extent == DimExtent::One)
      batch = b.getAffineConstantExpr(0);
  }
  SmallVector<AffineExpr> angleExprs = {b.getAffineDimExpr(2),
                                        b.getAffineDimExpr(3)};
  if (angleRank == 3)
    angleExprs.insert(angleExprs.begin(), batch);
  AffineMap all = AffineMap::getMultiDimIdentityMap(4, context);
  AffineMap angleMap = AffineMap::get(4, 0, angleExprs, context);
  SmallVector<MappedTensor> inputs = {{x, all}, {y, all}};
  SmallVector<OpFoldResult> angleSizes;
  if (readAngles)
    angleSizes = tensor::getMixedSizes(b, loc, op.getCos());
  else
    inputs.append({{op.getCos(), angleMap}, {op.getSin(), angleMap}});

  // cos * x minus or plus sin * y.
  auto rotate = [&](Value x, Value y, bool subtract) {
    inputs[0].tensor = x;
    inputs[1].tensor = y;
    auto body = [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
      Value cos, sin;
      if (readAngles) {
        SmallVector<Value> at;
        for (int64_t loop : {0, 2, 3})
          at.push_back(linalg::IndexOp::create(b, loop));
        cos = extractBroadcast(b, op.getCos(), angleSizes, at);
        sin = extractBroadcast(b, op.getSin(), angleSizes, at);
      } else {
        cos = elements[2];
        sin = elements[3];
      }
      auto product = [&](Value angle, Value element) -> Value {
        return arith::MulFOp::create(b, convertFloat(b, angle, compute),
                                     convertFloat(b, element, compute));
      };
      Value a = product(cos, elements[0]), c = product(sin, elements[1]);
      Value rotated = subtract ? Value(arith::SubFOp::create(b, a, c))
                               : Value(arith::AddFOp::create(b, a, c));
      return convertFloat(b, rotated, element);
    };
    return buildElementwise(b, inputs, sizes, element, body);
  };
  Value result =
      tensor::InsertSliceOp::create(b, rotate(x, y, /*subtract=*/true),
                                    op.getInput(), offsetsX, sizes, strides);
  result = tensor::InsertSliceOp::create(b, rotate(y, x, /*subtract=*/false),
                                         result, offsetsY, sizes, strides);
  return {result};
}
