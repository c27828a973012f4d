//===- Documents.cpp - Keys of the query's own document -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static Value readId(OpBuilder &builder, Location loc, Value ids,
                    OpFoldResult batch, OpFoldResult row) {
  IndexMath math(builder, loc);
  return tensor::ExtractOp::create(
      builder, loc, ids,
      ValueRange{math.materialize(batch), math.materialize(row)});
}

OpFoldResult DocumentsAttr::keep(OpBuilder &builder, Location loc,
                                 const MaskPoint &point) const {
  Value query =
      readId(builder, loc, point.operands[0], point.batch, point.queryRow);
  Value key = readId(builder, loc, point.operands[1], point.batch, point.key);
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, query,
                               key)
      .getResult();
}

KeyIntervals DocumentsAttr::visitIntervals(OpBuilder &builder, Location loc,
                                           const MaskTile &tile) const {
  IndexMath math(builder, loc);
  return {{math.constant(0), tile.kvLen}};
}

KeyIntervals DocumentsAttr::fullIntervals(OpBuilder &, Location,
                                          const MaskTile &) const {
  return {};
}

unsigned DocumentsAttr::getNumMaskOperands() const { return 2; }

static bool disagree(int64_t a, int64_t b) {
  return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b;
}

LogicalResult
DocumentsAttr::verifyMask(const MaskUse &use,
                          function_ref<InFlightDiagnostic()> emit) const {
  StringRef names[] = {"query document ids", "key document ids"};
  int64_t lengths[] = {use.queryLen, use.kvLen};
  for (auto [type, name, length] :
       llvm::zip_equal(use.operandTypes, names, lengths)) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getRank() != 2 ||
        !tensor.getElementType().isSignlessIntOrIndex())
      return emit() << "expects the " << name
                    << " to be a rank 2 tensor of integers, but their type is "
                    << type;
    if (disagree(tensor.getDimSize(0), use.batch))
      return emit() << "expects the " << name << " to have batch size "
                    << use.batch << ", but dimension 0 is "
                    << tensor.getDimSize(0);
    if (disagree(tensor.getDimSize(1), length))
      return emit() << "expects the " << name << " to have length " << length
                    << ", but dimension 1 is " << tensor.getDimSize(1);
  }
  Type query = cast<RankedTensorType>(use.operandTypes[0]).getElementType();
  Type key = cast<RankedTensorType>(use.operandTypes[1]).getElementType();
  if (query != key)
    return emit() << "expects document ids of one element type, but they are "
                  << query << " and " << key;
  return success();
}
