//===- RunTest.cpp - Runs of hand-made entries through the C interface ----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Context.h"
#include "attn/Runtime/attn_runtime.h"
#include "gtest/gtest.h"
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

/// Memref descriptors as generated code sees them.
template <int Rank>
struct MemRef {
  void *allocated;
  char *aligned;
  int64_t offset, sizes[Rank], strides[Rank];
};

/// b = 2 * a for a and b of float32 [n, m].
void doubleEntry(void **arguments) {
  auto &result = *static_cast<MemRef<2> *>(arguments[0]);
  auto &input = *static_cast<MemRef<2> *>(arguments[1]);
  int64_t count = input.sizes[0] * input.sizes[1];
  auto *data = static_cast<float *>(attn_rt_alloc(count * sizeof(float)));
  for (int64_t i = 0; i < count; ++i)
    data[i] = 2 * reinterpret_cast<float *>(input.aligned)[i];
  // A block that is never freed: the runtime takes it back.
  attn_rt_alloc(1000);
  result = {data,
            reinterpret_cast<char *>(data),
            0,
            {input.sizes[0], input.sizes[1]},
            {input.sizes[1], 1}};
}

/// Returns its input, transposed by strides only.
void transposeEntry(void **arguments) {
  auto &result = *static_cast<MemRef<2> *>(arguments[0]);
  auto &input = *static_cast<MemRef<2> *>(arguments[1]);
  result = {input.allocated,
            input.aligned,
            0,
            {input.sizes[1], input.sizes[0]},
            {1, input.sizes[1]}};
}

void failEntry(void **) {
  attn_rt_alloc(64);
  attn_rt_fail("sizes 3 and 4 cannot be broadcast");
}

void weightEntry(void **arguments) {
  auto &result = *static_cast<MemRef<2> *>(arguments[0]);
  void *weight = attn_rt_weight(0);
  result = {weight, static_cast<char *>(weight), 0, {1, 2}, {2, 1}};
}

const char *oneInput = R"({"format":1,
  "inputs":[{"name":"a","dtype":"float32","shape":[-1,-1],"dims":["n","m"]}],
  "outputs":[{"name":"b","dtype":"float32","shape":[-1,-1]}]})";

const char *twoInputs = R"({"format":1,
  "inputs":[{"name":"ids","dtype":"int64","shape":[-1,-1],"dims":["batch","sequence"]},
            {"name":"mask","dtype":"float32","shape":[-1,-1,4],"dims":["batch","sequence",""]}],
  "outputs":[]})";

attn_rt_tensor tensor(void *data, int32_t dtype, std::vector<int64_t> shape) {
  attn_rt_tensor result{data, dtype, static_cast<int32_t>(shape.size()), {}};
  std::copy(shape.begin(), shape.end(), result.shape);
  return result;
}

struct Module {
  explicit Module(void (*entry)(void **), const std::string &metadata,
                  const std::string &folder = ".",
                  void (*init)(void **) = nullptr)
      : handle(attn_rt_load_symbols(entry, init, metadata.c_str(),
                                    folder.c_str(), nullptr, nullptr)) {}
  ~Module() {
    if (handle)
      attn_rt_unload(handle);
  }
  attn_rt_module *handle;
};

TEST(Run, ComputesAndOutlivesTheModule) {
  std::vector<float> data = {1, 2, 3, 4, 5, 6};
  attn_rt_tensor output;
  {
    Module module(doubleEntry, oneInput);
    ASSERT_TRUE(module.handle) << attn_rt_last_error();
    attn_rt_tensor input = tensor(data.data(), ATTN_RT_FLOAT32, {2, 3});
    ASSERT_EQ(attn_rt_run(module.handle, nullptr, &input, 1, &output), 0);
    EXPECT_GE(attn_rt_peak_bytes(module.handle), 1024);
  }
  EXPECT_EQ(output.rank, 2);
  EXPECT_EQ(output.shape[1], 3);
  EXPECT_EQ(static_cast<float *>(output.data)[5], 12);
  attn_rt_tensor_free(&output);
  EXPECT_EQ(output.data, nullptr);
}

