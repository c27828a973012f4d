//===- DeviceState.cpp - What a module keeps on a GPU ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceState.h"
#include "Error.h"
#include <algorithm>

using namespace attn::rt;

DeviceState::~DeviceState() {
  endRun();
  // Constants are in use by no run: each ended before this.
  for (auto &[host, block] : constants)
    device.release(block, nullptr);
}

void DeviceState::endRun() noexcept {
  for (auto [block, bytes] : live)
    device.release(block, stream);
  live.clear();
  held = 0;
}

void *DeviceState::allocate(int64_t bytes) {
  void *block = device.allocate(bytes, stream);
  live.emplace(block, bytes);
  held += bytes;
  peak = std::max(peak, held);
  return block;
}

void DeviceState::release(void *block) noexcept {
  auto found = live.find(block);
  if (found == live.end())
    return;
  held -= found->second;
  live.erase(found);
  device.release(block, stream);
}

void DeviceState::disown(void *block) {
  held -= live.at(block);
  live.erase(block);
}

void *DeviceState::constant(const void *host, int64_t bytes) {
  auto found = constants.find({host, bytes});
  if (found != constants.end())
    return found->second;
  void *block = device.allocate(bytes, stream);
  constants.emplace(std::pair(host, bytes), block);
  device.copyRows(block, bytes, host, bytes, bytes, 1, CopyKind::HostToDevice,
                  stream);
  // Later runs may use other streams, which do not wait for this one.
  device.synchronize(stream);
  return block;
}

DeviceModule::~DeviceModule() {
  for (auto &[device, state] : states) {
    try {
      DeviceScope scope(*device);
      state.reset();
    } catch (const Error &) {
      // The driver is gone with the process; nothing is left to free.
    }
  }
}

Device &DeviceModule::device(int32_t ordinal) const {
  return emulator ? *emulator : cudaDevice(ordinal);
}

DeviceState &DeviceModule::state(Device &device) {
  std::unique_ptr<DeviceState> &state = states[&device];
  if (!state)
    state = std::make_unique<DeviceState>(device, spec, code);
  return *state;
}

int64_t DeviceModule::peakBytes() const {
  int64_t peak = 0;
  for (const auto &[device, state] : states)
    if (state)
      peak = std::max(peak, state->peakBytes());
  return peak;
}
