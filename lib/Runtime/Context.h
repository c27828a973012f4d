//===- Context.h - State of a module while its code runs --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_CONTEXT_H
#define ATTN_LIB_RUNTIME_CONTEXT_H

#include <csetjmp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace attn::rt {

/// 64-byte aligned blocks, kept for the next run instead of given back.
class Allocator {
public:
  ~Allocator();

  void *allocate(int64_t bytes);
  /// A block that lives as long as this allocator.
  void *allocatePersistent(int64_t bytes);
  /// Lets a live block of this allocator outlive its runs.
  void keep(void *block);
  /// Frees a block of any allocator, or a disowned one; null does nothing.
  static void release(void *block);

  /// Whether `block` is a live block of this allocator.
  bool owns(const void *block);
  /// Lets `block` outlive this allocator; `release` still frees it.
  void disown(void *block);
  /// Frees what a run left behind, and kept blocks that it did not use.
  void endRun();

  int64_t peakBytes() const { return peak; }

private:
  struct Header;
  void unlink(Header *header);

  std::mutex mutex;
  Header *live = nullptr;
  std::map<int64_t, std::vector<Header *>> kept;
  std::vector<void *> persistent;
  int64_t held = 0, peak = 0, run = 0;
};

/// A weight where it lies in its mapped file.
struct Weight {
  const char *address = nullptr;
  int64_t bytes = 0;
  int64_t alignment = 1; ///< what the element type asks for
  void *copy = nullptr;  ///< made on demand when `address` is not aligned
};

struct LibraryCaches;
class DeviceState;

/// Everything that generated code reaches through `attn_rt_*` functions.
struct Context {
  Context();
  ~Context();

  std::vector<Weight> weights;
  std::unique_ptr<LibraryCaches> library; ///< made at the first call
  int32_t threads = 0;                    ///< 0 means every processor
  DeviceState *device = nullptr;          ///< the GPU of this run, if any
  Allocator allocator;
  std::string failure;       ///< message of attn_rt_fail
  std::jmp_buf failurePoint; ///< where attn_rt_fail continues

  LibraryCaches &libraryCaches();
};

/// Makes `context` the one that generated code on this thread sees, and its
/// number of threads the one that parallel loops use.
class ContextScope {
public:
  explicit ContextScope(Context &context);
  ~ContextScope();
  ContextScope(const ContextScope &) = delete;
  ContextScope &operator=(const ContextScope &) = delete;

private:
  Context *outer;
  int outerThreads;
};

/// The context of the run on this thread, or null.
Context *currentContext();

/// Sets what currentContext returns on this thread.
void setCurrentContext(Context *context);

/// Where attn_rt_fail continues on this thread while it works on a part of a
/// parallel loop; null elsewhere. Returns what was set before.
std::jmp_buf *setWorkerFailurePoint(std::jmp_buf *point);

} // namespace attn::rt

/// What generated code calls.
extern "C" {
void *attn_rt_alloc(int64_t bytes);
void attn_rt_free(void *block);
void *attn_rt_weight(int64_t index);
/// Ends the run with `message`, on the thread that runs the module or inside
/// attn_rt_parallel_for.
[[noreturn]] void attn_rt_fail(const char *message);
/// Calls `body(i, i + 1, data)` for each i in [0, n), spread over the threads
/// of the run, or `body(0, n, data)` where only one thread is to be used.
void attn_rt_parallel_for(void (*body)(int64_t, int64_t, void *), int64_t n,
                          void *data);
/// A matrix product; `words` is described in MatmulCall.h.
void attn_rt_matmul(const int64_t *words);
/// A convolution; `words` is described in ConvCall.h.
void attn_rt_conv(const int64_t *words);
}

#endif // ATTN_LIB_RUNTIME_CONTEXT_H
