//===- SharedLibrary.h - Is a file a whole shared library? ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SHAREDLIBRARY_H
#define ATTN_LIB_RUNTIME_SHAREDLIBRARY_H

#include <string>

namespace attn::rt {

/// Throws Error unless `path` is a shared library for this kind of machine
/// whose segments all lie inside of the file. The loader maps segments without
/// that check, so a truncated file would end in a bus error.
void checkSharedLibrary(const std::string &path);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SHAREDLIBRARY_H
