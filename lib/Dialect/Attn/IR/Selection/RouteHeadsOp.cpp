//===- RouteHeadsOp.cpp - Which heads a token uses ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Checks.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

int64_t RouteHeadsOp::getNumRouted() {
  switch (getKind()) {
  case Router::Linear:
    return cast<RankedTensorType>(getRouted().getType()).getDimSize(0);
  case Router::Logits:
    return cast<RankedTensorType>(getInput().getType()).getDimSize(2);
  case Router::Norm:
    return cast<RankedTensorType>(getInput().getType()).getDimSize(1) -
           getNumShared();
  }
  llvm_unreachable("all routers are listed");
}

LogicalResult RouteHeadsOp::verify() {
  Operation *op = *this;
  NamedTensor input(getInput(), "input"), routed(getRouted(), "routed"),
      shared(getShared(), "shared"), alpha(getAlpha(), "alpha"),
      gates(getGates(), "gates");
  bool byNorm = getKind() == Router::Norm;
  bool byLogits = getKind() == Router::Logits;
  if (failed(checkRank(op, input, byNorm ? 4 : 3,
                       byNorm ? "[B, H, S, D]" : "[B, S, features]")) ||
      failed(checkRank(op, shared, byLogits ? 3 : 2,
                       byLogits ? "[B, S, heads]" : "[heads, C]")) ||
      failed(checkRank(op, alpha, byLogits ? 3 : 2,
                       byLogits ? "[B, S, 2]" : "[2, C]")))
    return failure();
  if ((getKind() == Router::Linear) != bool(getRouted()))
    return emitOpError("expects 'routed' exactly for the kind 'linear', but "
                       "the kind is '")
           << stringifyRouter(getKind()) << "'";
  if (byNorm && (getShared() || getAlpha()))
    return emitOpError("expects neither 'shared' nor 'alpha' for the kind "
                       "'qnorm', which has no weights for them");
  int64_t rowsDim = byNorm ? 2 : 1;
  if (failed(checkEqual(op, gates, 0, input, 0)) ||
      failed(checkEqual(op, gates, 1, input, rowsDim)) ||
      failed(checkAtLeast(op, "top_k", getTopK(), 0)) ||
      failed(checkAtLeast(op, "num_shared", getNumShared(), 0)))
    return failure();
  int64_t heads = gates.type.getDimSize(2);
  if (ShapedType::isDynamic(heads))
    return emitOpError("expects a static number of heads, but dimension 2 of "
                       "'gates' is dynamic");
  int64_t numRouted = byNorm ? heads - getNumShared() : getNumRouted();
  if (ShapedType::isDynamic(numRouted))
    return emitOpError("expects a static number of routed heads, but that of '")
           << (byLogits ? "input" : "routed") << "' is dynamic";
  int64_t numShared = heads - numRouted;
  if (byNorm) {
    if (failed(checkSize(op, input, 1, heads, "the heads of 'gates'")))
      return failure();
    if (input.type.isDynamicDim(1))
      return emitOpError("expects a static number of heads, but dimension 1 of "
                         "'input' is dynamic");
    if (numRouted < 0)
      return emitOpError("expects 'num_shared' to be at most the number of "
                         "heads ")
             << heads << ", but it is " << getNumShared();
  } else if (getNumShared() != 0) {
    return emitOpError("expects 'num_shared' for the kind 'qnorm' only; here "
                       "it is the number of heads less those routed");
  }
  if (numShared < 0)
    return emitOpError("expects at most as many routed heads as there are, "
                       "but they are ")
           << numRouted << " and " << heads;
  unsigned headDim = byLogits ? 2 : 0;
  if (failed(checkSize(op, shared, headDim, numShared,
                       "the heads that are not routed")) ||
      failed(checkSize(op, alpha, headDim, 2, "shared and routed")))
    return failure();
  for (NamedTensor weights : {routed, shared, alpha}) {
    if (failed(checkElement(op, weights, input)))
      return failure();
    if (!byLogits && failed(checkEqual(op, weights, 1, input, 2)))
      return failure();
    if (byLogits && (failed(checkEqual(op, weights, 0, input, 0)) ||
                     failed(checkEqual(op, weights, 1, input, 1))))
      return failure();
  }
  return checkElement(op, gates, input);
}

LogicalResult
RouteHeadsOp::reifyResultShapes(OpBuilder &builder,
                                ReifiedRankedShapedTypeDims &reifiedShapes) {
  int64_t rowsDim = getKind() == Router::Norm ? 2 : 1;
  reifiedShapes.push_back(
      {tensor::getMixedSize(builder, getLoc(), getInput(), 0),
       tensor::getMixedSize(builder, getLoc(), getInput(), rowsDim),
       builder.getIndexAttr(
           cast<RankedTensorType>(getGates().getType()).getDimSize(2))});
  return success();
}

LogicalResult ListRowsOp::verify() {
  Operation *op = *this;
  NamedTensor gates(getGates(), "gates"), rows(getRows(), "rows"),
      counts(getCounts(), "counts"), weights(getWeights(), "weights");
  return success(succeeded(checkEqual(op, rows, 0, gates, 0)) &&
                 succeeded(checkEqual(op, rows, 1, gates, 2)) &&
                 succeeded(checkEqual(op, rows, 2, gates, 1)) &&
                 succeeded(checkEqual(op, counts, 0, gates, 0)) &&
                 succeeded(checkEqual(op, counts, 1, gates, 2)) &&
                 succeeded(checkEqual(op, weights, 0, gates, 0)) &&
                 succeeded(checkEqual(op, weights, 1, gates, 2)) &&
                 succeeded(checkEqual(op, weights, 2, gates, 1)) &&
                 succeeded(checkElement(op, counts, rows)) &&
                 succeeded(checkElement(op, weights, gates)));
}

LogicalResult
ListRowsOp::reifyResultShapes(OpBuilder &builder,
                              ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> s =
      tensor::getMixedSizes(builder, getLoc(), getGates());
  reifiedShapes = {{s[0], s[2], s[1]}, {s[0], s[2]}, {s[0], s[2], s[1]}};
  return success();
}
