//===- Driver.cpp - From a model file to code -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Driver.h"
#include "Metadata.h"
#include "attn/Frontend/ONNX/ImportOnnx.h"
#include "attn/InitAll.h"
#include "attn/Target/X86/Passes.h"
#include "attn/Target/X86/Pipeline.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::compiler;

char StatusError::ID = 0;

llvm::Expected<Stage> mlir::attn::compiler::findStage(StringRef name) {
  static const std::pair<StringRef, Stage> stages[] = {
      {"import", Stage::Import},
      {"raised", Stage::Raised},
      {"tiles", Stage::Tiles},
      {"gpu", Stage::Gpu},
      {"nvvm", Stage::NVVM},
      {"ptx", Stage::PTX},
      {"cubin", Stage::Cubin},
      {"bufferized", Stage::Bufferized},
      {"llvm-dialect", Stage::LLVMDialect},
      {"llvm", Stage::LLVMIR},
      {"object", Stage::Object}};
  for (auto [known, stage] : stages)
    if (name == known)
      return stage;
  return llvm::make_error<StatusError>(
      ATTN_BAD_OPTION, ("unknown stage '" + name +
                        "'; known are import, raised, tiles, bufferized, "
                        "llvm-dialect, llvm and object, and of GPUs gpu, nvvm, "
                        "ptx and cubin")
                           .str());
}

static llvm::Expected<AttentionPath> findAttentionPath(const char *name) {
  static const std::pair<StringRef, AttentionPath> paths[] = {
      {"tiles", AttentionPath::Tiles}, {"plain", AttentionPath::Plain}};
  if (!name)
    return AttentionPath::Tiles;
  for (auto [known, path] : paths)
    if (name == known)
      return path;
  return llvm::make_error<StatusError>(
      ATTN_BAD_OPTION, ("unknown attention path '" + StringRef(name) +
                        "'; known are tiles and plain")
                           .str());
}

static llvm::Expected<SparsePath> findSparsePath(const char *name) {
  static const std::pair<StringRef, SparsePath> paths[] = {
      {"auto", SparsePath::Auto},
      {"always", SparsePath::Always},
      {"never", SparsePath::Never}};
  if (!name)
    return SparsePath::Auto;
  for (auto [known, path] : paths)
    if (name == known)
      return path;
  return llvm::make_error<StatusError>(
      ATTN_BAD_OPTION, ("unknown sparse path '" + StringRef(name) +
                        "'; known are auto, always and never")
                           .str());
}

static DialectRegistry makeRegistry() {
  DialectRegistry registry;
  registerCompilerDialects(registry);
  return registry;
}

Driver::Driver(const attn_compile_options &options)
    : options(options),
      context(makeRegistry(), MLIRContext::Threading::DISABLED) {
  handler = std::make_unique<ScopedDiagnosticHandler>(
      &context, [this](Diagnostic &diagnostic) {
        // The first error tells most; what follows is a consequence of it.
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error ||
            !diagnostics.empty())
          return success();
        llvm::raw_string_ostream stream(diagnostics);
        std::string where;
        llvm::raw_string_ostream(where) << diagnostic.getLocation();
        if (auto file = dyn_cast<FileLineColLoc>(diagnostic.getLocation()))
          stream << file.getFilename().getValue() << ':' << file.getLine()
                 << ':' << file.getColumn() << ": ";
        else if (auto name = dyn_cast<NameLoc>(diagnostic.getLocation()))
          stream << "node '" << name.getName().getValue() << "': ";
        stream << diagnostic.str();
        std::replace(diagnostics.begin(), diagnostics.end(), '\n', ' ');
        return success();
      });
}

Driver::~Driver() = default;

llvm::Error Driver::collected(const Twine &fallback) {
  std::string message =
      diagnostics.empty() ? fallback.str() : std::move(diagnostics);
  diagnostics.clear();
  if (!StringRef(message).starts_with(path))
    message = path + ": " + message;
  return failure(message);
}

llvm::Expected<Target> Driver::getTarget() {
  auto target = findTarget(options.target ? options.target : "host");
  if (!target)
    return llvm::make_error<StatusError>(ATTN_BAD_OPTION,
                                         llvm::toString(target.takeError()));
  return target;
}

