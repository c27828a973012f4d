//===- DeviceCuda.cpp - A GPU behind CUDA's driver ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CudaDriver.h"
#include "DataType.h"
#include "Device.h"
#include "Error.h"
#include "attn/Runtime/attn_runtime.h"
#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

using namespace attn::rt;
using namespace attn::rt::cuda;

static StreamHandle *asStream(Stream stream) {
  return static_cast<StreamHandle *>(stream);
}

static Address asAddress(const void *pointer) {
  return reinterpret_cast<Address>(pointer);
}

namespace {

class CudaDevice;

class CudaProgram final : public DeviceProgram {
public:
  CudaProgram(CudaDevice &device, ModuleHandle *module, const GpuSpec &spec);
  ~CudaProgram() override;
  void launch(int32_t index, const LaunchShape &shape, void **params,
              Stream stream) override;

private:
  struct Kernel {
    std::string name;
    FunctionHandle *function = nullptr;
    int maxThreads = 0;
    int64_t staticShared = 0, allowedShared = 0;
  };
  CudaDevice &device;
  ModuleHandle *module;
  std::vector<Kernel> kernels;
};

class CudaDevice final : public Device {
public:
  CudaDevice(const Driver &api, int32_t ordinal);

  std::string name() const override { return label; }
  int64_t multiprocessors() const override {
    return attribute(multiprocessorCount);
  }
  void makeCurrent() override {
    api.check(api.ctxPush(context), "making the GPU current");
  }
  void restore() noexcept override {
    ContextHandle *popped = nullptr;
    api.ctxPop(&popped);
  }
  std::unique_ptr<DeviceProgram> load(const GpuSpec &spec,
                                      const DeviceCode &code) override;
  void *allocate(int64_t bytes, Stream stream) override;
  void release(void *block, Stream stream) noexcept override;
  void checkAddress(const void *address, const std::string &what) override;
  void copyRows(void *to, int64_t toPitch, const void *from, int64_t fromPitch,
                int64_t width, int64_t rows, CopyKind kind,
                Stream stream) override;
  void encodeTensorMap(void *map128, const TensorMap &map) override;
  void synchronize(Stream stream) override {
    api.check(api.streamSynchronize(asStream(stream)), "waiting for the GPU");
  }

  int64_t attribute(DeviceAttribute which) const {
    int value = 0;
    api.check(api.deviceGetAttribute(&value, which, handle),
              "asking for a property of the GPU");
    return value;
  }

  const Driver &api;

private:
  Result loadImage(const void *image, bool isText, ModuleHandle *&module,
                   std::string &log) const;

  int32_t ordinal;
  DeviceHandle handle = 0;
  ContextHandle *context = nullptr;
  PoolHandle *pool = nullptr;
  std::string label;
  int capability = 0; ///< 90 for 9.0
};

} // namespace

CudaDevice::CudaDevice(const Driver &api, int32_t ordinal)
    : api(api), ordinal(ordinal) {
  int count = 0;
  Result result = api.deviceGetCount(&count);
  if (result == noDevice || (result == success && count == 0))
    fail("the CUDA driver finds no GPU; run the model without one by "
         "--emulate");
  api.check(result, "counting the GPUs");
  if (ordinal < 0 || ordinal >= count)
    fail("there is no GPU ", ordinal, "; the driver has ", count,
         ", counted from 0");
  api.check(api.deviceGet(&handle, ordinal), "opening the GPU");
  char text[128] = "";
  api.deviceGetName(text, sizeof(text), handle);
  label = "GPU " + std::to_string(ordinal) + " (" + text + ")";
  capability = static_cast<int>(attribute(capabilityMajor) * 10 +
                                attribute(capabilityMinor));
  // The context that PyTorch and the CUDA runtime use too. It is never
  // released: other users of the process may come and go.
  api.check(api.primaryCtxRetain(&context, handle),
            "making a context on the GPU");
  if (api.memPoolCreate && api.memPoolSetAttribute &&
      api.memAllocFromPoolAsync && api.memFreeAsync &&
      attribute(memoryPools) != 0) {
    // A pool of our own, which keeps its memory when a stream is waited for.
    PoolProperties properties = {};
    properties.allocationType = properties.locationType = 1;
    properties.locationId = ordinal;
    uint64_t keep = UINT64_MAX;
    api.check(api.memPoolCreate(&pool, &properties),
              "making a pool of GPU memory");
    api.check(api.memPoolSetAttribute(pool, releaseThreshold, &keep),
              "making a pool of GPU memory");
  }
}

