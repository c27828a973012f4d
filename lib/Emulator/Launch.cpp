//===- Launch.cpp - A kernel over a grid ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Machine.h"

#include <cstdlib>

using namespace attn::emu;

namespace {
uint64_t fromEnvironment(const char *name) {
  const char *text = getenv(name);
  return text ? strtoull(text, nullptr, 10) : 0;
}

attn_emu_options defaults() {
  return {fromEnvironment("ATTN_EMU_SEED"),
          static_cast<int32_t>(fromEnvironment("ATTN_EMU_STATISTICS")),
          static_cast<int32_t>(fromEnvironment("ATTN_EMU_UNCHECKED"))};
}

attn_emu_options &chosen() {
  static attn_emu_options options = defaults();
  return options;
}

/// What a multiprocessor can give to a block.
constexpr int64_t maxSharedBytes = 227 * 1024;
constexpr int64_t maxThreads = 1024;

std::string checkLaunch(const attn_emu_kernel &kernel, const int64_t *grid,
                        const int64_t *threads, int64_t dynamicBytes) {
  int64_t total = 1;
  static const int64_t maxGrid[] = {2147483647, 65535, 65535};
  for (int i = 0; i < 3; ++i) {
    if (grid[i] < 1 || grid[i] > maxGrid[i])
      return formatted("dimension %d of the grid is %lld; it must be 1 to %lld",
                       i, (long long)grid[i], (long long)maxGrid[i]);
    if (threads[i] < 1 || threads[i] > maxThreads)
      return formatted("dimension %d of the block is %lld; it must be 1 to "
                       "%lld",
                       i, (long long)threads[i], (long long)maxThreads);
    total *= threads[i];
  }
  if (total > maxThreads)
    return formatted("the block has %lld threads; at most %lld",
                     (long long)total, (long long)maxThreads);
  if (kernel.required_threads && kernel.required_threads != total)
    return formatted("the block has %lld threads; the kernel requires %lld",
                     (long long)total, (long long)kernel.required_threads);
  int64_t shared = kernel.static_shared_bytes + dynamicBytes;
  if (dynamicBytes < 0 || shared > maxSharedBytes)
    return formatted("the block has %lld bytes of shared memory; at most %lld",
                     (long long)shared, (long long)maxSharedBytes);
  return "";
}
} // namespace

void attn_emu_set_options(const attn_emu_options *options) {
  chosen() = options ? *options : defaults();
}

void attn_emu_get_statistics(attn_emu_statistics *statistics) {
  *statistics = launch.statistics;
}

const char *attn_emu_launch(const attn_emu_kernel *kernel,
                            const int64_t grid[3], const int64_t threads[3],
                            int64_t dynamic_shared_bytes, void **params) {
  launch.options = chosen();
  launch.statistics = {};
  launch.kernel = kernel;
  launch.params = params;
  launch.error = checkLaunch(*kernel, grid, threads, dynamic_shared_bytes);
  auto report = [&]() -> const char * {
    if (launch.error.empty())
      return nullptr;
    launch.error = std::string("kernel ") + kernel->name + ": " + launch.error;
    return launch.error.c_str();
  };
  if (!launch.error.empty())
    return report();
  forgetSites();
  startMarks();
  launch.random.seed(launch.options.seed);
  for (int i = 0; i < 3; ++i) {
    launch.grid[i] = static_cast<uint32_t>(grid[i]);
    launch.threads[i] = static_cast<uint32_t>(threads[i]);
  }
  launch.dynamicBytes = static_cast<uint64_t>(dynamic_shared_bytes);
  Block &block = launch.block;
  // The dynamic part starts at an address that suits every swizzle.
  uint64_t fixed = static_cast<uint64_t>(kernel->static_shared_bytes);
  block.memory.resize((fixed + 1023) / 1024 * 1024 + launch.dynamicBytes);
  uint64_t count = uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2];
  for (uint64_t i = 0; i < count; ++i) {
    launch.blockNumber = static_cast<uint32_t>(i) & 0xfffff;
    block.at[0] = static_cast<uint32_t>(i % launch.grid[0]);
    block.at[1] = static_cast<uint32_t>(i / launch.grid[0] % launch.grid[1]);
    block.at[2] = static_cast<uint32_t>(i / launch.grid[0] / launch.grid[1]);
    runBlock();
    ++launch.statistics.blocks;
    if (launch.options.statistics)
      finishCounts();
    if (!launch.error.empty())
      break;
  }
  return report();
}