llvm::Error Driver::load(StringRef input) {
  path = input.str();
  llvm::sys::fs::file_status status;
  if (auto code = llvm::sys::fs::status(input, status))
    return failure("cannot read '" + input + "': " + code.message());
  if (status.type() == llvm::sys::fs::file_type::directory_file)
    return failure("'" + input + "' is a folder; expected a model file");
  SmallString<128> absolute(input);
  llvm::sys::fs::make_absolute(absolute);
  folder = llvm::sys::path::parent_path(absolute).str();

  StringRef extension = llvm::sys::path::extension(input);
  if (extension == ".onnx") {
    std::string error;
    bool isUnsupported = false;
    module =
        frontend::onnx::importOnnx(input, &context, {}, error, &isUnsupported);
    if (!module)
      return llvm::make_error<StatusError>(
          isUnsupported ? ATTN_UNSUPPORTED : ATTN_FAILED, error);
    return findEntry();
  }
  if (extension != ".mlir" && extension != ".mlirbc")
    return llvm::make_error<StatusError>(
        ATTN_BAD_OPTION, ("'" + input + "' is neither .onnx nor .mlir").str());
  module = parseSourceFile<ModuleOp>(input, ParserConfig(&context));
  if (!module)
    return collected("cannot parse the file");
  return findEntry();
}

llvm::Error Driver::findEntry() {
  SmallVector<func::FuncOp> candidates;
  for (auto function : module->getOps<func::FuncOp>())
    if (function.isPublic() && !function.isExternal())
      candidates.push_back(function);
  std::string names;
  for (func::FuncOp function : candidates)
    names += (names.empty() ? "" : ", ") + function.getName().str();
  if (options.entry) {
    for (func::FuncOp function : candidates)
      if (function.getName() == options.entry)
        entry = function;
    if (!entry)
      return llvm::make_error<StatusError>(
          ATTN_BAD_OPTION,
          path + ": no public function '" + options.entry +
              "'; there are: " + (names.empty() ? "none" : names));
  } else {
    if (candidates.empty())
      return failure(path + ": no public function to compile");
    if (candidates.size() > 1)
      return llvm::make_error<StatusError>(
          ATTN_BAD_OPTION, path + ": " + std::to_string(candidates.size()) +
                               " public functions (" + names +
                               "); choose one by --entry");
    entry = candidates.front();
  }
  // The others only cost compile time.
  for (func::FuncOp function : candidates)
    if (function != entry)
      function.setPrivate();
  entryName = entry.getName().str();
  return llvm::Error::success();
}

llvm::Error Driver::run(StringRef what,
                        llvm::function_ref<void(PassManager &)> fill) {
  PassManager passes(&context);
  fill(passes);
  if (failed(passes.run(*module)))
    return collected("stage '" + what + "' failed");
  return llvm::Error::success();
}

llvm::Error Driver::describe() {
  auto text = describeSignature(entry);
  if (!text)
    return failure(path + ": " + llvm::toString(text.takeError()));
  signature = *text;
  // The runtime wraps what it is given; the code must not write to inputs.
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    entry.setArgAttr(i, "bufferization.writable",
                     BoolAttr::get(&context, false));
  entry->setAttr("llvm.emit_c_interface", UnitAttr::get(&context));
  return llvm::Error::success();
}

llvm::Error Driver::lowerTo(Stage stage) {
  auto target = getTarget();
  if (!target)
    return target.takeError();
  auto attention = findAttentionPath(options.attention);
  if (!attention)
    return attention.takeError();
  auto sparse = findSparsePath(options.sparse);
  if (!sparse)
    return sparse.takeError();
  if (isOfGpu(stage) && target->chip.empty())
    return llvm::make_error<StatusError>(
        ATTN_BAD_OPTION, "target '" + target->name +
                             "' has no such stage; it belongs to the targets "
                             "sm_80 and sm_90a");
  wanted = stage;
  numDone = 0;
  numSteps = std::min<int32_t>(static_cast<int32_t>(stage),
                               static_cast<int32_t>(Stage::LLVMDialect));
  if (target->chip.empty() && stage > Stage::Cubin)
    numSteps -= 4; // the stages of GPUs
  if (llvm::Error error = advance(Stage::Raised, "recognizing attention", [&] {
        if (llvm::Error error = describe())
          return error;
        // Other functions would cost compile time and show in reports.
        return run("raised", [&](PassManager &pm) {
          pm.addPass(createSymbolDCEPass());
          buildRaisePipeline(pm);
        });
      }))
    return error;
  return target->chip.empty() ? lowerForX86(*target, *attention, *sparse)
                              : lowerForGpu(*target, *attention);
}