/// The number in "sm_90a", and whether it stands for exactly this one.
static std::pair<int, bool> parseChip(const std::string &chip) {
  bool isExact = chip.ends_with('a');
  int number = chip.starts_with("sm_") ? std::atoi(chip.c_str() + 3) : 0;
  return {number, isExact};
}

Result CudaDevice::loadImage(const void *image, bool isText,
                             ModuleHandle *&module, std::string &log) const {
  char buffer[2048] = "";
  JitOption options[] = {errorLog, errorLogBytes};
  void *values[] = {buffer, reinterpret_cast<void *>(sizeof(buffer))};
  Result result =
      api.moduleLoadDataEx(&module, image, isText ? 2 : 0, options, values);
  log = buffer;
  std::replace(log.begin(), log.end(), '\n', ' ');
  return result;
}

std::unique_ptr<DeviceProgram> CudaDevice::load(const GpuSpec &spec,
                                                const DeviceCode &code) {
  auto [chip, isExact] = parseChip(spec.chip);
  std::string own = "sm_" + std::to_string(capability);
  // Machine code serves its own generation, text every later one.
  bool cubinFits = code.cubin && (isExact ? capability == chip
                                          : capability / 10 == chip / 10 &&
                                                capability >= chip);
  bool textFits =
      code.ptx && (isExact ? capability == chip : capability >= chip);
  if (!cubinFits && !textFits)
    fail("the module was compiled for ", spec.chip, " but ", label, " is ", own,
         "; compile it for a target that this GPU can run, such as --target ",
         capability == 90 ? "sm_90a" : "sm_80");
  ModuleHandle *module = nullptr;
  std::string log;
  Result result = success;
  if (cubinFits) {
    result = loadImage(code.cubin, /*isText=*/false, module, log);
    if (result == success)
      return std::make_unique<CudaProgram>(*this, module, spec);
    if (result == outOfMemory)
      fail("out of memory on ", label, " while loading the module's code");
  }
  if (textFits) {
    result = loadImage(code.ptx, /*isText=*/true, module, log);
    if (result == success)
      return std::make_unique<CudaProgram>(*this, module, spec);
  }
  bool isTooNew = result == invalidImage || result == noBinaryForGpu ||
                  result == unsupportedPtxVersion || result == invalidPtx;
  if (isTooNew && api.version < spec.cudaVersion)
    fail("the driver supports CUDA ", versionText(api.version),
         " but the module's code was made with CUDA ",
         versionText(spec.cudaVersion), "; update the driver of ", label);
  fail(label, " refuses the module's code: ", api.explain(result),
       log.empty() ? "" : " (" + log + ")");
}

CudaProgram::CudaProgram(CudaDevice &device, ModuleHandle *module,
                         const GpuSpec &spec)
    : device(device), module(module) {
  const Driver &api = device.api;
  for (const KernelSpec &given : spec.kernels) {
    Kernel kernel;
    kernel.name = given.name;
    Result result =
        api.moduleGetFunction(&kernel.function, module, given.name.c_str());
    if (result != success) {
      api.moduleUnload(module);
      fail("the module's code has no kernel '", given.name, "' (",
           api.explain(result), "); compile it again");
    }
    int shared = 0;
    api.check(
        api.funcGetAttribute(&kernel.maxThreads, maxThreads, kernel.function),
        "asking for a kernel's limits");
    api.check(api.funcGetAttribute(&shared, staticSharedBytes, kernel.function),
              "asking for a kernel's limits");
    kernel.staticShared = shared;
    kernels.push_back(kernel);
  }
}

