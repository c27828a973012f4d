//===- CudaDriver.h - The entry points of CUDA's driver ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_CUDADRIVER_H
#define ATTN_LIB_RUNTIME_CUDADRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>

/// The parts of the driver's binary interface that the runtime uses, declared
/// here so that no CUDA header is needed to build it.
namespace attn::rt::cuda {

using Result = int;
using DeviceHandle = int;
using Address = unsigned long long;
struct ContextHandle;
struct ModuleHandle;
struct FunctionHandle;
struct StreamHandle;
struct PoolHandle;

enum : Result {
  success = 0,
  outOfMemory = 2,
  noDevice = 100,
  invalidImage = 200,
  noBinaryForGpu = 209,
  invalidPtx = 218,
  unsupportedPtxVersion = 222,
};

enum DeviceAttribute : int {
  multiprocessorCount = 16,
  capabilityMajor = 75,
  capabilityMinor = 76,
  sharedBytesOptIn = 97,
  memoryPools = 115,
};

enum FunctionAttribute : int {
  maxThreads = 0,
  staticSharedBytes = 1,
  maxDynamicSharedBytes = 8,
};

enum PointerAttribute : int { memoryType = 2, deviceOrdinal = 9 };
enum MemoryType : unsigned { hostMemory = 1, deviceMemory = 2 };
enum JitOption : int { errorLog = 5, errorLogBytes = 6 };
enum PoolAttribute : int { releaseThreshold = 4 };

struct Copy2D {
  size_t fromX, fromY;
  MemoryType fromType;
  const void *fromHost;
  Address fromDevice;
  void *fromArray;
  size_t fromPitch;
  size_t toX, toY;
  MemoryType toType;
  void *toHost;
  Address toDevice;
  void *toArray;
  size_t toPitch;
  size_t width, height;
};

struct PoolProperties {
  int allocationType; ///< 1: pinned, the only one
  int handleTypes;
  int locationType; ///< 1: a device
  int locationId;
  void *security;
  size_t maxSize;
  unsigned short usage;
  unsigned char reserved[54];
};

/// Functions of libcuda.so.1; the optional ones may be null.
struct Driver {
  Result (*init)(unsigned);
  Result (*driverGetVersion)(int *);
  Result (*getErrorName)(Result, const char **);
  Result (*getErrorString)(Result, const char **);
  Result (*deviceGetCount)(int *);
  Result (*deviceGet)(DeviceHandle *, int);
  Result (*deviceGetName)(char *, int, DeviceHandle);
  Result (*deviceGetAttribute)(int *, DeviceAttribute, DeviceHandle);
  Result (*primaryCtxRetain)(ContextHandle **, DeviceHandle);
  Result (*ctxPush)(ContextHandle *);
  Result (*ctxPop)(ContextHandle **);
  Result (*moduleLoadDataEx)(ModuleHandle **, const void *, unsigned,
                             JitOption *, void **);
  Result (*moduleUnload)(ModuleHandle *);
  Result (*moduleGetFunction)(FunctionHandle **, ModuleHandle *, const char *);
  Result (*funcGetAttribute)(int *, FunctionAttribute, FunctionHandle *);
  Result (*funcSetAttribute)(FunctionHandle *, FunctionAttribute, int);
  Result (*launchKernel)(FunctionHandle *, unsigned, unsigned, unsigned,
                         unsigned, unsigned, unsigned, unsigned, StreamHandle *,
                         void **, void **);
  Result (*memAlloc)(Address *, size_t);
  Result (*memFree)(Address);
  Result (*memcpyHtoDAsync)(Address, const void *, size_t, StreamHandle *);
  Result (*memcpyDtoHAsync)(void *, Address, size_t, StreamHandle *);
  Result (*memcpyDtoDAsync)(Address, Address, size_t, StreamHandle *);
  Result (*memcpy2DAsync)(const Copy2D *, StreamHandle *);
  Result (*streamSynchronize)(StreamHandle *);
  Result (*pointerGetAttribute)(void *, PointerAttribute, Address);
  Result (*memGetInfo)(size_t *, size_t *);
  // Optional: CUDA 11.2, 11.2, 11.2, 11.2 and 12.0.
  Result (*memPoolCreate)(PoolHandle **, const PoolProperties *);
  Result (*memPoolSetAttribute)(PoolHandle *, PoolAttribute, void *);
  Result (*memAllocFromPoolAsync)(Address *, size_t, PoolHandle *,
                                  StreamHandle *);
  Result (*memFreeAsync)(Address, StreamHandle *);
  Result (*tensorMapEncodeTiled)(void *, int type, uint32_t rank, void *,
                                 const uint64_t *sizes, const uint64_t *strides,
                                 const uint32_t *box, const uint32_t *steps,
                                 int interleave, int swizzle, int promotion,
                                 int fill);

  int version = 0; ///< of CUDA: 13000 is 13.0

  /// Throws Error with `what` and the driver's words unless `result` is 0.
  void check(Result result, const char *what) const;
  /// "CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid"
  std::string explain(Result result) const;
};

/// The driver, opened at the first call: the library that ATTN_CUDA_LIBRARY
/// names, else libcuda.so.1. Throws Error when there is none.
const Driver &driver();

/// "12.8" of 12080.
std::string versionText(int version);

} // namespace attn::rt::cuda

#endif // ATTN_LIB_RUNTIME_CUDADRIVER_H
