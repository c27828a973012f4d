//===- RopeOp.cpp - Rotary position embedding -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult RopeOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  auto cos = cast<RankedTensorType>(getCos().getType());
  int64_t headDim = input.getDimSize(3), half = cos.getShape().back();
  if (!ShapedType::isDynamic(headDim) && !ShapedType::isDynamic(half) &&
      2 * half > headDim)
    return emitOpError("expects at most ")
           << headDim << " features to rotate, but the last dimension of 'cos' "
           << "is " << half << ", which rotates " << 2 * half;
  int64_t length = cos.getDimSize(cos.getRank() - 2);
  if (!ShapedType::isDynamic(length) && !input.isDynamicDim(2) &&
      length != input.getDimSize(2))
    return emitOpError("expects one row of 'cos' for each token, but dimension "
                       "2 of 'input' is ")
           << input.getDimSize(2) << " and 'cos' has " << length << " rows";
  if (cos.getRank() == 3 && !cos.isDynamicDim(0) && cos.getDimSize(0) != 1 &&
      !input.isDynamicDim(0) && cos.getDimSize(0) != input.getDimSize(0))
    return emitOpError("expects dimension 0 of 'cos' to be 1 or the batch "
                       "size ")
           << input.getDimSize(0) << ", but it is " << cos.getDimSize(0);
  return success();
}

LogicalResult
RopeOp::reifyResultShapes(OpBuilder &builder,
                          ReifiedRankedShapedTypeDims &reifiedShapes) {
  reifiedShapes.push_back(tensor::getMixedSizes(builder, getLoc(), getInput()));
  return success();
}
