//===- Barrier.cpp - Barriers of a block and mbarriers --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calls.h"

using namespace attn::emu;

//===----------------------------------------------------------------------===//
// bar.sync, bar.arrive, bar.red
//===----------------------------------------------------------------------===//

static std::string describeNamed(const Thread &thread) {
  uint64_t id = thread.waitFor[0];
  NamedBarrier &barrier = launch.block.barriers[id];
  return formatted("on barrier %llu, which %u of %u threads have reached",
                   (unsigned long long)id, barrier.arrived, barrier.expected);
}

static NamedBarrier &arriveNamed(const Site *site, int32_t id,
                                 int32_t threads) {
  Block &block = launch.block;
  if (id < 0 || id > 15)
    fail(site, "uses barrier %d; there are 0 to 15", id);
  uint32_t all = (block.threadCount + warpSize - 1) / warpSize * warpSize;
  if (threads && (threads < 0 || threads % static_cast<int32_t>(warpSize) ||
                  static_cast<uint32_t>(threads) > all))
    fail(site,
         "expects %d threads; the count must be a multiple of 32 up to "
         "the %u of the block",
         threads, all);
  uint32_t expected = threads ? threads : block.threadCount;
  NamedBarrier &barrier = block.barriers[id];
  if (barrier.arrived && barrier.expected != expected)
    fail(site, "barrier %d expects %u threads here and %u at %s", id, expected,
         barrier.expected, nameOf(barrier.site).c_str());
  if (!barrier.arrived) {
    barrier.clock.reset(block.components, block.base);
    barrier.votes = 0;
  }
  barrier.expected = expected;
  barrier.site = site;
  ++barrier.arrived;
  barrier.clock.join(self().clock);
  self().tick();
  return barrier;
}

static void completeNamed(NamedBarrier &barrier) {
  if (barrier.arrived < barrier.expected)
    return;
  for (uint32_t index : barrier.waiting) {
    launch.block.threads[index].clock.join(barrier.clock);
    wake(index);
  }
  barrier.waiting.clear();
  barrier.arrived = 0;
  ++barrier.generation;
}

int32_t attn_emu_barrier(const Site *site, int32_t id, int32_t threads,
                         int32_t reduction, int32_t predicate) {
  ++launch.statistics.instructions;
  NamedBarrier &barrier = arriveNamed(site, id, threads);
  Thread &thread = self();
  for (uint32_t index : barrier.waiting)
    if (index == thread.index)
      fail(site, "reaches barrier %d twice", id);
  barrier.votes += predicate != 0;
  uint64_t generation = barrier.generation;
  barrier.waiting.push_back(thread.index);
  bool last = barrier.arrived == barrier.expected;
  if (last) {
    barrier.result = reduction == 0   ? barrier.votes
                     : reduction == 1 ? barrier.votes == barrier.expected
                                      : barrier.votes != 0;
    completeNamed(barrier);
  }
  thread.waitFor[0] = static_cast<uint64_t>(id);
  while (barrier.generation == generation)
    wait(site, describeNamed);
  return static_cast<int32_t>(barrier.result);
}

void attn_emu_barrier_arrive(const Site *site, int32_t id, int32_t threads) {
  ++launch.statistics.instructions;
  completeNamed(arriveNamed(site, id, threads));
}

//===----------------------------------------------------------------------===//
// mbarrier
//===----------------------------------------------------------------------===//

MBarrier &attn::emu::barrierAt(const Site *site, uint64_t address) {
  Block &block = launch.block;
  auto found = block.mbarriers.find(address);
  if (found == block.mbarriers.end())
    fail(site,
         "uses shared address %llu as an mbarrier, but none was "
         "initialised there",
         (unsigned long long)address);
  return found->second;
}

/// The initialisation must have happened before this use.
static void checkVisible(const Site *site, MBarrier &barrier) {
  if (launch.options.unchecked)
    return;
  Thread &thread = self();
  if (thread.clock.known[barrier.initThread] < barrier.initTime &&
      barrier.initThread != thread.index)
    fail(site,
         "race: uses an mbarrier that thread %u initialised at %s, and "
         "nothing orders the two (a barrier is missing)",
         barrier.initThread, nameOf(barrier.site).c_str());
}

static void completePhase(MBarrier &barrier) {
  if (barrier.pending || barrier.bytes)
    return;
  barrier.pending = barrier.count;
  ++barrier.phase;
  barrier.completed.join(barrier.gathering);
  for (uint32_t index : barrier.waiting)
    wake(index);
  barrier.waiting.clear();
}

void attn::emu::completeBytes(MBarrier &barrier, int64_t bytes) {
  barrier.bytes -= bytes;
  completePhase(barrier);
}

void attn::emu::arriveAt(const Site *site, MBarrier &barrier, uint32_t count,
                         const Clock *clock) {
  if (count > barrier.pending) {
    std::string text =
        formatted("arrives %u times at an mbarrier that awaits %u more "
                  "arrivals in this phase (its count is %u)",
                  count, barrier.pending, barrier.count);
    if (launch.current)
      fail(site, "%s", text.c_str());
    launch.error = nameOf(site) + ": " + text;
    return;
  }
  if (clock)
    barrier.gathering.join(*clock);
  barrier.pending -= count;
  completePhase(barrier);
}

