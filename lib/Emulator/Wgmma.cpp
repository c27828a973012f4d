//===- Wgmma.cpp - Asynchronous matrix products of a warpgroup ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each warp of the group computes its 16 rows, at the wait that covers the
// operation. Until then the lanes hold NaNs that name the accumulator, and
// the operands in shared memory are locked.
//
//===----------------------------------------------------------------------===//
#include "Calls.h"
#include "Half.h"
#include "TensorMap.h"

#include <cstring>

using namespace attn::emu;

namespace {

// Signalling NaNs with a number of 21 bits; arithmetic makes them quiet.
constexpr uint32_t tokenMark = 0x7fa00000, tokenMask = 0xffe00000;
// What arithmetic makes of them.
constexpr uint32_t quietMark = 0x7fe00000;

uint32_t tokenOf(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return (bits & tokenMask) == tokenMark ? bits & ~tokenMask : 0;
}

bool isSpoilt(float value) {
  auto bits = std::bit_cast<uint32_t>(value) & 0x7fffffff;
  return (bits & tokenMask) == quietMark && (bits & ~tokenMask);
}

/// The same in a register of A, after rounding.
bool isSpoiltRegister(uint32_t bits, int32_t type) {
  if (type == TF32)
    return isSpoilt(std::bit_cast<float>(bits));
  uint32_t mark = type == F16 ? 0x7f00 : 0x7fe0;
  return (bits & 0x7fff) == mark || (bits >> 16 & 0x7fff) == mark;
}

Chain *chainOf(Warp &warp, uint32_t token) {
  for (Chain &chain : warp.chains)
    if (chain.token == token)
      return &chain;
  return nullptr;
}

uint32_t nextToken;

struct WgmmaArguments {
  int32_t type, n;
  int64_t a, b;
  const int32_t *registers;
  int32_t transA, transB;
  const float *accumulator;
  float *result;
};

//===----------------------------------------------------------------------===//
// Operands in shared memory
//===----------------------------------------------------------------------===//

/// A descriptor's fields.
struct Layout {
  uint64_t start, leading, stride;
  int32_t swizzle;
  uint32_t elementBytes;
  bool transposed;

  Layout(uint64_t bits, uint32_t elementBytes, bool transposed)
      : start((bits & 0x3fff) << 4), leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4), elementBytes(elementBytes),
        transposed(transposed) {
    static const int32_t modes[] = {0, 128, 64, 32};
    swizzle = modes[bits >> 62 & 3];
  }

  /// The address of element (row along M or N, column along K).
  uint64_t at(uint32_t row, uint32_t column) const {
    uint64_t offset;
    uint32_t perPiece = 16 / elementBytes;
    if (!transposed) {
      // K contiguous: groups of eight rows; without a swizzle, pieces of 16
      // bytes lie 'leading' apart, else side by side in the swizzled row.
      uint32_t piece = column / perPiece;
      offset = row / 8 * stride + column % perPiece * elementBytes;
      offset += swizzle ? row % 8 * static_cast<uint64_t>(swizzle) + piece * 16
                        : row % 8 * 16 + piece * leading;
    } else {
      // M or N contiguous in rows of the swizzle's size (16 bytes without);
      // eight of K make a group.
      uint32_t width = swizzle ? static_cast<uint32_t>(swizzle) : 16;
      uint32_t perRow = width / elementBytes;
      offset = row % perRow * elementBytes + column % 8 * width;
      offset += swizzle ? row / perRow * leading + column / 8 * stride
                        : row / perRow * stride + column / 8 * leading;
    }
    return swizzled(start + offset, swizzle);
  }
};

uint32_t elementBytesOf(int32_t type) { return type == TF32 ? 4 : 2; }

/// Pieces of 16 bytes that rows [first, first + rows) and `depth` columns
/// take; elements of a piece are neighbours along the contiguous dimension.
std::vector<uint64_t> piecesOf(const Layout &layout, uint32_t first,
                               uint32_t rows, uint32_t depth) {
  std::vector<uint64_t> pieces;
  uint32_t perPiece = 16 / layout.elementBytes;
  for (uint32_t r = 0; r < rows; r += layout.transposed ? perPiece : 1)
    for (uint32_t k = 0; k < depth; k += layout.transposed ? 1 : perPiece)
      pieces.push_back(layout.at(first + r, k) & ~uint64_t(15));
  return pieces;
}

