//===- SupportLibrary.h - What calls of oneDNN share --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SUPPORTLIBRARY_H
#define ATTN_LIB_RUNTIME_SUPPORTLIBRARY_H

#include <cstdint>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

namespace attn::rt {

class Allocator;

/// A tensor of generated code: the words of it in a call.
struct LibraryTensor {
  dnnl::memory::data_type type;
  void *address;
  dnnl::memory::dims sizes, strides;

  dnnl::memory::desc describe() const { return {sizes, type, strides}; }
  bool isEmpty() const;
  void appendTo(std::vector<int64_t> &key) const;
};

dnnl::engine &cpuEngine();
/// The stream of this thread.
dnnl::stream &cpuStream();

/// Reads element type, address, sizes and strides.
LibraryTensor readTensor(const int64_t *&words, int64_t rank);

/// Appends the activation of a call to what follows a product.
void appendActivation(dnnl::post_ops &after, int64_t activation);

/// Memory of the run, free again at the end of the scope.
class Scratch {
public:
  explicit Scratch(const dnnl::memory::desc &desc);
  ~Scratch();
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  const dnnl::memory &get() const { return memory; }

private:
  void *block = nullptr;
  dnnl::memory memory;
};

/// Constants in the layouts that oneDNN prefers, made once for a module.
class PackedWeights {
public:
  using Key = std::vector<int64_t>;

  /// The layout of `key` that was made first, or null.
  const dnnl::memory *findAny(const Key &key) const;
  /// `source` in the layout `wanted`.
  const dnnl::memory &get(const Key &key, const dnnl::memory &source,
                          const dnnl::memory::desc &wanted);

private:
  std::map<Key, std::vector<dnnl::memory>> packed;
};

/// Runs `call`, and ends the run of the module if it throws.
void guardLibraryCall(const char *what, void (*call)(const int64_t *),
                      const int64_t *words);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SUPPORTLIBRARY_H
