//===- Rope.h - Rotary position embeddings in linalg ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_ROPE_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_ROPE_H

#include "attn/Dialect/Attn/IR/AttnDialect.h"

namespace mlir::attn::raise {

/// Looks behind an operand of an attention, through layout changes and caches,
/// for values that are rotated embeddings, and makes them `attn.rope`. Returns
/// how many it found.
unsigned raiseRopeBehind(Value operand);

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_ROPE_H
