//===- Async.cpp - cp.async, bulk copies, tensor copies -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A copy lands as late as the program allows: one with groups at the wait that
// covers it, one that completes on an mbarrier once no thread can go on (or
// at random). Until then its destination may not be touched.
//
//===----------------------------------------------------------------------===//
#include "Calls.h"
#include "TensorMap.h"

#include <cstring>

using namespace attn::emu;

//===----------------------------------------------------------------------===//
// cp.async
//===----------------------------------------------------------------------===//

void attn_emu_cp_async(const Site *site, void *to, void *from, int32_t bytes,
                       int32_t fromBytes) {
  Launch &l = launch;
  ++l.statistics.instructions;
  uint64_t address = sharedAddress(to);
  auto size = static_cast<uint32_t>(bytes);
  if (fromBytes < 0 || fromBytes > bytes)
    fail(site, "copies %d bytes of %d", fromBytes, bytes);
  if (address % size)
    fail(site,
         "misaligned: copies %d bytes to shared address %llu, which is "
         "not a multiple of %d",
         bytes, (unsigned long long)address, bytes);
  if (reinterpret_cast<uintptr_t>(from) % size && fromBytes)
    fail(site,
         "misaligned: copies %d bytes from global address %p, which is "
         "not a multiple of %d",
         bytes, from, bytes);
  if (!l.block.holds(address, size))
    fail(site,
         "copies %d bytes to shared address %llu, out of bounds: the "
         "block's memory ends at %llu",
         bytes, (unsigned long long)address,
         (unsigned long long)(sharedStart + l.block.memory.size()));
  if (fromBytes) {
    checkGlobal(site, from, static_cast<uint64_t>(fromBytes), false);
    if (l.options.statistics)
      countAccess(site, reinterpret_cast<uint64_t>(from),
                  static_cast<uint32_t>(fromBytes), false);
  }
  l.block.shadow.expectWrite(site, address, size, false);
  ++l.statistics.async_copies;
  l.statistics.async_bytes += bytes;
  Thread &thread = self();
  thread.copies.push_back({site, address, static_cast<char *>(from), size,
                           static_cast<uint32_t>(fromBytes), false, 0});
}

void attn::emu::landSmall(Thread &thread, SmallCopy &copy, uint32_t component,
                          uint32_t time) {
  Block &block = launch.block;
  char *to = block.sharedByte(copy.to);
  memcpy(to, copy.from, copy.fromBytes);
  memset(to + copy.fromBytes, 0, copy.bytes - copy.fromBytes);
  block.shadow.land(copy.site, copy.to, copy.bytes, component, time, false);
}

void attn_emu_cp_async_commit(const Site *) {
  ++launch.statistics.instructions;
  Thread &thread = self();
  for (SmallCopy &copy : thread.copies)
    if (!copy.committed) {
      copy.committed = true;
      copy.group = thread.copyGroups;
    }
  ++thread.copyGroups;
}

void attn_emu_cp_async_wait(const Site *, int32_t pending) {
  ++launch.statistics.instructions;
  Thread &thread = self();
  std::vector<SmallCopy> rest;
  for (SmallCopy &copy : thread.copies) {
    // A negative count waits for all, committed or not.
    bool done = pending < 0 ||
                (copy.committed && copy.group + static_cast<uint64_t>(pending) <
                                       thread.copyGroups);
    if (done)
      landSmall(thread, copy, thread.index, thread.now());
    else
      rest.push_back(copy);
  }
  thread.copies = std::move(rest);
}

namespace {
/// Arrivals that copies of a thread will make.
struct LateArrival {
  const Site *site;
  uint32_t thread;
  uint64_t barrier;
  bool increment;
  std::vector<SmallCopy> copies;
  Clock clock;
};
std::vector<LateArrival> lateArrivals;
} // namespace

void attn::emu::forgetAsync() { lateArrivals.clear(); }

