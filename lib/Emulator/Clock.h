//===- Clock.h - Who knows of whose accesses --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vector clocks. A block has one component for each thread, one for each warp
// (reads that a warp makes as a whole) and some for the asynchronous agents
// that complete on mbarriers. An access at time t of component c happened
// before thread x if x's clock is at least t at c.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_EMULATOR_CLOCK_H
#define ATTN_LIB_EMULATOR_CLOCK_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::emu {

/// What a thread, a barrier or an mbarrier knows. In blocks without shared
/// memory nothing is kept.
struct Clock {
  /// Accesses that happened before.
  std::vector<uint32_t> known;
  /// Of these, generic ones that are also visible to the asynchronous proxy.
  std::vector<uint32_t> fenced;

  void reset(size_t components, uint32_t base) {
    known.assign(components, base);
    fenced.assign(components, base);
  }

  void join(const Clock &other) {
    joinInto(known, other.known);
    joinInto(fenced, other.fenced);
  }

  /// A proxy fence: what is known becomes visible to the other proxy.
  void fence() { joinInto(fenced, known); }

private:
  static void joinInto(std::vector<uint32_t> &to,
                       const std::vector<uint32_t> &from) {
    uint32_t *a = to.data();
    const uint32_t *b = from.data();
    for (size_t i = 0, n = std::min(to.size(), from.size()); i < n; ++i)
      a[i] = std::max(a[i], b[i]);
  }
};

} // namespace attn::emu

#endif // ATTN_LIB_EMULATOR_CLOCK_H
