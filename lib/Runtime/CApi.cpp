//===- CApi.cpp - The C interface of the runtime --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DataType.h"
#include "DeviceEmulator.h"
#include "Error.h"
#include "Module.h"
#include "SharedLibrary.h"
#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>

using namespace attn::rt;

static thread_local std::string lastError;

/// Runs `body` and turns an exception into `failed` and a message.
template <typename Result, typename Body>
static Result guarded(Result failed, Body body) {
  try {
    lastError.clear();
    return body();
  } catch (const std::bad_alloc &) {
    lastError = "out of memory";
  } catch (const std::exception &error) {
    lastError = error.what();
  } catch (...) {
    lastError = "unknown failure inside the runtime";
  }
  return failed;
}

const char *attn_rt_last_error(void) { return lastError.c_str(); }

const char *attn_rt_version(void) { return ATTN_VERSION; }

/// Generated libraries look up attn_rt_* functions in the global scope, where
/// this library is not if Python or a plugin loaded it.
static void exposeRuntime() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void *>(&attn_rt_load), &info) && info.dli_fname)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

static void *findSymbol(void *library, const char *name,
                        const std::string &path) {
  void *symbol = dlsym(library, name);
  if (!symbol)
    fail("'", path,
         "' is not a module that `attn compile` wrote: it has no "
         "symbol '",
         name, "'");
  return symbol;
}

/// Code for another processor would end in an illegal instruction.
static void checkProcessor(const Metadata &metadata) {
#if defined(__x86_64__)
  bool isFit = true;
  if (metadata.target == "x86-64-v4")
    isFit = __builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  else if (metadata.target == "x86-64-v3")
    isFit = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
            __builtin_cpu_supports("bmi2");
  if (!isFit)
    fail("the module was compiled for ", metadata.target,
         ", which this processor is not; compile it with --target x86-64-v3 "
         "or on this machine");
#endif
}

static std::unique_ptr<attn_rt_module>
makeModule(std::unique_ptr<CodeHandle> code, void (*entry)(void **),
           void (*init)(void **), const std::string &text,
           const std::string &folder, const DeviceCode &deviceCode = {},
           Device *emulator = nullptr) {
  // The recorded folder is only known after parsing; parsing twice is cheap.
  Metadata metadata = parseMetadata(text);
  checkProcessor(metadata);
  std::vector<std::string> folders = {folder};
  if (!metadata.folder.empty() && metadata.folder != folder)
    folders.push_back(metadata.folder);
  return std::make_unique<attn_rt_module>(std::move(code), entry, init, text,
                                          folders, deviceCode, emulator);
}

attn_rt_module *attn_rt_load(const char *path) {
  return guarded<attn_rt_module *>(nullptr, [&]() -> attn_rt_module * {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
      fail("cannot load '", path, "': no such file");
    if (!std::filesystem::is_regular_file(path, ignored))
      fail("cannot load '", path, "': it is not a file");
    exposeRuntime();
    void *library = openSharedLibrary(path);
    auto code = std::make_unique<CodeHandle>(
        [](void *handle) { dlclose(handle); }, library);
    auto entry = reinterpret_cast<void (*)(void **)>(
        findSymbol(library, "attn_packed_main", path));
    auto init =
        reinterpret_cast<void (*)(void **)>(dlsym(library, "attn_packed_init"));
    auto *text =
        static_cast<const char *>(findSymbol(library, "attn_metadata", path));
    DeviceCode deviceCode;
    deviceCode.cubin = dlsym(library, "attn_gpu_cubin");
    deviceCode.ptx = static_cast<const char *>(dlsym(library, "attn_gpu_ptx"));
    return makeModule(std::move(code), entry, init, text,
                      std::filesystem::absolute(path).parent_path().string(),
                      deviceCode)
        .release();
  });
}

attn_rt_module *attn_rt_load_code(const attn_rt_code *given) {
  return guarded<attn_rt_module *>(nullptr, [&]() -> attn_rt_module * {
    attn_rt_code code = {};
    std::memcpy(&code, given,
                std::min<size_t>(given->struct_size, sizeof(code)));
    auto handle = std::make_unique<CodeHandle>(code.release, code.owner);
    if (!code.entry || !code.metadata)
      fail("code in memory needs an entry and metadata");
    DeviceCode deviceCode = {code.cubin, code.ptx, code.emulated};
    Device *emulator = code.emulated && code.emulator
                           ? &emulatedDevice(*code.emulator)
                           : nullptr;
    return makeModule(std::move(handle), code.entry, code.init, code.metadata,
                      code.folder ? code.folder : ".", deviceCode, emulator)
        .release();
  });
}

attn_rt_module *attn_rt_load_symbols(void (*entry)(void **),
                                     void (*init)(void **),
                                     const char *metadata, const char *folder,
                                     void (*release)(void *), void *owner) {
  attn_rt_code code = {};
  code.struct_size = sizeof(code);
  code.entry = entry;
  code.init = init;
  code.metadata = metadata;
  code.folder = folder;
  code.release = release;
  code.owner = owner;
  return attn_rt_load_code(&code);
}

void attn_rt_unload(attn_rt_module *module) { delete module; }

