//===- Progress.h - What goes on, for who watches a terminal ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_PROGRESS_H
#define ATTN_TOOLS_ATTN_PROGRESS_H

#include <string>

namespace attn::tool {

/// Replaces the progress line; does nothing unless stderr is a terminal.
void showProgress(const std::string &what, int done, int total);

/// Removes the progress line, if there is one.
void clearProgress();

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_PROGRESS_H
