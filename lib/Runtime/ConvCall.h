//===- ConvCall.h - The argument of attn_rt_conv ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shared by the runtime and the compiler; plain constants only.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_RUNTIME_CONVCALL_H
#define ATTN_LIB_RUNTIME_CONVCALL_H

#include <cstdint>

namespace attn::rt {

/// attn_rt_conv takes an array of 64-bit words:
///   flags, activation (see MatmulCall), rank, groups, then for each of X
///   [N, C, ..], W [M, C / groups, ..] and Y [N, M, ..]: ONNX element type,
///   address of the first element, `rank` sizes, `rank` strides in elements;
///   then the address of the bias [M] in f32, or 0; then for each of strides,
///   dilations, zeros before and zeros after: `rank - 2` numbers.
/// Y = activation(conv(X, W) + bias).
struct ConvCall {
  enum Flags : int64_t {
    WIsConstant = 1 ///< same address, same bytes: it may be packed once
  };
  static constexpr int64_t numWords(int64_t rank) {
    return 4 + 3 * (2 + 2 * rank) + 1 + 4 * (rank - 2);
  }
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_CONVCALL_H
