//===- SupportBFloat16.cpp - Rounding to bf16 without an instruction ------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM calls these two functions where the processor has no conversion; the
// C library and libgcc 12 do not have them.
#include <bit>
#include <cmath>
#include <cstdint>

/// To nearest, ties to even; a NaN stays one.
static uint16_t roundBits(uint32_t bits) {
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

extern "C" __bf16 __truncsfbf2(float x) {
  return std::bit_cast<__bf16>(roundBits(std::bit_cast<uint32_t>(x)));
}

extern "C" __bf16 __truncdfbf2(double x) {
  // Towards zero, with the last bit set where something was lost: the second
  // rounding then sees on which side of a tie the number lies.
  auto single = static_cast<float>(x);
  auto bits = std::bit_cast<uint32_t>(single);
  if (!std::isnan(x) && static_cast<double>(single) != x) {
    if (std::fabs(static_cast<double>(single)) > std::fabs(x))
      --bits;
    bits |= 1;
  }
  return std::bit_cast<__bf16>(roundBits(bits));
}
