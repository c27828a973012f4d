//===- Run.cpp - attn run: a model on tensors -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Compiler.h"
#include "Runtime/Error.h"
#include "Runtime/IO/Compare.h"
#include "Runtime/IO/File.h"
#include "Runtime/IO/Generate.h"
#include "Runtime/IO/Npy.h"
#include "Runtime/IO/TensorProto.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>

using namespace attn::tool;
using namespace attn::rt;

namespace {
struct RunOptions {
  std::string model;
  CompileOptions compile;
  std::vector<std::string> inputs;
  std::string inputsFile, outputsFile, expectFile;
  double rtol = 1e-4, atol = 1e-5;
  int repeat = 0, threads = 0, device = 0;
  uint64_t seed = 0;
  bool memory = false;
};
} // namespace

static void setTensor(NamedTensors &tensors, const std::string &name,
                      Tensor tensor) {
  for (auto &[key, value] : tensors)
    if (key == name) {
      value = std::move(tensor);
      return;
    }
  tensors.emplace_back(name, std::move(tensor));
}

/// Reads NAME=FILE.npy or NAME=2x128xi64:random(0,1000).
static std::pair<std::string, Tensor> parseInput(const std::string &text,
                                                 uint64_t seed) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError("--input '" + text +
                     "' is not of the form NAME=FILE.npy or "
                     "NAME=2x128xi64:random(0,1000)");
  std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  std::optional<Tensor> generated;
  try {
    // Inputs of one shape get different numbers.
    generated = generateTensor(value, mixSeed(seed, name));
  } catch (const Error &error) {
    throw UsageError("--input " + name + ": " + error.what());
  }
  if (generated)
    return {name, *generated};
  if (value.ends_with(".npy"))
    return {name, readNpy(value)};
  if (value.ends_with(".pb"))
    return {name, parseTensorProto(readFile(value), value).tensor};
  throw UsageError("--input " + name + ": '" + value +
                   "' is neither a .npy file nor of the form "
                   "2x128xi64:random(0,1000)");
}

static NamedTensors collectInputs(const RunOptions &options) {
  NamedTensors tensors;
  if (!options.inputsFile.empty())
    tensors = readNpz(options.inputsFile);
  std::vector<std::string> seen;
  for (const std::string &text : options.inputs) {
    auto [name, tensor] = parseInput(text, options.seed);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      throw UsageError("--input " + name + " is given twice");
    seen.push_back(name);
    setTensor(tensors, name, std::move(tensor));
  }
  return tensors;
}

namespace {
/// A module and its inputs, ready for calls.
class Runner {
public:
  Runner(attn_rt_module *module, const NamedTensors &inputs,
         const std::string &model, int device)
      : module(module), model(model) {
    options.struct_size = sizeof(options);
    options.device = device;
    for (const auto &[name, tensor] : inputs) {
      names.push_back(name.c_str());
      views.push_back(tensor.view());
    }
    outputs.resize(attn_rt_num_outputs(module));
  }

  /// Calls the module and returns its milliseconds; `consume` gets outputs.
  double
  call(const std::function<void(std::vector<attn_rt_tensor> &)> &consume) {
    auto start = std::chrono::steady_clock::now();
    int status = attn_rt_run_with(module, names.data(), views.data(),
                                  static_cast<int32_t>(views.size()),
                                  outputs.data(), &options);
    std::chrono::duration<double, std::milli> time =
        std::chrono::steady_clock::now() - start;
    if (status != 0) {
      std::string message = attn_rt_last_error();
      if (message.starts_with("missing input"))
        message += "; give it by --input or --inputs";
      fail(model, ": ", message);
    }
    consume(outputs);
    return time.count();
  }

private:
  attn_rt_module *module;
  const std::string &model;
  attn_rt_run_options options = {};
  std::vector<const char *> names;
  std::vector<attn_rt_tensor> views, outputs;
};
} // namespace

static void measure(Runner &runner, int repeat) {
  auto drop = [](std::vector<attn_rt_tensor> &outputs) {
    for (attn_rt_tensor &output : outputs)
      attn_rt_tensor_free(&output);
  };
  // The first call of all packed weights; these fill caches and the pool.
  for (int i = 0; i < std::min(repeat, 3); ++i)
    runner.call(drop);
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i)
    times.push_back(runner.call(drop));
  std::sort(times.begin(), times.end());
  size_t middle = times.size() / 2;
  double median = times.size() % 2 ? times[middle]
                                   : (times[middle - 1] + times[middle]) / 2;
  std::printf("median %.3f ms, min %.3f ms over %d runs\n", median, times[0],
              repeat);
}

static void printSummary(const std::string &name, const Tensor &tensor) {
  std::printf("%s: %s", name.c_str(), tensor.text().c_str());
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t numFinite = 0;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double value = tensor.at(i);
    if (!std::isfinite(value))
      continue;
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    ++numFinite;
  }
  if (numFinite)
    std::printf(", min %.6g, max %.6g, mean %.6g", low, high,
                sum / static_cast<double>(numFinite));
  if (numFinite != tensor.size())
    std::printf(", %lld not finite",
                static_cast<long long>(tensor.size() - numFinite));
  std::printf("\n");
}