int32_t attn_rt_num_inputs(const attn_rt_module *module) {
  return static_cast<int32_t>(module->metadata.inputs.size());
}

int32_t attn_rt_num_outputs(const attn_rt_module *module) {
  return static_cast<int32_t>(module->metadata.outputs.size());
}

static int describe(const std::vector<TensorSpec> &specs, int32_t index,
                    attn_rt_tensor_info *info) {
  return guarded(1, [&] {
    if (index < 0 || index >= static_cast<int32_t>(specs.size()))
      fail("index ", index, " is outside of [0, ", specs.size(), ")");
    const TensorSpec &spec = specs[index];
    *info = attn_rt_tensor_info();
    info->name = spec.name.c_str();
    info->dtype = spec.dtype;
    info->rank = spec.rank();
    for (int32_t i = 0; i < spec.rank(); ++i) {
      info->shape[i] = spec.shape[i];
      info->dims[i] = spec.dims[i].c_str();
    }
    return 0;
  });
}

int attn_rt_input_info(const attn_rt_module *module, int32_t index,
                       attn_rt_tensor_info *info) {
  return describe(module->metadata.inputs, index, info);
}

int attn_rt_output_info(const attn_rt_module *module, int32_t index,
                        attn_rt_tensor_info *info) {
  return describe(module->metadata.outputs, index, info);
}

const char *attn_rt_metadata(const attn_rt_module *module) {
  return module->metadataText.c_str();
}

int attn_rt_run_with(attn_rt_module *module, const char *const *names,
                     const attn_rt_tensor *inputs, int32_t num_inputs,
                     attn_rt_tensor *outputs,
                     const attn_rt_run_options *given) {
  attn_rt_run_options options = {};
  if (given)
    std::memcpy(&options, given,
                std::min<size_t>(given->struct_size, sizeof(options)));
  int32_t numOutputs = attn_rt_num_outputs(module);
  std::fill_n(outputs, numOutputs, attn_rt_tensor());
  int status = guarded(1, [&] {
    module->run(names, inputs, num_inputs, outputs, options);
    return 0;
  });
  if (status != 0)
    for (int32_t i = 0; i < numOutputs; ++i)
      attn_rt_tensor_free(&outputs[i]);
  return status;
}

int attn_rt_run(attn_rt_module *module, const char *const *names,
                const attn_rt_tensor *inputs, int32_t num_inputs,
                attn_rt_tensor *outputs) {
  return attn_rt_run_with(module, names, inputs, num_inputs, outputs, nullptr);
}

int attn_rt_device_tensor_free(int32_t device, attn_rt_tensor *tensor,
                               void *stream) {
  return guarded(1, [&] {
    Device &gpu = cudaDevice(device);
    DeviceScope scope(gpu);
    gpu.release(tensor->data, stream);
    *tensor = attn_rt_tensor();
    return 0;
  });
}

int attn_rt_device_synchronize(int32_t device, void *stream) {
  return guarded(1, [&] {
    Device &gpu = cudaDevice(device);
    DeviceScope scope(gpu);
    gpu.synchronize(stream);
    return 0;
  });
}

int attn_rt_device_tensor_copy(int32_t device, const attn_rt_tensor *tensor,
                               int32_t to_device, attn_rt_tensor *result) {
  return guarded(1, [&] {
    int64_t size = dataTypeSize(tensor->dtype);
    auto count = numElements(tensor->shape, tensor->rank, size);
    if (tensor->rank < 0 || tensor->rank > ATTN_RT_MAX_RANK || !count || !size)
      fail("the tensor to copy has an impossible type or shape");
    Device &gpu = cudaDevice(device);
    DeviceScope scope(gpu);
    *result = *tensor;
    int64_t bytes = *count * size;
    if (!to_device && bytes)
      gpu.checkAddress(tensor->data, "the tensor to copy");
    Allocator allocator;
    result->data =
        to_device ? gpu.allocate(bytes, nullptr) : allocator.allocate(bytes);
    if (!result->data)
      throw std::bad_alloc();
    if (!to_device)
      allocator.disown(result->data);
    gpu.copyRows(result->data, bytes, tensor->data, bytes, bytes, 1,
                 to_device ? CopyKind::HostToDevice : CopyKind::DeviceToHost,
                 nullptr);
    gpu.synchronize(nullptr);
    return 0;
  });
}

void attn_rt_tensor_free(attn_rt_tensor *tensor) {
  Allocator::release(tensor->data);
  *tensor = attn_rt_tensor();
}

int attn_rt_set_threads(attn_rt_module *module, int32_t threads) {
  return guarded(1, [&] {
    if (threads < 0)
      fail("the number of threads is ", threads,
           "; expected 0 (all) or a positive number");
    std::lock_guard<std::mutex> lock(module->runMutex);
    module->context.threads = threads;
    return 0;
  });
}

int64_t attn_rt_peak_bytes(const attn_rt_module *module) {
  int64_t copies = 0;
  for (const Weight &weight : module->context.weights)
    copies += weight.copy ? weight.bytes : 0;
  return module->context.allocator.peakBytes() + copies +
         (module->gpu ? module->gpu->peakBytes() : 0);
}
