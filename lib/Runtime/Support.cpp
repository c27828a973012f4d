//===- Support.cpp - Memory, weights and failures of generated code -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Context.h"
#include "LibraryCaches.h"
#include "OpenMP.h"
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <utility>

using namespace attn::rt;

static constexpr int64_t blockAlignment = 64;

/// Lies in the 64 bytes before a block.
struct alignas(blockAlignment) Allocator::Header {
  Allocator *owner;
  Header *previous, *next;
  int64_t bytes; ///< size class, header not counted
  int64_t run;   ///< the run that used the block last
  void *block() { return this + 1; }
  static Header *of(void *block) { return static_cast<Header *>(block) - 1; }
};

/// Few classes, so that runs with other shapes find blocks again; at most an
/// eighth is wasted.
static int64_t sizeClass(int64_t bytes) {
  int64_t step = blockAlignment;
  if (bytes > 8 * blockAlignment)
    step = int64_t(std::bit_ceil(static_cast<uint64_t>(bytes)) / 16);
  return bytes <= 0 ? blockAlignment : (bytes + step - 1) / step * step;
}

namespace {

/// Results that their owners gave back, few and not much in all: the next
/// result takes one of them, whose pages the system need not clear again.
class ReturnedBlocks {
public:
  /// The only one; it outlives every owner of a result.
  static ReturnedBlocks &get() {
    static auto *blocks = new ReturnedBlocks;
    return *blocks;
  }

  /// A block of `bytes`, or null.
  void *take(int64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    for (Entry &entry : entries)
      if (entry.block && entry.bytes == bytes)
        return std::exchange(entry, {}).block;
    return nullptr;
  }

  /// Keeps `block` in place of the one that has been here longest.
  void give(void *block, int64_t bytes) {
    if (bytes < leastBytes || bytes > mostBytes) {
      std::free(block);
      return;
    }
    std::lock_guard<std::mutex> lock(mutex);
    std::free(std::exchange(entries[next], {block, bytes}).block);
    next = (next + 1) % std::size(entries);
  }

private:
  struct Entry {
    void *block = nullptr;
    int64_t bytes = 0;
  };
  // The C library keeps smaller ones by itself.
  static constexpr int64_t leastBytes = int64_t(1) << 20;
  static constexpr int64_t mostBytes = int64_t(1) << 27;

  std::mutex mutex;
  Entry entries[2];
  size_t next = 0;
};

} // namespace

Allocator::~Allocator() {
  run = -1;
  endRun();
  for (void *block : persistent)
    std::free(block);
}

void *Allocator::allocate(int64_t bytes) {
  if (bytes > (int64_t(1) << 46))
    return nullptr;
  int64_t size = sizeClass(bytes);
  std::lock_guard<std::mutex> lock(mutex);
  Header *header = nullptr;
  std::vector<Header *> &list = kept[size];
  if (!list.empty()) {
    header = list.back();
    list.pop_back();
  } else {
    void *block = ReturnedBlocks::get().take(size);
    if (!block)
      block = std::aligned_alloc(blockAlignment, size + sizeof(Header));
    header = static_cast<Header *>(block);
    if (!header)
      return nullptr;
    held += size;
    peak = std::max(peak, held);
  }
  *header = {this, nullptr, live, size, run};
  if (live)
    live->previous = header;
  live = header;
  return header->block();
}

void *Allocator::allocatePersistent(int64_t bytes) {
  int64_t size = (bytes + blockAlignment - 1) / blockAlignment * blockAlignment;
  void *block = std::aligned_alloc(blockAlignment, size);
  std::lock_guard<std::mutex> lock(mutex);
  if (block) {
    persistent.push_back(block);
    held += size;
    peak = std::max(peak, held);
  }
  return block;
}

void Allocator::keep(void *block) {
  std::lock_guard<std::mutex> lock(mutex);
  Header *header = Header::of(block);
  unlink(header);
  persistent.push_back(header);
}

void Allocator::unlink(Header *header) {
  (header->previous ? header->previous->next : live) = header->next;
  if (header->next)
    header->next->previous = header->previous;
}

