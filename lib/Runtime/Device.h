//===- Device.h - A GPU, or what stands in for one --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DEVICE_H
#define ATTN_LIB_RUNTIME_DEVICE_H

#include "Metadata.h"
#include <cstdint>
#include <memory>
#include <string>

namespace attn::rt {

/// A CUstream; null is the default stream.
using Stream = void *;

/// Which way a copy goes; the numbers are part of what generated code passes.
enum class CopyKind : int32_t {
  HostToDevice = 0,
  DeviceToHost = 1,
  DeviceToDevice = 2
};

/// The machine code of a module, as an artifact holds it.
struct DeviceCode {
  const void *cubin = nullptr;
  const char *ptx = nullptr; ///< for the driver's own assembler
  /// Emulated kernels, in the order of the metadata.
  const void *const *emulated = nullptr;
};

struct LaunchShape {
  int64_t grid[3];
  int64_t threads;
  int64_t sharedBytes; ///< dynamic
};

/// What a tensor map says: the arguments of cuTensorMapEncodeTiled that differ
/// between ours. The innermost dimension comes first; `byteStrides` begins
/// with that of dimension 1.
struct TensorMap {
  void *address;
  int32_t dtype, rank;
  const int64_t *sizes, *byteStrides;
  const int32_t *box;
  int32_t swizzleBytes;
};

/// The kernels of one module on one device.
class DeviceProgram {
public:
  virtual ~DeviceProgram() = default;
  /// Queues kernel `index`; `params` points to each parameter.
  virtual void launch(int32_t index, const LaunchShape &shape, void **params,
                      Stream stream) = 0;
};

/// Every function throws Error with one line; all but `makeCurrent` and
/// `restore` want this device to be the thread's current one.
class Device {
public:
  virtual ~Device() = default;

  /// "GPU 0 (NVIDIA H100)"
  virtual std::string name() const = 0;
  virtual int64_t multiprocessors() const = 0;
  virtual void makeCurrent() = 0;
  virtual void restore() noexcept = 0;

  virtual std::unique_ptr<DeviceProgram> load(const GpuSpec &spec,
                                              const DeviceCode &code) = 0;

  /// Memory for work that is queued on `stream` later.
  virtual void *allocate(int64_t bytes, Stream stream) = 0;
  virtual void release(void *block, Stream stream) noexcept = 0;
  /// Throws unless `address` is memory that kernels of this device may use;
  /// `what` names it.
  virtual void checkAddress(const void *address, const std::string &what) = 0;

  /// Copies `rows` rows of `width` bytes that lie `toPitch` and `fromPitch`
  /// bytes apart.
  virtual void copyRows(void *to, int64_t toPitch, const void *from,
                        int64_t fromPitch, int64_t width, int64_t rows,
                        CopyKind kind, Stream stream) = 0;
  virtual void encodeTensorMap(void *map128, const TensorMap &map) = 0;
  /// Waits for the work of `stream`.
  virtual void synchronize(Stream stream) = 0;
};

/// Makes `device` current in a scope.
class DeviceScope {
public:
  explicit DeviceScope(Device &device) : device(device) {
    device.makeCurrent();
  }
  ~DeviceScope() { device.restore(); }
  DeviceScope(const DeviceScope &) = delete;
  DeviceScope &operator=(const DeviceScope &) = delete;

private:
  Device &device;
};

/// The GPU `ordinal` of the CUDA driver, which is opened at the first call.
/// Lives as long as the process.
Device &cudaDevice(int32_t ordinal);

/// Throws unless a tensor map can describe `map`; says what is wrong.
void checkTensorMap(const TensorMap &map);

/// Copies a strided array to another; strides are in elements. Neighbouring
/// dimensions that both sides hold densely become one copy.
void copyStrided(Device &device, void *to, const int64_t *toStrides,
                 const void *from, const int64_t *fromStrides,
                 const int64_t *sizes, int32_t rank, int64_t elementSize,
                 CopyKind kind, Stream stream);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_DEVICE_H
