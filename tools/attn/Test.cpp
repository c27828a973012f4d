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
#include <thread>

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
  size_t jobs = std::max(std::thread::hardware_concurrency(), 1u);
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

namespace {
/// Prints and counts the results as they come.
class Report {
public:
  Report(bool isQuiet, const std::string &promisedFile)
      : isQuiet(isQuiet), promisedFile(promisedFile) {
    if (!promisedFile.empty())
      missing = promised = readNames(promisedFile);
  }

  void add(const std::string &name, CaseResult result) {
    // A pass that was promised and now is skipped is lost.
    if (result.status == CaseStatus::Skipped && promised.count(name))
      result = {CaseStatus::Failed,
                "listed in '" + promisedFile +
                    "' as passed but skipped: " + result.reason};
    missing.erase(name);
    static const char *const words[] = {"passed", "failed", "skipped"};
    int index = static_cast<int>(result.status);
    ++counts[index];
    if (result.status == CaseStatus::Passed)
      passed.insert(name);
    if (isQuiet && result.status != CaseStatus::Failed)
      return;
    clearProgress();
    std::printf("%s %s%s%s\n", words[index], name.c_str(),
                result.reason.empty() ? "" : ": ", result.reason.c_str());
    std::fflush(stdout);
  }

  /// Prints the last line; returns whether every case was fine.
  bool finish() {
    for (const std::string &name : std::set<std::string>(missing))
      add(name,
          {CaseStatus::Failed, "listed in '" + promisedFile + "' but not run"});
    std::printf("%d passed, %d failed, %d skipped\n", counts[0], counts[1],
                counts[2]);
    return counts[1] == 0;
  }

  /// Names of passed cases, one a line.
  std::string passedText() const {
    std::string text;
    for (const std::string &name : passed)
      text += name + "\n";
    return text;
  }

private:
  bool isQuiet;
  std::string promisedFile;
  std::set<std::string> promised, missing, passed;
  int counts[3] = {};
};
} // namespace

static void test(const TestOptions &options) {
  if (!options.listPassed.empty())
    rt::checkWritable(options.listPassed);
  Report report(options.quiet, options.expectPassed);
  std::map<std::string, fs::path> cases;
  for (const std::string &folder : options.folders)
    for (const fs::path &path : findCases(folder)) {
      // "dir/." and "dir/" have no file name of their own.
      std::string name = fs::canonical(path).filename().string();
      if (!cases.emplace(name, path).second)
        fail("two cases are named '", name, "'; run them one by one");
    }
  std::vector<std::pair<std::string, fs::path>> order(cases.begin(),
                                                      cases.end());

  // Loaded before the first child is made, once for all of them.
  loadCompiler();
  auto total = static_cast<int>(order.size());
  showProgress(order[0].first, 0, total);
  runInChildren(
      order.size(), options.jobs, options.timeout,
      [&](size_t i) { return runCase(order[i].second, options.compile); },
      [&](size_t i, const CaseResult &result) {
        report.add(order[i].first, result);
        if (i + 1 < order.size())
          showProgress(order[i + 1].first, static_cast<int>(i) + 1, total);
      });
  clearProgress();
  bool isFine = report.finish();
  if (!options.listPassed.empty())
    rt::writeFile(options.listPassed, report.passedText());
  if (!isFine)
    throw TestsFailed();
}

void attn::tool::addTestCommand(CLI::App &app) {
  auto options = std::make_shared<TestOptions>();
  CLI::App *command = app.add_subcommand(
      "test", "Run folders with model.onnx and test_data_set_*");
  command
      ->add_option("DIR", options->folders,
                   "a case, or a folder with cases right below it")
      ->type_name("")
      ->required();
  command
      ->add_option("--target", options->compile.target,
                   "processor to compile for (default: host)")
      ->type_name("NAME");
  command
      ->add_option("--list-passed", options->listPassed,
                   "write the names of passed cases to this file")
      ->type_name("FILE");
  command
      ->add_option("--expect-passed", options->expectPassed,
                   "fail if a case named in this file does not pass")
      ->type_name("FILE");
  command->add_option("--timeout", options->timeout, "seconds for one case")
      ->type_name("N")
      ->capture_default_str()
      ->check(checkCount);
  command
      ->add_option("-j,--jobs", options->jobs,
                   "number of cases at a time (default: one a processor)")
      ->type_name("N")
      ->check(checkCount);
  command->add_flag("-q,--quiet", options->quiet, "name only failed cases");
  command->callback([options] { test(*options); });
}
