//===- Shadow.h - What is known of each byte of shared memory ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_EMULATOR_SHADOW_H
#define ATTN_LIB_EMULATOR_SHADOW_H

#include <cstdint>
#include <vector>

namespace attn::emu {

struct Site;
struct Thread;

enum ByteFlags : uint8_t {
  /// An asynchronous copy will write it.
  PendingWrite = 1,
  /// Part of an mbarrier object.
  InBarrier = 2,
  /// The last write came through the asynchronous proxy.
  AsyncWrite = 4,
};

class Shadow {
public:
  /// Forgets everything. Times up to `base` are of the past.
  void reset(uint64_t bytes, uint32_t warps, uint32_t base);

  /// A generic access of the current thread, with all checks.
  void read(const Site *site, uint64_t address, uint64_t bytes);
  void write(const Site *site, uint64_t address, uint64_t bytes);
  /// A read that the warp of the current thread makes as a whole.
  void readByWarp(const Site *site, uint64_t address, uint64_t bytes);

  /// Before an asynchronous read by the current thread's warp: what it reads
  /// must be there and visible, and nobody may change it until the release.
  void lock(const Site *site, uint64_t address, uint64_t bytes);
  /// The end of that read: leaves a read by `component` at `time`.
  void unlock(const Site *site, uint64_t address, uint64_t bytes, uint32_t warp,
              uint8_t lane, uint32_t time);

  /// Before an asynchronous write by the current thread; `proxy` says that it
  /// goes through the asynchronous proxy.
  void expectWrite(const Site *site, uint64_t address, uint64_t bytes,
                   bool proxy);
  /// The end of that write, which leaves a write by `component` at `time`.
  void land(const Site *site, uint64_t address, uint64_t bytes,
            uint32_t component, uint32_t time, bool proxy);

  void setBarrier(uint64_t address, bool on);
  /// Atomic accesses order nothing and race with nothing.
  void touch(uint64_t address, uint64_t bytes);

  static constexpr uint8_t wholeWarp = 0xff;

private:
  struct Read {
    uint32_t time;
    uint16_t site;
    uint8_t lane;
    uint8_t bytes;
  };

  void checkOldWrite(const Site *site, uint64_t i, bool reads, bool async);
  void checkOldReads(const Site *site, uint64_t first, uint64_t end);
  void checkPending(const Site *site, uint64_t i, bool writes);
  void recordRead(const Site *site, uint64_t first, uint64_t end, uint32_t warp,
                  uint8_t lane, uint32_t time);

  uint32_t warps = 0;
  uint32_t base = 0;
  std::vector<uint32_t> writeTime;
  std::vector<uint16_t> writer;
  std::vector<uint16_t> writeSite;
  std::vector<uint8_t> flags;
  std::vector<uint8_t> locks;
  /// For each word of four bytes, the last read of each warp.
  std::vector<Read> reads;
  std::vector<uint16_t> lockSite;
};

} // namespace attn::emu

#endif // ATTN_LIB_EMULATOR_SHADOW_H