void attn_emu_cp_async_arrive(const Site *site, void *pointer,
                              int32_t noIncrement) {
  ++launch.statistics.instructions;
  uint64_t address = sharedAddress(pointer);
  MBarrier &barrier = barrierAt(site, address);
  Thread &thread = self();
  if (!noIncrement)
    ++barrier.pending;
  lateArrivals.push_back({site, thread.index, address, !noIncrement,
                          std::move(thread.copies), thread.clock});
  thread.copies.clear();
}

static bool landLate(size_t pick) {
  LateArrival late = std::move(lateArrivals[pick]);
  lateArrivals.erase(lateArrivals.begin() + static_cast<ptrdiff_t>(pick));
  Block &block = launch.block;
  auto found = block.mbarriers.find(late.barrier);
  if (found == block.mbarriers.end()) {
    launch.error = nameOf(late.site) + ": the mbarrier is gone before the "
                                       "copies are done";
    return false;
  }
  MBarrier &barrier = found->second;
  uint32_t component = block.agentComponent(barrier.agent);
  uint32_t time = ++block.agentTimes[barrier.agent];
  Thread &thread = block.threads[late.thread];
  for (SmallCopy &copy : late.copies)
    landSmall(thread, copy, component, time);
  barrier.gathering.known[component] = time;
  arriveAt(late.site, barrier, 1, nullptr);
  return true;
}

//===----------------------------------------------------------------------===//
// Bulk copies
//===----------------------------------------------------------------------===//

/// Calls `visit(offset in the box, address or null, bytes)` for each row.
template <typename Visit>
static void forRows(const BulkCopy &copy, Visit visit) {
  TensorMap map;
  memcpy(&map, copy.map, sizeof map);
  auto inner = static_cast<uint64_t>(map.box[0]) * map.elementBytes;
  uint64_t rows = map.boxBytes() / inner;
  for (uint64_t row = 0; row < rows; ++row) {
    uint64_t rest = row;
    bool inside = true;
    char *address = map.address;
    for (int32_t i = 1; i < map.rank; ++i) {
      int64_t at = copy.at[i] + static_cast<int64_t>(rest % map.box[i]);
      rest /= static_cast<uint64_t>(map.box[i]);
      inside &= at >= 0 && at < map.sizes[i];
      address += at * map.strides[i - 1];
    }
    // Elements [low, high) of the row lie inside the tensor.
    int64_t low = std::max<int64_t>(0, -int64_t(copy.at[0]));
    int64_t high = std::min<int64_t>(map.box[0], map.sizes[0] - copy.at[0]);
    if (!inside || low >= high)
      low = high = 0;
    visit(row * inner, inner, address + (copy.at[0] + low) * map.elementBytes,
          static_cast<uint64_t>(low) * map.elementBytes,
          static_cast<uint64_t>(high) * map.elementBytes);
  }
}

static int32_t swizzleOf(const BulkCopy &copy) {
  TensorMap map;
  memcpy(&map, copy.map, sizeof map);
  return map.swizzle;
}

static uint64_t bytesOf(const BulkCopy &copy) {
  if (copy.plain)
    return copy.plainBytes;
  TensorMap map;
  memcpy(&map, copy.map, sizeof map);
  return map.boxBytes();
}

/// The shared place of byte `offset` of the copy.
static char *sharedPlace(const BulkCopy &copy, uint64_t offset,
                         int32_t swizzle) {
  return launch.block.sharedByte(swizzled(copy.shared + offset, swizzle));
}

static void moveLoad(const BulkCopy &copy) {
  if (copy.plain)
    return void(memcpy(launch.block.sharedByte(copy.shared), copy.plain,
                       copy.plainBytes));
  int32_t swizzle = swizzleOf(copy);
  forRows(copy, [&](uint64_t offset, uint64_t inner, const char *from,
                    uint64_t low, uint64_t high) {
    for (uint64_t i = 0; i < inner; ++i)
      *sharedPlace(copy, offset + i, swizzle) =
          i >= low && i < high ? from[i - low] : 0;
  });
}