void attn_emu_mbarrier_init(const Site *site, void *pointer, int32_t count) {
  ++launch.statistics.instructions;
  uint64_t address = sharedAddress(pointer);
  Block &block = launch.block;
  if (address % 8 || !block.holds(address, 8))
    fail(site,
         "initialises an mbarrier at shared address %llu; it takes 8 "
         "aligned bytes inside the block's %llu",
         (unsigned long long)address, (unsigned long long)block.memory.size());
  if (count < 1 || count > (1 << 20) - 1)
    fail(site,
         "initialises an mbarrier with a count of %d; it must be 1 to "
         "1048575",
         count);
  for (uint64_t near = address - 7; near < address + 8; ++near)
    if (block.mbarriers.count(near))
      fail(site,
           "initialises an mbarrier at shared address %llu over a live "
           "one at %llu",
           (unsigned long long)address, (unsigned long long)near);
  block.shadow.write(site, address, 8);
  block.shadow.setBarrier(address, true);
  MBarrier &barrier = block.mbarriers[address];
  barrier.count = barrier.pending = static_cast<uint32_t>(count);
  barrier.agent =
      static_cast<uint32_t>(block.mbarriers.size() - 1) % agentCount;
  barrier.site = site;
  barrier.initThread = self().index;
  barrier.initTime = self().now();
  barrier.gathering.reset(block.components, block.base);
  barrier.completed.reset(block.components, block.base);
}

void attn_emu_mbarrier_inval(const Site *site, void *pointer) {
  ++launch.statistics.instructions;
  uint64_t address = sharedAddress(pointer);
  checkVisible(site, barrierAt(site, address));
  launch.block.mbarriers.erase(address);
  launch.block.shadow.setBarrier(address, false);
}

int64_t attn_emu_mbarrier_arrive(const Site *site, void *pointer, int32_t count,
                                 int32_t predicate, int32_t drop) {
  ++launch.statistics.instructions;
  if (!predicate)
    return 0;
  MBarrier &barrier = barrierAt(site, sharedAddress(pointer));
  checkVisible(site, barrier);
  auto state = static_cast<int64_t>(barrier.phase);
  if (drop)
    barrier.count -= static_cast<uint32_t>(count);
  Thread &thread = self();
  arriveAt(site, barrier, static_cast<uint32_t>(count), &thread.clock);
  thread.tick();
  return state;
}

int64_t attn_emu_mbarrier_expect(const Site *site, void *pointer, int32_t bytes,
                                 int32_t arrive) {
  ++launch.statistics.instructions;
  MBarrier &barrier = barrierAt(site, sharedAddress(pointer));
  checkVisible(site, barrier);
  auto state = static_cast<int64_t>(barrier.phase);
  barrier.bytes += bytes;
  if (arrive) {
    Thread &thread = self();
    arriveAt(site, barrier, 1, &thread.clock);
    thread.tick();
  }
  return state;
}

void attn_emu_mbarrier_complete(const Site *site, void *pointer,
                                int32_t bytes) {
  ++launch.statistics.instructions;
  completeBytes(barrierAt(site, sharedAddress(pointer)), bytes);
}

static std::string describeMBarrier(const Thread &thread) {
  auto found = launch.block.mbarriers.find(thread.waitFor[0]);
  if (found == launch.block.mbarriers.end())
    return "for an mbarrier that is gone";
  MBarrier &barrier = found->second;
  return formatted("for parity %llu of the mbarrier at shared address %llu "
                   "(initialised at %s), which is in phase %llu and awaits %u "
                   "of %u arrivals and %lld bytes",
                   (unsigned long long)thread.waitFor[1],
                   (unsigned long long)thread.waitFor[0],
                   nameOf(barrier.site).c_str(),
                   (unsigned long long)barrier.phase, barrier.pending,
                   barrier.count, (long long)barrier.bytes);
}

int32_t attn_emu_mbarrier_test(const Site *site, void *pointer, int64_t state,
                               int32_t parity, int32_t blocking) {
  ++launch.statistics.instructions;
  uint64_t address = sharedAddress(pointer);
  MBarrier &barrier = barrierAt(site, address);
  checkVisible(site, barrier);
  Thread &thread = self();
  if (parity && (state & ~int64_t(1)))
    fail(site, "waits for parity %lld of an mbarrier; it is 0 or 1",
         (long long)state);
  auto awaited = static_cast<uint64_t>(state) & 1;
  thread.waitFor[0] = address;
  thread.waitFor[1] = awaited;
  // Phase n is complete once the current phase is n + 1.
  auto isComplete = [&] { return (barrier.phase & 1) != awaited; };
  if (!isComplete() && !blocking && ++thread.polls < 100000) {
    yield(site);
    return 0;
  }
  // A poll without end waits like the others, so that deadlock is seen.
  while (!isComplete()) {
    barrier.waiting.push_back(thread.index);
    wait(site, describeMBarrier);
  }
  thread.polls = 0;
  thread.clock.join(barrier.completed);
  return 1;
}
