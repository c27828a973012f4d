//===- Import.cpp - attn import: an ONNX model as MLIR --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Compiler.h"
#include "Progress.h"
#include "Runtime/IO/File.h"

using namespace attn::tool;

void attn::tool::addImportCommand(CLI::App &app) {
  struct State {
    std::string model, output = "-";
    CompileOptions options;
  };
  auto state = std::make_shared<State>();
  CLI::App *command = app.add_subcommand("import", "Write a model as MLIR");
  command->add_option("MODEL.onnx", state->model, "the model")
      ->type_name("")
      ->required();
  command
      ->add_option("-o", state->output,
                   "file for the MLIR text (default: standard output)")
      ->type_name("FILE");
  command->add_flag("--elide-weights", state->options.elideWeights,
                    "print large constants as a mark only");
  command->callback([state] {
    checkReadable(state->model);
    if (state->output != "-")
      rt::checkWritable(state->output);
    const Compiler &compiler = loadCompiler();
    attn_compile_options options = state->options.get();
    int status =
        compiler.import(state->model.c_str(), state->output.c_str(), &options);
    clearProgress();
    if (status != ATTN_OK)
      compiler.throwLastError();
  });
}
