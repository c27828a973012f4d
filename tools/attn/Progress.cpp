//===- Progress.cpp - What goes on, for who watches a terminal ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Progress.h"
#include <algorithm>
#include <cstdio>
#include <unistd.h>

using namespace attn::tool;

static bool isShown = false;

void attn::tool::showProgress(const std::string &what, int done, int total) {
  static const bool isTerminal = isatty(STDERR_FILENO);
  if (!isTerminal)
    return;
  constexpr int width = 24;
  int filled = total > 0 ? std::clamp(done * width / total, 0, width) : 0;
  std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
  std::fprintf(stderr, "\r[%s] %d/%d %.50s\x1b[K", bar.c_str(), done, total,
               what.c_str());
  std::fflush(stderr);
  isShown = true;
}

void attn::tool::clearProgress() {
  if (isShown)
    std::fputs("\r\x1b[K", stderr);
  isShown = false;
}
