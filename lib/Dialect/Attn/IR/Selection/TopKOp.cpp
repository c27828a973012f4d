//===- TopKOp.cpp - The best entries of each row --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Checks.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult TopKOp::verify() {
  NamedTensor scores(getScores(), "scores"), indices(getIndices(), "indices"),
      counts(getCounts(), "counts");
  int64_t rank = scores.type.getRank();
  if (rank == 0)
    return emitOpError("expects 'scores' to have at least one dimension");
  Operation *op = *this;
  if (failed(checkRank(op, indices, rank, "that of 'scores'")) ||
      failed(checkRank(op, counts, rank - 1, "one less than 'scores'")) ||
      failed(checkElement(op, counts, indices)))
    return failure();
  for (int64_t i = 0; i + 1 < rank; ++i)
    if (failed(checkEqual(op, indices, i, scores, i)) ||
        failed(checkEqual(op, counts, i, scores, i)))
      return failure();
  for (auto [value, name] : {std::pair<Value, StringRef>(getBudget(), "budget"),
                             {getLimits(), "limits"},
                             {getOwn(), "own"}}) {
    NamedTensor tensor(value, name);
    if (!tensor.type)
      continue;
    if (failed(checkRank(op, tensor, rank - 1, "one less than 'scores'")))
      return failure();
    for (int64_t i = 0; i + 1 < rank; ++i)
      if (failed(checkOneOrEqual(op, tensor, i, scores, i)))
        return failure();
  }
  if (failed(checkAtLeast(op, "forced_first", getForcedFirst(), 0)) ||
      failed(checkAtLeast(op, "forced_last", getForcedLast(), 0)))
    return failure();
  bool isDynamic = indices.type.isDynamicDim(rank - 1);
  if (isDynamic != bool(getCapacity()))
    return emitOpError("expects 'capacity' exactly when the last dimension of "
                       "'indices' is dynamic, but it is ")
           << (isDynamic ? "absent" : "given") << " and the dimension is "
           << (isDynamic ? "dynamic" : "static");
  if ((getBy() == Selection::Count) == bool(getBound()))
    return emitOpError("expects 'bound' ")
           << (getBound() ? "to be absent" : "to be given") << " by '"
           << stringifySelection(getBy()) << "'";
  if (!getBound())
    return success();
  double bound = getBound()->convertToDouble();
  if (std::isnan(bound))
    return emitOpError("expects 'bound' to be a number, but it is NaN");
  if (getBy() != Selection::Threshold && !(bound >= 0 && bound <= 1))
    return emitOpError("expects 'bound' to be a share from 0 to 1 by '")
           << stringifySelection(getBy()) << "', but it is " << bound;
  return success();
}

LogicalResult
TopKOp::reifyResultShapes(OpBuilder &builder,
                          ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> rows =
      tensor::getMixedSizes(builder, getLoc(), getScores());
  rows.pop_back();
  SmallVector<OpFoldResult> all = rows;
  IndexMath math(builder, getLoc());
  all.push_back(getCapacity()
                    ? math.max(getCapacity(), math.constant(0))
                    : OpFoldResult(builder.getIndexAttr(
                          cast<RankedTensorType>(getIndices().getType())
                              .getShape()
                              .back())));
  reifiedShapes = {all, rows};
  return success();
}
