//===- Module.h - A compiled module with its weights ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_MODULE_H
#define ATTN_LIB_RUNTIME_MODULE_H

#include "Context.h"
#include "Descriptor.h"
#include "DeviceState.h"
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

/// The argument of `attn_packed_main`: the place of the results, then a
/// descriptor for each input.
class PackedArguments {
public:
  PackedArguments(const Metadata &metadata,
                  const std::vector<attn_rt_tensor> &inputs);
  void **data() { return pointers.data(); }
  Descriptor result(size_t index) { return Descriptor(&words[results[index]]); }

private:
  std::vector<int64_t> words;
  std::vector<void *> pointers;
  std::vector<size_t> results;
};

/// Calls generated code; false when it ended by attn_rt_fail.
bool callEntry(void (*entry)(void **), void **arguments, Context &context);

} // namespace attn::rt

struct attn_rt_module {
  /// `deviceCode` and `emulator` (may be null) matter to GPU modules only.
  attn_rt_module(std::unique_ptr<attn::rt::CodeHandle> code,
                 void (*entry)(void **), void (*init)(void **),
                 std::string metadataText,
                 const std::vector<std::string> &folders,
                 const attn::rt::DeviceCode &deviceCode,
                 attn::rt::Device *emulator);
  ~attn_rt_module();

  void run(const char *const *names, const attn_rt_tensor *inputs,
           int32_t numInputs, attn_rt_tensor *outputs,
           const attn_rt_run_options &options);
  /// The run of a GPU module on checked inputs.
  void runOnDevice(const std::vector<attn_rt_tensor> &inputs,
                   attn_rt_tensor *outputs, const attn_rt_run_options &options);

  /// Computes what depends on weights only; throws Error.
  void prepare(void (*init)(void **));

  // The code goes last: destructors of the rest may still need it.
  std::unique_ptr<attn::rt::CodeHandle> code;
  void (*entry)(void **);
  std::string metadataText;
  attn::rt::Metadata metadata;
  attn::rt::WeightFiles files;
  attn::rt::Context context;
  std::unique_ptr<attn::rt::DeviceModule> gpu; ///< null in a CPU's module
  std::mutex runMutex;
};

#endif // ATTN_LIB_RUNTIME_MODULE_H
