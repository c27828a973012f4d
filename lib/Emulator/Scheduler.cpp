//===- Scheduler.cpp - Fibers of a block, one after another ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each CUDA thread is a fiber. A thread runs until it meets an instruction
// that waits; then the next ready one runs. If no thread can run, pending
// asynchronous copies land, one at a time; if there are none, it is a deadlock.
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include <boost/context/detail/fcontext.hpp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

using namespace attn::emu;
using namespace boost::context::detail;

Launch attn::emu::launch;

namespace {

/// Where the scheduler stands while a fiber runs.
fcontext_t scheduler;
bool failed;

constexpr size_t stackBytes = 512 * 1024;

/// Stacks stay for later blocks. Each has a page without access below it.
char *stackOf(uint32_t index) {
  static std::vector<char *> stacks;
  while (stacks.size() <= index) {
    void *memory = mmap(nullptr, stackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      return nullptr;
    mprotect(memory, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE);
    stacks.push_back(static_cast<char *>(memory));
  }
  return stacks[index];
}

void leave() { scheduler = jump_fcontext(scheduler, nullptr).fctx; }

void runThread(transfer_t transfer) {
  scheduler = transfer.fctx;
  launch.kernel->entry(launch.params);
  Thread &thread = self();
  checkExit(thread);
  thread.state = State::Done;
  thread.warp->done |= uint32_t(1) << thread.lane;
  --launch.block.live;
  jump_fcontext(scheduler, nullptr);
}

/// Sites of this launch. A site's number holds the launch it is good for.
std::vector<const Site *> siteTable(1, nullptr);
int32_t generation = 1;

/// "threads 0-31, 64" of a sorted list.
std::string ranges(const std::vector<uint32_t> &list) {
  std::string text = list.size() == 1 ? "thread " : "threads ";
  for (size_t i = 0; i < list.size();) {
    size_t j = i;
    while (j + 1 < list.size() && list[j + 1] == list[j] + 1)
      ++j;
    if (i)
      text += ", ";
    text += std::to_string(list[i]);
    if (j > i)
      text += "-" + std::to_string(list[j]);
    i = j + 1;
  }
  return text;
}

std::string describeDeadlock() {
  std::map<std::string, std::vector<uint32_t>> groups;
  for (Thread &thread : launch.block.threads)
    if (thread.state != State::Done)
      groups[nameOf(thread.site) + " " + thread.describe(thread)].push_back(
          thread.index);
  std::string text = "deadlock: no thread can go on";
  for (auto &[what, list] : groups)
    text += "; " + ranges(list) + (list.size() == 1 ? " waits" : " wait") +
            " at " + what;
  uint32_t done = launch.block.threadCount - launch.block.live;
  if (done)
    text += "; " + std::to_string(done) + " threads have returned";
  return text;
}

void startBlock() {
  Block &block = launch.block;
  block.threadCount = launch.threads[0] * launch.threads[1] * launch.threads[2];
  block.warpCount = (block.threadCount + warpSize - 1) / warpSize;
  block.components = block.threadCount + block.warpCount + agentCount;
  // Times go on from block to block, so that old marks need no clearing.
  uint32_t last = block.base;
  for (Thread &thread : block.threads)
    last = std::max(last, thread.now());
  for (Warp &warp : block.warps)
    last = std::max(last, warp.time);
  for (uint32_t time : block.agentTimes)
    last = std::max(last, time);
  block.base = last;
  block.live = block.threadCount;
  block.warps.assign(block.warpCount, Warp());
  for (uint32_t w = 0; w < block.warpCount; ++w) {
    block.warps[w].block = &block;
    block.warps[w].index = w;
    block.warps[w].lanes = std::min(warpSize, block.threadCount - w * warpSize);
    block.warps[w].time = block.base;
    block.warps[w].done = 0;
    block.warps[w].groups = 0;
    block.warps[w].fenced = false;
    block.warps[w].matrixCount = 0;
    block.warps[w].maxRegisters = 0;
  }
  for (NamedBarrier &barrier : block.barriers)
    barrier = NamedBarrier();
  block.mbarriers.clear();
  block.bulk.clear();
  forgetAsync();
  block.sequences.clear();
  block.ready.clear();
  std::fill_n(block.agentTimes, agentCount, block.base);
  // No value that a program could take for data.
  std::fill(block.memory.begin(), block.memory.end(), char(0xff));
  block.shadow.reset(block.memory.size(), block.warpCount, block.base);
  block.threads.resize(block.threadCount);
  for (uint32_t i = 0; i < block.threadCount; ++i) {
    Thread &thread = block.threads[i];
    thread.index = i;
    thread.lane = i % warpSize;
    thread.at[0] = i % launch.threads[0];
    thread.at[1] = i / launch.threads[0] % launch.threads[1];
    thread.at[2] = i / launch.threads[0] / launch.threads[1];
    thread.warp = &block.warps[i / warpSize];
    thread.state = State::Ready;
    thread.site = nullptr;
    thread.describe = nullptr;
    thread.copies.clear();
    thread.copyGroups = thread.bulkGroups = thread.polls = 0;
    // Without shared memory there is nothing to order.
    thread.clock.reset(block.memory.empty() ? 0 : block.components, block.base);
    thread.tick();
    thread.stack = stackOf(i);
    if (!thread.stack)
      return failed = true, void(launch.error = "no memory for the stacks");
    thread.context =
        make_fcontext(thread.stack + stackBytes, stackBytes, runThread);
    block.ready.push_back(i);
  }
}

} // namespace

void attn::emu::runBlock() {
  failed = false;
  startBlock();
  Block &block = launch.block;
  while (!failed && block.live) {
    if (launch.randomly(4))
      landOne();
    if (failed)
      break;
    if (block.ready.empty()) {
      if (landOne())
        continue;
      if (failed)
        break;
      launch.error = describeDeadlock();
      break;
    }
    size_t pick =
        launch.options.seed ? launch.random() % block.ready.size() : 0;
    uint32_t index = block.ready[pick];
    block.ready.erase(block.ready.begin() + static_cast<ptrdiff_t>(pick));
    Thread &thread = block.threads[index];
    launch.current = &thread;
    thread.context = jump_fcontext(thread.context, nullptr).fctx;
    launch.current = nullptr;
  }
  if (failed || !launch.error.empty())
    return;
  for (Warp &warp : block.warps) {
    checkWarpExit(warp);
    if (!launch.error.empty())
      return;
  }
  while (landOne() && launch.error.empty())
    ;
}

void attn::emu::wait(const Site *site,
                     std::string (*describe)(const Thread &)) {
  Thread &thread = self();
  thread.state = State::Waiting;
  thread.site = site;
  thread.describe = describe;
  while (thread.state == State::Waiting)
    leave();
}

void attn::emu::wake(uint32_t index) {
  Thread &thread = launch.block.threads[index];
  if (thread.state != State::Waiting)
    return;
  thread.state = State::Ready;
  launch.block.ready.push_back(index);
}

void attn::emu::yield(const Site *site) {
  Thread &thread = self();
  thread.site = site;
  launch.block.ready.push_back(thread.index);
  leave();
}

std::string attn::emu::formatted(const char *format, ...) {
  va_list list, copy;
  va_start(list, format);
  va_copy(copy, list);
  int size = vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  std::string text(static_cast<size_t>(size), '\0');
  vsnprintf(text.data(), text.size() + 1, format, list);
  va_end(list);
  return text;
}

void attn::emu::fail(const Site *site, const char *format, ...) {
  va_list list;
  va_start(list, format);
  char text[2048];
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  Block &block = launch.block;
  std::string where = nameOf(site);
  if (launch.current) {
    Thread &thread = self();
    where = formatted("block (%u, %u, %u) thread %u at ", block.at[0],
                      block.at[1], block.at[2], thread.index) +
            where;
  }
  failBlock(where + ": " + text);
}

void attn::emu::failBlock(const std::string &text) {
  if (launch.error.empty())
    launch.error = text;
  failed = true;
  if (launch.current) {
    // The fiber ends here; nothing on its stack needs an end of its own.
    jump_fcontext(scheduler, nullptr);
  }
  // The scheduler itself, at the end of a block: landing cannot fail there.
  fprintf(stderr, "emulator: %s\n", text.c_str());
  abort();
}

std::string attn::emu::nameOf(const Site *site) {
  if (!site)
    return "the start";
  std::string text = site->operation;
  if (site->location && *site->location)
    text += std::string(" (") + site->location + ")";
  return text;
}

int32_t attn::emu::numberOf(const Site *site) {
  if (site->number >> 16 != generation) {
    // A table that is full names later sites 'the start'.
    if (siteTable.size() == 65536)
      return 0;
    const_cast<Site *>(site)->number =
        generation << 16 | static_cast<int32_t>(siteTable.size());
    siteTable.push_back(site);
  }
  return site->number & 0xffff;
}

const Site *attn::emu::siteOf(int32_t number) {
  return static_cast<size_t>(number) < siteTable.size() ? siteTable[number]
                                                        : nullptr;
}

void attn::emu::forgetSites() {
  siteTable.resize(1);
  generation = generation % 32000 + 1;
}

std::string attn::emu::nameOfComponent(uint32_t component) {
  Block &block = launch.block;
  if (component < block.threadCount)
    return "thread " + std::to_string(component);
  if (component < block.threadCount + block.warpCount)
    return "warp " + std::to_string(component - block.threadCount);
  return "an asynchronous copy";
}
