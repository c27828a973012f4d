//===- Commands.h - The subcommands of attn ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TOOLS_ATTN_COMMANDS_H
#define ATTN_TOOLS_ATTN_COMMANDS_H

#include <CLI/CLI.hpp>
#include <stdexcept>

namespace attn::tool {

/// Wrong usage: exit code 2 instead of 1.
class UsageError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Failed cases have been reported already: exit code 1 without a message.
class TestsFailed : public std::exception {};

/// Each adds its subcommand; its work happens while `app` parses.
void addImportCommand(CLI::App &app);
void addCompileCommand(CLI::App &app);
void addRunCommand(CLI::App &app);
void addExplainCommand(CLI::App &app);
void addTestCommand(CLI::App &app);

/// A message of several lines as one, with escapes for what is no character.
std::string oneLine(const std::string &text);

/// What is wrong with `text` as a positive number of things, or nothing.
std::string checkCount(const std::string &text);
/// What is wrong with `text` as a tolerance, or nothing.
std::string checkTolerance(const std::string &text);

} // namespace attn::tool

#endif // ATTN_TOOLS_ATTN_COMMANDS_H