CudaProgram::~CudaProgram() {
  try {
    DeviceScope scope(device);
    device.api.moduleUnload(module);
  } catch (const Error &) {
    // The process ends, or the driver is gone: nothing is left to free.
  }
}

void CudaProgram::launch(int32_t index, const LaunchShape &shape, void **params,
                         Stream stream) {
  if (index < 0 || index >= static_cast<int32_t>(kernels.size()))
    fail("kernel ", index, " is outside of [0, ", kernels.size(), ")");
  Kernel &kernel = kernels[index];
  auto [x, y, z] = shape.grid;
  if (x == 0 || y == 0 || z == 0)
    return;
  // Everything that would make the driver refuse is checked first; a refused
  // launch can spoil the context for all its users.
  if (x < 0 || y < 0 || z < 0 || x > INT32_MAX || y > 65535 || z > 65535)
    fail("kernel '", kernel.name, "' wants a grid of ", x, " x ", y, " x ", z,
         " but the GPU's limit is 2147483647 x 65535 x 65535; run it on "
         "smaller tensors");
  if (shape.threads < 1 || shape.threads > kernel.maxThreads)
    fail("kernel '", kernel.name, "' wants ", shape.threads,
         " threads but can have ", kernel.maxThreads, " on ", device.name());
  int64_t wanted = shape.sharedBytes + kernel.staticShared;
  int64_t limit = device.attribute(sharedBytesOptIn);
  if (shape.sharedBytes < 0 || wanted > limit)
    fail("kernel '", kernel.name, "' wants ", wanted,
         " bytes of shared memory but ", device.name(), " has ", limit);
  const Driver &api = device.api;
  if (shape.sharedBytes > kernel.allowedShared) {
    api.check(api.funcSetAttribute(kernel.function, maxDynamicSharedBytes,
                                   static_cast<int>(shape.sharedBytes)),
              "asking for shared memory");
    kernel.allowedShared = shape.sharedBytes;
  }
  Result result = api.launchKernel(
      kernel.function, static_cast<unsigned>(x), static_cast<unsigned>(y),
      static_cast<unsigned>(z), static_cast<unsigned>(shape.threads), 1, 1,
      static_cast<unsigned>(shape.sharedBytes), asStream(stream), params,
      nullptr);
  if (result != success)
    fail("launching kernel '", kernel.name, "' failed: ", api.explain(result));
}

void *CudaDevice::allocate(int64_t bytes, Stream stream) {
  Address address = 0;
  size_t size = std::max<int64_t>(bytes, 16);
  Result result =
      pool ? api.memAllocFromPoolAsync(&address, size, pool, asStream(stream))
           : api.memAlloc(&address, size);
  if (result == outOfMemory) {
    size_t available = 0, total = 0;
    api.memGetInfo(&available, &total);
    fail("out of memory on ", label, ": a tensor of ", bytes,
         " bytes does not fit; ", available, " of ", total, " bytes are free");
  }
  api.check(result, "allocating GPU memory");
  return reinterpret_cast<void *>(address);
}

void CudaDevice::release(void *block, Stream stream) noexcept {
  if (!block)
    return;
  if (pool) {
    api.memFreeAsync(asAddress(block), asStream(stream));
    return;
  }
  // Waits for the whole GPU, which kernels that still use the block need.
  api.memFree(asAddress(block));
}

void CudaDevice::checkAddress(const void *address, const std::string &what) {
  unsigned type = 0;
  int owner = -1;
  if (api.pointerGetAttribute(&type, memoryType, asAddress(address)) !=
          success ||
      type != deviceMemory)
    fail(what, " is not memory of a GPU; pass device pointers, or host arrays "
               "without a stream");
  if (api.pointerGetAttribute(&owner, deviceOrdinal, asAddress(address)) ==
          success &&
      owner != ordinal)
    fail(what, " is memory of GPU ", owner, " but the module runs on ", label);
}

