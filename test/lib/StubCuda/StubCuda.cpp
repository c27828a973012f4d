//===- StubCuda.cpp - A CUDA driver without a GPU, for tests --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "StubCuda.h"
#include "Runtime/CudaDriver.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

using namespace attn::rt::cuda;

namespace {

using KernelBody = void (*)(unsigned, unsigned, unsigned, void **);

struct State {
  std::map<std::string, long> settings;
  std::map<std::string, KernelBody> kernels;
  std::map<Address, size_t> blocks;
  std::string log;
  size_t held = 0;
  int contextDepth = 0;
};

std::recursive_mutex mutex;

void readEnvironment(State &state) {
  const char *text = std::getenv("ATTN_STUB_CUDA");
  std::string settings = text ? text : "";
  for (size_t at = 0; at < settings.size();) {
    size_t end = std::min(settings.find(',', at), settings.size());
    std::string entry = settings.substr(at, end - at);
    size_t equals = entry.find('=');
    if (equals != std::string::npos)
      state.settings[entry.substr(0, equals)] =
          std::atol(entry.c_str() + equals + 1);
    at = end + 1;
  }
}

State &state() {
  static State *state = [] {
    auto *made = new State;
    readEnvironment(*made);
    return made;
  }();
  return *state;
}

long setting(const std::string &name, long otherwise) {
  auto found = state().settings.find(name);
  return found == state().settings.end() ? otherwise : found->second;
}

__attribute__((format(printf, 1, 2))) void note(const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  state().log += line;
  state().log += '\n';
}

/// The result that the test wants of the entry point `name`.
Result wanted(const char *name) {
  return static_cast<Result>(setting(name, success));
}

Result allocate(Address *address, size_t bytes) {
  if (state().held + bytes > static_cast<size_t>(setting("memory", 1L << 30)))
    return outOfMemory;
  void *block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  *address = reinterpret_cast<Address>(block);
  state().blocks[*address] = bytes;
  state().held += bytes;
  return success;
}

Result release(Address address) {
  auto found = state().blocks.find(address);
  if (found == state().blocks.end())
    return 1;
  state().held -= found->second;
  state().blocks.erase(found);
  std::free(reinterpret_cast<void *>(address));
  return success;
}

/// Whether [address, address + bytes) lies in one block.
bool isDevice(Address address, size_t bytes) {
  auto found = state().blocks.upper_bound(address);
  if (found == state().blocks.begin())
    return false;
  --found;
  return address + bytes <= found->first + found->second;
}

} // namespace

/// A module; a function is the name of a kernel.
struct attn::rt::cuda::ModuleHandle {
  std::vector<std::string *> functions;
};

#define ENTER(name)                                                            \
  std::lock_guard<std::recursive_mutex> lock(mutex);                           \
  if (Result result = wanted(name))                                            \
    return result;

extern "C" {

void stub_set(const char *name, long value) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  state().settings[name] = value;
}

void stub_reset(void) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  state().settings.clear();
  state().log.clear();
  readEnvironment(state());
}

const char *stub_log(void) { return state().log.c_str(); }

void stub_kernel(const char *name, KernelBody body) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  state().kernels[name] = body;
}

long stub_live(void) { return static_cast<long>(state().blocks.size()); }

Result cuInit(unsigned) {
  ENTER("cuInit");
  return success;
}

Result cuDriverGetVersion(int *version) {
  *version = static_cast<int>(setting("version", 13000));
  return success;
}

