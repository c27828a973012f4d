//===- OnnxCase.cpp - One folder in the layout of ONNX's tests ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "OnnxCase.h"
#include "Runtime/Error.h"
#include "Runtime/IO/Compare.h"
#include "Runtime/IO/File.h"
#include "Runtime/IO/TensorProto.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace attn::tool;
using namespace attn::rt;

namespace fs = std::filesystem;

static Tolerance readTolerance(const fs::path &folder) {
  Tolerance tolerance{1e-3, 1e-7};
  std::error_code ignored;
  fs::path path = folder / "data.json";
  if (!fs::exists(path, ignored))
    return tolerance;
  try {
    nlohmann::json data = nlohmann::json::parse(readFile(path.string()));
    tolerance.rtol = data.value("rtol", tolerance.rtol);
    tolerance.atol = data.value("atol", tolerance.atol);
  } catch (const nlohmann::json::exception &error) {
    fail("'", path.string(), "' is malformed: ", error.what());
  }
  return tolerance;
}

/// Reads `<stem>_0.pb`, `<stem>_1.pb`, ... as far as they go.
static std::vector<Tensor> readTensors(const fs::path &folder,
                                       const std::string &stem) {
  std::vector<Tensor> tensors;
  std::error_code ignored;
  while (true) {
    fs::path path =
        folder / (stem + "_" + std::to_string(tensors.size()) + ".pb");
    if (!fs::exists(path, ignored))
      return tensors;
    tensors.push_back(
        parseTensorProto(readFile(path.string()), path.string()).tensor);
  }
}

static std::string checkDataSet(attn_rt_module *module, const fs::path &folder,
                                Tolerance tolerance) {
  std::vector<Tensor> inputs = readTensors(folder, "input");
  std::vector<Tensor> expected = readTensors(folder, "output");
  auto numOutputs = static_cast<size_t>(attn_rt_num_outputs(module));
  if (expected.size() != numOutputs)
    return "the model has " + std::to_string(numOutputs) + " outputs but " +
           folder.filename().string() + " has " +
           std::to_string(expected.size());
  std::vector<attn_rt_tensor> views, results(numOutputs);
  for (const Tensor &input : inputs)
    views.push_back(input.view());
  if (attn_rt_run(module, nullptr, views.data(),
                  static_cast<int32_t>(views.size()), results.data()) != 0)
    return attn_rt_last_error();
  std::string mismatch;
  for (size_t i = 0; i < numOutputs; ++i) {
    attn_rt_tensor_info info;
    attn_rt_output_info(module, static_cast<int32_t>(i), &info);
    Tensor actual(results[i], attn_rt_tensor_free);
    Comparison result = compare(info.name, actual, expected[i], tolerance);
    if (result.mismatch && mismatch.empty())
      mismatch = *result.mismatch;
  }
  return mismatch;
}

/// `message` without the path of the model, which the case's name says.
static std::string withoutPath(std::string message, const std::string &model) {
  return message.starts_with(model + ": ") ? message.substr(model.size() + 2)
                                           : message;
}

CaseResult attn::tool::runCase(const fs::path &folder,
                               const CompileOptions &options) {
  std::string model = (folder / "model.onnx").string();
  try {
    Tolerance tolerance = readTolerance(folder);
    ModulePtr module = loadOrCompile(model, options);
    std::vector<fs::path> dataSets;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder))
      if (entry.path().filename().string().starts_with("test_data_set_"))
        dataSets.push_back(entry.path());
    if (dataSets.empty())
      return {CaseStatus::Failed, "it has no test_data_set_*"};
    std::sort(dataSets.begin(), dataSets.end());
    for (const fs::path &dataSet : dataSets) {
      std::string mismatch = checkDataSet(module.get(), dataSet, tolerance);
      if (!mismatch.empty())
        return {CaseStatus::Failed, mismatch};
    }
    return {CaseStatus::Passed, ""};
  } catch (const UnsupportedModel &error) {
    return {CaseStatus::Skipped, withoutPath(error.what(), model)};
  } catch (const UnsupportedTensor &error) {
    return {CaseStatus::Skipped, error.what()};
  } catch (const std::exception &error) {
    return {CaseStatus::Failed, withoutPath(error.what(), model)};
  }
}