TEST(Run, RepeatedRunsReuseMemory) {
  std::vector<float> data(4096, 1);
  Module module(doubleEntry, oneInput);
  attn_rt_tensor input = tensor(data.data(), ATTN_RT_FLOAT32, {64, 64});
  int64_t peak = 0;
  for (int i = 0; i < 20; ++i) {
    attn_rt_tensor output;
    ASSERT_EQ(attn_rt_run(module.handle, nullptr, &input, 1, &output), 0);
    attn_rt_tensor_free(&output);
    if (i == 0)
      peak = attn_rt_peak_bytes(module.handle);
  }
  EXPECT_EQ(attn_rt_peak_bytes(module.handle), peak);
}

TEST(Run, CopiesViewsOfInputs) {
  std::vector<float> data = {1, 2, 3, 4, 5, 6};
  Module module(transposeEntry, oneInput);
  attn_rt_tensor input = tensor(data.data(), ATTN_RT_FLOAT32, {2, 3}), output;
  ASSERT_EQ(attn_rt_run(module.handle, nullptr, &input, 1, &output), 0);
  ASSERT_NE(output.data, data.data());
  auto *values = static_cast<float *>(output.data);
  EXPECT_EQ(std::vector<float>(values, values + 6),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
  attn_rt_tensor_free(&output);
}

TEST(Run, EmptyTensors) {
  Module module(transposeEntry, oneInput);
  attn_rt_tensor input = tensor(nullptr, ATTN_RT_FLOAT32, {0, 3}), output;
  ASSERT_EQ(attn_rt_run(module.handle, nullptr, &input, 1, &output), 0);
  EXPECT_EQ(output.shape[0], 3);
  EXPECT_EQ(output.shape[1], 0);
  attn_rt_tensor_free(&output);
}

TEST(Run, GeneratedCodeFails) {
  std::vector<float> data(6);
  Module module(failEntry, oneInput);
  attn_rt_tensor input = tensor(data.data(), ATTN_RT_FLOAT32, {2, 3}), output;
  for (int i = 0; i < 2; ++i) {
    ASSERT_NE(attn_rt_run(module.handle, nullptr, &input, 1, &output), 0);
    EXPECT_STREQ(attn_rt_last_error(), "sizes 3 and 4 cannot be broadcast");
    EXPECT_EQ(output.data, nullptr);
  }
}

/// The message of a run of `twoInputs` with these tensors.
std::string messageOf(std::vector<const char *> names,
                      std::vector<attn_rt_tensor> inputs) {
  Module module([](void **) {}, twoInputs);
  int status =
      attn_rt_run(module.handle, names.empty() ? nullptr : names.data(),
                  inputs.data(), static_cast<int32_t>(inputs.size()), nullptr);
  return status == 0 ? "" : attn_rt_last_error();
}

TEST(BindInputs, NamesTheMistake) {
  std::vector<double> data(1000);
  attn_rt_tensor ids = tensor(data.data(), ATTN_RT_INT64, {2, 5});
  attn_rt_tensor mask = tensor(data.data(), ATTN_RT_FLOAT32, {2, 5, 4});
  EXPECT_EQ(messageOf({"mask", "ids"}, {mask, ids}), "");
  EXPECT_EQ(messageOf({}, {ids, mask}), "");
  EXPECT_EQ(messageOf({"ids"}, {ids}),
            "missing input 'mask' (float32 [batch, sequence, 4])");
  EXPECT_EQ(messageOf({"ids", "mask", "x"}, {ids, mask, mask}),
            "unknown input 'x'; the module's inputs are 'ids', 'mask'");
  EXPECT_EQ(messageOf({"ids", "ids"}, {ids, ids}),
            "input 'ids' is given twice");
  EXPECT_EQ(messageOf({}, {ids, mask, mask}),
            "3 inputs are given but the module takes 2: 'ids', 'mask'");
  attn_rt_tensor wrong = ids;
  wrong.dtype = ATTN_RT_INT32;
  EXPECT_EQ(messageOf({}, {wrong, mask}),
            "input 'ids' is int32 but must be int64");
  wrong = tensor(data.data(), ATTN_RT_INT64, {2});
  EXPECT_EQ(messageOf({}, {wrong, mask}),
            "input 'ids' has rank 1 (shape [2]) but must have rank 2: int64 "
            "[batch, sequence]");
  wrong = tensor(data.data(), ATTN_RT_FLOAT32, {2, 5, 3});
  EXPECT_EQ(messageOf({}, {ids, wrong}),
            "input 'mask' has shape [2, 5, 3] but dimension 2 must be 4, not "
            "3");
  wrong = tensor(data.data(), ATTN_RT_FLOAT32, {2, 7, 4});
  EXPECT_EQ(messageOf({}, {ids, wrong}),
            "input 'mask' has shape [2, 7, 4]: dimension 1 ('sequence') is 7 "
            "but 'sequence' is 5 in dimension 1 of input 'ids'; make them "
            "equal");
  wrong = tensor(data.data(), ATTN_RT_FLOAT32, {-2, 5, 4});
  EXPECT_EQ(messageOf({}, {ids, wrong}),
            "input 'mask' has the impossible shape [?, 5, 4]");
  int64_t huge = int64_t(1) << 40;
  wrong = tensor(data.data(), ATTN_RT_FLOAT32, {huge, huge, 4});
  EXPECT_NE(messageOf({}, {ids, wrong}).find("impossible shape"),
            std::string::npos);
}

TEST(Load, MalformedMetadata) {
  auto messageOf = [](const std::string &metadata) {
    Module module(doubleEntry, metadata);
    EXPECT_EQ(module.handle, nullptr) << metadata;
    return std::string(attn_rt_last_error());
  };
  EXPECT_NE(messageOf("{").find("malformed"), std::string::npos);
  EXPECT_NE(messageOf("[]").find("malformed"), std::string::npos);
  EXPECT_NE(
      messageOf(R"({"format":1,"inputs":[{"name":1}]})").find("inputs[0]"),
      std::string::npos);
  EXPECT_EQ(messageOf(R"({"format":2})"),
            "the artifact has format 2 but this runtime reads 1; compile the "
            "model again");
  EXPECT_NE(
      messageOf(
          R"({"format":1,"inputs":[{"name":"a","dtype":"int3","shape":[]}]})")
          .find("unknown dtype 'int3'"),
      std::string::npos);
}

TEST(Load, ReleasesTheOwnerOnce) {
  int released = 0;
  auto release = [](void *owner) { ++*static_cast<int *>(owner); };
  attn_rt_module *module = attn_rt_load_symbols(doubleEntry, nullptr, oneInput,
                                                ".", release, &released);
  EXPECT_EQ(released, 0);
  attn_rt_unload(module);
  EXPECT_EQ(released, 1);
  EXPECT_EQ(
      attn_rt_load_symbols(doubleEntry, nullptr, "{", ".", release, &released),
      nullptr);
  EXPECT_EQ(released, 2);
}

/// A folder of its own for one test.
struct Folder {
  Folder() {
    char name[] = "/tmp/attn-runtime-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void write(const std::string &name, const std::string &bytes) {
    std::ofstream(path / name, std::ios::binary) << bytes;
  }
  std::filesystem::path path;
};

std::string weightMetadata(int offset, const std::string &more = "") {
  return R"({"format":1,"inputs":[],
    "outputs":[{"name":"w","dtype":"float32","shape":[-1,-1]}],
    "weights":[{"name":"w","dtype":"float32","shape":[1,2],"file":"w.bin",
                "offset":)" +
         std::to_string(offset) + "}]" + more + "}";
}

TEST(Weights, UnalignedIsCopied) {
  Folder folder;
  float values[2] = {1.5, -2.5};
  std::string bytes(reinterpret_cast<char *>(values), sizeof(values));
  folder.write("w.bin", "abc" + bytes);
  Module module(weightEntry, weightMetadata(3), folder.path);
  ASSERT_TRUE(module.handle) << attn_rt_last_error();
  attn_rt_tensor output;
  ASSERT_EQ(attn_rt_run(module.handle, nullptr, nullptr, 0, &output), 0);
  EXPECT_EQ(static_cast<float *>(output.data)[1], -2.5);
  attn_rt_tensor_free(&output);
}

TEST(Weights, MissingOrShortFile) {
  Folder folder;
  Module missing(weightEntry, weightMetadata(0, R"(,"folder":"/nowhere")"),
                 folder.path);
  EXPECT_EQ(missing.handle, nullptr);
  EXPECT_EQ(attn_rt_last_error(),
            "weight file not found: neither '" +
                (folder.path / "w.bin").string() +
                "' nor '/nowhere/w.bin' exists; put it beside the compiled "
                "module");
  folder.write("w.bin", "abcdefg");
  Module shortFile(weightEntry, weightMetadata(0), folder.path);
  EXPECT_EQ(shortFile.handle, nullptr);
  EXPECT_NE(std::string(attn_rt_last_error()).find("ends at byte 8 but"),
            std::string::npos);
  folder.write("w.bin", "abcdefghi");
  Module changed(weightEntry,
                 weightMetadata(0, R"(,"files":[{"name":"w.bin","size":8}])"),
                 folder.path);
  EXPECT_EQ(changed.handle, nullptr);
  EXPECT_NE(std::string(attn_rt_last_error()).find("has 9 bytes but had 8"),
            std::string::npos);
}

TEST(Load, BadPaths) {
  EXPECT_EQ(attn_rt_load("/nowhere/model.so"), nullptr);
  EXPECT_STREQ(attn_rt_last_error(),
               "cannot load '/nowhere/model.so': no such file");
  EXPECT_EQ(attn_rt_load("/"), nullptr);
  EXPECT_STREQ(attn_rt_last_error(), "cannot load '/': it is not a file");
  Folder folder;
  folder.write("text.so", "no library");
  EXPECT_EQ(attn_rt_load((folder.path / "text.so").c_str()), nullptr);
  EXPECT_NE(std::string(attn_rt_last_error()).find("text.so"),
            std::string::npos);
}

/// Two prepared tensors: a block of its own, and a view of that block.
std::atomic<int> numPreparations;
void prepareEntry(void **arguments) {
  ++numPreparations;
  auto *results = static_cast<MemRef<2> *>(arguments[0]);
  auto *data = static_cast<float *>(attn_rt_alloc(512 * sizeof(float)));
  std::iota(data, data + 512, 0.0f);
  results[0] = {data, reinterpret_cast<char *>(data), 0, {1, 512}, {512, 1}};
  results[1] = {data, reinterpret_cast<char *>(data), 3, {2, 2}, {1, 2}};
}

/// Elements 511 of the first and 2 of the second prepared tensor.
void preparedEntry(void **arguments) {
  auto &result = *static_cast<MemRef<2> *>(arguments[0]);
  auto *data = static_cast<float *>(attn_rt_alloc(2 * sizeof(float)));
  data[0] = static_cast<float *>(attn_rt_weight(0))[511];
  data[1] = static_cast<float *>(attn_rt_weight(1))[2];
  result = {data, reinterpret_cast<char *>(data), 0, {1, 2}, {2, 1}};
}

const char *twoPrepared = R"({"format":1,"inputs":[],
  "outputs":[{"name":"b","dtype":"float32","shape":[1,2]}],
  "prepared":[{"dtype":"float32","shape":[1,512]},
              {"dtype":"float32","shape":[2,2]}]})";

