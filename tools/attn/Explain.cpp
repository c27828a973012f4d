//===- Explain.cpp - attn explain: what the compiler saw ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Compiler.h"
#include "Progress.h"
#include <cstdio>

using namespace attn::tool;

void attn::tool::addExplainCommand(CLI::App &app) {
  struct State {
    std::string model;
    CompileOptions options;
  };
  auto state = std::make_shared<State>();
  CLI::App *command = app.add_subcommand(
      "explain", "List each attention: origin, shapes, mask, path and why");
  command->add_option("MODEL.onnx|FILE.mlir", state->model, "the model")
      ->type_name("")
      ->required();
  command
      ->add_option("--target", state->options.target,
                   "explain the code for this target (default: host)")
      ->type_name("NAME");
  command
      ->add_option("--attention", state->options.attention,
                   "tiles (default): wherever there is a tile program, "
                   "plain: by definition")
      ->type_name("PATH");
  command
      ->add_option("--sparse", state->options.sparse,
                   "lists of keys: auto (default): where that is expected to "
                   "be faster, always, never")
      ->type_name("PATH");
  command->add_flag_callback(
      "--json", [state] { state->options.report = "json"; },
      "the report for programs");
  command
      ->add_option("--entry", state->options.entry,
                   "public function to explain (default: the only one)")
      ->type_name("NAME");
  command->callback([state] {
    checkReadable(state->model);
    const Compiler &compiler = loadCompiler();
    attn_compile_options options = state->options.get();
    // Collected first, so that a failure leaves no half of a report.
    std::string report;
    int status = compiler.explain(
        state->model.c_str(), &options,
        [](const char *text, size_t size, void *context) {
          static_cast<std::string *>(context)->append(text, size);
        },
        &report);
    clearProgress();
    if (status != ATTN_OK)
      compiler.throwLastError();
    std::fwrite(report.data(), 1, report.size(), stdout);
  });
}