float readElement(const Layout &layout, uint32_t row, uint32_t column,
                  int32_t type) {
  const char *place = launch.block.sharedByte(layout.at(row, column));
  if (type == TF32) {
    uint32_t bits;
    memcpy(&bits, place, 4);
    return fromTF32(bits);
  }
  uint16_t bits;
  memcpy(&bits, place, 2);
  return type == F16 ? fromHalf(bits) : fromBFloat(bits);
}

/// Locks what the warp will read of an operand. It must be visible to all
/// lanes; they take turns.
void lockOperand(Warp &warp, const Site *site, const Layout &layout,
                 uint32_t first, uint32_t rows, uint32_t depth,
                 uint64_t descriptor) {
  Block &block = launch.block;
  if (descriptor >> 49 & 7)
    fail(site,
         "the descriptor has a base offset of %llu; the emulator takes "
         "tiles whose swizzle pattern starts at a multiple of its size",
         (unsigned long long)(descriptor >> 49 & 7));
  std::vector<uint64_t> pieces = piecesOf(layout, first, rows, depth);
  for (uint64_t piece : pieces)
    if (!block.holds(piece, 16))
      fail(site,
           "the descriptor 0x%016llx names bytes at shared address %llu, "
           "out of bounds: the block's memory ends at %llu",
           (unsigned long long)descriptor, (unsigned long long)piece,
           (unsigned long long)(sharedStart + block.memory.size()));
  Thread *last = launch.current;
  for (size_t i = 0; i < pieces.size(); ++i) {
    launch.current = warp.thread(i % warpSize);
    block.shadow.lock(site, pieces[i], 16);
  }
  launch.current = last;
}

void unlockOperand(Warp &warp, const Site *site, const Layout &layout,
                   uint32_t first, uint32_t rows, uint32_t depth) {
  for (uint64_t piece : piecesOf(layout, first, rows, depth))
    launch.block.shadow.unlock(site, piece, 16, warp.index, Shadow::wholeWarp,
                               warp.time);
}

//===----------------------------------------------------------------------===//
// Issue
//===----------------------------------------------------------------------===//

/// All warps of a group issue the same sequence.
void compareWithGroup(Warp &warp, const Site *site, uint32_t n) {
  auto &sequence = launch.block.sequences[warp.index / 4];
  uint64_t number = warp.matrixCount++;
  if (number == sequence.size()) {
    sequence.push_back({site, n});
    ++launch.statistics.wgmma;
    return;
  }
  if (sequence[number].first != site)
    fail(site,
         "operation %llu of warp %u, but another warp of its warpgroup "
         "has %s there",
         (unsigned long long)number, warp.index,
         nameOf(sequence[number].first).c_str());
}

