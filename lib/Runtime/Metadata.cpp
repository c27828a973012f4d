//===- Metadata.cpp - What a compiled module says of itself ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Metadata.h"
#include "DataType.h"
#include "Error.h"
#include "attn/Runtime/attn_runtime.h"
#include <nlohmann/json.hpp>

using namespace attn::rt;
using nlohmann::json;

/// The format that this runtime reads; a change that old runtimes would
/// misread raises it.
static constexpr int64_t supportedFormat = 1;

std::string TensorSpec::text() const {
  return dataTypeName(dtype) + " " + shapeText(shape.data(), rank(), &dims);
}

static int32_t readDataType(const json &entry, const std::string &where) {
  std::string name = entry.at("dtype").get<std::string>();
  std::optional<int32_t> code = parseDataType(name);
  if (!code)
    fail(where, ": unknown dtype '", name, "'");
  return *code;
}

static TensorSpec readTensor(const json &entry, const std::string &where) {
  TensorSpec spec;
  spec.name = entry.at("name").get<std::string>();
  spec.dtype = readDataType(entry, where);
  spec.shape = entry.at("shape").get<std::vector<int64_t>>();
  if (entry.contains("dims"))
    spec.dims = entry.at("dims").get<std::vector<std::string>>();
  spec.dims.resize(spec.shape.size());
  if (spec.shape.size() > ATTN_RT_MAX_RANK)
    fail(where, ": rank ", spec.shape.size(), " is above the limit of ",
         ATTN_RT_MAX_RANK);
  for (int64_t size : spec.shape)
    if (size < -1)
      fail(where, ": size ", size, " is neither -1 nor a size");
  return spec;
}

static int64_t countBytes(int32_t dtype, const std::vector<int64_t> &shape,
                          const std::string &where) {
  int64_t elementSize = dataTypeSize(dtype);
  std::optional<int64_t> count = numElements(
      shape.data(), static_cast<int32_t>(shape.size()), elementSize);
  if (!count)
    fail(where, ": bad shape");
  return *count * elementSize;
}

static WeightSpec readWeight(const json &entry, const std::string &where) {
  WeightSpec spec;
  spec.name = entry.at("name").get<std::string>();
  spec.dtype = readDataType(entry, where);
  spec.shape = entry.at("shape").get<std::vector<int64_t>>();
  spec.file = entry.at("file").get<std::string>();
  spec.offset = entry.at("offset").get<int64_t>();
  if (spec.offset < 0)
    fail(where, ": offset ", spec.offset, " is negative");
  spec.bytes = countBytes(spec.dtype, spec.shape, where);
  return spec;
}

static PreparedSpec readPrepared(const json &entry, const std::string &where) {
  PreparedSpec spec;
  spec.dtype = readDataType(entry, where);
  spec.shape = entry.at("shape").get<std::vector<int64_t>>();
  spec.bytes = countBytes(spec.dtype, spec.shape, where);
  return spec;
}

static GpuSpec readGpu(const json &entry) {
  GpuSpec spec;
  spec.chip = entry.at("chip").get<std::string>();
  spec.cudaVersion = entry.value("cuda", 0);
  for (const json &item : entry.at("kernels")) {
    KernelSpec kernel;
    kernel.name = item.at("name").get<std::string>();
    kernel.threads = item.value("threads", int64_t(0));
    kernel.registers = item.value("registers", int64_t(0));
    kernel.sharedBytes = item.value("shared", int64_t(0));
    kernel.spillBytes = item.value("spills", int64_t(0));
    spec.kernels.push_back(kernel);
  }
  return spec;
}

Metadata attn::rt::parseMetadata(const std::string &text) {
  Metadata result;
  std::string where = "metadata";
  try {
    json root = json::parse(text);
    int64_t format = root.at("format").get<int64_t>();
    if (format != supportedFormat)
      fail("the artifact has format ", format, " but this runtime reads ",
           supportedFormat, "; compile the model again");
    result.producer = root.value("producer", "");
    result.target = root.value("target", "");
    result.folder = root.value("folder", "");
    auto readAll = [&](const char *key, auto &list, auto read) {
      if (!root.contains(key))
        return;
      for (const json &entry : root.at(key)) {
        where = std::string("metadata: ") + key + "[" +
                std::to_string(list.size()) + "]";
        list.push_back(read(entry, where));
      }
    };
    readAll("inputs", result.inputs, readTensor);
    readAll("outputs", result.outputs, readTensor);
    readAll("weights", result.weights, readWeight);
    readAll("prepared", result.prepared, readPrepared);
    readAll("files", result.files, [](const json &entry, const std::string &) {
      return FileSpec{entry.at("name").get<std::string>(),
                      entry.at("size").get<int64_t>()};
    });
    where = "metadata: gpu";
    if (root.contains("gpu"))
      result.gpu = readGpu(root.at("gpu"));
  } catch (const json::exception &error) {
    fail(where, " is malformed: ", error.what());
  }
  return result;
}
