//===- CodeGen.cpp - From the llvm dialect to object code -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CodeGen.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;
using namespace mlir::attn::compiler;

llvm::Error mlir::attn::compiler::failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

llvm::Expected<Target> mlir::attn::compiler::findTarget(StringRef name) {
  Target target;
  target.name = name.str();
  if (name.empty() || name == "host") {
    target.name = "host";
    target.cpu = llvm::sys::getHostCPUName().str();
    llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
    for (const auto &feature : features) {
      if (!target.features.empty())
        target.features += ',';
      target.features += (feature.second ? "+" : "-") + feature.first().str();
    }
    bool avx512 = features.lookup("avx512f") && features.lookup("avx512vl") &&
                  features.lookup("avx512bw") && features.lookup("avx512dq");
    if (!avx512 && !(features.lookup("avx2") && features.lookup("fma")))
      return failure("target 'host' has neither AVX2 with FMA nor AVX-512; "
                     "run on a processor of level x86-64-v3 or newer");
    target.vectorBytes = avx512 ? 64 : 32;
    target.bf16Dot = avx512 && features.lookup("avx512bf16");
    return target;
  }
  if (name == "x86-64-v3" || name == "x86-64-v4") {
    target.cpu = name.str();
    target.vectorBytes = name == "x86-64-v4" ? 64 : 32;
    return target;
  }
  if (name == "sm_80" || name == "sm_90a") {
    // Host code only launches kernels: it may run on any processor.
    target.cpu = "x86-64";
    target.chip = name.str();
    return target;
  }
  return failure("unknown target '" + name +
                 "'; known are host, x86-64-v3, x86-64-v4, sm_80 and sm_90a");
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
makeMachine(const Target &target) {
  static bool initialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string message;
  const llvm::Target *registered =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!registered)
    return failure(message);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  std::unique_ptr<llvm::TargetMachine> machine(registered->createTargetMachine(
      triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Default));
  if (!machine)
    return failure("no code generator for '" + target.name + "'");
  return machine;
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2)
      .run(module, modules);
}

llvm::Expected<llvm::SmallVector<char, 0>>
mlir::attn::compiler::generateCode(ModuleOp module, const Target &target,
                                   CodeKind kind) {
  registerBuiltinDialectTranslation(*module.getContext());
  registerLLVMDialectTranslation(*module.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context, "attn");
  if (!llvmModule)
    return failure("translation to LLVM failed");
  auto machine = makeMachine(target);
  if (!machine)
    return machine.takeError();
  llvmModule->setTargetTriple((*machine)->getTargetTriple());
  llvmModule->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : *llvmModule) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.features.empty())
      function.addFnAttr("target-features", target.features);
    if (target.vectorBytes == 64)
      function.addFnAttr("prefer-vector-width", "512");
  }
  optimize(*llvmModule, **machine);

  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (kind == CodeKind::LLVMIR) {
    llvmModule->print(stream, nullptr);
    return bytes;
  }
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr,
                                      llvm::CodeGenFileType::ObjectFile))
    return failure("target '" + target.name + "' cannot write object files");
  passes.run(*llvmModule);
  return bytes;
}

llvm::Error mlir::attn::compiler::writeFile(StringRef path,
                                            ArrayRef<char> bytes) {
  if (path == "-") {
    llvm::outs().write(bytes.data(), bytes.size());
    llvm::outs().flush();
    return llvm::Error::success();
  }
  auto temporary = llvm::sys::fs::TempFile::create(path + ".%%%%%%.tmp");
  if (!temporary) {
    llvm::consumeError(temporary.takeError());
    return failure("cannot write '" + path +
                   "': its folder does not exist or is not writable; choose "
                   "another output");
  }
  llvm::raw_fd_ostream stream(temporary->FD, /*shouldClose=*/false);
  stream.write(bytes.data(), bytes.size());
  stream.flush();
  if (stream.has_error()) {
    std::string reason = stream.error().message();
    stream.clear_error();
    llvm::consumeError(temporary->discard());
    return failure("cannot write '" + path + "': " + reason);
  }
  if (llvm::Error error = temporary->keep(path)) {
    std::string reason = llvm::toString(std::move(error));
    return failure("cannot write '" + path + "': " + reason);
  }
  return llvm::Error::success();
}

llvm::Error mlir::attn::compiler::linkSharedLibrary(ArrayRef<char> object,
                                                    StringRef path) {
  std::string linker;
  for (const char *name : {"ld.lld-22", "ld.lld", "ld"}) {
    auto found = llvm::sys::findProgramByName(name);
    if (!found)
      found = llvm::sys::findProgramByName(name, {"/usr/lib/llvm-22/bin"});
    if (found) {
      linker = *found;
      break;
    }
  }
  if (linker.empty())
    return failure("no linker found to write '" + path +
                   "'; install lld-22 or binutils, or write an object file "
                   "(.o)");
  SmallString<128> objectPath, libraryPath;
  if (llvm::sys::fs::createTemporaryFile("attn", "o", objectPath))
    return failure("cannot write a temporary file; check TMPDIR");
  llvm::FileRemover removeObject(objectPath);
  if (llvm::Error error = writeFile(objectPath, object))
    return error;
  if (auto code =
          llvm::sys::fs::createUniqueFile(path + ".%%%%%%.tmp", libraryPath))
    return failure("cannot write '" + path + "': " + code.message());
  llvm::FileRemover removeLibrary(libraryPath);
  SmallString<128> log;
  if (llvm::sys::fs::createTemporaryFile("attn-link", "log", log))
    return failure("cannot write a temporary file; check TMPDIR");
  llvm::FileRemover removeLog(log);
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log),
                                          StringRef(log)};
  StringRef arguments[] = {linker, "-shared", "-o", libraryPath, objectPath};
  std::string message;
  int code = llvm::sys::ExecuteAndWait(linker, arguments, std::nullopt,
                                       redirects, 0, 0, &message);
  if (code != 0) {
    if (auto text = llvm::MemoryBuffer::getFile(log))
      message += (*text)->getBuffer().split('\n').first.str();
    return failure("'" + linker + "' failed to link '" + path +
                   "': " + message);
  }
  // mkstemp gives 0600; a library is as readable as its folder allows.
  (void)llvm::sys::fs::setPermissions(libraryPath,
                                      llvm::sys::fs::perms::all_read |
                                          llvm::sys::fs::perms::all_exe |
                                          llvm::sys::fs::perms::owner_write);
  if (auto renamed = llvm::sys::fs::rename(libraryPath, path))
    return failure("cannot write '" + path + "': " + renamed.message());
  removeLibrary.releaseFile();
  return llvm::Error::success();
}
