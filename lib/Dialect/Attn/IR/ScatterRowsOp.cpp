//===- ScatterRowsOp.cpp - Listed rows return to their places -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult ScatterRowsOp::verify() {
  struct Named {
    RankedTensorType type;
    StringRef name;
  };
  auto named = [](Value x, StringRef name) {
    return Named{cast<RankedTensorType>(x.getType()), name};
  };
  Named input = named(getInput(), "input"), rows = named(getRows(), "rows");
  Named counts = named(getRowCounts(), "row_counts");
  Named init = named(getInit(), "init");
  auto agree = [&](Named a, unsigned i, Named b, unsigned j) -> LogicalResult {
    int64_t x = a.type.getDimSize(i), y = b.type.getDimSize(j);
    if (ShapedType::isDynamic(x) || ShapedType::isDynamic(y) || x == y)
      return success();
    return emitOpError("expects dimension ")
           << i << " of '" << a.name << "' and dimension " << j << " of '"
           << b.name << "' to be equal, but they are " << x << " and " << y;
  };
  if (input.type.getElementType() != init.type.getElementType())
    return emitOpError("expects 'init' to have the element type of 'input', "
                       "but they are ")
           << init.type.getElementType() << " and "
           << input.type.getElementType();
  if (failed(agree(init, 0, input, 0)) || failed(agree(init, 1, input, 1)) ||
      failed(agree(init, 3, input, 3)) || failed(agree(rows, 0, input, 0)) ||
      failed(agree(rows, 2, input, 2)) || failed(agree(counts, 0, input, 0)) ||
      failed(agree(counts, 1, rows, 1)))
    return failure();
  if (rows.type.getDimSize(1) != 1 && failed(agree(rows, 1, input, 1)))
    return failure();
  if (!getRowWeights())
    return success();
  Named weights = named(getRowWeights(), "row_weights");
  for (unsigned i = 0; i < 3; ++i)
    if (failed(agree(weights, i, rows, i)))
      return failure();
  return success();
}

LogicalResult
ScatterRowsOp::reifyResultShapes(OpBuilder &builder,
                                 ReifiedRankedShapedTypeDims &reifiedShapes) {
  reifiedShapes.push_back(tensor::getMixedSizes(builder, getLoc(), getInit()));
  return success();
}