Result cuGetErrorName(Result result, const char **name) {
  static const std::map<Result, const char *> names = {
      {1, "CUDA_ERROR_INVALID_VALUE"},
      {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {100, "CUDA_ERROR_NO_DEVICE"},
      {200, "CUDA_ERROR_INVALID_IMAGE"},
      {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
      {500, "CUDA_ERROR_NOT_FOUND"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"}};
  auto found = names.find(result);
  if (found == names.end())
    return 1;
  *name = found->second;
  return success;
}

Result cuGetErrorString(Result result, const char **text) {
  *text = "as the test wanted it";
  return success;
}

Result cuDeviceGetCount(int *count) {
  ENTER("cuDeviceGetCount");
  *count = static_cast<int>(setting("devices", 2));
  return success;
}

Result cuDeviceGet(DeviceHandle *device, int ordinal) {
  ENTER("cuDeviceGet");
  *device = ordinal;
  return success;
}

Result cuDeviceGetName(char *name, int size, DeviceHandle) {
  std::snprintf(name, size, "stub");
  return success;
}

Result cuDeviceGetAttribute(int *value, DeviceAttribute attribute,
                            DeviceHandle) {
  switch (attribute) {
  case multiprocessorCount:
    *value = 7;
    return success;
  case capabilityMajor:
    *value = static_cast<int>(setting("capability", 90) / 10);
    return success;
  case capabilityMinor:
    *value = static_cast<int>(setting("capability", 90) % 10);
    return success;
  case sharedBytesOptIn:
    *value = static_cast<int>(setting("shared", 232448));
    return success;
  case memoryPools:
    *value = static_cast<int>(setting("pools", 1));
    return success;
  }
  return 1;
}

Result cuDevicePrimaryCtxRetain(ContextHandle **context, DeviceHandle device) {
  ENTER("cuDevicePrimaryCtxRetain");
  note("retain %d", device);
  *context =
      reinterpret_cast<ContextHandle *>(static_cast<intptr_t>(device + 1));
  return success;
}

Result cuCtxPushCurrent_v2(ContextHandle *) {
  ENTER("cuCtxPushCurrent_v2");
  ++state().contextDepth;
  return success;
}

Result cuCtxPopCurrent_v2(ContextHandle **) {
  --state().contextDepth;
  return success;
}

Result cuModuleLoadDataEx(ModuleHandle **module, const void *image, unsigned,
                          JitOption *, void **) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  bool isCubin = std::memcmp(image,
                             "\x7f"
                             "ELF",
                             4) == 0;
  const char *kind = isCubin ? "cubin" : "ptx";
  if (Result result = wanted(kind))
    return result;
  note("load %s, contexts %d", kind, state().contextDepth);
  *module = new ModuleHandle;
  return success;
}

Result cuModuleUnload(ModuleHandle *module) {
  ENTER("cuModuleUnload");
  note("unload");
  for (std::string *function : module->functions)
    delete function;
  delete module;
  return success;
}

Result cuModuleGetFunction(FunctionHandle **function, ModuleHandle *module,
                           const char *name) {
  ENTER("cuModuleGetFunction");
  module->functions.push_back(new std::string(name));
  *function = reinterpret_cast<FunctionHandle *>(module->functions.back());
  return success;
}

Result cuFuncGetAttribute(int *value, FunctionAttribute attribute,
                          FunctionHandle *) {
  ENTER("cuFuncGetAttribute");
  *value = attribute == maxThreads ? static_cast<int>(setting("threads", 1024))
                                   : static_cast<int>(setting("static", 0));
  return success;
}

Result cuFuncSetAttribute(FunctionHandle *, FunctionAttribute, int value) {
  ENTER("cuFuncSetAttribute");
  note("shared %d", value);
  return success;
}

Result cuLaunchKernel(FunctionHandle *function, unsigned x, unsigned y,
                      unsigned z, unsigned threads, unsigned threadsY,
                      unsigned threadsZ, unsigned sharedBytes,
                      StreamHandle *stream, void **params, void **) {
  ENTER("cuLaunchKernel");
  const std::string &name = *reinterpret_cast<std::string *>(function);
  note("launch %s %u %u %u, %u threads, %u shared, stream %zu", name.c_str(), x,
       y, z, threads * threadsY * threadsZ, sharedBytes,
       reinterpret_cast<size_t>(stream));
  auto found = state().kernels.find(name);
  if (found != state().kernels.end() && found->second)
    found->second(x, y, z, params);
  return success;
}

Result cuMemAlloc_v2(Address *address, size_t bytes) {
  ENTER("cuMemAlloc_v2");
  note("alloc");
  return allocate(address, bytes);
}

Result cuMemFree_v2(Address address) {
  ENTER("cuMemFree_v2");
  return release(address);
}

Result cuMemPoolCreate(PoolHandle **pool, const PoolProperties *properties) {
  ENTER("cuMemPoolCreate");
  note("pool of device %d", properties->locationId);
  *pool = reinterpret_cast<PoolHandle *>(1);
  return success;
}

Result cuMemPoolSetAttribute(PoolHandle *, PoolAttribute, void *) {
  return success;
}

Result cuMemAllocFromPoolAsync(Address *address, size_t bytes, PoolHandle *,
                               StreamHandle *stream) {
  ENTER("cuMemAllocFromPoolAsync");
  note("alloc, stream %zu", reinterpret_cast<size_t>(stream));
  return allocate(address, bytes);
}

Result cuMemFreeAsync(Address address, StreamHandle *stream) {
  ENTER("cuMemFreeAsync");
  note("free, stream %zu", reinterpret_cast<size_t>(stream));
  return release(address);
}

Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes,
                            StreamHandle *) {
  ENTER("cuMemcpyHtoDAsync_v2");
  if (!isDevice(to, bytes))
    return 1;
  note("to device %zu", bytes);
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return success;
}

Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes,
                            StreamHandle *) {
  ENTER("cuMemcpyDtoHAsync_v2");
  if (!isDevice(from, bytes))
    return 1;
  note("to host %zu", bytes);
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return success;
}

Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes,
                            StreamHandle *) {
  ENTER("cuMemcpyDtoDAsync_v2");
  if (!isDevice(to, bytes) || !isDevice(from, bytes))
    return 1;
  note("copy %zu", bytes);
  std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from),
               bytes);
  return success;
}

