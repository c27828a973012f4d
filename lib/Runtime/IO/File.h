//===- File.h - Whole files, written all or not at all ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_FILE_H
#define ATTN_LIB_RUNTIME_IO_FILE_H

#include <string>
#include <string_view>

namespace attn::rt {

/// The bytes of a file; throws Error with the path and the reason.
std::string readFile(const std::string &path);

/// Writes to a file beside `path` and renames it, so that `path` never holds
/// half of `bytes`.
void writeFile(const std::string &path, std::string_view bytes);

/// Throws Error unless a file can be made at `path`: its folder exists and
/// can be written, and `path` is no folder. Tells early what would fail late.
void checkWritable(const std::string &path);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_FILE_H
