//===- Registers.cpp - Special registers and arithmetic -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calls.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace attn::emu;

int32_t attn_emu_sreg(int32_t which) {
  const Thread &thread = self();
  switch (which) {
  case 0:
  case 1:
  case 2:
    return static_cast<int32_t>(thread.at[which]);
  case 3:
  case 4:
  case 5:
    return static_cast<int32_t>(launch.threads[which - 3]);
  case 6:
  case 7:
  case 8:
    return static_cast<int32_t>(launch.block.at[which - 6]);
  case 9:
  case 10:
  case 11:
    return static_cast<int32_t>(launch.grid[which - 9]);
  case 12:
    return static_cast<int32_t>(thread.lane);
  case 13:
    return static_cast<int32_t>(thread.warp->index);
  case 14:
    return static_cast<int32_t>(launch.block.warpCount);
  case 15:
    return static_cast<int32_t>(warpSize);
  case 16: // lanemask eq, le, lt, ge, gt
    return static_cast<int32_t>(1u << thread.lane);
  case 17:
    return static_cast<int32_t>((2u << thread.lane) - 1);
  case 18:
    return static_cast<int32_t>((1u << thread.lane) - 1);
  case 19:
    return static_cast<int32_t>(~((1u << thread.lane) - 1));
  case 20:
    return static_cast<int32_t>(~((2u << thread.lane) - 1));
  case 21: // bytes of dynamic and of all shared memory
    return static_cast<int32_t>(launch.dynamicBytes);
  case 22:
    return static_cast<int32_t>(launch.block.memory.size());
  case 23: // multiprocessor and their number
    return 0;
  case 24:
    return 1;
  default: // ranks in a cluster of one block
    return which == 26;
  }
}

/// Subnormal numbers count as zero.
static float flush(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

float attn_emu_exp2(float x) { return flush(std::exp2(flush(x))); }
float attn_emu_log2(float x) { return std::log2(flush(x)); }
float attn_emu_tanh(float x) { return std::tanh(x); }
float attn_emu_rcp(float x) { return flush(1.0f / flush(x)); }

void attn_emu_setmaxreg(const Site *site, int32_t count, int32_t increase) {
  if (count < 24 || count > 256 || count % 8)
    fail(site, "sets %d registers; the count is a multiple of 8 from 24 to 256",
         count);
  meetAligned(site, &count, [](Warp &warp, Meeting &meeting) {
    warp.maxRegisters =
        static_cast<uint32_t>(*static_cast<int32_t *>(meeting.arguments[0]));
    // The register file of a multiprocessor.
    uint64_t sum = 0;
    for (const Warp &each : warp.block->warps)
      sum += each.maxRegisters * uint64_t(warpSize);
    if (sum > 65536)
      fail(meeting.site,
           "the warps of the block now ask for %llu registers; "
           "there are 65536",
           (unsigned long long)sum);
  });
}

void attn_emu_fence(const Site *) { ++launch.statistics.instructions; }

void attn_emu_fence_proxy(const Site *) {
  ++launch.statistics.instructions;
  Thread &thread = self();
  thread.clock.fence();
  thread.tick();
}

void attn_emu_nanosleep(const Site *site) { yield(site); }

int64_t attn_emu_clock(void) { return launch.statistics.instructions; }

void attn_emu_trap(const Site *site) { fail(site, "trap"); }

int32_t attn_emu_prmt(int32_t a, int32_t b, int32_t selector, int32_t mode) {
  uint8_t bytes[8], result[4];
  memcpy(bytes, &a, 4);
  memcpy(bytes + 4, &b, 4);
  auto sel = static_cast<uint32_t>(selector);
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t at = 0, s = sel & 3;
    switch (mode) {
    case 0: // the selector names each byte, and whether to spread its sign
      at = sel >> (4 * i) & 7;
      break;
    case 1: // f4e
      at = i + s;
      break;
    case 2: // b4e
      at = (8 + s - i) & 7;
      break;
    case 3: // rc8
      at = s;
      break;
    case 4: // ecl
      at = std::max(i, s);
      break;
    case 5: // ecr
      at = std::min(i, s);
      break;
    default: // rc16
      at = (s & 1) * 2 + (i & 1);
    }
    result[i] = bytes[at];
    if (mode == 0 && sel >> (4 * i) & 8)
      result[i] = result[i] & 0x80 ? 0xff : 0;
  }
  int32_t packed;
  memcpy(&packed, result, 4);
  return packed;
}
