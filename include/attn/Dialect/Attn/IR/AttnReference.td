//===- AttnReference.td - The whole dialect, for its reference page -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_REFERENCE_TD
#define ATTN_REFERENCE_TD

include "attn/Dialect/Attn/IR/AttnOps.td"
include "attn/Dialect/Attn/IR/AttnLinearOps.td"
include "attn/Dialect/Attn/IR/AttnSelectionOps.td"

#endif // ATTN_REFERENCE_TD