void issue(Warp &warp, Meeting &meeting) {
  const Site *site = meeting.site;
  auto of = [&](uint32_t lane) -> WgmmaArguments & {
    return *static_cast<WgmmaArguments *>(meeting.arguments[lane]);
  };
  WgmmaArguments &first = of(0);
  if (launch.block.warpCount < warp.index / 4 * 4 + 4)
    fail(site, "runs in a warpgroup of fewer than four warps");
  compareWithGroup(warp, site, static_cast<uint32_t>(first.n));
  uint32_t length = static_cast<uint32_t>(first.n) / 2;
  uint32_t token = first.accumulator ? tokenOf(first.accumulator[0]) : 0;
  for (uint32_t lane = 0; lane < warpSize; ++lane) {
    WgmmaArguments &mine = of(lane);
    if (mine.a != first.a || mine.b != first.b)
      fail(site, "the lanes of warp %u have different descriptors", warp.index);
    for (uint32_t i = 0; mine.accumulator && i < length; ++i) {
      if (tokenOf(mine.accumulator[i]) != token)
        fail(site,
             "lane %u: element %u of the accumulator belongs to another "
             "operation in flight, or was changed before its wait",
             lane, i);
      if (isSpoilt(mine.accumulator[i]))
        fail(site,
             "lane %u: element %u of the accumulator was computed from "
             "one that was in flight; wgmma_wait is missing",
             lane, i);
    }
  }
  Chain *chain = token ? chainOf(warp, token) : nullptr;
  if (token && !chain)
    fail(site, "the accumulator is that of an operation whose result was "
               "taken before");
  if (chain && chain->columns != static_cast<uint32_t>(first.n))
    fail(site, "the accumulator in flight has %u columns, not %d",
         chain->columns, first.n);
  if (!warp.fenced && (!chain || first.registers))
    fail(site, "takes registers, but there is no wgmma_fence since the last "
               "wgmma_wait");
  if (!chain) {
    warp.chains.emplace_back();
    chain = &warp.chains.back();
    nextToken = nextToken % 0x1ffffe + 1;
    chain->token = nextToken;
    chain->columns = static_cast<uint32_t>(first.n);
    chain->site = site;
    chain->values.assign(warpSize * length, 0.0f);
    for (uint32_t lane = 0; first.accumulator && lane < warpSize; ++lane)
      memcpy(&chain->values[lane * length], of(lane).accumulator, length * 4);
  }
  MatrixOp op = {};
  op.site = site;
  op.token = chain->token;
  op.type = first.type;
  op.columns = static_cast<uint32_t>(first.n);
  op.depth = first.type == TF32 ? 8 : 16;
  op.a = {static_cast<uint64_t>(first.a), {}, first.transA != 0};
  op.b = {static_cast<uint64_t>(first.b), {}, first.transB != 0};
  uint32_t bytes = elementBytesOf(op.type);
  if (first.registers) {
    for (uint32_t lane = 0; lane < warpSize; ++lane)
      for (uint32_t r = 0; r < 4; ++r) {
        auto bits = static_cast<uint32_t>(of(lane).registers[r]);
        if (isSpoiltRegister(bits, op.type))
          fail(site,
               "lane %u: register %u of A was computed from an "
               "accumulator in flight; wgmma_wait is missing",
               lane, r);
        op.a.registers.push_back(bits);
      }
  } else {
    lockOperand(warp, site, Layout(op.a.descriptor, bytes, op.a.transposed),
                warp.index % 4 * 16, 16, op.depth, op.a.descriptor);
  }
  lockOperand(warp, site, Layout(op.b.descriptor, bytes, op.b.transposed), 0,
              op.columns, op.depth, op.b.descriptor);
  ++chain->unfinished;
  float poison = std::bit_cast<float>(tokenMark | chain->token);
  for (uint32_t lane = 0; lane < warpSize; ++lane)
    std::fill_n(of(lane).result, length, poison);
  warp.matrixOps.push_back(std::move(op));
}

//===----------------------------------------------------------------------===//
// Completion
//===----------------------------------------------------------------------===//

void compute(Warp &warp, MatrixOp &op) {
  Chain &chain = *chainOf(warp, op.token);
  uint32_t bytes = elementBytesOf(op.type), depth = op.depth;
  Layout b(op.b.descriptor, bytes, op.b.transposed);
  std::vector<float> left(16 * depth), right(depth * op.columns);
  if (op.a.registers.empty()) {
    Layout a(op.a.descriptor, bytes, op.a.transposed);
    for (uint32_t r = 0; r < 16; ++r)
      for (uint32_t k = 0; k < depth; ++k)
        left[r * depth + k] =
            readElement(a, warp.index % 4 * 16 + r, k, op.type);
  } else {
    uint32_t perRegister = op.type == TF32 ? 1 : 2, step = 4 * perRegister;
    for (uint32_t lane = 0; lane < warpSize; ++lane)
      for (uint32_t r = 0; r < 4; ++r)
        for (uint32_t h = 0; h < perRegister; ++h)
          left[(lane / 4 + 8 * (r & 1)) * depth + perRegister * (lane % 4) + h +
               step * (r >> 1)] =
              elementOf(op.a.registers[4 * lane + r], h, op.type);
  }
  for (uint32_t n = 0; n < op.columns; ++n)
    for (uint32_t k = 0; k < depth; ++k)
      right[k * op.columns + n] = readElement(b, n, k, op.type);
  uint32_t length = op.columns / 2;
  std::vector<double> row(op.columns);
  for (uint32_t r = 0; r < 16; ++r) {
    std::fill(row.begin(), row.end(), 0.0);
    for (uint32_t k = 0; k < depth; ++k)
      for (uint32_t n = 0; n < op.columns; ++n)
        row[n] +=
            double(left[r * depth + k]) * double(right[k * op.columns + n]);
    for (uint32_t n = 0; n < op.columns; ++n) {
      uint32_t lane = r % 8 * 4 + n % 8 / 2;
      uint32_t i = n / 8 * 4 + r / 8 * 2 + n % 2;
      float &value = chain.values[lane * length + i];
      value = static_cast<float>(value + row[n]);
    }
  }
  if (op.a.registers.empty())
    unlockOperand(warp, op.site,
                  Layout(op.a.descriptor, bytes, op.a.transposed),
                  warp.index % 4 * 16, 16, depth);
  unlockOperand(warp, op.site, b, 0, op.columns, depth);
  --chain.unfinished;
}

