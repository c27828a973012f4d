//===- Tensor.h - A tensor on the host and its elements ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_TENSOR_H
#define ATTN_LIB_RUNTIME_IO_TENSOR_H

#include "attn/Runtime/attn_runtime.h"
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace attn::rt {

/// A dense row-major tensor that shares its memory with its copies.
class Tensor {
public:
  Tensor() = default;
  /// Zero-filled memory for `shape`; throws Error when that is impossible.
  Tensor(int32_t dtype, std::vector<int64_t> shape);
  /// Takes over the memory of `tensor`, which `free` gives back.
  Tensor(attn_rt_tensor tensor, void (*free)(attn_rt_tensor *));

  int32_t dtype() const { return type; }
  const std::vector<int64_t> &shape() const { return sizes; }
  int64_t size() const { return count; }
  int64_t bytes() const;
  char *data() { return memory.get(); }
  const char *data() const { return memory.get(); }

  /// Element `index` as a double, and whether it is stored exactly so.
  double at(int64_t index) const;
  /// Element `index` of an integer or bool type.
  int64_t intAt(int64_t index) const;
  /// Rounds `value` to the element type.
  void set(int64_t index, double value);
  void setInt(int64_t index, int64_t value);

  bool isFloat() const;
  /// The tensor as the runtime takes it; valid while this object lives.
  attn_rt_tensor view() const;
  /// "float32 [1, 2]"
  std::string text() const;

private:
  int32_t type = 0;
  std::vector<int64_t> sizes;
  int64_t count = 0;
  std::shared_ptr<char[]> memory;
};

/// Tensors with names, in the order of a file or a command line.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The tensor named `name`, or null.
const Tensor *findTensor(const NamedTensors &tensors, const std::string &name);

/// Position of element `index` in a tensor of `shape`: "[0, 3]".
std::string positionText(int64_t index, const std::vector<int64_t> &shape);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_TENSOR_H
