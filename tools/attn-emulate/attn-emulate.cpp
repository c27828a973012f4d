//===- attn-emulate.cpp - Run a kernel of a final gpu module --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Arguments.h"
#include "attn/Emulator/attn_emulator.h"
#include "attn/InitAll.h"
#include "attn/Target/NVIDIA/NVPasses.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/TargetSelect.h"

using namespace llvm;

namespace {
cl::opt<std::string> file(cl::Positional, cl::Required, cl::desc("FILE"));
cl::opt<std::string> kernel(cl::Positional, cl::Required, cl::desc("KERNEL"));
cl::list<std::string>
    texts(cl::Positional,
          cl::desc("ARGUMENT... (A.npy, A.npy=OUT.npy, i32:N, i64:N, "
                   "f32:X, map:I:box=64x64:swizzle=128)"));
cl::list<int64_t> grid("grid", cl::CommaSeparated,
                       cl::desc("blocks, up to three numbers"));
cl::list<int64_t> threads("block", cl::CommaSeparated,
                          cl::desc("threads of a block, up to three numbers"));
cl::opt<int64_t> dynamicShared("shared", cl::init(0),
                               cl::desc("bytes of dynamic shared memory"));
cl::opt<uint64_t> seed("seed", cl::init(0),
                       cl::desc("order of threads and copies; 0: copies late"));
cl::opt<bool> statistics("statistics",
                         cl::desc("count sectors and bank conflicts"));
cl::opt<bool> unchecked("unchecked", cl::desc("do not look for races"));

int complain(const Twine &text) {
  errs() << "error: " << text << '\n';
  return 2;
}

mlir::OwningOpRef<mlir::ModuleOp> prepare(mlir::MLIRContext &context) {
  mlir::ParserConfig config(&context);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(file, config);
  if (!module)
    return nullptr;
  // The host's side of a program is not needed here.
  for (mlir::Operation &op : make_early_inc_range(*module->getBody()))
    if (!isa<mlir::LLVM::LLVMDialect, mlir::gpu::GPUDialect>(op.getDialect()))
      op.erase();
  mlir::PassManager passes(&context);
  passes.addPass(mlir::attn::createAttnEmulate());
  if (failed(passes.run(*module)))
    return nullptr;
  return module;
}

Expected<std::unique_ptr<orc::LLJIT>> compile(mlir::ModuleOp module) {
  auto llvmContext = std::make_unique<LLVMContext>();
  std::unique_ptr<Module> code =
      mlir::translateModuleToLLVMIR(module, *llvmContext);
  if (!code)
    return createStringError("the module cannot be translated to LLVM IR");
  auto machine = orc::JITTargetMachineBuilder::detectHost();
  if (!machine)
    return machine.takeError();
  machine->setCodeGenOptLevel(CodeGenOptLevel::Default);
  auto target = machine->createTargetMachine();
  if (!target)
    return target.takeError();
  code->setDataLayout((*target)->createDataLayout());
  code->setTargetTriple((*target)->getTargetTriple());
  PassBuilder builder(target->get());
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O1)
      .run(*code, modules);
  auto jit = orc::LLJITBuilder()
                 .setJITTargetMachineBuilder(std::move(*machine))
                 .create();
  if (!jit)
    return jit.takeError();
  auto symbols = orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      (*jit)->getDataLayout().getGlobalPrefix());
  if (!symbols)
    return symbols.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*symbols));
  if (Error error = (*jit)->addIRModule(
          orc::ThreadSafeModule(std::move(code), std::move(llvmContext))))
    return std::move(error);
  return std::move(*jit);
}

void sizes(ArrayRef<int64_t> given, int64_t (&result)[3]) {
  for (size_t i = 0; i < 3; ++i)
    result[i] = i < given.size() ? given[i] : 1;
}

void report(const char *error) {
  attn_emu_statistics s;
  attn_emu_get_statistics(&s);
  json::Object counts{{"blocks", s.blocks},
                      {"instructions", s.instructions},
                      {"global_requests", s.global_requests},
                      {"global_sectors", s.global_sectors},
                      {"global_bytes", s.global_bytes},
                      {"shared_requests", s.shared_requests},
                      {"shared_wavefronts", s.shared_wavefronts},
                      {"shared_ideal", s.shared_ideal},
                      {"async_copies", s.async_copies},
                      {"async_bytes", s.async_bytes},
                      {"mma", s.mma},
                      {"wgmma", s.wgmma}};
  json::Value message = nullptr;
  if (error)
    message = error;
  outs() << json::Value(json::Object{{"error", std::move(message)},
                                     {"statistics", std::move(counts)}})
         << '\n';
}
} // namespace

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(
      argc, argv,
      "runs a kernel of a final gpu module on the emulator; prints one line of "
      "JSON with the first error or null, and counts\n");
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  mlir::attn::registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = prepare(context);
  if (!module)
    return 2;
  auto jit = compile(*module);
  if (!jit)
    return complain(toString(jit.takeError()));
  auto info = (*jit)->lookup(kernel + "__emu_info");
  if (!info)
    return complain("no kernel '" + kernel + "' in " + file + ": " +
                    toString(info.takeError()));
  auto arguments = attn::tool::readArguments(std::vector<std::string>(texts));
  if (!arguments)
    return complain(toString(arguments.takeError()));
  auto *record = info->toPtr<const attn_emu_kernel *>();
  if (static_cast<int64_t>(arguments->size()) != record->parameters)
    return complain("kernel '" + kernel + "' takes " +
                    Twine(record->parameters) + " arguments, not " +
                    Twine(arguments->size()));
  SmallVector<void *> params;
  for (attn::tool::Argument &argument : *arguments)
    params.push_back(argument.bytes);
  attn_emu_options options = {seed, statistics, unchecked};
  attn_emu_set_options(&options);
  int64_t blocks[3], block[3];
  sizes(std::vector<int64_t>(grid), blocks);
  sizes(std::vector<int64_t>(threads), block);
  const char *error =
      attn_emu_launch(record, blocks, block, dynamicShared, params.data());
  report(error);
  if (Error failed = attn::tool::writeOutputs(*arguments))
    return complain(toString(std::move(failed)));
  return error ? 1 : 0;
}
