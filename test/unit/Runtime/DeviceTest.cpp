//===- DeviceTest.cpp - GPU modules on a driver without a GPU -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../../lib/StubCuda/StubCuda.h"
#include "Context.h"
#include "DeviceCalls.h"
#include "attn/Runtime/attn_runtime.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

namespace {

struct MemRef {
  void *allocated;
  char *aligned;
  int64_t offset, sizes[2], strides[2];
};

MemRef makeResult(void *data, int64_t rows, int64_t columns) {
  return {data, static_cast<char *>(data), 0, {rows, columns}, {columns, 1}};
}

/// b = 2 * a by kernel 0, which gets addresses and a count.
void doubleEntry(void **arguments) {
  auto &result = *static_cast<MemRef *>(arguments[0]);
  auto &input = *static_cast<MemRef *>(arguments[1]);
  int64_t count = input.sizes[0] * input.sizes[1];
  void *from = input.aligned;
  void *to = attn_gpu_alloc(count * 4);
  void *scratch = attn_gpu_alloc(128);
  attn_gpu_alloc(64); // never freed: the run takes it back
  void *params[] = {&from, &to, &count};
  attn_gpu_launch(0, (count + 127) / 128, 1, 1, 128, 4096, params, 3);
  attn_gpu_free(scratch);
  result = makeResult(to, input.sizes[0], input.sizes[1]);
}

void doubleKernel(unsigned, unsigned, unsigned, void **params) {
  auto *from = *static_cast<float **>(params[0]);
  auto *to = *static_cast<float **>(params[1]);
  for (int64_t i = 0; i < *static_cast<int64_t *>(params[2]); ++i)
    to[i] = 2 * from[i];
}

/// The input transposed by strides: the runtime must copy it.
void transposeEntry(void **arguments) {
  auto &result = *static_cast<MemRef *>(arguments[0]);
  auto &input = *static_cast<MemRef *>(arguments[1]);
  result = {input.allocated,
            input.aligned,
            0,
            {input.sizes[1], input.sizes[0]},
            {1, input.sizes[1]}};
}

/// Copies the input between buffers with gaps, reads and writes an element.
void copyEntry(void **arguments) {
  auto &result = *static_cast<MemRef *>(arguments[0]);
  auto &input = *static_cast<MemRef *>(arguments[1]);
  int64_t rows = input.sizes[0], columns = input.sizes[1];
  void *wide = attn_gpu_alloc(rows * columns * 8);
  int64_t gaps[] = {2 * columns, 1}, dense[] = {columns, 1};
  attn_gpu_copy_strided(wide, gaps, input.aligned, dense, input.sizes, 2, 4);
  void *to = attn_gpu_alloc(rows * columns * 4);
  attn_gpu_copy_strided(to, dense, wide, gaps, input.sizes, 2, 4);
  float value = 0;
  attn_gpu_read(&value, to, 4);
  value += 100;
  attn_gpu_write(to, &value, 4);
  static const float constant = 7;
  void *first = attn_gpu_constant(&constant, 4);
  EXPECT_EQ(attn_gpu_constant(&constant, 4), first);
  attn_gpu_copy(static_cast<char *>(to) + 4, first, 4, 2);
  EXPECT_EQ(attn_gpu_multiprocessors(), 7);
  result = makeResult(to, rows, columns);
}

int64_t mapSizes[3], mapStrides[2];
int32_t mapBox[3], mapSwizzle;
int64_t mapShift;

void mapEntry(void **arguments) {
  auto &result = *static_cast<MemRef *>(arguments[0]);
  auto &input = *static_cast<MemRef *>(arguments[1]);
  alignas(64) char map[128];
  attn_gpu_tensor_map(map, input.aligned + mapShift, ATTN_RT_BFLOAT16, 3,
                      mapSizes, mapStrides, mapBox, mapSwizzle);
  void *params[] = {map};
  attn_gpu_launch(0, 1, 1, 1, 128, 0, params, 1);
  result = {input.allocated, input.aligned, 0, {0, 0}, {1, 1}};
}

int64_t wantedGrid = 1, wantedThreads = 128, wantedShared = 0;
int32_t wantedKernel = 0;

void launchEntry(void **arguments) {
  auto &result = *static_cast<MemRef *>(arguments[0]);
  attn_gpu_launch(wantedKernel, wantedGrid, 1, 1, wantedThreads, wantedShared,
                  nullptr, 0);
  result = makeResult(attn_gpu_alloc(4), 1, 1);
}

void hugeEntry(void **arguments) { attn_gpu_alloc(int64_t(1) << 40); }

const char *cubin = "\x7f"
                    "ELF machine code";

std::string metadata(const std::string &chip) {
  return R"({"format":1,"inputs":[{"name":"a","dtype":"float32","shape":[-1,-1]}],
    "outputs":[{"name":"b","dtype":"float32","shape":[-1,-1]}],
    "gpu":{"chip":")" +
         chip +
         R"(","cuda":13000,"kernels":[{"name":"double","threads":128}]}})";
}

