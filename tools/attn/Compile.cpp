//===- Compile.cpp - attn compile: a model to machine code ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "Compiler.h"
#include "Progress.h"
#include "Runtime/IO/File.h"

using namespace attn::tool;

void attn::tool::addCompileCommand(CLI::App &app) {
  struct State {
    std::string model, output;
    CompileOptions options;
  };
  auto state = std::make_shared<State>();
  CLI::App *command = app.add_subcommand(
      "compile", "Compile a model; the output's extension says to what");
  command->add_option("MODEL.onnx|FILE.mlir", state->model, "the model")
      ->type_name("")
      ->required();
  command
      ->add_option("-o", state->output,
                   "OUT.so, OUT.o, OUT.ll, OUT.mlir, or of a GPU "
                   "OUT.ptx or OUT.cubin")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--target", state->options.target,
                   "host (default), x86-64-v3, x86-64-v4, sm_80 or "
                   "sm_90a")
      ->type_name("NAME");
  command
      ->add_option("--entry", state->options.entry,
                   "public function to compile (default: the only one)")
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
  command
      ->add_option("--emit", state->options.emit,
                   "stage to stop at: import, raised, tiles, "
                   "bufferized, llvm-dialect; of a GPU also gpu, nvvm, ptx, "
                   "cubin")
      ->type_name("NAME");
  command->callback([state] {
    checkReadable(state->model);
    rt::checkWritable(state->output);
    const Compiler &compiler = loadCompiler();
    attn_compile_options options = state->options.get();
    int status = compiler.compileFile(state->model.c_str(),
                                      state->output.c_str(), &options);
    clearProgress();
    if (status != ATTN_OK)
      compiler.throwLastError();
  });
}
