//===- LibraryCaches.h - What a module keeps of oneDNN ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_LIBRARYCACHES_H
#define ATTN_LIB_RUNTIME_LIBRARYCACHES_H

#include "SupportConv.h"
#include "SupportMatmul.h"

namespace attn::rt {

/// Packed constants and the primitives of each kind.
struct LibraryCaches {
  PackedWeights packed;
  MatmulCache matmuls;
  ConvCache convolutions;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_LIBRARYCACHES_H