llvm::Error Driver::advance(Stage next, const char *what,
                            llvm::function_ref<llvm::Error()> work) {
  if (next > wanted || next <= reached)
    return llvm::Error::success();
  if (options.progress)
    options.progress(what, numDone, numSteps, options.progress_context);
  ++numDone;
  if (llvm::Error error = work())
    return error;
  reached = next;
  return llvm::Error::success();
}

llvm::Error Driver::lowerForX86(const Target &target, AttentionPath attention,
                                SparsePath sparse) {
  X86Options x86;
  x86.attention = attention;
  x86.sparse = sparse;
  x86.vectorBytes = target.vectorBytes;
  x86.bf16Dot = target.bf16Dot;
  x86.entry = entryName;
  if (llvm::Error error = advance(Stage::Tiles, "building tile programs", [&] {
        return run("tiles",
                   [&](PassManager &pm) { buildX86TensorPipeline(pm, x86); });
      }))
    return error;
  if (llvm::Error error = advance(Stage::Bufferized, "assigning buffers", [&] {
        if (llvm::Error error = describeModule(target, ""))
          return error;
        return run("bufferized",
                   [&](PassManager &pm) { buildX86BufferPipeline(pm, x86); });
      }))
    return error;
  return advance(Stage::LLVMDialect, "lowering to LLVM", [&] {
    return run("llvm-dialect", [&](PassManager &pm) {
      buildX86LLVMPipeline(pm, x86);
      AttnEmitEntryPassOptions options;
      options.entry = entryName;
      options.metadata = metadata;
      pm.addPass(createAttnEmitEntryPass(options));
    });
  });
}

llvm::Error Driver::describeModule(const Target &target, StringRef extra) {
  // Weights have their numbers now.
  auto folderJson = llvm::json::Value(folder);
  llvm::json::Array files;
  llvm::StringSet<> seen;
  if (auto table = (*module)->getAttrOfType<ArrayAttr>("attn.weights"))
    for (Attribute weight : table) {
      StringRef name =
          cast<DictionaryAttr>(weight).getAs<StringAttr>("file").getValue();
      if (!seen.insert(name).second)
        continue;
      SmallString<128> file(folder);
      llvm::sys::path::append(file, name);
      uint64_t size = 0;
      if (auto code = llvm::sys::fs::file_size(file, size))
        return failure(path + ": cannot read the weight file '" + file +
                       "': " + code.message());
      files.push_back(llvm::json::Object{{"name", name.str()},
                                         {"size", static_cast<int64_t>(size)}});
    }
  metadata.clear();
  llvm::raw_string_ostream(metadata)
      << "{\"format\":1,\"producer\":\"attn " ATTN_VERSION "\",\"target\":\""
      << target.name << "\",\"folder\":" << folderJson
      << ",\"files\":" << llvm::json::Value(std::move(files)) << ','
      << signature << ',' << describeWeights(*module) << extra << '}';
  return llvm::Error::success();
}

llvm::Expected<llvm::SmallVector<char, 0>> Driver::generate(CodeKind kind) {
  auto target = getTarget();
  if (!target)
    return target.takeError();
  return generateCode(*module, *target, kind);
}

llvm::Expected<std::vector<llvm::SmallVector<char, 0>>>
Driver::generateObjects() {
  std::vector<llvm::SmallVector<char, 0>> objects;
  auto host = generate(CodeKind::Object);
  if (!host)
    return host.takeError();
  objects.push_back(std::move(*host));
  if (!emulated)
    return objects;
  // Any processor's: rounding to bf16 then goes through the runtime, exactly.
  auto target = findTarget("x86-64-v3");
  if (!target)
    return target.takeError();
  auto kernelCode = generateCode(*emulated, *target, CodeKind::Object);
  if (!kernelCode)
    return kernelCode.takeError();
  objects.push_back(std::move(*kernelCode));
  return objects;
}
