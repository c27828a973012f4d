//===- Machine.h - State of an emulated block -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_EMULATOR_MACHINE_H
#define ATTN_LIB_EMULATOR_MACHINE_H

#include "Clock.h"
#include "Shadow.h"
#include "attn/Emulator/attn_emulator.h"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace attn::emu {

/// The pass emits one for each operation that calls the emulator.
struct Site {
  const char *operation;
  const char *location;
  /// Number in the table of this process, 0 before the first use.
  int32_t number;
};

inline constexpr uint32_t warpSize = 32;
/// Shared memory starts here, so that no variable has the address 0.
inline constexpr uint64_t sharedStart = 1024;
/// Generic addresses of shared memory; no address of the host is like this.
inline constexpr uint64_t sharedWindow = uint64_t(1) << 56;
/// Asynchronous agents with clocks of their own; mbarriers share them.
inline constexpr uint32_t agentCount = 64;

struct Block;
struct Warp;

enum class State { Ready, Waiting, Done };

/// A copy that a thread started with cp.async.
struct SmallCopy {
  const Site *site;
  uint64_t to;
  const char *from;
  uint32_t bytes;
  uint32_t fromBytes;
  bool committed;
  uint64_t group;
};

/// A copy by the tensor memory access unit.
struct BulkCopy {
  const Site *site;
  uint32_t thread;
  bool toShared;
  uint64_t shared;
  /// Null for a tensor, else the global side of a plain copy.
  char *plain;
  uint64_t plainBytes;
  /// Tensor copies.
  alignas(64) char map[128];
  int32_t at[5];
  uint64_t barrier;
  /// Groups of stores.
  bool committed;
  uint64_t group;
};

struct Thread {
  void *context = nullptr;
  char *stack = nullptr;
  uint32_t index, lane;
  uint32_t at[3];
  Warp *warp;
  State state;
  /// The instruction it stands at, and why it waits.
  const Site *site;
  std::string (*describe)(const Thread &);
  uint64_t waitFor[3];
  Clock clock;
  std::vector<SmallCopy> copies;
  uint64_t copyGroups, bulkGroups;
  /// Fruitless polls of mbarriers since the last progress.
  uint64_t polls;

  uint32_t now() const { return clock.known.empty() ? 0 : clock.known[index]; }
  void tick() {
    if (!clock.known.empty())
      ++clock.known[index];
  }
  void learn(uint32_t component, uint32_t time) {
    if (!clock.known.empty())
      clock.known[component] = time;
  }
};

/// A meeting of lanes of a warp at one instruction.
struct Meeting {
  const Site *site = nullptr;
  uint32_t expected = 0, arrived = 0;
  void *arguments[warpSize];
};

/// The tile of a wgmma accumulator: in flight, or done and not yet handed out.
struct Chain {
  uint32_t token;
  uint32_t columns;
  uint32_t unfinished = 0;
  /// Lanes that have their values.
  uint32_t taken = 0;
  const Site *site;
  /// Lane by lane.
  std::vector<float> values;
};

struct MatrixOperand {
  uint64_t descriptor;
  /// A in registers, lane by lane.
  std::vector<uint32_t> registers;
  bool transposed;
};

/// One wgmma as its warp issued it.
struct MatrixOp {
  const Site *site;
  uint32_t token;
  int32_t type;
  uint32_t columns, depth;
  MatrixOperand a, b;
  bool committed;
  uint64_t group;
};

struct Warp {
  Block *block;
  uint32_t index, lanes;
  /// Lanes that have returned.
  uint32_t done;
  Meeting meetings[4];
  /// Time of this warp's component.
  uint32_t time;
  // wgmma.
  std::vector<MatrixOp> matrixOps;
  std::vector<Chain> chains;
  uint64_t groups;
  bool fenced;
  uint64_t matrixCount;
  uint32_t maxRegisters;

  Thread *thread(uint32_t lane) const;
};

struct NamedBarrier {
  uint32_t expected = 0, arrived = 0;
  const Site *site = nullptr;
  std::vector<uint32_t> waiting;
  Clock clock;
  uint64_t generation = 0;
  /// Reductions: true votes, and the last result.
  uint32_t votes = 0, result = 0;
};

struct MBarrier {
  uint32_t count = 0, pending = 0;
  int64_t bytes = 0;
  uint64_t phase = 0;
  uint32_t agent = 0;
  uint32_t agentTime = 0;
  uint32_t initThread = 0, initTime = 0;
  const Site *site = nullptr;
  /// What arrivals of the current phase released, and of completed phases.
  Clock gathering, completed;
  std::vector<uint32_t> waiting;
};

