//===- DeviceState.h - What a module keeps on a GPU -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DEVICESTATE_H
#define ATTN_LIB_RUNTIME_DEVICESTATE_H

#include "Context.h"
#include "Device.h"
#include <map>
#include <unordered_map>
#include <utility>

namespace attn::rt {

/// A module on one device: its kernels, its weights, and the blocks of the run
/// that is going on. Made with the device current.
class DeviceState {
public:
  DeviceState(Device &device, const GpuSpec &spec, const DeviceCode &code)
      : device(device), program(device.load(spec, code)) {}
  ~DeviceState();

  void beginRun(Stream runStream) { stream = runStream; }
  /// Frees what the run left behind.
  void endRun() noexcept;

  void *allocate(int64_t bytes);
  /// Frees a block of this run; null does nothing.
  void release(void *block) noexcept;
  bool owns(const void *block) const {
    return live.count(const_cast<void *>(block)) > 0;
  }
  /// Lets `block` outlive the run; the caller frees it.
  void disown(void *block);

  /// `bytes` of host memory on the device, copied at the first call only.
  void *constant(const void *host, int64_t bytes);

  int64_t peakBytes() const { return peak; }

  Device &device;
  std::unique_ptr<DeviceProgram> program;
  Stream stream = nullptr;

private:
  std::unordered_map<void *, int64_t> live;
  std::map<std::pair<const void *, int64_t>, void *> constants;
  int64_t held = 0, peak = 0;
};

/// The GPU code of a module, and its state on each device that it has run on.
class DeviceModule {
public:
  DeviceModule(const GpuSpec &spec, const DeviceCode &code, Device *emulator)
      : spec(spec), code(code), emulator(emulator) {}
  ~DeviceModule();

  /// The device `ordinal`, or the emulator of an emulated module.
  Device &device(int32_t ordinal) const;
  /// The module on `device`, which is current; loads it at the first call.
  DeviceState &state(Device &device);
  bool isEmulated() const { return emulator != nullptr; }
  int64_t peakBytes() const;

private:
  const GpuSpec &spec;
  DeviceCode code;
  Device *emulator;
  std::unordered_map<Device *, std::unique_ptr<DeviceState>> states;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_DEVICESTATE_H
