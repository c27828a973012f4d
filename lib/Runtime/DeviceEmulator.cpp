//===- DeviceEmulator.cpp - A processor as a GPU --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceEmulator.h"
#include "Error.h"
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

using namespace attn::rt;

static void check(const char *message) {
  if (message)
    fail(message);
}

namespace {

class EmulatedProgram final : public DeviceProgram {
public:
  EmulatedProgram(const attn_rt_emulator &functions, const GpuSpec &spec,
                  const void *const *kernels)
      : functions(functions), spec(spec), kernels(kernels) {}

  void launch(int32_t index, const LaunchShape &shape, void **params,
              Stream) override {
    if (index < 0 || index >= static_cast<int32_t>(spec.kernels.size()))
      fail("kernel ", index, " is outside of [0, ", spec.kernels.size(), ")");
    auto [x, y, z] = shape.grid;
    if (x == 0 || y == 0 || z == 0)
      return;
    // The emulator serves one thread at a time.
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    const int64_t grid[] = {x, y, z}, threads[] = {shape.threads, 1, 1};
    const char *message = functions.launch(kernels[index], grid, threads,
                                           shape.sharedBytes, params);
    if (message)
      fail("kernel '", spec.kernels[index].name, "': ", message);
  }

private:
  const attn_rt_emulator &functions;
  const GpuSpec &spec;
  const void *const *kernels;
};

/// Work is done when it is queued, so streams and waiting mean nothing.
class EmulatedDevice final : public Device {
public:
  explicit EmulatedDevice(const attn_rt_emulator &functions)
      : functions(functions) {}

  std::string name() const override { return "the emulated GPU"; }
  // Few, so that persistent kernels do show more than one round.
  int64_t multiprocessors() const override { return 2; }
  void makeCurrent() override {}
  void restore() noexcept override {}

  std::unique_ptr<DeviceProgram> load(const GpuSpec &spec,
                                      const DeviceCode &code) override {
    return std::make_unique<EmulatedProgram>(functions, spec, code.emulated);
  }

  void *allocate(int64_t bytes, Stream) override {
    void *block = functions.alloc(std::max<int64_t>(bytes, 16));
    if (!block)
      fail("out of memory: a tensor of ", bytes, " bytes does not fit");
    return block;
  }
  void release(void *block, Stream) noexcept override {
    if (block)
      functions.free(block);
  }
  void checkAddress(const void *, const std::string &) override {}

  void copyRows(void *to, int64_t toPitch, const void *from, int64_t fromPitch,
                int64_t width, int64_t rows, CopyKind, Stream) override {
    for (int64_t i = 0; i < rows && width; ++i)
      std::memmove(static_cast<char *>(to) + i * toPitch,
                   static_cast<const char *>(from) + i * fromPitch, width);
  }
  void encodeTensorMap(void *map128, const TensorMap &map) override {
    checkTensorMap(map);
    check(functions.tensor_map(map128, map.address, map.dtype, map.rank,
                               map.sizes, map.byteStrides, map.box,
                               map.swizzleBytes));
  }
  void synchronize(Stream) override {}

private:
  const attn_rt_emulator &functions;
};

} // namespace

Device &attn::rt::emulatedDevice(const attn_rt_emulator &functions) {
  static std::mutex mutex;
  static auto *devices =
      new std::map<const attn_rt_emulator *, std::unique_ptr<EmulatedDevice>>;
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<EmulatedDevice> &device = (*devices)[&functions];
  if (!device)
    device = std::make_unique<EmulatedDevice>(functions);
  return *device;
}
