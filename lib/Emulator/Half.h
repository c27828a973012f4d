//===- Half.h - Numbers that matrix units take ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_EMULATOR_HALF_H
#define ATTN_LIB_EMULATOR_HALF_H

#include <bit>
#include <cmath>
#include <cstdint>

namespace attn::emu {

enum MatrixType : int32_t { F16 = 0, BF16 = 1, TF32 = 2 };

inline float fromHalf(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 0)
    return std::bit_cast<float>(sign | 0x3f800000) *
           (static_cast<float>(fraction) * 0x1p-24f);
  exponent = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | exponent << 23 | fraction << 13);
}

/// Round to nearest, ties to even.
inline uint16_t toHalf(float x) {
  auto bits = std::bit_cast<uint32_t>(x);
  auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  float magnitude = std::fabs(x);
  if (std::isnan(x))
    return sign | 0x7e00;
  if (magnitude >= 65520.0f)
    return sign | 0x7c00;
  if (magnitude < 0x1p-14f)
    return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f));
  uint32_t rest = bits & 0x7fffffff;
  uint32_t rounded = rest - (uint32_t(112) << 23) + 0xfff + (rest >> 13 & 1);
  return sign | static_cast<uint16_t>(rounded >> 13);
}

inline float fromBFloat(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

/// The low thirteen bits do not take part.
inline float fromTF32(uint32_t bits) {
  return std::bit_cast<float>(bits & 0xffffe000);
}

/// Element `half` of a register.
inline float elementOf(uint32_t bits, uint32_t half, int32_t type) {
  if (type == TF32)
    return fromTF32(bits);
  auto part = static_cast<uint16_t>(bits >> (16 * half));
  return type == F16 ? fromHalf(part) : fromBFloat(part);
}

} // namespace attn::emu

#endif // ATTN_LIB_EMULATOR_HALF_H
