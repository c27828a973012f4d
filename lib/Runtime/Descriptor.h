//===- Descriptor.h - Memref descriptors in memory --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DESCRIPTOR_H
#define ATTN_LIB_RUNTIME_DESCRIPTOR_H

#include "attn/Runtime/attn_runtime.h"
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace attn::rt {

/// The memory of one memref descriptor: allocated and aligned pointer, offset,
/// sizes, strides.
class Descriptor {
public:
  explicit Descriptor(int64_t *words) : words(words) {}
  static size_t numWords(int32_t rank) { return 3 + 2 * rank; }

  void *allocated() const { return reinterpret_cast<void *>(words[0]); }
  char *aligned() const { return reinterpret_cast<char *>(words[1]); }
  int64_t offset() const { return words[2]; }
  const int64_t *sizes() const { return words + 3; }
  const int64_t *strides(int32_t rank) const { return words + 3 + rank; }

  void fill(const attn_rt_tensor &tensor) {
    words[0] = words[1] = reinterpret_cast<int64_t>(tensor.data);
    words[2] = 0;
    int64_t stride = 1;
    for (int32_t i = tensor.rank; i-- > 0;) {
      words[3 + i] = tensor.shape[i];
      words[3 + tensor.rank + i] = stride;
      stride *= std::max<int64_t>(tensor.shape[i], 1);
    }
  }

private:
  int64_t *words;
};

/// Whether an array has no gaps and the last dimension innermost.
inline bool isContiguous(const int64_t *sizes, const int64_t *strides,
                         int32_t rank) {
  int64_t expected = 1;
  for (int32_t i = rank; i-- > 0;) {
    if (sizes[i] != 1 && strides[i] != expected)
      return false;
    expected *= sizes[i];
  }
  return true;
}

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_DESCRIPTOR_H
