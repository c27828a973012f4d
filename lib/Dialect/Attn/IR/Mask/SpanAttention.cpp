//===- SpanAttention.cpp - The masks that span attention stands for -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/Selection.h"

using namespace mlir;
using namespace mlir::attn;

MaskAttrInterface SpanAttentionOp::getWindowMask() {
  int64_t left = std::min<int64_t>(getWindow(), kMaxMaskDistance) - 1;
  return WindowAttr::get(getContext(), left, /*right=*/0, /*block=*/1);
}

MaskAttrInterface SpanAttentionOp::getSpanMask() {
  return SpansAttr::get(getContext());
}