void finish(Warp &warp, Meeting &meeting) {
  auto pending =
      static_cast<uint64_t>(*static_cast<int32_t *>(meeting.arguments[0]));
  ++warp.time;
  for (uint32_t lane = 0; lane < warpSize; ++lane)
    warp.thread(lane)->learn(launch.block.warpComponent(warp.index), warp.time);
  std::vector<MatrixOp> rest;
  for (MatrixOp &op : warp.matrixOps) {
    if (op.committed && op.group + pending < warp.groups)
      compute(warp, op);
    else
      rest.push_back(std::move(op));
  }
  warp.matrixOps = std::move(rest);
  warp.fenced = false;
}

} // namespace

void attn_emu_wgmma_fence(const Site *site) {
  meetAligned(site, nullptr, [](Warp &warp, Meeting &) { warp.fenced = true; });
}

void attn_emu_wgmma_commit(const Site *site) {
  meetAligned(site, nullptr, [](Warp &warp, Meeting &) {
    for (MatrixOp &op : warp.matrixOps)
      if (!op.committed) {
        op.committed = true;
        op.group = warp.groups;
      }
    ++warp.groups;
  });
}

void attn_emu_wgmma(const Site *site, int32_t type, int32_t n, int64_t a,
                    const int32_t *registers, int64_t b, int32_t transA,
                    int32_t transB, const float *accumulator, float *result) {
  WgmmaArguments arguments = {type,   n,      a,           b,     registers,
                              transA, transB, accumulator, result};
  meetAligned(site, &arguments, issue);
}

void attn_emu_wgmma_wait(const Site *site, int32_t pending) {
  meetAligned(site, &pending, finish);
}

void attn_emu_wgmma_collect(const Site *site, int32_t n, const float *value,
                            float *result) {
  Thread &thread = self();
  Warp &warp = *thread.warp;
  uint32_t length = static_cast<uint32_t>(n) / 2;
  uint32_t token = tokenOf(value[0]);
  for (uint32_t i = 0; i < length; ++i) {
    if (tokenOf(value[i]) != token)
      fail(site,
           "element %u of the accumulator belongs to another operation "
           "in flight, or was changed before its wait",
           i);
    if (isSpoilt(value[i]))
      fail(site,
           "element %u of the accumulator was computed from one that was "
           "in flight; it was read before its wait",
           i);
  }
  if (!token)
    return void(memmove(result, value, length * 4));
  Chain *chain = chainOf(warp, token);
  if (!chain)
    fail(site, "the accumulator is that of an operation whose result was "
               "taken before");
  if (chain->unfinished)
    fail(site,
         "the accumulator of %s is still in flight: its group is among "
         "those that this wait leaves pending, or was not committed",
         nameOf(chain->site).c_str());
  if (chain->columns != static_cast<uint32_t>(n))
    fail(site, "the accumulator has %u columns, not %d", chain->columns, n);
  memcpy(result, &chain->values[thread.lane * length], length * 4);
  chain->taken |= uint32_t(1) << thread.lane;
  if (chain->taken == ~uint32_t(0))
    warp.chains.erase(warp.chains.begin() + (chain - warp.chains.data()));
}

void attn::emu::checkWarpExit(Warp &warp) {
  if (!warp.matrixOps.empty())
    launch.error = nameOf(warp.matrixOps.front().site) +
                   ": the kernel ends while this operation is in flight; "
                   "wgmma_wait is missing";
}
