//===- SharedLibrary.h - Loads the library of an artifact -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_SHAREDLIBRARY_H
#define ATTN_LIB_RUNTIME_SHAREDLIBRARY_H

#include <string>

namespace attn::rt {

/// Throws Error unless `path` is a shared library for this kind of machine
/// whose segments all lie inside of the file. The loader maps segments without
/// that check, so a truncated file would end in a bus error.
void checkSharedLibrary(const std::string &path);

/// Checks and loads the library at `path`; the caller closes the handle with
/// dlclose. A file that was replaced while its former content is still loaded
/// is loaded anew, which dlopen alone would not do.
void *openSharedLibrary(const std::string &path);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_SHAREDLIBRARY_H
