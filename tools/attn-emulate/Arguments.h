//===- Arguments.h - What a kernel is called with ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_EMULATE_ARGUMENTS_H
#define ATTN_TOOLS_ATTN_EMULATE_ARGUMENTS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace attn::tool {

/// One argument: a buffer in device memory, a number, or a tensor map.
struct Argument {
  /// What the kernel's parameter points to.
  alignas(64) char bytes[128] = {};
  /// A buffer: the head of its file, its place, and where it goes afterwards.
  std::string header, output;
  char *device = nullptr;
  size_t size = 0;
  llvm::SmallVector<int64_t> shape;
  int64_t elementBytes = 0;
};

/// Reads arguments of these forms:
///   FILE.npy         a buffer with the contents of the file
///   FILE.npy=OUT.npy the same; OUT.npy receives it after the run
///   i32:5 i64:5 f32:1.5
///   map:2:box=64x128:swizzle=128
///                    a tensor map of the buffer that is argument 2, with the
///                    innermost dimension first
llvm::Expected<std::vector<Argument>>
readArguments(llvm::ArrayRef<std::string> texts);

/// Writes the buffers that have an output.
llvm::Error writeOutputs(llvm::ArrayRef<Argument> arguments);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_EMULATE_ARGUMENTS_H