class DeviceTest : public testing::Test {
protected:
  void SetUp() override {
    stub_reset();
    stub_kernel("double", nullptr);
    wantedGrid = 1;
    wantedThreads = 128;
    wantedShared = wantedKernel = 0;
  }
  void TearDown() override {
    if (module)
      attn_rt_unload(module);
    EXPECT_EQ(stub_live(), outside);
  }

  void load(void (*entry)(void **), const std::string &chip = "sm_90a",
            bool withCubin = true, bool withText = false) {
    if (entry == doubleEntry)
      stub_kernel("double", doubleKernel);
    code = {};
    code.struct_size = sizeof(code);
    code.entry = entry;
    text = metadata(chip);
    code.metadata = text.c_str();
    code.cubin = withCubin ? cubin : nullptr;
    code.ptx = withText ? ".version 8.8" : nullptr;
    module = attn_rt_load_code(&code);
    ASSERT_TRUE(module) << attn_rt_last_error();
  }

  attn_rt_tensor tensor(std::vector<float> &data, int64_t rows,
                        int64_t columns) {
    attn_rt_tensor result{data.data(), ATTN_RT_FLOAT32, 2, {rows, columns}};
    return result;
  }

  /// Runs on `data`; returns the result, or the message of the failure.
  std::string run(std::vector<float> data, int64_t rows, int64_t columns,
                  std::vector<float> &result, int32_t device = 0) {
    attn_rt_tensor input = tensor(data, rows, columns), output;
    attn_rt_run_options options = {sizeof(options), device, 0, nullptr};
    if (attn_rt_run_with(module, nullptr, &input, 1, &output, &options) != 0)
      return attn_rt_last_error();
    auto *values = static_cast<float *>(output.data);
    result.assign(values, values + output.shape[0] * output.shape[1]);
    attn_rt_tensor_free(&output);
    return "";
  }

  std::string failure(int32_t device = 0) {
    std::vector<float> ignored;
    return run({1, 2, 3, 4}, 2, 2, ignored, device);
  }

  bool logged(const std::string &part) {
    return std::string(stub_log()).find(part) != std::string::npos;
  }

  int timesLogged(const std::string &part) {
    std::string log = stub_log();
    int count = 0;
    for (size_t at = log.find(part); at != std::string::npos;
         at = log.find(part, at + 1))
      ++count;
    return count;
  }

  attn_rt_code code;
  std::string text;
  attn_rt_module *module = nullptr;
  long outside = 0; ///< blocks that the test still holds at its end
};

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(DeviceTest, HostTensors) {
  load(doubleEntry);
  std::vector<float> result;
  ASSERT_EQ(run({1, 2, 3, 4, 5, 6}, 2, 3, result), "");
  EXPECT_EQ(result, (std::vector<float>{2, 4, 6, 8, 10, 12}));
  EXPECT_TRUE(logged("shared 4096\n"));
  EXPECT_TRUE(
      logged("launch double 1 1 1, 128 threads, 4096 shared, stream 0"));
  EXPECT_TRUE(logged("wait, stream 0"));
  EXPECT_EQ(stub_live(), 0) << "blocks stay behind";
}

TEST_F(DeviceTest, OneModuleForADevice) {
  load(doubleEntry);
  std::vector<float> result;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(run({1, 2}, 1, 2, result, 0), "");
    ASSERT_EQ(run({1, 2}, 1, 2, result, 1), "");
  }
  EXPECT_EQ(timesLogged("load cubin, contexts 1"), 2);
  // The shared memory of a kernel is asked for once.
  EXPECT_EQ(timesLogged("shared 4096\n"), 2);
  attn_rt_unload(module);
  module = nullptr;
  EXPECT_EQ(timesLogged("unload"), 2);
}

