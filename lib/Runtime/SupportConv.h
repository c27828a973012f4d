//===- SupportConv.h - Convolutions over oneDNN -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SUPPORTCONV_H
#define ATTN_LIB_RUNTIME_SUPPORTCONV_H

#include "ConvCall.h"
#include "SupportLibrary.h"

namespace attn::rt {

/// Convolutions of the shapes met so far. Belongs to one module.
class ConvCache {
public:
  /// Carries out a call; throws dnnl::error.
  void run(const int64_t *words, PackedWeights &packed);

private:
  struct Primitive {
    dnnl::convolution_forward::primitive_desc description;
    dnnl::convolution_forward primitive;
  };
  using Key = std::vector<int64_t>;

  const Primitive &find(const struct ConvProblem &problem);

  std::map<Key, Primitive> primitives;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SUPPORTCONV_H
