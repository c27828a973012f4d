//===- MatmulCall.h - The argument of attn_rt_matmul ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shared by the runtime and the compiler; plain constants only.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_RUNTIME_MATMULCALL_H
#define ATTN_LIB_RUNTIME_MATMULCALL_H

#include <cstdint>

namespace attn::rt {

/// attn_rt_matmul takes an array of 64-bit words:
///   flags, activation, rank, then for each of A [.., M, K], B [.., K, N] and
///   C [.., M, N]: ONNX element type, address of the first element, `rank`
///   sizes, `rank` strides in elements; then the address of the bias [N] in
///   f32, or 0.
/// C = activation(A * B + bias), or C += A * B with `MatmulAccumulates`.
struct MatmulCall {
  enum Flags : int64_t {
    BIsConstant = 1, ///< same address, same bytes: it may be packed once
    Accumulates = 2
  };
  enum Activation : int64_t {
    None = 0,
    Relu = 1,
    GeluErf = 2,
    GeluTanh = 3,
    Silu = 4,
    Tanh = 5
  };
  static constexpr int64_t numOperands = 3;
  static constexpr int64_t numHeaderWords = 3;
  static constexpr int64_t operandWords(int64_t rank) { return 2 + 2 * rank; }
  static constexpr int64_t numWords(int64_t rank) {
    return numHeaderWords + numOperands * operandWords(rank) + 1;
  }
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_MATMULCALL_H
