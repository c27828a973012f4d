//===- Memory.cpp - Device memory and the check of each access ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calls.h"

#include <cstdlib>
#include <cstring>
#include <map>

using namespace attn::emu;

namespace {
/// Which block of this launch wrote and read each two bytes last: the number
/// of the launch above that of the block.
struct Marks {
  uint32_t write, read;
};
constexpr uint32_t blockBits = 20, blockMask = (1u << blockBits) - 1;
/// In place of a block: several read it.
constexpr uint32_t several = blockMask;

struct Piece {
  uint64_t bytes;
  bool writable, owned;
  Marks *marks = nullptr;
};

uint32_t launchNumber = 0;

std::map<uintptr_t, Piece> pieces;
/// The piece of the last access, which the next one often is in, too.
std::pair<uintptr_t, Piece> recent = {0, {0, false, false, nullptr}};

/// The piece with the greatest start up to `address`.
std::map<uintptr_t, Piece>::iterator before(uintptr_t address) {
  auto next = pieces.upper_bound(address);
  return next == pieces.begin() ? pieces.end() : std::prev(next);
}

void erase(std::map<uintptr_t, Piece>::iterator piece) {
  free(piece->second.marks);
  pieces.erase(piece);
  recent.second.bytes = 0;
}

/// Blocks of a launch run in any order, so none may see what another writes.
void checkBlocks(const Site *site, uintptr_t start, uint64_t bytes,
                 bool write) {
  uint64_t offset = start - recent.first;
  uint32_t now = launchNumber << blockBits;
  uint32_t mine = now | (launch.blockNumber + 1);
  auto meets = [&](uint32_t mark) {
    return mark >> blockBits == launchNumber && mark != mine;
  };
  for (uint64_t i = offset / 2; i < (offset + bytes) / 2; ++i) {
    Marks &marks = recent.second.marks[i];
    if (meets(marks.write))
      fail(site,
           "%s global address %p, which block number %u wrote in this "
           "launch, and blocks run in any order",
           write ? "writes" : "reads", reinterpret_cast<void *>(start),
           (marks.write & blockMask) - 1);
    if (write && meets(marks.read))
      fail(site,
           "writes global address %p, which another block reads in this "
           "launch, and blocks run in any order",
           reinterpret_cast<void *>(start));
    if (write)
      marks.write = mine;
    else
      marks.read = meets(marks.read) ? now | several : mine;
  }
}

constexpr uint64_t stackBytes = 512 * 1024;
} // namespace

void attn::emu::startMarks() {
  // The numbers of launches come round; old marks must not look new then.
  if (++launchNumber < 1u << (32 - blockBits))
    return;
  launchNumber = 1;
  for (auto &[start, piece] : pieces) {
    free(piece.marks);
    piece.marks = nullptr;
  }
  recent.second.bytes = 0;
}

void *attn_emu_alloc(int64_t bytes) {
  if (bytes < 0)
    return nullptr;
  size_t rounded = (static_cast<size_t>(bytes) / 256 + 1) * 256;
  void *memory = aligned_alloc(256, rounded);
  if (!memory)
    return nullptr;
  memset(memory, 0xff, rounded);
  pieces[reinterpret_cast<uintptr_t>(memory)] = {static_cast<uint64_t>(bytes),
                                                 true, true};
  return memory;
}

const char *attn_emu_free(void *address) {
  if (!address)
    return nullptr;
  auto found = pieces.find(reinterpret_cast<uintptr_t>(address));
  if (found == pieces.end() || !found->second.owned)
    return "not the address of device memory, or freed before";
  erase(found);
  free(address);
  return nullptr;
}

void attn_emu_register(const void *address, int64_t bytes, int32_t writable) {
  pieces[reinterpret_cast<uintptr_t>(address)] = {static_cast<uint64_t>(bytes),
                                                  writable != 0, false};
}

void attn_emu_unregister(const void *address) {
  auto found = pieces.find(reinterpret_cast<uintptr_t>(address));
  if (found != pieces.end() && !found->second.owned)
    erase(found);
}

int32_t attn_emu_contains(const void *address, int64_t bytes) {
  auto start = reinterpret_cast<uintptr_t>(address);
  auto piece = before(start);
  if (piece == pieces.end() || bytes < 0)
    return 0;
  uint64_t offset = start - piece->first;
  return offset <= piece->second.bytes &&
         static_cast<uint64_t>(bytes) <= piece->second.bytes - offset;
}

