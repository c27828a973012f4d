//===- Shadow.cpp - Races and uninitialised reads of shared memory --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Shadow.h"
#include "Machine.h"

#include <algorithm>

using namespace attn::emu;

void Shadow::reset(uint64_t bytes, uint32_t warpCount, uint32_t newBase) {
  uint64_t words = (bytes + 3) / 4;
  if (writeTime.size() != bytes || warps != warpCount) {
    warps = warpCount;
    writeTime.assign(bytes, 0);
    writer.assign(bytes, 0);
    writeSite.assign(bytes, 0);
    reads.assign(words * warps, {0, 0, 0, 0});
    lockSite.assign(bytes, 0);
  }
  // Older times count as never, so that the rest may stay.
  base = newBase;
  flags.assign(bytes, 0);
  locks.assign(bytes, 0);
}

void Shadow::checkPending(const Site *site, uint64_t i, bool writes) {
  if (flags[i] & InBarrier)
    fail(site, "%s shared byte %llu, which is part of an mbarrier",
         writes ? "writes" : "reads", (unsigned long long)(i + sharedStart));
  if (flags[i] & PendingWrite)
    fail(site,
         "%s shared byte %llu while an asynchronous copy by %s is about to "
         "write it; a wait is missing",
         writes ? "writes" : "reads", (unsigned long long)(i + sharedStart),
         nameOf(siteOf(writeSite[i])).c_str());
  if (writes && locks[i])
    fail(site,
         "writes shared byte %llu while %s still reads it; a wait is missing",
         (unsigned long long)(i + sharedStart),
         nameOf(siteOf(lockSite[i])).c_str());
}

/// The last write of byte `i` must have happened before.
void Shadow::checkOldWrite(const Site *site, uint64_t i, bool readsIt,
                           bool async) {
  if (writeTime[i] <= base) {
    if (readsIt)
      fail(site, "reads shared byte %llu, which nobody has written",
           (unsigned long long)(i + sharedStart));
    return;
  }
  Thread &thread = self();
  uint32_t who = writer[i];
  if (who != thread.index && thread.clock.known[who] < writeTime[i])
    fail(site,
         "race: %s shared byte %llu that %s wrote at %s, and nothing orders "
         "the two (a barrier is missing)",
         readsIt ? "reads" : "writes", (unsigned long long)(i + sharedStart),
         nameOfComponent(who).c_str(), nameOf(siteOf(writeSite[i])).c_str());
  if (async && !(flags[i] & AsyncWrite) &&
      thread.clock.fenced[who] < writeTime[i])
    fail(site,
         "%s shared byte %llu through the asynchronous proxy, but %s wrote it "
         "at %s as a generic access and there is no fence.proxy.async between",
         readsIt ? "reads" : "writes", (unsigned long long)(i + sharedStart),
         nameOfComponent(who).c_str(), nameOf(siteOf(writeSite[i])).c_str());
}

/// Bytes [first, end) are about to change: reads must have happened before.
void Shadow::checkOldReads(const Site *site, uint64_t first, uint64_t end) {
  Thread &thread = self();
  for (uint64_t word = first / 4; word * 4 < end; ++word) {
    uint8_t mask = 0;
    for (uint64_t b = 0; b < 4; ++b)
      if (word * 4 + b >= first && word * 4 + b < end)
        mask |= 1 << b;
    const Read *row = &reads[word * warps];
    for (uint32_t w = 0; w < warps; ++w) {
      if (row[w].time <= base || !(row[w].bytes & mask))
        continue;
      uint32_t who = row[w].lane == wholeWarp ? launch.block.warpComponent(w)
                                              : w * warpSize + row[w].lane;
      if (who != thread.index && thread.clock.known[who] < row[w].time)
        fail(site,
             "race: writes shared byte %llu that %s read at %s, and nothing "
             "orders the two (a barrier is missing)",
             (unsigned long long)(std::max(word * 4, first) + sharedStart),
             nameOfComponent(who).c_str(), nameOf(siteOf(row[w].site)).c_str());
    }
  }
}

void Shadow::recordRead(const Site *site, uint64_t first, uint64_t end,
                        uint32_t warp, uint8_t lane, uint32_t time) {
  auto number = static_cast<uint16_t>(numberOf(site));
  for (uint64_t word = first / 4; word * 4 < end; ++word) {
    uint8_t mask = 15;
    if (word * 4 < first || word * 4 + 4 > end) {
      mask = 0;
      for (uint64_t b = 0; b < 4; ++b)
        if (word * 4 + b >= first && word * 4 + b < end)
          mask |= 1 << b;
    }
    Read &read = reads[word * warps + warp];
    // Reads of other bytes by the same lane since its last release add up.
    if (read.time == time && read.lane == lane)
      mask |= read.bytes;
    read = {time, number, lane, mask};
  }
}

