//===- Matrix.cpp - ldmatrix, stmatrix, mma.sync --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calls.h"
#include "Half.h"

#include <cstring>

using namespace attn::emu;

namespace {
struct MoveArguments {
  uint64_t address;
  int32_t count, transposed;
  int32_t *result;
  const int32_t *source;
};

struct MmaArguments {
  int32_t k, type, accumulator;
  const int32_t *a, *b, *c;
  int32_t *d;
};

/// The address of each row, checked; lane 8 m + r names row r of matrix m.
void checkRows(Warp &, Meeting &meeting, uint64_t *rows) {
  auto &first = *static_cast<MoveArguments *>(meeting.arguments[0]);
  Block &block = launch.block;
  for (int32_t lane = 0; lane < 8 * first.count; ++lane) {
    rows[lane] = static_cast<MoveArguments *>(meeting.arguments[lane])->address;
    if (rows[lane] % 16)
      fail(meeting.site,
           "misaligned: lane %d names a row at shared address "
           "%llu, which is not a multiple of 16",
           lane, (unsigned long long)rows[lane]);
    if (!block.holds(rows[lane], 16))
      fail(meeting.site,
           "lane %d names a row at shared address %llu, out of "
           "bounds: the block's memory ends at %llu",
           lane, (unsigned long long)rows[lane],
           (unsigned long long)(sharedStart + block.memory.size()));
  }
  if (launch.options.statistics)
    countShared(rows, static_cast<uint32_t>(8 * first.count));
}

void loadMatrices(Warp &warp, Meeting &meeting) {
  uint64_t rows[warpSize];
  checkRows(warp, meeting, rows);
  Block &block = launch.block;
  auto &first = *static_cast<MoveArguments *>(meeting.arguments[0]);
  // One more tick, which all lanes know of.
  ++warp.time;
  for (uint32_t lane = 0; lane < warpSize; ++lane)
    warp.thread(lane)->learn(block.warpComponent(warp.index), warp.time);
  // Each row must be visible to all lanes; the lane that names it stands for
  // them, so that every lane has its turn.
  Thread *last = launch.current;
  for (int32_t i = 0; i < 8 * first.count; ++i) {
    launch.current = warp.thread(static_cast<uint32_t>(i));
    block.shadow.readByWarp(meeting.site, rows[i], 16);
  }
  launch.current = last;
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    auto &mine = *static_cast<MoveArguments *>(meeting.arguments[lane]);
    for (int32_t m = 0; m < mine.count; ++m) {
      uint16_t pair[2];
      for (uint32_t h = 0; h < 2; ++h) {
        uint32_t row = lane / 4, column = 2 * (lane % 4) + h;
        if (mine.transposed)
          std::swap(row, column);
        memcpy(&pair[h], block.sharedByte(rows[8 * m + row]) + 2 * column, 2);
      }
      memcpy(&mine.result[m], pair, 4);
    }
  }
}

void storeMatrices(Warp &warp, Meeting &meeting) {
  uint64_t rows[warpSize];
  checkRows(warp, meeting, rows);
  Block &block = launch.block;
  auto &first = *static_cast<MoveArguments *>(meeting.arguments[0]);
  Thread *last = launch.current;
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    auto &mine = *static_cast<MoveArguments *>(meeting.arguments[lane]);
    // Each lane writes the elements it holds.
    launch.current = warp.thread(lane);
    for (int32_t m = 0; m < first.count; ++m) {
      uint16_t pair[2];
      memcpy(pair, &mine.source[m], 4);
      for (uint32_t h = 0; h < 2; ++h) {
        uint32_t row = lane / 4, column = 2 * (lane % 4) + h;
        if (mine.transposed)
          std::swap(row, column);
        uint64_t address = rows[8 * m + row] + 2 * column;
        block.shadow.write(meeting.site, address, 2);
        memcpy(block.sharedByte(address), &pair[h], 2);
      }
    }
  }
  launch.current = last;
}

/// D = A B + C for a 16 x 8 tile; sums in double, rounded once.
void multiply(Warp &, Meeting &meeting) {
  auto &first = *static_cast<MmaArguments *>(meeting.arguments[0]);
  bool tf32 = first.type == TF32;
  uint32_t k = static_cast<uint32_t>(first.k);
  float a[16][16], b[16][8];
  // Register r of A: rows + 8 (r odd), the second half of K (r / 2 odd).
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    auto &mine = *static_cast<MmaArguments *>(meeting.arguments[lane]);
    uint32_t row = lane / 4, part = lane % 4;
    uint32_t perRegister = tf32 ? 1 : 2, step = 4 * perRegister;
    for (uint32_t r = 0; r < 2 * k / step; ++r)
      for (uint32_t h = 0; h < perRegister; ++h)
        a[row + 8 * (r & 1)][perRegister * part + h + step * (r >> 1)] =
            elementOf(static_cast<uint32_t>(mine.a[r]), h, first.type);
    for (uint32_t r = 0; r < k / step; ++r)
      for (uint32_t h = 0; h < perRegister; ++h)
        b[perRegister * part + h + step * r][row] =
            elementOf(static_cast<uint32_t>(mine.b[r]), h, first.type);
  }
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    auto &mine = *static_cast<MmaArguments *>(meeting.arguments[lane]);
    float sums[4];
    for (uint32_t i = 0; i < 4; ++i) {
      uint32_t row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      double sum =
          first.accumulator
              ? std::bit_cast<float>(mine.c[i])
              : elementOf(static_cast<uint32_t>(mine.c[i / 2]), i % 2, F16);
      for (uint32_t j = 0; j < k; ++j)
        sum += double(a[row][j]) * double(b[j][column]);
      sums[i] = static_cast<float>(sum);
    }
    if (first.accumulator) {
      memcpy(mine.d, sums, sizeof sums);
    } else {
      for (uint32_t i = 0; i < 2; ++i)
        mine.d[i] = toHalf(sums[2 * i]) | toHalf(sums[2 * i + 1]) << 16;
    }
  }
  ++launch.statistics.mma;
}
} // namespace

void attn_emu_ldmatrix(const Site *site, void *pointer, int32_t count,
                       int32_t transposed, int32_t *result) {
  MoveArguments arguments = {sharedAddress(pointer), count, transposed, result,
                             nullptr};
  meetAligned(site, &arguments, loadMatrices);
}

void attn_emu_stmatrix(const Site *site, void *pointer, int32_t count,
                       int32_t transposed, const int32_t *source) {
  MoveArguments arguments = {sharedAddress(pointer), count, transposed, nullptr,
                             source};
  meetAligned(site, &arguments, storeMatrices);
}

void attn_emu_mma(const Site *site, int32_t k, int32_t type,
                  int32_t accumulator, const int32_t *a, const int32_t *b,
                  const int32_t *c, int32_t *d) {
  MmaArguments arguments = {k, type, accumulator, a, b, c, d};
  meetAligned(site, &arguments, multiply);
}
