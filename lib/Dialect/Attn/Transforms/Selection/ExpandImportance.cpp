//===- ExpandImportance.cpp - The lse behind an importance ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionLoops.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"

using namespace mlir;
using namespace mlir::attn;

Value mlir::attn::buildImportanceLse(OpBuilder &b, KeyImportanceOp op) {
  auto [rows, dim] = op.getRowsOfHead();
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  SmallVector<int64_t> shape(query.getShape());
  shape[2] = cast<RankedTensorType>(rows.getType()).getDimSize(dim);
  auto lse = RankedTensorType::get(
      ArrayRef(shape).drop_back(),
      cast<RankedTensorType>(op.getImportance().getType()).getElementType());
  // The keys stand for values, which are not read.
  auto attention = AttentionOp::create(
      b, op.getLoc(), RankedTensorType::get(shape, query.getElementType()), lse,
      op.getQuery(), op.getKey(), op.getKey(), /*bias=*/Value(),
      /*keep=*/Value(), op.getKvLengths(), op.getQueryOffset(),
      /*sink_logits=*/Value(), op.getRowList(), op.getRowCounts(),
      /*page_table=*/Value(), op.getMaskOperands(), op.getMaskAttr(),
      op.getSoftmaxScaleAttr(),
      /*softcap=*/FloatAttr(),
      BiasOrderAttr::get(b.getContext(), BiasOrder::AfterSoftcap),
      /*softmax_precision=*/TypeAttr(), /*key_head_map=*/DenseI64ArrayAttr(),
      /*value_head_map=*/DenseI64ArrayAttr());
  return attention.getLse();
}
