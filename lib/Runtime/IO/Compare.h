//===- Compare.h - Do two tensors agree within a tolerance? -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_COMPARE_H
#define ATTN_LIB_RUNTIME_IO_COMPARE_H

#include "Tensor.h"
#include <optional>

namespace attn::rt {

/// |actual - expected| <= atol + rtol * |expected|, as numpy.allclose.
struct Tolerance {
  double rtol, atol;
};

struct Comparison {
  /// What differs and where; nothing when the tensors agree.
  std::optional<std::string> mismatch;
  double largestDifference = 0; ///< among finite elements
};

/// Compares type, shape, the positions of NaN and infinities, and values.
Comparison compare(const std::string &name, const Tensor &actual,
                   const Tensor &expected, Tolerance tolerance);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_COMPARE_H