static void moveStore(const BulkCopy &copy) {
  if (copy.plain)
    return void(memcpy(copy.plain, launch.block.sharedByte(copy.shared),
                       copy.plainBytes));
  int32_t swizzle = swizzleOf(copy);
  forRows(copy, [&](uint64_t offset, uint64_t, char *to, uint64_t low,
                    uint64_t high) {
    for (uint64_t i = low; i < high; ++i)
      to[i - low] = *sharedPlace(copy, offset + i, swizzle);
  });
}

static BulkCopy tensorCopy(const Site *site, void *shared, const void *map,
                           int32_t rank, const int32_t *at) {
  BulkCopy copy = {};
  copy.site = site;
  copy.thread = self().index;
  copy.shared = sharedAddress(shared);
  TensorMap decoded;
  memcpy(&decoded, map, sizeof decoded);
  if (decoded.magic != TensorMap::mark)
    fail(site, "the tensor map is not one");
  if (decoded.rank != rank)
    fail(site, "takes %d coordinates, but the tensor map has rank %d", rank,
         decoded.rank);
  memcpy(copy.map, map, 128);
  memcpy(copy.at, at, static_cast<size_t>(rank) * sizeof(int32_t));
  int64_t inner = int64_t(decoded.box[0]) * decoded.elementBytes;
  if (decoded.swizzle && inner != decoded.swizzle)
    fail(site,
         "rows of the box have %lld bytes; with a swizzle of %d bytes "
         "the emulator takes rows of just that",
         (long long)inner, decoded.swizzle);
  return copy;
}

static void checkBulk(const Site *site, const BulkCopy &copy,
                      uint64_t alignment) {
  uint64_t bytes = bytesOf(copy);
  Block &block = launch.block;
  if (copy.shared % alignment)
    fail(site, "misaligned: shared address %llu is not a multiple of %llu",
         (unsigned long long)copy.shared, (unsigned long long)alignment);
  if (copy.plain &&
      (bytes % 16 || reinterpret_cast<uintptr_t>(copy.plain) % 16))
    fail(site,
         "misaligned: copies %llu bytes at global address %p; both must "
         "be multiples of 16",
         (unsigned long long)bytes, copy.plain);
  if (!block.holds(copy.shared, bytes))
    fail(site,
         "copies %llu bytes at shared address %llu, out of bounds: the "
         "block's memory ends at %llu",
         (unsigned long long)bytes, (unsigned long long)copy.shared,
         (unsigned long long)(sharedStart + block.memory.size()));
  if (copy.plain)
    checkGlobal(site, copy.plain, bytes, !copy.toShared);
  else
    forRows(copy, [&](uint64_t, uint64_t, char *address, uint64_t low,
                      uint64_t high) {
      if (low < high)
        checkGlobal(site, address, high - low, !copy.toShared);
    });
  ++launch.statistics.instructions;
  ++launch.statistics.async_copies;
  launch.statistics.async_bytes += static_cast<int64_t>(bytes);
}

static void startLoad(const Site *site, BulkCopy copy, void *barrier,
                      uint64_t alignment) {
  copy.toShared = true;
  copy.barrier = sharedAddress(barrier);
  checkBulk(site, copy, alignment);
  MBarrier &object = barrierAt(site, copy.barrier);
  Thread &thread = self();
  if (!launch.options.unchecked &&
      thread.clock.fenced[object.initThread] < object.initTime)
    fail(site, "completes on an mbarrier whose initialisation is not visible "
               "to the asynchronous proxy; fence.mbarrier_init or a proxy "
               "fence and a barrier are missing");
  launch.block.shadow.expectWrite(site, copy.shared, bytesOf(copy), true);
  launch.block.bulk.push_back(copy);
}

static void startStore(const Site *site, BulkCopy copy, uint64_t alignment) {
  checkBulk(site, copy, alignment);
  launch.block.shadow.lock(site, copy.shared, bytesOf(copy));
  launch.block.bulk.push_back(copy);
}

