//===- attn.cpp - The user's command --------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Progress.h"
#include "attn/Runtime/attn_runtime.h"
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <sstream>

using namespace attn::tool;

/// Length of the UTF-8 character at `at`, or 0 if there is none.
static size_t characterLength(const std::string &text, size_t at) {
  auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  unsigned first = byte(at);
  if (first < 0x80)
    return first >= 0x20 && first != 0x7f;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80)
      return 0;
  return length;
}

std::string attn::tool::oneLine(const std::string &text) {
  std::string result, line;
  std::istringstream lines(text);
  while (std::getline(lines, line)) {
    size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos)
      continue;
    line = line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
    if (!result.empty())
      result += result.back() == ':' ? " " : "; ";
    // Names in a damaged file may hold anything, also what a terminal obeys.
    for (size_t at = 0; at < line.size();) {
      size_t length = characterLength(line, at);
      if (length == 0) {
        char escape[8];
        std::snprintf(escape, sizeof(escape), "\\x%02x",
                      static_cast<unsigned char>(line[at]));
        result += escape;
      } else {
        result.append(line, at, length);
      }
      at += std::max<size_t>(length, 1);
    }
  }
  return result;
}

/// Prints the one line that a failed command leaves.
static int report(const std::string &message, int code) {
  clearProgress();
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", oneLine(message).c_str());
  return code;
}

/// CLI11 begins its messages with a capital.
static std::string lowerFirst(std::string text) {
  bool isWord = text.size() > 1 && std::islower(text[1]);
  if (isWord || text.rfind("A ", 0) == 0)
    text[0] = static_cast<char>(std::tolower(text[0]));
  return text;
}

std::string attn::tool::checkCount(const std::string &text) {
  bool isNumber = !text.empty() && text.size() < 9 &&
                  text.find_first_not_of("0123456789") == std::string::npos &&
                  text.find_first_not_of('0') != std::string::npos;
  return isNumber ? "" : "'" + text + "' is not a positive number";
}

std::string attn::tool::checkTolerance(const std::string &text) {
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  bool isNumber = !text.empty() && *end == '\0' && value >= 0;
  return isNumber ? "" : "'" + text + "' is not a number of at least 0";
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
