//===- AttnOps.td - All operations of the attn dialect --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_OPS_TD
#define ATTN_OPS_TD

include "attn/Dialect/Attn/IR/AttnAttentionOps.td"
include "attn/Dialect/Attn/IR/AttnCacheOps.td"
include "attn/Dialect/Attn/IR/AttnMaskAttrs.td"
include "attn/Dialect/Attn/IR/AttnRoutingOps.td"

#endif // ATTN_OPS_TD