void attn_emu_tma_load(const Site *site, void *to, const void *map,
                       void *barrier, int32_t rank, const int32_t *at) {
  startLoad(site, tensorCopy(site, to, map, rank, at), barrier, 128);
}

void attn_emu_tma_store(const Site *site, const void *map, void *from,
                        int32_t rank, const int32_t *at) {
  startStore(site, tensorCopy(site, from, map, rank, at), 128);
}

static BulkCopy plainCopy(const Site *site, void *shared, void *global,
                          int32_t bytes) {
  BulkCopy copy = {};
  copy.site = site;
  copy.thread = self().index;
  copy.shared = sharedAddress(shared);
  copy.plain = static_cast<char *>(global);
  copy.plainBytes = static_cast<uint32_t>(bytes);
  return copy;
}

void attn_emu_bulk_load(const Site *site, void *to, void *from, int32_t bytes,
                        void *barrier) {
  startLoad(site, plainCopy(site, to, from, bytes), barrier, 16);
}

void attn_emu_bulk_store(const Site *site, void *to, void *from,
                         int32_t bytes) {
  startStore(site, plainCopy(site, from, to, bytes), 16);
}

void attn_emu_bulk_commit(const Site *) {
  ++launch.statistics.instructions;
  Thread &thread = self();
  for (BulkCopy &copy : launch.block.bulk)
    if (!copy.toShared && copy.thread == thread.index && !copy.committed) {
      copy.committed = true;
      copy.group = thread.bulkGroups;
    }
  ++thread.bulkGroups;
}

void attn_emu_bulk_wait(const Site *, int32_t pending) {
  ++launch.statistics.instructions;
  Thread &thread = self();
  Block &block = launch.block;
  std::vector<BulkCopy> rest;
  for (BulkCopy &copy : block.bulk) {
    if (copy.toShared || copy.thread != thread.index || !copy.committed ||
        copy.group + static_cast<uint64_t>(pending) >= thread.bulkGroups) {
      rest.push_back(copy);
      continue;
    }
    moveStore(copy);
    block.shadow.unlock(copy.site, copy.shared, bytesOf(copy),
                        thread.warp->index, static_cast<uint8_t>(thread.lane),
                        thread.now());
  }
  block.bulk = std::move(rest);
}

bool attn::emu::landOne() {
  Block &block = launch.block;
  std::vector<size_t> loads;
  for (size_t i = 0; i < block.bulk.size(); ++i)
    if (block.bulk[i].toShared)
      loads.push_back(i);
  size_t count = loads.size() + lateArrivals.size();
  if (!count)
    return false;
  // The latest first is the order a program is least prepared for.
  size_t pick = launch.options.seed ? launch.random() % count : count - 1;
  if (pick >= loads.size())
    return landLate(pick - loads.size());
  BulkCopy copy = block.bulk[loads[pick]];
  block.bulk.erase(block.bulk.begin() + static_cast<ptrdiff_t>(loads[pick]));
  auto found = block.mbarriers.find(copy.barrier);
  if (found == block.mbarriers.end()) {
    launch.error =
        nameOf(copy.site) + ": the mbarrier is gone before the copy is done";
    return false;
  }
  MBarrier &barrier = found->second;
  moveLoad(copy);
  uint32_t component = block.agentComponent(barrier.agent);
  uint32_t time = ++block.agentTimes[barrier.agent];
  block.shadow.land(copy.site, copy.shared, bytesOf(copy), component, time,
                    true);
  barrier.gathering.known[component] = time;
  barrier.gathering.fenced[component] = time;
  completeBytes(barrier, static_cast<int64_t>(bytesOf(copy)));
  return true;
}

void attn::emu::checkExit(Thread &thread) {
  for (BulkCopy &copy : launch.block.bulk)
    if (!copy.toShared && copy.thread == thread.index)
      fail(copy.site, "the thread returns while this copy may still read "
                      "shared memory; cp.async.bulk.wait_group is missing");
}
