//===- attn.cpp - The user's command --------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Progress.h"
#include "attn/Runtime/attn_runtime.h"
#include <cctype>
#include <cstdio>
#include <cstdlib>

using namespace attn::tool;

/// Prints the one line that a failed command leaves.
static int report(std::string message, int code) {
  clearProgress();
  while (!message.empty() && std::isspace(message.back()))
    message.pop_back();
  for (size_t at = message.find('\n'); at != std::string::npos;
       at = message.find('\n', at))
    message.replace(at, 1, "; ");
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return code;
}

/// CLI11 begins its messages with a capital.
static std::string lowerFirst(std::string text) {
  bool isWord = text.size() > 1 && std::islower(text[1]);
  if (isWord || text.rfind("A ", 0) == 0)
    text[0] = static_cast<char>(std::tolower(text[0]));
  return text;
}

int main(int argc, char **argv) {
  CLI::App app("Compiles and runs models with attention.", "attn");
  app.set_version_flag("--version", std::string("attn ") + attn_rt_version());
  app.require_subcommand(1);
  addImportCommand(app);
  addCompileCommand(app);
  addRunCommand(app);
  addExplainCommand(app);
  addTestCommand(app);
  // CLI11 would only say that a subcommand is required.
  std::string first = argc > 1 ? argv[1] : "";
  bool isKnown = first.empty() || first[0] == '-';
  for (const CLI::App *command : app.get_subcommands({}))
    isKnown |= command->get_name() == first;
  if (!isKnown)
    return report("unknown command '" + first +
                      "'; expected import, compile, run, explain or test",
                  2);
  try {
    app.parse(argc, argv);
    // A full disk or a closed pipe shows only now.
    if (std::fflush(stdout) != 0)
      return report("cannot write to the standard output", 1);
    return 0;
  } catch (const CLI::Success &help) {
    return app.exit(help);
  } catch (const CLI::ParseError &error) {
    std::string command = "attn";
    for (CLI::App *used : app.get_subcommands())
      command += " " + used->get_name();
    return report(lowerFirst(error.what()) + "; see " + command + " --help", 2);
  } catch (const UsageError &error) {
    return report(error.what(), 2);
  } catch (const TestsFailed &) {
    return 1;
  } catch (const std::bad_alloc &) {
    return report("out of memory", 1);
  } catch (const std::exception &error) {
    return report(error.what(), 1);
  }
}