TEST_F(DeviceTest, DeviceTensorsOnAStream) {
  load(doubleEntry);
  std::vector<float> data = {1, 2, 3, 4};
  attn_rt_tensor host = tensor(data, 2, 2), input, output, back;
  ASSERT_EQ(attn_rt_device_tensor_copy(0, &host, 1, &input), 0);
  auto *stream = reinterpret_cast<void *>(5);
  attn_rt_run_options options = {sizeof(options), 0, 1, stream};
  stub_reset();
  ASSERT_EQ(attn_rt_run_with(module, nullptr, &input, 1, &output, &options), 0)
      << attn_rt_last_error();
  EXPECT_TRUE(logged("128 threads, 4096 shared, stream 5"));
  // Nothing waits, nothing is copied.
  EXPECT_FALSE(logged("wait"));
  EXPECT_FALSE(logged("to device"));
  EXPECT_FALSE(logged("stream 0"));
  ASSERT_EQ(attn_rt_device_tensor_copy(0, &output, 0, &back), 0);
  EXPECT_EQ(static_cast<float *>(back.data)[3], 8);
  attn_rt_tensor_free(&back);
  EXPECT_EQ(stub_live(), 2);
  EXPECT_EQ(attn_rt_device_tensor_free(0, &output, stream), 0);
  EXPECT_EQ(attn_rt_device_tensor_free(0, &input, stream), 0);
  EXPECT_EQ(output.data, nullptr);
}

