//===- Statistics.cpp - Bank conflicts and sectors ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The lanes of a warp run one after another, so their accesses are brought
// together again: the n-th access of each lane at one site is one request.
//
//===----------------------------------------------------------------------===//
#include "Calls.h"

#include <algorithm>
#include <unordered_map>

using namespace attn::emu;

namespace {
struct Request {
  uint32_t lanes = 0;
  uint32_t bytes = 0;
  uint64_t address[warpSize];
};

/// The open requests of one warp at one site.
struct Stream {
  bool shared = false;
  uint64_t done = 0;
  std::deque<Request> open;
  uint64_t next[warpSize] = {};
};

std::unordered_map<uint64_t, Stream> streams;

void countGlobal(const Request &request) {
  std::vector<uint64_t> sectors;
  for (uint32_t lane = 0; lane < warpSize; ++lane)
    if (request.lanes >> lane & 1) {
      launch.statistics.global_bytes += request.bytes;
      for (uint64_t s = request.address[lane] / 32;
           s <= (request.address[lane] + request.bytes - 1) / 32; ++s)
        sectors.push_back(s);
    }
  std::sort(sectors.begin(), sectors.end());
  ++launch.statistics.global_requests;
  launch.statistics.global_sectors +=
      std::unique(sectors.begin(), sectors.end()) - sectors.begin();
}

/// Passes over the 32 banks for some words: the fullest bank counts.
uint32_t wavefronts(std::vector<uint64_t> &words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  uint32_t banks[32] = {}, most = 0;
  for (uint64_t word : words)
    most = std::max(most, ++banks[word % 32]);
  return most;
}

void countBanks(const Request &request) {
  // Wide accesses go in parts of the warp, of 128 bytes each at best.
  uint32_t parts = request.bytes >= 16 ? 4 : request.bytes >= 8 ? 2 : 1;
  ++launch.statistics.shared_requests;
  for (uint32_t part = 0; part < parts; ++part) {
    std::vector<uint64_t> words;
    for (uint32_t i = 0; i < warpSize / parts; ++i) {
      uint32_t lane = part * (warpSize / parts) + i;
      if (!(request.lanes >> lane & 1))
        continue;
      for (uint64_t w = request.address[lane] / 4;
           w <= (request.address[lane] + request.bytes - 1) / 4; ++w)
        words.push_back(w);
    }
    if (words.empty())
      continue;
    launch.statistics.shared_wavefronts += wavefronts(words);
    launch.statistics.shared_ideal +=
        static_cast<int64_t>((words.size() + 31) / 32);
  }
}

void count(const Stream &stream, const Request &request) {
  stream.shared ? countBanks(request) : countGlobal(request);
}
} // namespace

void attn::emu::countAccess(const Site *site, uint64_t address, uint32_t bytes,
                            bool shared) {
  Thread &thread = self();
  uint64_t key = static_cast<uint64_t>(numberOf(site)) << 1 | shared;
  Stream &stream = streams[key << 16 | thread.warp->index];
  stream.shared = shared;
  uint64_t index = stream.next[thread.lane]++;
  // A lane that comes late finds its request closed; it counts alone.
  if (index < stream.done) {
    Request alone;
    alone.lanes = 1u << thread.lane;
    alone.bytes = bytes;
    alone.address[thread.lane] = address;
    return count(stream, alone);
  }
  while (stream.open.size() <= index - stream.done)
    stream.open.emplace_back();
  Request &request = stream.open[index - stream.done];
  request.lanes |= 1u << thread.lane;
  request.bytes = bytes;
  request.address[thread.lane] = address;
  while (!stream.open.empty() &&
         (stream.open.front().lanes == ~0u || stream.open.size() > 4096)) {
    count(stream, stream.open.front());
    stream.open.pop_front();
    ++stream.done;
  }
}

void attn::emu::countShared(const uint64_t *rows, uint32_t total) {
  // Eight rows of 16 bytes are one pass.
  ++launch.statistics.shared_requests;
  for (uint32_t first = 0; first < total; first += 8) {
    std::vector<uint64_t> words;
    for (uint32_t i = first; i < first + 8; ++i)
      for (uint64_t w = 0; w < 4; ++w)
        words.push_back(rows[i] / 4 + w);
    launch.statistics.shared_wavefronts += wavefronts(words);
    ++launch.statistics.shared_ideal;
  }
}

void attn::emu::finishCounts() {
  for (auto &[key, stream] : streams)
    for (const Request &request : stream.open)
      if (request.lanes)
        count(stream, request);
  streams.clear();
}