struct Block {
  uint32_t at[3];
  uint32_t threadCount, warpCount, components;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<char> memory;
  Shadow shadow;
  std::array<NamedBarrier, 16> barriers;
  std::map<uint64_t, MBarrier> mbarriers;
  std::vector<BulkCopy> bulk;
  /// Sequence of wgmma of each warpgroup, to compare its warps.
  std::map<uint32_t, std::vector<std::pair<const Site *, uint32_t>>> sequences;
  std::deque<uint32_t> ready;
  uint32_t base;
  uint32_t agentTimes[agentCount];
  uint32_t live;

  uint32_t warpComponent(uint32_t warp) const { return threadCount + warp; }
  uint32_t agentComponent(uint32_t agent) const {
    return threadCount + warpCount + agent;
  }
  char *sharedByte(uint64_t address) {
    return memory.data() + (address - sharedStart);
  }
  bool holds(uint64_t address, uint64_t bytes) const {
    return address >= sharedStart && bytes <= memory.size() &&
           address - sharedStart <= memory.size() - bytes;
  }
};

/// The launch in progress.
struct Launch {
  attn_emu_options options;
  attn_emu_statistics statistics;
  const attn_emu_kernel *kernel = nullptr;
  uint32_t grid[3], threads[3];
  uint64_t dynamicBytes;
  void **params;
  /// Position of the block in the grid.
  uint32_t blockNumber;
  Block block;
  Thread *current = nullptr;
  std::string error;
  std::mt19937_64 random;

  bool randomly(uint32_t oneIn) {
    return options.seed && random() % oneIn == 0;
  }
};

extern Launch launch;

inline Thread &self() { return *launch.current; }

// Scheduler.cpp.
/// Runs all threads of the block that 'launch' describes.
void runBlock();
/// Suspends the current thread until wake(); `describe` says why.
void wait(const Site *site, std::string (*describe)(const Thread &));
void wake(uint32_t thread);
/// Lets others run, and comes back.
void yield(const Site *site);
/// Reports an error of the current thread; does not return.
[[noreturn]] __attribute__((format(printf, 2, 3))) void
fail(const Site *site, const char *format, ...);
/// An error without a thread, from the scheduler.
[[noreturn]] void failBlock(const std::string &text);
std::string formatted(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
std::string nameOf(const Site *site);
int32_t numberOf(const Site *site);
const Site *siteOf(int32_t number);
void forgetSites();
/// "thread 5" or "warp 1" or "an asynchronous copy".
std::string nameOfComponent(uint32_t component);

// Collective.cpp.
/// Brings the lanes of `mask` together; the last one runs
/// `act(warp, arguments by lane, context)`, then all go on.
void meet(const Site *site, uint32_t mask, void *arguments,
          void (*act)(Warp &, Meeting &));
/// All lanes of the warp, as '.aligned' instructions want it.
void meetAligned(const Site *site, void *arguments,
                 void (*act)(Warp &, Meeting &));

// Memory.cpp.
/// Checks an access to global memory.
void checkGlobal(const Site *site, const void *address, uint64_t bytes,
                 bool write, bool atomic = false);
/// A new launch: what blocks of earlier ones did is in order.
void startMarks();
/// The offset of a shared address, which may be a generic one.
uint64_t sharedAddress(const void *pointer);
bool isSharedWindow(const void *pointer);

// Async.cpp.
/// Finishes one pending asynchronous operation; false if there is none.
bool landOne();
/// Errors of a thread that returns too early.
void checkExit(Thread &thread);
void forgetAsync();
void landSmall(Thread &thread, SmallCopy &copy, uint32_t component,
               uint32_t time);

// Barrier.cpp.
/// Barrier `address`, which the current thread uses.
MBarrier &barrierAt(const Site *site, uint64_t address);
void completeBytes(MBarrier &barrier, int64_t bytes);
void arriveAt(const Site *site, MBarrier &barrier, uint32_t count,
              const Clock *clock);

// Wgmma.cpp.
void checkWarpExit(Warp &warp);

// Statistics.cpp.
void countAccess(const Site *site, uint64_t address, uint32_t bytes,
                 bool shared);
void countShared(const uint64_t *rows, uint32_t count);
void finishCounts();

} // namespace attn::emu

#endif // ATTN_LIB_EMULATOR_MACHINE_H