void Allocator::release(void *block) {
  if (!block)
    return;
  Header *header = Header::of(block);
  Allocator *owner = header->owner;
  if (!owner) {
    ReturnedBlocks::get().give(header, header->bytes);
    return;
  }
  std::lock_guard<std::mutex> lock(owner->mutex);
  owner->unlink(header);
  owner->kept[header->bytes].push_back(header);
}

bool Allocator::owns(const void *block) {
  std::lock_guard<std::mutex> lock(mutex);
  for (Header *header = live; header; header = header->next)
    if (header->block() == block)
      return true;
  return false;
}

void Allocator::disown(void *block) {
  std::lock_guard<std::mutex> lock(mutex);
  Header *header = Header::of(block);
  unlink(header);
  header->owner = nullptr;
  held -= header->bytes;
}

void Allocator::endRun() {
  std::lock_guard<std::mutex> lock(mutex);
  while (live) {
    Header *header = live;
    unlink(header);
    kept[header->bytes].push_back(header);
  }
  for (auto &[size, list] : kept)
    std::erase_if(list, [&](Header *header) {
      if (header->run == run)
        return false;
      held -= size;
      std::free(header);
      return true;
    });
  ++run;
}

Context::Context() = default;
Context::~Context() = default;

LibraryCaches &Context::libraryCaches() {
  if (!library)
    library = std::make_unique<LibraryCaches>();
  return *library;
}

static thread_local Context *threadContext = nullptr;
static thread_local std::jmp_buf *workerFailurePoint = nullptr;

static std::atomic<bool> startedThreads = false;
static std::atomic<bool> lostThreads = false;

/// A process that was forked has none of the threads that ran before, but
/// OpenMP would wait for them forever: such a process works on one.
static bool mayUseThreads() {
  static const bool watches = pthread_atfork(nullptr, nullptr, [] {
                                if (startedThreads)
                                  lostThreads = true;
                              }) == 0;
  (void)watches;
  return !lostThreads;
}

ContextScope::ContextScope(Context &context)
    : outer(threadContext), outerThreads(omp_get_max_threads()) {
  threadContext = &context;
  if (!mayUseThreads())
    omp_set_num_threads(1);
  else if (context.threads > 0)
    omp_set_num_threads(context.threads);
  if (omp_get_max_threads() > 1)
    startedThreads = true;
}

ContextScope::~ContextScope() {
  threadContext = outer;
  omp_set_num_threads(outerThreads);
}

Context *attn::rt::currentContext() { return threadContext; }

void attn::rt::setCurrentContext(Context *context) { threadContext = context; }

std::jmp_buf *attn::rt::setWorkerFailurePoint(std::jmp_buf *point) {
  return std::exchange(workerFailurePoint, point);
}

void *attn_rt_alloc(int64_t bytes) {
  Context *context = currentContext();
  void *block = context ? context->allocator.allocate(bytes) : nullptr;
  if (!block) {
    char message[96];
    std::snprintf(message, sizeof(message),
                  "out of memory: a tensor of %lld bytes does not fit",
                  static_cast<long long>(bytes));
    attn_rt_fail(message);
  }
  return block;
}

void attn_rt_free(void *block) { Allocator::release(block); }

void *attn_rt_weight(int64_t index) {
  Context *context = currentContext();
  Weight &weight = context->weights[index];
  auto value = reinterpret_cast<uintptr_t>(weight.address);
  if (value % weight.alignment == 0)
    return const_cast<char *>(weight.address);
  if (!weight.copy) {
    weight.copy =
        std::aligned_alloc(blockAlignment, (weight.bytes + blockAlignment - 1) /
                                               blockAlignment * blockAlignment);
    if (!weight.copy)
      attn_rt_fail("out of memory while copying a weight");
    std::memcpy(weight.copy, weight.address, weight.bytes);
  }
  return weight.copy;
}

void attn_rt_fail(const char *message) {
  Context *context = currentContext();
  if (!context) {
    std::fprintf(stderr, "error: %s\n", message);
    std::abort();
  }
  static std::mutex mutex;
  mutex.lock();
  // Several workers may fail at once; the first one is reported.
  if (context->failure.empty())
    context->failure = message;
  mutex.unlock();
  std::longjmp(workerFailurePoint ? *workerFailurePoint : context->failurePoint,
               1);
}
