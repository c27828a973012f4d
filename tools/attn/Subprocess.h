//===- Subprocess.h - Cases that cannot harm each other ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_SUBPROCESS_H
#define ATTN_TOOLS_ATTN_SUBPROCESS_H

#include "OnnxCase.h"
#include <functional>

namespace attn::tool {

/// Calls `body` with 0 to `count` - 1, each in a child process, `jobs` at a
/// time, and `done` with each result in this order. A crash, or no end within
/// `timeout` seconds, is a failed case. The parent must have no threads.
void runInChildren(size_t count, size_t jobs, int timeout,
                   const std::function<CaseResult(size_t)> &body,
                   const std::function<void(size_t, CaseResult)> &done);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_SUBPROCESS_H
