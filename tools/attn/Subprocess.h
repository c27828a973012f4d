//===- Subprocess.h - A case that cannot harm the others --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_SUBPROCESS_H
#define ATTN_TOOLS_ATTN_SUBPROCESS_H

#include "OnnxCase.h"
#include <functional>

namespace attn::tool {

/// Runs `body` in a child process. A crash, or no end within `timeout`
/// seconds, is a failed case. The parent must have no threads.
CaseResult runInChild(const std::function<CaseResult()> &body, int timeout);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_SUBPROCESS_H