/// Throws naming the first output that differs, after all are compared.
static void checkExpected(const RunOptions &options,
                          const NamedTensors &outputs,
                          const NamedTensors &expected) {
  std::string firstMismatch;
  for (const auto &[name, reference] : expected) {
    const Tensor *actual = findTensor(outputs, name);
    if (!actual)
      fail("'", options.expectFile, "' expects an output '", name,
           "' that the module does not have");
    Comparison result =
        compare(name, *actual, reference, {options.rtol, options.atol});
    if (!result.mismatch)
      std::printf("%s: agrees, largest difference %.3g\n", name.c_str(),
                  result.largestDifference);
    else if (firstMismatch.empty())
      firstMismatch = *result.mismatch;
  }
  if (!firstMismatch.empty())
    fail(options.model, ": ", firstMismatch);
  if (expected.empty())
    fail("'", options.expectFile, "' holds no array to compare with");
}

/// Largest memory of the process so far, in KiB.
static long peakResident() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:"))
      return std::atol(line.c_str() + 6);
  return 0;
}

static void run(const RunOptions &options) {
  if (options.compile.emulate && options.model.ends_with(".so"))
    throw UsageError("--emulate has no meaning for '" + options.model +
                     "', which is compiled already; name the model's source");
  if (options.compile.emulate && !options.compile.target.starts_with("sm_"))
    throw UsageError("--emulate runs the code of a GPU on this processor; say "
                     "which by --target sm_80 or sm_90a");
  if (!options.outputsFile.empty())
    checkWritable(options.outputsFile);
  // What is quick to check comes before what is slow to compile.
  checkReadable(options.model);
  NamedTensors inputs = collectInputs(options), expected, outputs;
  if (!options.expectFile.empty())
    expected = readNpz(options.expectFile);
  ModulePtr module = loadOrCompile(options.model, options.compile);
  if (attn_rt_set_threads(module.get(), options.threads) != 0)
    fail(attn_rt_last_error());

  Runner runner(module.get(), inputs, options.model, options.device);
  runner.call([&](std::vector<attn_rt_tensor> &results) {
    for (size_t i = 0; i < results.size(); ++i) {
      attn_rt_tensor_info info;
      attn_rt_output_info(module.get(), static_cast<int32_t>(i), &info);
      outputs.emplace_back(info.name, Tensor(results[i], attn_rt_tensor_free));
    }
  });
  if (!options.outputsFile.empty())
    writeNpz(options.outputsFile, outputs);
  else if (options.expectFile.empty())
    for (const auto &[name, tensor] : outputs)
      printSummary(name, tensor);
  if (!options.expectFile.empty())
    checkExpected(options, outputs, expected);
  if (options.repeat > 0)
    measure(runner, options.repeat);
  if (options.memory)
    std::printf("peak memory: %.1f MiB of tensors, %.1f MiB in all\n",
                static_cast<double>(attn_rt_peak_bytes(module.get())) / 0x1p20,
                static_cast<double>(peakResident()) / 0x1p10);
}

void attn::tool::addRunCommand(CLI::App &app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *command =
      app.add_subcommand("run", "Run a model, compiled or not, on tensors");
  command
      ->add_option("MODEL.onnx|FILE.mlir|OUT.so", options->model, "the model")
      ->required();
  command
      ->add_option("--input", options->inputs,
                   "NAME=FILE.npy, or NAME=SHAPE:FILLING such as "
                   "ids=2x128xi64:random(0,1000); also :zeros, :ones, :iota, "
                   ":full(V), :normal")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--inputs", options->inputsFile,
                   "IN.npz with inputs by name; --input overrides it")
      ->type_name("FILE");
  command
      ->add_option("--outputs", options->outputsFile,
                   "OUT.npz for the outputs by name")
      ->type_name("FILE");
  command
      ->add_option("--expect", options->expectFile,
                   "REF.npz to compare the outputs with")
      ->type_name("FILE");
  command->add_option("--rtol", options->rtol, "relative tolerance of --expect")
      ->capture_default_str()
      ->type_name("NUMBER")
      ->check(checkTolerance);
  command->add_option("--atol", options->atol, "absolute tolerance of --expect")
      ->capture_default_str()
      ->type_name("NUMBER")
      ->check(checkTolerance);
  command
      ->add_option("--repeat", options->repeat,
                   "call N times and print the median and least time")
      ->type_name("N")
      ->check(checkCount);
  command
      ->add_option("--threads", options->threads,
                   "number of threads (default: every processor)")
      ->type_name("N")
      ->check(checkCount);
  command
      ->add_option("--target", options->compile.target,
                   "host (default), x86-64-v3, x86-64-v4, sm_80 or sm_90a")
      ->type_name("NAME");
  command
      ->add_option("--entry", options->compile.entry,
                   "public function to run (default: the only one)")
      ->type_name("NAME");
  command
      ->add_option("--attention", options->compile.attention,
                   "tiles (default): wherever there is a tile program, "
                   "plain: by definition")
      ->type_name("PATH");
  command
      ->add_option("--sparse", options->compile.sparse,
                   "lists of keys: auto (default): where that is expected to "
                   "be faster, always, never")
      ->type_name("PATH");
  command
      ->add_option("--seed", options->seed,
                   "seed of random inputs (default: 0)")
      ->type_name("N");
  command->add_flag("--memory", options->memory, "print the peak of memory");
  command
      ->add_option("--device", options->device,
                   "number of the GPU that runs a GPU's code (default: 0)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--emulate", options->compile.emulate,
                    "run a GPU's code on this processor, checking each access "
                    "to memory");
  command->callback([options] { run(*options); });
}