void CudaDevice::copyRows(void *to, int64_t toPitch, const void *from,
                          int64_t fromPitch, int64_t width, int64_t rows,
                          CopyKind kind, Stream stream) {
  if (width == 0 || rows == 0)
    return;
  Result result;
  if (rows == 1 || (toPitch == width && fromPitch == width)) {
    size_t bytes = width * rows;
    switch (kind) {
    case CopyKind::HostToDevice:
      result =
          api.memcpyHtoDAsync(asAddress(to), from, bytes, asStream(stream));
      break;
    case CopyKind::DeviceToHost:
      result =
          api.memcpyDtoHAsync(to, asAddress(from), bytes, asStream(stream));
      break;
    default:
      result = api.memcpyDtoDAsync(asAddress(to), asAddress(from), bytes,
                                   asStream(stream));
      break;
    }
    api.check(result, "copying a tensor");
    return;
  }
  Copy2D copy = {};
  bool isFromHost = kind == CopyKind::HostToDevice;
  bool isToHost = kind == CopyKind::DeviceToHost;
  copy.fromType = isFromHost ? hostMemory : deviceMemory;
  copy.fromHost = from;
  copy.fromDevice = asAddress(from);
  copy.fromPitch = fromPitch;
  copy.toType = isToHost ? hostMemory : deviceMemory;
  copy.toHost = to;
  copy.toDevice = asAddress(to);
  copy.toPitch = toPitch;
  copy.width = width;
  copy.height = rows;
  api.check(api.memcpy2DAsync(&copy, asStream(stream)), "copying a tensor");
}

/// CUtensorMapDataType of an element type; -1 for one that has none.
static int tensorMapType(int32_t dtype) {
  switch (dtype) {
  case ATTN_RT_UINT8:
  case ATTN_RT_INT8:
  case ATTN_RT_BOOL:
    return 0;
  case ATTN_RT_UINT16:
  case ATTN_RT_INT16:
    return 1;
  case ATTN_RT_UINT32:
    return 2;
  case ATTN_RT_INT32:
    return 3;
  case ATTN_RT_UINT64:
    return 4;
  case ATTN_RT_INT64:
    return 5;
  case ATTN_RT_FLOAT16:
    return 6;
  case ATTN_RT_FLOAT32:
    return 7;
  case ATTN_RT_FLOAT64:
    return 8;
  case ATTN_RT_BFLOAT16:
    return 9;
  default:
    return -1;
  }
}

void CudaDevice::encodeTensorMap(void *map128, const TensorMap &map) {
  checkTensorMap(map);
  int type = tensorMapType(map.dtype);
  if (type < 0)
    fail("tensor maps have no element type ", dataTypeName(map.dtype));
  if (!api.tensorMapEncodeTiled)
    fail("the driver supports CUDA ", versionText(api.version),
         ", which has no tensor maps; update it to 12.0 or newer");
  uint64_t sizes[5], strides[5];
  uint32_t box[5], steps[5];
  for (int32_t i = 0; i < map.rank; ++i) {
    sizes[i] = map.sizes[i];
    strides[i] = i + 1 < map.rank ? map.byteStrides[i] : 0;
    box[i] = map.box[i];
    steps[i] = 1;
  }
  int swizzle = map.swizzleBytes == 128  ? 3
                : map.swizzleBytes == 64 ? 2
                : map.swizzleBytes == 32 ? 1
                                         : 0;
  constexpr int promote128 = 2, fillZero = 0;
  api.check(api.tensorMapEncodeTiled(map128, type, map.rank, map.address, sizes,
                                     strides, box, steps, 0, swizzle,
                                     promote128, fillZero),
            "describing a tensor for bulk copies");
}

Device &attn::rt::cudaDevice(int32_t ordinal) {
  static std::mutex mutex;
  static auto *devices = new std::map<int32_t, std::unique_ptr<CudaDevice>>;
  const Driver &api = driver();
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<CudaDevice> &device = (*devices)[ordinal];
  if (!device)
    device = std::make_unique<CudaDevice>(api, ordinal);
  return *device;
}