TEST(Prepared, IsComputedOnceAndServesAllRuns) {
  numPreparations = 0;
  Module module(preparedEntry, twoPrepared, ".", prepareEntry);
  ASSERT_TRUE(module.handle) << attn_rt_last_error();
  EXPECT_GE(attn_rt_peak_bytes(module.handle), 512 * 4 + 16);
  std::atomic<int> numWrong = 0;
  auto work = [&] {
    for (int i = 0; i < 50; ++i) {
      attn_rt_tensor output;
      if (attn_rt_run(module.handle, nullptr, nullptr, 0, &output) != 0) {
        ++numWrong;
        continue;
      }
      auto *values = static_cast<float *>(output.data);
      // Row 1, column 0 of the view is one element after its begin.
      numWrong += values[0] != 511 || values[1] != 4;
      attn_rt_tensor_free(&output);
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(numWrong, 0);
  EXPECT_EQ(numPreparations, 1);
}

TEST(Prepared, FailureFailsTheLoad) {
  Module failing(preparedEntry, twoPrepared, ".", failEntry);
  EXPECT_EQ(failing.handle, nullptr);
  EXPECT_STREQ(attn_rt_last_error(), "sizes 3 and 4 cannot be broadcast");
  Module missing(preparedEntry, twoPrepared);
  EXPECT_EQ(missing.handle, nullptr);
  EXPECT_NE(std::string(attn_rt_last_error()).find("attn_packed_init"),
            std::string::npos);
}

TEST(Threads, RefusesNegative) {
  Module module(doubleEntry, oneInput);
  EXPECT_EQ(attn_rt_set_threads(module.handle, 2), 0);
  EXPECT_NE(attn_rt_set_threads(module.handle, -1), 0);
}

} // namespace
