//===- TensorMap.h - What a tensor map says ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_EMULATOR_TENSORMAP_H
#define ATTN_LIB_EMULATOR_TENSORMAP_H

#include <cstdint>

namespace attn::emu {

/// Our own form of the opaque 128 bytes.
struct TensorMap {
  uint64_t magic;
  char *address;
  int32_t dtype, rank, elementBytes, swizzle;
  int64_t sizes[5];
  int64_t strides[4];
  int32_t box[5];

  static constexpr uint64_t mark = 0x70616d726f736e74;
  uint64_t boxBytes() const {
    uint64_t bytes = static_cast<uint64_t>(elementBytes);
    for (int32_t i = 0; i < rank; ++i)
      bytes *= static_cast<uint64_t>(box[i]);
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= 128);

/// The place of a byte in a tile whose rows are swizzled: within 1024, 512 or
/// 256 bytes, the number of the row is added (exclusive or) to the number of
/// the 16-byte piece.
inline uint64_t swizzled(uint64_t address, int32_t bytes) {
  switch (bytes) {
  case 128:
    return address ^ (address >> 3 & 0x70);
  case 64:
    return address ^ (address >> 3 & 0x30);
  case 32:
    return address ^ (address >> 3 & 0x10);
  default:
    return address;
  }
}

} // namespace attn::emu

#endif // ATTN_LIB_EMULATOR_TENSORMAP_H