Result cuMemcpy2DAsync_v2(const Copy2D *copy, StreamHandle *) {
  ENTER("cuMemcpy2DAsync_v2");
  // The driver refuses rows that overlap.
  if (copy->fromPitch < copy->width || copy->toPitch < copy->width)
    return 1;
  note("rows %zu of %zu", copy->height, copy->width);
  const char *from = copy->fromType == hostMemory
                         ? static_cast<const char *>(copy->fromHost)
                         : reinterpret_cast<const char *>(copy->fromDevice);
  char *to = copy->toType == hostMemory
                 ? static_cast<char *>(copy->toHost)
                 : reinterpret_cast<char *>(copy->toDevice);
  for (size_t i = 0; i < copy->height; ++i)
    std::memcpy(to + i * copy->toPitch, from + i * copy->fromPitch,
                copy->width);
  return success;
}

Result cuStreamSynchronize(StreamHandle *stream) {
  ENTER("cuStreamSynchronize");
  note("wait, stream %zu", reinterpret_cast<size_t>(stream));
  return success;
}

Result cuPointerGetAttribute(void *value, PointerAttribute attribute,
                             Address address) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (!isDevice(address, 1))
    return 1;
  if (attribute == memoryType)
    *static_cast<unsigned *>(value) = deviceMemory;
  else
    *static_cast<int *>(value) = static_cast<int>(setting("owner", 0));
  return success;
}

Result cuMemGetInfo_v2(size_t *available, size_t *total) {
  *total = setting("memory", 1L << 30);
  *available = *total - state().held;
  return success;
}

Result cuTensorMapEncodeTiled(void *map, int type, uint32_t rank, void *address,
                              const uint64_t *sizes, const uint64_t *strides,
                              const uint32_t *box, const uint32_t *steps,
                              int interleave, int swizzle, int promotion,
                              int fill) {
  ENTER("cuTensorMapEncodeTiled");
  std::string line = "map type " + std::to_string(type) + " swizzle " +
                     std::to_string(swizzle);
  for (uint32_t i = 0; i < rank; ++i) {
    line += " [" + std::to_string(sizes[i]) + " box " + std::to_string(box[i]);
    if (i + 1 < rank)
      line += " stride " + std::to_string(strides[i]);
    line += "]";
  }
  note("%s", line.c_str());
  std::memset(map, 0x5a, 128);
  return success;
}

} // extern "C"
