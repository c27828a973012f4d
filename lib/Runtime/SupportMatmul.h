//===- SupportMatmul.h - Matrix products over oneDNN ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SUPPORTMATMUL_H
#define ATTN_LIB_RUNTIME_SUPPORTMATMUL_H

#include "MatmulCall.h"
#include "SupportLibrary.h"

namespace attn::rt {

/// Primitives of the shapes met so far. Belongs to one module.
class MatmulCache {
public:
  /// Carries out a call; throws dnnl::error.
  void run(const int64_t *words, PackedWeights &packed);

private:
  struct Primitive {
    dnnl::matmul::primitive_desc description;
    dnnl::matmul primitive;
  };
  using Key = std::vector<int64_t>;

  const Primitive &find(const struct MatmulProblem &problem,
                        const dnnl::memory::desc &weights);
  const dnnl::memory &pack(const struct MatmulProblem &problem,
                           PackedWeights &packed);

  std::map<Key, Primitive> primitives;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SUPPORTMATMUL_H
