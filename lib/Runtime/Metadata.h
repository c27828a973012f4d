//===- Metadata.h - What a compiled module says of itself -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_METADATA_H
#define ATTN_LIB_RUNTIME_METADATA_H

#include <cstdint>
#include <string>
#include <vector>

namespace attn::rt {

/// An input or output: sizes of -1 are free; equal symbols are equal sizes.
struct TensorSpec {
  std::string name;
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  std::vector<std::string> dims;

  int32_t rank() const { return static_cast<int32_t>(shape.size()); }
  /// "int64 [batch, sequence]"
  std::string text() const;
};

/// A constant that lies in a file.
struct WeightSpec {
  std::string name;
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  std::string file;
  int64_t offset = 0;
  int64_t bytes = 0;
};

/// A weight file whose size was noted at compile time.
struct FileSpec {
  std::string name;
  int64_t size = 0;
};

/// A tensor that the module computes from its weights when it is loaded.
struct PreparedSpec {
  int32_t dtype = 0;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

/// A kernel of the module's GPU code, with what the assembler said of it.
struct KernelSpec {
  std::string name;
  int64_t threads = 0, registers = 0, sharedBytes = 0, spillBytes = 0;
};

/// GPU code: what it was made for, and its kernels in the order of their
/// numbers.
struct GpuSpec {
  std::string chip;    ///< "sm_90a"; empty in a module for a CPU
  int cudaVersion = 0; ///< of the assembler: 13000 is 13.0
  std::vector<KernelSpec> kernels;
};

struct Metadata {
  std::string producer, target;
  std::string folder; ///< where the weight files were at compile time
  std::vector<TensorSpec> inputs, outputs;
  std::vector<WeightSpec> weights;
  std::vector<PreparedSpec> prepared;
  std::vector<FileSpec> files;
  GpuSpec gpu;
};

/// Reads the JSON text; throws Error naming the entry that is wrong.
Metadata parseMetadata(const std::string &json);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_METADATA_H