TEST_F(DeviceTest, ViewsAreCopied) {
  load(transposeEntry);
  std::vector<float> result;
  ASSERT_EQ(run({1, 2, 3, 4, 5, 6}, 2, 3, result), "");
  EXPECT_EQ(result, (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST_F(DeviceTest, ViewsOfDeviceTensorsAreCopied) {
  load(transposeEntry);
  std::vector<float> data = {1, 2, 3, 4, 5, 6};
  attn_rt_tensor host = tensor(data, 2, 3), input, output, back;
  ASSERT_EQ(attn_rt_device_tensor_copy(0, &host, 1, &input), 0);
  attn_rt_run_options options = {sizeof(options), 0, 1, nullptr};
  ASSERT_EQ(attn_rt_run_with(module, nullptr, &input, 1, &output, &options), 0);
  ASSERT_NE(output.data, input.data);
  ASSERT_EQ(attn_rt_device_tensor_copy(0, &output, 0, &back), 0);
  EXPECT_EQ(static_cast<float *>(back.data)[1], 4);
  attn_rt_tensor_free(&back);
  attn_rt_device_tensor_free(0, &output, nullptr);
  attn_rt_device_tensor_free(0, &input, nullptr);
}

TEST_F(DeviceTest, CopiesReadsWritesConstants) {
  load(copyEntry);
  std::vector<float> result;
  ASSERT_EQ(run({1, 2, 3, 4, 5, 6}, 3, 2, result), "");
  EXPECT_EQ(result, (std::vector<float>{101, 7, 3, 4, 5, 6}));
  EXPECT_EQ(timesLogged("rows 3 of 8"), 2);
}

TEST_F(DeviceTest, EmptyTensorsLaunchNothing) {
  load(doubleEntry);
  std::vector<float> result;
  ASSERT_EQ(run({}, 0, 3, result), "");
  EXPECT_TRUE(result.empty());
  EXPECT_FALSE(logged("launch"));
}

TEST_F(DeviceTest, TensorMaps) {
  load(mapEntry);
  std::copy_n(std::vector<int64_t>{128, 1000, 8}.begin(), 3, mapSizes);
  std::copy_n(std::vector<int64_t>{256, 256000}.begin(), 2, mapStrides);
  std::copy_n(std::vector<int32_t>{64, 128, 1}.begin(), 3, mapBox);
  mapSwizzle = 128;
  mapShift = 0;
  EXPECT_EQ(failure(), "");
  EXPECT_TRUE(logged("map type 9 swizzle 3 [128 box 64 stride 256] "
                     "[1000 box 128 stride 256000] [8 box 1]"));
  mapShift = 4;
  EXPECT_HAS(failure(), "which is not a multiple of 16; make the tensor");
  mapShift = 0;
  mapStrides[0] = 258;
  EXPECT_HAS(failure(), "rows 258 bytes apart, which is not a multiple of 16");
  mapStrides[0] = 256;
  mapBox[0] = 128;
  EXPECT_HAS(failure(), "rows of 256 bytes with a swizzle of 128");
  mapBox[0] = 64;
  mapBox[1] = 300;
  EXPECT_HAS(failure(), "300 elements along a dimension");
  mapBox[1] = 128;
  // A tensor without elements: its map is not used.
  stub_reset();
  mapSizes[1] = 0;
  EXPECT_EQ(failure(), "");
  EXPECT_FALSE(logged("map type"));
}

TEST_F(DeviceTest, LaunchesAreCheckedFirst) {
  load(launchEntry);
  wantedThreads = 2048;
  EXPECT_HAS(failure(), "kernel 'double' wants 2048 threads but can have 1024 "
                        "on GPU 0 (stub)");
  wantedThreads = 128;
  wantedShared = 300000;
  EXPECT_HAS(failure(), "wants 300000 bytes of shared memory but GPU 0 (stub) "
                        "has 232448");
  wantedShared = 0;
  wantedGrid = int64_t(1) << 31;
  EXPECT_HAS(failure(), "wants a grid of 2147483648 x 1 x 1");
  wantedGrid = 0;
  EXPECT_EQ(failure(), "");
  wantedGrid = 1;
  wantedKernel = 1;
  EXPECT_HAS(failure(), "kernel 1 is outside of [0, 1)");
  EXPECT_FALSE(logged("launch"));
  wantedKernel = 0;
  stub_set("cuLaunchKernel", 719);
  EXPECT_HAS(failure(), "launching kernel 'double' failed: "
                        "CUDA_ERROR_LAUNCH_FAILED");
}

TEST_F(DeviceTest, OutOfMemory) {
  load(hugeEntry);
  EXPECT_HAS(failure(), "out of memory on GPU 0 (stub): a tensor of "
                        "1099511627776 bytes does not fit");
}

TEST_F(DeviceTest, WrongArchitecture) {
  stub_set("devices", 9);
  stub_set("capability", 80);
  load(launchEntry, "sm_90a", true, true);
  EXPECT_HAS(failure(2), "the module was compiled for sm_90a but GPU 2 (stub) "
                         "is sm_80; compile it");
  EXPECT_FALSE(logged("load"));
}

TEST_F(DeviceTest, NewerGenerationTakesTheText) {
  load(launchEntry, "sm_80", true, true);
  EXPECT_EQ(failure(), "");
  EXPECT_TRUE(logged("load ptx"));
  EXPECT_FALSE(logged("load cubin"));
}

TEST_F(DeviceTest, NewerGenerationWithoutText) {
  load(launchEntry, "sm_80", true, false);
  EXPECT_HAS(failure(), "compiled for sm_80 but GPU 0 (stub) is sm_90");
}

TEST_F(DeviceTest, SameGenerationTakesTheMachineCode) {
  stub_set("devices", 9);
  stub_set("capability", 86);
  load(launchEntry, "sm_80", true, true);
  EXPECT_EQ(failure(3), "");
  EXPECT_TRUE(logged("load cubin"));
}

TEST_F(DeviceTest, OldDriver) {
  load(launchEntry, "sm_90a", true, false);
  stub_set("cubin", 200);
  // The version is asked for once, when the driver is opened.
  EXPECT_HAS(failure(), "refuses the module's code: CUDA_ERROR_INVALID_IMAGE");
}

TEST_F(DeviceTest, RefusedMachineCodeFallsBackToText) {
  load(launchEntry, "sm_90a", true, true);
  stub_set("cubin", 200);
  EXPECT_EQ(failure(), "");
  EXPECT_TRUE(logged("load ptx"));
}

TEST_F(DeviceTest, MissingKernel) {
  load(launchEntry);
  stub_set("cuModuleGetFunction", 500);
  EXPECT_HAS(failure(), "has no kernel 'double' (CUDA_ERROR_NOT_FOUND");
  // The next run tries again.
  stub_reset();
  EXPECT_EQ(failure(), "");
}

TEST_F(DeviceTest, UnknownDevice) {
  load(launchEntry);
  EXPECT_HAS(failure(20), "there is no GPU 20; the driver has 2");
}

TEST_F(DeviceTest, HostPointersAreRefused) {
  load(launchEntry);
  std::vector<float> data(4);
  attn_rt_tensor input = tensor(data, 2, 2), output;
  attn_rt_run_options options = {sizeof(options), 0, 1, nullptr};
  ASSERT_NE(attn_rt_run_with(module, nullptr, &input, 1, &output, &options), 0);
  EXPECT_HAS(std::string(attn_rt_last_error()),
             "input 'a' is not memory of a GPU");
}

TEST_F(DeviceTest, PointersOfOthersAndUnalignedOnesAreRefused) {
  load(launchEntry);
  std::vector<float> data(4);
  attn_rt_tensor host = tensor(data, 2, 2), input, output;
  attn_rt_run_options options = {sizeof(options), 0, 1, nullptr};
  ASSERT_EQ(attn_rt_device_tensor_copy(0, &host, 1, &input), 0);
  stub_set("owner", 1);
  ASSERT_NE(attn_rt_run_with(module, nullptr, &input, 1, &output, &options), 0);
  EXPECT_HAS(std::string(attn_rt_last_error()),
             "is memory of GPU 1 but the module runs on GPU 0 (stub)");
  stub_reset();
  attn_rt_tensor shifted = input;
  shifted.data = static_cast<char *>(input.data) + 4;
  shifted.shape[0] = 1;
  ASSERT_NE(attn_rt_run_with(module, nullptr, &shifted, 1, &output, &options),
            0);
  EXPECT_HAS(std::string(attn_rt_last_error()),
             "begins at an address that is not a multiple of 16");
  attn_rt_device_tensor_free(0, &input, nullptr);
}

TEST_F(DeviceTest, WithoutPools) {
  stub_set("devices", 9);
  stub_set("pools", 0);
  load(doubleEntry);
  std::vector<float> result;
  ASSERT_EQ(run({1, 2}, 1, 2, result, 4), "");
  EXPECT_EQ(result, (std::vector<float>{2, 4}));
  EXPECT_TRUE(logged("alloc\n"));
}

TEST_F(DeviceTest, CpuModulesRefuseDevicePointers) {
  text = R"({"format":1,"inputs":[],"outputs":[]})";
  code = {};
  code.struct_size = sizeof(code);
  code.entry = [](void **) {};
  code.metadata = text.c_str();
  module = attn_rt_load_code(&code);
  attn_rt_run_options options = {sizeof(options), 0, 1, nullptr};
  ASSERT_NE(attn_rt_run_with(module, nullptr, nullptr, 0, nullptr, &options),
            0);
  EXPECT_HAS(std::string(attn_rt_last_error()), "was compiled for a CPU");
}

const char *emulatedLaunch(const void *kernel, const int64_t grid[3],
                           const int64_t threads[3], int64_t, void **params) {
  EXPECT_EQ(kernel, &mapSizes);
  EXPECT_EQ(threads[0], 128);
  if (grid[0] > 1)
    return "race in shared memory";
  doubleKernel(1, 1, 1, params);
  return nullptr;
}

TEST_F(DeviceTest, Emulator) {
  static const attn_rt_emulator emulator = {
      [](int64_t bytes) { return std::malloc(bytes); },
      [](void *block) -> const char * {
        std::free(block);
        return nullptr;
      },
      emulatedLaunch, nullptr};
  // The test's own functions see the kernel as a mere address.
  static const void *const kernels[] = {&mapSizes};
  code = {};
  code.struct_size = sizeof(code);
  code.entry = doubleEntry;
  text = metadata("sm_80");
  code.metadata = text.c_str();
  code.emulated = kernels;
  code.emulator = &emulator;
  module = attn_rt_load_code(&code);
  ASSERT_TRUE(module) << attn_rt_last_error();
  std::vector<float> result;
  ASSERT_EQ(run({1, 2, 3}, 1, 3, result), "");
  EXPECT_EQ(result, (std::vector<float>{2, 4, 6}));
  EXPECT_HAS(run(std::vector<float>(200), 1, 200, result),
             "kernel 'double': race in shared memory");
  EXPECT_STREQ(stub_log(), "") << "the driver was used";
}

} // namespace

int main(int argc, char **argv) {
  setenv("ATTN_CUDA_LIBRARY", STUB_CUDA, 1);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
