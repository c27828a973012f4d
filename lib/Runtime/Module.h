//===- Module.h - A compiled module with its weights ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_MODULE_H
#define ATTN_LIB_RUNTIME_MODULE_H

#include "Context.h"
#include "Metadata.h"
#include "WeightFiles.h"
#include "attn/Runtime/attn_runtime.h"
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace attn::rt {

/// Owns the code behind a module and frees it at the end.
class CodeHandle {
public:
  CodeHandle(void (*release)(void *), void *owner)
      : release(release), owner(owner) {}
  ~CodeHandle() {
    if (release)
      release(owner);
  }
  CodeHandle(const CodeHandle &) = delete;
  CodeHandle &operator=(const CodeHandle &) = delete;

private:
  void (*release)(void *);
  void *owner;
};

/// Sorts named tensors into the order of `specs` and checks each against its
/// spec; throws Error naming the first input that does not fit. Without names
/// (`names` null) tensors come in order.
std::vector<attn_rt_tensor> bindInputs(const std::vector<TensorSpec> &specs,
                                       const char *const *names,
                                       const attn_rt_tensor *inputs,
                                       int32_t numInputs);

} // namespace attn::rt

struct attn_rt_module {
  attn_rt_module(std::unique_ptr<attn::rt::CodeHandle> code,
                 void (*entry)(void **), void (*init)(void **),
                 std::string metadataText,
                 const std::vector<std::string> &folders);
  ~attn_rt_module();

  void run(const char *const *names, const attn_rt_tensor *inputs,
           int32_t numInputs, attn_rt_tensor *outputs);

  /// Computes what depends on weights only; throws Error.
  void prepare(void (*init)(void **));

  // The code goes last: destructors of the rest may still need it.
  std::unique_ptr<attn::rt::CodeHandle> code;
  void (*entry)(void **);
  std::string metadataText;
  attn::rt::Metadata metadata;
  attn::rt::WeightFiles files;
  attn::rt::Context context;
  std::mutex runMutex;
};

#endif // ATTN_LIB_RUNTIME_MODULE_H