void attn::emu::checkGlobal(const Site *site, const void *address,
                            uint64_t bytes, bool write, bool atomic) {
  auto start = reinterpret_cast<uintptr_t>(address);
  auto inside = [&](uintptr_t base, const Piece &piece) {
    return start >= base && bytes <= piece.bytes &&
           start - base <= piece.bytes - bytes;
  };
  if (!inside(recent.first, recent.second)) {
    auto piece = before(start);
    if (piece == pieces.end() || !inside(piece->first, piece->second)) {
      const char *verb = write ? "writes" : "reads";
      auto near = piece;
      if (near == pieces.end())
        near = pieces.begin();
      else if (auto next = std::next(near);
               next != pieces.end() &&
               next->first - start < start - near->first - near->second.bytes)
        near = next;
      if (near == pieces.end())
        fail(site,
             "%s %llu bytes at global address %p, but there is no "
             "device memory",
             verb, (unsigned long long)bytes, address);
      fail(site,
           "%s %llu bytes at global address %p, out of bounds: byte %lld "
           "of the nearest piece, which has %llu",
           verb, (unsigned long long)bytes, address,
           (long long)(start - near->first),
           (unsigned long long)near->second.bytes);
    }
    if (!piece->second.marks && piece->second.writable)
      piece->second.marks = static_cast<Marks *>(
          calloc(piece->second.bytes / 2 + 1, sizeof(Marks)));
    recent = *piece;
  }
  if (write && !recent.second.writable)
    fail(site, "writes %llu bytes at global address %p, which is read-only",
         (unsigned long long)bytes, address);
  if (!atomic && !launch.options.unchecked && recent.second.marks)
    checkBlocks(site, start, bytes, write);
}

bool attn::emu::isSharedWindow(const void *pointer) {
  auto value = reinterpret_cast<uint64_t>(pointer);
  return value >= sharedWindow && value < sharedWindow + (1 << 24);
}

uint64_t attn::emu::sharedAddress(const void *pointer) {
  auto value = reinterpret_cast<uint64_t>(pointer);
  return isSharedWindow(pointer) ? value - sharedWindow : value;
}

void *attn_emu_access(const Site *site, void *pointer, int64_t size,
                      int64_t alignment, int32_t flags) {
  ++launch.statistics.instructions;
  auto bytes = static_cast<uint64_t>(size);
  auto value = reinterpret_cast<uint64_t>(pointer);
  const char *verb = flags & AccessWrite ? "writes" : "reads";
  if (alignment > 1 && value % static_cast<uint64_t>(alignment))
    fail(site,
         "misaligned: %s %lld bytes at address 0x%llx, which is not a "
         "multiple of %lld",
         verb, (long long)size,
         (unsigned long long)(isSharedWindow(pointer) ? sharedAddress(pointer)
                                                      : value),
         (long long)alignment);
  if (!(flags & AccessShared) && !isSharedWindow(pointer)) {
    auto stack = reinterpret_cast<uint64_t>(self().stack);
    if (value >= stack && value < stack + stackBytes)
      return pointer;
    checkGlobal(site, pointer, bytes, flags & AccessWrite,
                flags & AccessAtomic);
    if (launch.options.statistics)
      countAccess(site, value, static_cast<uint32_t>(bytes), false);
    return pointer;
  }
  Block &block = launch.block;
  uint64_t address = sharedAddress(pointer);
  if (!block.holds(address, bytes))
    fail(site,
         "%s %llu bytes at shared address %llu, out of bounds: the "
         "block's memory ends at %llu",
         verb, (unsigned long long)bytes, (unsigned long long)address,
         (unsigned long long)(sharedStart + block.memory.size()));
  if (flags & AccessAtomic)
    block.shadow.touch(address, bytes);
  else if (flags & AccessWrite)
    block.shadow.write(site, address, bytes);
  else
    block.shadow.read(site, address, bytes);
  if (launch.options.statistics)
    countAccess(site, address, static_cast<uint32_t>(bytes), true);
  return block.sharedByte(address);
}

void *attn_emu_to_generic(void *shared) {
  return reinterpret_cast<void *>(sharedAddress(shared) + sharedWindow);
}

void *attn_emu_to_shared(void *generic) {
  return reinterpret_cast<void *>(sharedAddress(generic));
}

void *attn_emu_dynamic_shared(int64_t) {
  return reinterpret_cast<void *>(sharedStart + launch.block.memory.size() -
                                  launch.dynamicBytes);
}

void *attn_emu_global(void *address, int64_t bytes, int32_t writable) {
  if (!attn_emu_contains(address, bytes))
    attn_emu_register(address, bytes, writable);
  return address;
}
