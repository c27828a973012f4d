//===- Test.cpp - attn test: folders in the layout of ONNX's tests --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "OnnxCase.h"
#include "Progress.h"
#include "Runtime/Error.h"
#include "Runtime/IO/File.h"
#include "Subprocess.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

using namespace attn::tool;
using attn::rt::fail;

namespace fs = std::filesystem;
namespace rt = attn::rt;

namespace {
struct TestOptions {
  std::vector<std::string> folders;
  CompileOptions compile;
  std::string listPassed, expectPassed;
  int timeout = 120;
  bool quiet = false;
};
} // namespace

/// `folder` if it is a case itself, else the cases right below it.
static std::vector<fs::path> findCases(const fs::path &folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail("cannot read '", folder.string(), "': it is not a folder");
  if (fs::is_regular_file(folder / "model.onnx", error))
    return {folder};
  std::vector<fs::path> cases;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, error))
    if (fs::is_regular_file(entry.path() / "model.onnx", error))
      cases.push_back(entry.path());
  if (cases.empty())
    fail("'", folder.string(),
         "' has no model.onnx, nor has a folder right below it");
  std::sort(cases.begin(), cases.end());
  return cases;
}

/// Names of cases, one a line; '#' begins a comment.
static std::set<std::string> readNames(const std::string &path) {
  std::set<std::string> names;
  std::istringstream lines(rt::readFile(path));
  for (std::string line; std::getline(lines, line);) {
    line = line.substr(0, line.find('#'));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty())
      names.insert(line);
  }
  return names;
}

/// A pass that was promised but is not one now becomes a failure.
static void checkPromised(const std::string &path,
                          std::map<std::string, CaseResult> &results) {
  for (const std::string &name : readNames(path)) {
    auto [found, isNew] = results.try_emplace(name);
    CaseResult &result = found->second;
    if (isNew)
      result = {CaseStatus::Failed, "listed in '" + path + "' but not run"};
    else if (result.status == CaseStatus::Skipped)
      result = {CaseStatus::Failed,
                "listed in '" + path +
                    "' as passed but skipped: " + result.reason};
  }
}

static void test(const TestOptions &options) {
  if (!options.listPassed.empty())
    rt::checkWritable(options.listPassed);
  if (!options.expectPassed.empty())
    rt::readFile(options.expectPassed);
  std::vector<fs::path> cases;
  for (const std::string &folder : options.folders)
    for (const fs::path &path : findCases(folder))
      cases.push_back(path);

  // Loaded before the first child is made, once for all of them.
  loadCompiler();
  std::map<std::string, CaseResult> results;
  int done = 0;
  for (const fs::path &path : cases) {
    // "dir/." and "dir/" have no file name.
    std::string name = fs::canonical(path).filename().string();
    showProgress(name, done++, static_cast<int>(cases.size()));
    CaseResult result = runInChild(
        [&] { return runCase(path, options.compile); }, options.timeout);
    if (!results.emplace(name, result).second)
      fail("two cases are named '", name, "'; run them one by one");
  }
  clearProgress();
  if (!options.expectPassed.empty())
    checkPromised(options.expectPassed, results);

  int counts[3] = {};
  std::string passed;
  for (const auto &[name, result] : results) {
    static const char *const words[] = {"PASS", "FAIL", "SKIP"};
    int index = static_cast<int>(result.status);
    ++counts[index];
    if (result.status == CaseStatus::Passed)
      passed += name + "\n";
    if (!options.quiet || result.status == CaseStatus::Failed)
      std::printf("%s %s%s%s\n", words[index], name.c_str(),
                  result.reason.empty() ? "" : ": ", result.reason.c_str());
  }
  if (!options.listPassed.empty())
    rt::writeFile(options.listPassed, passed);
  std::printf("%d passed, %d failed, %d skipped\n", counts[0], counts[1],
              counts[2]);
  if (counts[1] != 0)
    throw TestsFailed();
}

void attn::tool::addTestCommand(CLI::App &app) {
  auto options = std::make_shared<TestOptions>();
  CLI::App *command = app.add_subcommand(
      "test", "Run folders with model.onnx and test_data_set_*");
  command
      ->add_option("DIR", options->folders,
                   "a case, or a folder with cases right below it")
      ->required();
  command->add_option("--target", options->compile.target,
                      "processor to compile for (default: host)");
  command->add_option("--list-passed", options->listPassed,
                      "write the names of passed cases to this file");
  command->add_option("--expect-passed", options->expectPassed,
                      "fail if a case named in this file does not pass");
  command->add_option("--timeout", options->timeout, "seconds for one case")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  command->add_flag("-q,--quiet", options->quiet, "name only failed cases");
  command->callback([options] { test(*options); });
}
