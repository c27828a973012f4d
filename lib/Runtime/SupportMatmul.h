//===- SupportMatmul.h - Matrix products over oneDNN ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SUPPORTMATMUL_H
#define ATTN_LIB_RUNTIME_SUPPORTMATMUL_H

#include "MatmulCall.h"
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

namespace attn::rt {

/// Primitives of the shapes met so far, and constant right sides in the layout
/// that oneDNN prefers. Belongs to one module.
class MatmulCache {
public:
  /// Carries out a call; throws dnnl::error.
  void run(const int64_t *words);

private:
  struct Primitive {
    dnnl::matmul::primitive_desc description;
    dnnl::matmul primitive;
  };
  using Key = std::vector<int64_t>;

  const Primitive &find(const struct MatmulProblem &problem,
                        const dnnl::memory::desc &weights);
  const dnnl::memory &pack(const struct MatmulProblem &problem);

  std::map<Key, Primitive> primitives;
  std::map<Key, dnnl::memory> packed;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SUPPORTMATMUL_H