void Shadow::read(const Site *site, uint64_t address, uint64_t bytes) {
  uint64_t first = address - sharedStart, end = first + bytes;
  for (uint64_t i = first; i < end; ++i) {
    if (flags[i] & (InBarrier | PendingWrite))
      checkPending(site, i, false);
    if (!launch.options.unchecked)
      checkOldWrite(site, i, true, false);
  }
  Thread &thread = self();
  if (!launch.options.unchecked)
    recordRead(site, first, end, thread.warp->index,
               static_cast<uint8_t>(thread.lane), thread.now());
}

void Shadow::readByWarp(const Site *site, uint64_t address, uint64_t bytes) {
  uint64_t first = address - sharedStart, end = first + bytes;
  for (uint64_t i = first; i < end; ++i) {
    if (flags[i] & (InBarrier | PendingWrite))
      checkPending(site, i, false);
    if (!launch.options.unchecked)
      checkOldWrite(site, i, true, false);
  }
  Warp &warp = *self().warp;
  if (!launch.options.unchecked)
    recordRead(site, first, end, warp.index, wholeWarp, warp.time);
}

void Shadow::write(const Site *site, uint64_t address, uint64_t bytes) {
  uint64_t first = address - sharedStart, end = first + bytes;
  Thread &thread = self();
  auto number = static_cast<uint16_t>(numberOf(site));
  for (uint64_t i = first; i < end; ++i) {
    if (flags[i] & (InBarrier | PendingWrite) || locks[i])
      checkPending(site, i, true);
    if (!launch.options.unchecked)
      checkOldWrite(site, i, false, false);
  }
  if (!launch.options.unchecked)
    checkOldReads(site, first, end);
  for (uint64_t i = first; i < end; ++i) {
    writeTime[i] = thread.now();
    writer[i] = static_cast<uint16_t>(thread.index);
    writeSite[i] = number;
    flags[i] = 0;
  }
}

void Shadow::lock(const Site *site, uint64_t address, uint64_t bytes) {
  uint64_t first = address - sharedStart, end = first + bytes;
  auto number = static_cast<uint16_t>(numberOf(site));
  for (uint64_t i = first; i < end; ++i) {
    if (flags[i] & (InBarrier | PendingWrite))
      checkPending(site, i, false);
    if (!launch.options.unchecked)
      checkOldWrite(site, i, true, true);
    ++locks[i];
    lockSite[i] = number;
  }
}

void Shadow::unlock(const Site *site, uint64_t address, uint64_t bytes,
                    uint32_t warp, uint8_t lane, uint32_t time) {
  uint64_t first = address - sharedStart, end = first + bytes;
  for (uint64_t i = first; i < end; ++i)
    --locks[i];
  if (!launch.options.unchecked)
    recordRead(site, first, end, warp, lane, time);
}

void Shadow::expectWrite(const Site *site, uint64_t address, uint64_t bytes,
                         bool proxy) {
  uint64_t first = address - sharedStart, end = first + bytes;
  auto number = static_cast<uint16_t>(numberOf(site));
  for (uint64_t i = first; i < end; ++i) {
    if (flags[i] & (InBarrier | PendingWrite) || locks[i])
      checkPending(site, i, true);
    if (!launch.options.unchecked)
      checkOldWrite(site, i, false, proxy);
  }
  if (!launch.options.unchecked)
    checkOldReads(site, first, end);
  for (uint64_t i = first; i < end; ++i) {
    flags[i] |= PendingWrite;
    writeSite[i] = number;
  }
}

void Shadow::land(const Site *site, uint64_t address, uint64_t bytes,
                  uint32_t component, uint32_t time, bool proxy) {
  uint64_t first = address - sharedStart, end = first + bytes;
  for (uint64_t i = first; i < end; ++i) {
    writeTime[i] = time;
    writer[i] = static_cast<uint16_t>(component);
    writeSite[i] = static_cast<uint16_t>(numberOf(site));
    flags[i] = proxy ? AsyncWrite : 0;
  }
}

void Shadow::setBarrier(uint64_t address, bool on) {
  for (uint64_t i = address - sharedStart, end = i + 8; i < end; ++i)
    flags[i] = on ? InBarrier : 0;
}

void Shadow::touch(uint64_t address, uint64_t bytes) {
  uint64_t first = address - sharedStart;
  for (uint64_t i = first; i < first + bytes; ++i)
    if (writeTime[i] <= base) {
      writeTime[i] = base + 1;
      writer[i] = static_cast<uint16_t>(self().index);
    }
}
