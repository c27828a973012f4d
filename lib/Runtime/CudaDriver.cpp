//===- CudaDriver.cpp - Opens CUDA's driver -------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CudaDriver.h"
#include "Error.h"
#include <cstdlib>
#include <dlfcn.h>

using namespace attn::rt;
using namespace attn::rt::cuda;

std::string attn::rt::cuda::versionText(int version) {
  return std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
}

std::string Driver::explain(Result result) const {
  const char *name = nullptr, *text = nullptr;
  if (getErrorName(result, &name) != success || !name)
    return "error " + std::to_string(result);
  if (getErrorString(result, &text) != success || !text)
    return name;
  return std::string(name) + ": " + text;
}

void Driver::check(Result result, const char *what) const {
  if (result != success)
    fail(what, " failed: ", explain(result));
}

template <typename Function>
static void resolve(void *library, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

static Driver openDriver() {
  const char *given = std::getenv("ATTN_CUDA_LIBRARY");
  std::string path = given && *given ? given : "libcuda.so.1";
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    fail("no CUDA driver: ", reason ? reason : path,
         "; install NVIDIA's driver, or run the model without a GPU by "
         "--emulate");
  }
  Driver driver;
  const char *missing = nullptr;
  auto require = [&](const char *name, auto &function) {
    resolve(library, name, function);
    if (!function && !missing)
      missing = name;
  };
  require("cuInit", driver.init);
  require("cuDriverGetVersion", driver.driverGetVersion);
  require("cuGetErrorName", driver.getErrorName);
  require("cuGetErrorString", driver.getErrorString);
  require("cuDeviceGetCount", driver.deviceGetCount);
  require("cuDeviceGet", driver.deviceGet);
  require("cuDeviceGetName", driver.deviceGetName);
  require("cuDeviceGetAttribute", driver.deviceGetAttribute);
  require("cuDevicePrimaryCtxRetain", driver.primaryCtxRetain);
  require("cuCtxPushCurrent_v2", driver.ctxPush);
  require("cuCtxPopCurrent_v2", driver.ctxPop);
  require("cuModuleLoadDataEx", driver.moduleLoadDataEx);
  require("cuModuleUnload", driver.moduleUnload);
  require("cuModuleGetFunction", driver.moduleGetFunction);
  require("cuFuncGetAttribute", driver.funcGetAttribute);
  require("cuFuncSetAttribute", driver.funcSetAttribute);
  require("cuLaunchKernel", driver.launchKernel);
  require("cuMemAlloc_v2", driver.memAlloc);
  require("cuMemFree_v2", driver.memFree);
  require("cuMemcpyHtoDAsync_v2", driver.memcpyHtoDAsync);
  require("cuMemcpyDtoHAsync_v2", driver.memcpyDtoHAsync);
  require("cuMemcpyDtoDAsync_v2", driver.memcpyDtoDAsync);
  require("cuMemcpy2DAsync_v2", driver.memcpy2DAsync);
  require("cuStreamSynchronize", driver.streamSynchronize);
  require("cuPointerGetAttribute", driver.pointerGetAttribute);
  require("cuMemGetInfo_v2", driver.memGetInfo);
  if (missing)
    fail("'", path,
         "' is no CUDA driver that this runtime can use: it has no "
         "function '",
         missing, "'; update the driver");
  resolve(library, "cuMemPoolCreate", driver.memPoolCreate);
  resolve(library, "cuMemPoolSetAttribute", driver.memPoolSetAttribute);
  resolve(library, "cuMemAllocFromPoolAsync", driver.memAllocFromPoolAsync);
  resolve(library, "cuMemFreeAsync", driver.memFreeAsync);
  resolve(library, "cuTensorMapEncodeTiled", driver.tensorMapEncodeTiled);
  Result result = driver.init(0);
  if (result == noDevice)
    fail("the CUDA driver finds no GPU (", driver.explain(result),
         "); run the model without one by --emulate");
  driver.check(result, "starting the CUDA driver");
  driver.check(driver.driverGetVersion(&driver.version),
               "asking for the version of the CUDA driver");
  return driver;
}

const Driver &attn::rt::cuda::driver() {
  // A failure is not remembered: the next call tries again.
  static const Driver driver = openDriver();
  return driver;
}
