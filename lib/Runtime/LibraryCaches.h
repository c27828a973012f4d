//===- LibraryCaches.h - What a module keeps of oneDNN ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_LIBRARYCACHES_H
#define ATTN_LIB_RUNTIME_LIBRARYCACHES_H

#ifndef ATTN_LEAN
#include "SupportConv.h"
#include "SupportMatmul.h"
#endif

namespace attn::rt {

#ifdef ATTN_LEAN
/// The lean runtime has no oneDNN.
struct LibraryCaches {};
#else
/// Packed constants and the primitives of each kind.
struct LibraryCaches {
  PackedWeights packed;
  MatmulCache matmuls;
  ConvCache convolutions;
};
#endif

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_LIBRARYCACHES_H
