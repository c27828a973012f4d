//===- SupportParallel.cpp - Parallel loops of generated code -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Context.h"
#include "OpenMP.h"
#include <algorithm>
#include <atomic>

using namespace attn::rt;

namespace {
struct Loop {
  void (*body)(int64_t, int64_t, void *);
  int64_t size;
  void *data;
  Context *context;
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
};
} // namespace

static thread_local bool insideLoop = false;

/// Takes iterations until none is left, so that dear ones balance.
static void work(void *argument) {
  Loop &loop = *static_cast<Loop *>(argument);
  Context *outer = currentContext();
  setCurrentContext(loop.context);
  insideLoop = true;
  std::jmp_buf point;
  // No object with a destructor may live here: a failure jumps over it.
  std::jmp_buf *outerPoint = setWorkerFailurePoint(&point);
  if (setjmp(point) == 0) {
    for (int64_t i = loop.next++; i < loop.size; i = loop.next++)
      loop.body(i, i + 1, loop.data);
  } else {
    loop.failed = true;
    loop.next = loop.size;
  }
  setWorkerFailurePoint(outerPoint);
  insideLoop = false;
  setCurrentContext(outer);
}

void attn_rt_parallel_for(void (*body)(int64_t, int64_t, void *), int64_t size,
                          void *data) {
  if (size <= 0)
    return;
  int64_t threads = insideLoop ? 1 : omp_get_max_threads();
  if (size == 1 || threads == 1)
    return body(0, size, data);
  Loop loop{body, size, data, currentContext()};
  GOMP_parallel(work, &loop, static_cast<unsigned>(std::min(threads, size)), 0);
  if (loop.failed)
    attn_rt_fail("a parallel loop failed");
}
