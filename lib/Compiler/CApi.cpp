//===- CApi.cpp - The C interface of the compiler library -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Driver.h"
#include "Explain/Explain.h"
#include "Jit.h"
#include "attn/Compiler/attn_compiler.h"
#include "attn/Emulator/attn_emulator.h"
#include "llvm/Support/Path.h"
#include <cstring>

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::compiler;

static thread_local std::string lastError;
static thread_local int lastStatus = ATTN_OK;

/// Remembers `error` for the calling thread.
static int conclude(llvm::Error error) {
  lastError.clear();
  lastStatus = ATTN_OK;
  llvm::handleAllErrors(
      std::move(error),
      [](const StatusError &e) {
        lastError = e.message;
        lastStatus = e.status;
      },
      [](const llvm::ErrorInfoBase &e) {
        lastError = e.message();
        lastStatus = ATTN_FAILED;
      });
  return lastStatus;
}

/// The caller's options in today's layout: members that it does not know yet
/// are zero.
static attn_compile_options copyOptions(const attn_compile_options *given) {
  attn_compile_options options = {};
  if (given)
    std::memcpy(&options, given,
                std::min<size_t>(given->struct_size, sizeof(options)));
  return options;
}

/// The module as text. `withLocations` keeps the names of the model's nodes.
static llvm::SmallVector<char, 0>
printModule(ModuleOp module, bool elideWeights, bool withLocations) {
  OpPrintingFlags flags;
  flags.enableDebugInfo(withLocations);
  if (elideWeights) {
    flags.elideLargeElementsAttrs(32);
    flags.elideLargeResourceString(32);
  }
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  module->print(stream, flags);
  stream << '\n';
  return bytes;
}

static llvm::Error compileFile(const char *input, StringRef output,
                               const attn_compile_options &options) {
  StringRef extension = llvm::sys::path::extension(output);
  Stage stage;
  if (options.emit) {
    auto found = findStage(options.emit);
    if (!found)
      return found.takeError();
    stage = *found;
  } else if (extension == ".mlir") {
    stage = Stage::Raised;
  } else if (extension == ".ll") {
    stage = Stage::LLVMIR;
  } else if (extension == ".o" || extension == ".so") {
    stage = Stage::Object;
  } else if (extension == ".ptx") {
    stage = Stage::PTX;
  } else if (extension == ".cubin") {
    stage = Stage::Cubin;
  } else {
    return llvm::make_error<StatusError>(
        ATTN_BAD_OPTION,
        ("cannot tell what to write to '" + output +
         "'; use .so, .o, .ll, .mlir, or for a GPU .ptx or .cubin, or name a "
         "stage by --emit")
            .str());
  }
  Driver driver(options);
  auto target = driver.getTarget();
  if (!target)
    return target.takeError();
  if (llvm::Error error = driver.load(input))
    return error;
  if (llvm::Error error = driver.lowerTo(stage))
    return error;
  if (stage == Stage::PTX)
    return writeFile(output, driver.getPtx());
  if (stage == Stage::Cubin)
    return writeFile(output, driver.getCubin().bytes);
  if (isMLIR(stage))
    return writeFile(output,
                     printModule(driver.getModule(), options.elide_weights,
                                 stage == Stage::Import));
  if (stage == Stage::LLVMIR) {
    auto text = driver.generate(CodeKind::LLVMIR);
    return text ? writeFile(output, *text) : text.takeError();
  }
  auto object = driver.generate(CodeKind::Object);
  if (!object)
    return object.takeError();
  return extension == ".so" ? linkSharedLibrary(*object, output)
                            : writeFile(output, *object);
}

/// The emulator as the runtime wants it.
static const attn_rt_emulator emulator = {
    attn_emu_alloc, attn_emu_free,
    [](const void *kernel, const int64_t grid[3], const int64_t threads[3],
       int64_t sharedBytes, void **params) {
      return attn_emu_launch(static_cast<const attn_emu_kernel *>(kernel), grid,
                             threads, sharedBytes, params);
    },
    attn_emu_encode_tensor_map};

static llvm::Expected<attn_rt_module *>
compileJit(const char *input, const attn_compile_options &options) {
  Driver driver(options);
  auto target = driver.getTarget();
  if (!target)
    return target.takeError();
  if (options.emulate && target->chip.empty())
    return llvm::make_error<StatusError>(
        ATTN_BAD_OPTION, "target '" + target->name +
                             "' is not emulated; emulated are the GPUs sm_80 "
                             "and sm_90a");
  if (llvm::Error error = driver.load(input))
    return error;
  if (llvm::Error error = driver.lowerTo(Stage::LLVMDialect))
    return error;
  auto objects = driver.generateObjects();
  if (!objects)
    return objects.takeError();
  auto code = loadObjects(llvm::to_vector_of<llvm::ArrayRef<char>>(*objects));
  if (!code)
    return code.takeError();
  attn_rt_code loaded = {};
  loaded.struct_size = sizeof(loaded);
  loaded.entry = code->entry;
  loaded.init = code->init;
  loaded.metadata = driver.getMetadata().c_str();
  loaded.folder = driver.getFolder().c_str();
  loaded.release = code->release;
  loaded.owner = code->owner;
  loaded.cubin = code->cubin;
  loaded.ptx = code->ptx;
  loaded.emulated = static_cast<const void *const *>(code->emulated);
  loaded.emulator = &emulator;
  attn_rt_module *module = attn_rt_load_code(&loaded);
  if (!module)
    return compiler::failure(attn_rt_last_error());
  return module;
}

const char *attn_compile_last_error(void) { return lastError.c_str(); }

int attn_compile_last_status(void) { return lastStatus; }

int attn_import(const char *input, const char *output,
                const attn_compile_options *given) {
  attn_compile_options options = copyOptions(given);
  Driver driver(options);
  if (llvm::Error error = driver.load(input))
    return conclude(std::move(error));
  return conclude(
      writeFile(output ? output : "-",
                printModule(driver.getModule(), options.elide_weights,
                            /*withLocations=*/true)));
}

int attn_compile_file(const char *input, const char *output,
                      const attn_compile_options *given) {
  return conclude(compileFile(input, output, copyOptions(given)));
}

attn_rt_module *attn_compile_jit(const char *input,
                                 const attn_compile_options *given) {
  auto module = compileJit(input, copyOptions(given));
  if (!module) {
    conclude(module.takeError());
    return nullptr;
  }
  conclude(llvm::Error::success());
  return *module;
}

int attn_explain(const char *input, const attn_compile_options *given,
                 void (*write)(const char *text, size_t size, void *context),
                 void *context) {
  attn_compile_options options = copyOptions(given);
  StringRef form = options.report ? options.report : "text";
  if (form != "text" && form != "json")
    return conclude(llvm::make_error<StatusError>(
        ATTN_BAD_OPTION,
        ("unknown form '" + form + "' of a report; known are text and json")
            .str()));
  Driver driver(options);
  if (llvm::Error error = driver.load(input))
    return conclude(std::move(error));
  auto target = driver.getTarget();
  if (!target)
    return conclude(target.takeError());
  llvm::Error failed = llvm::Error::success();
  auto lowerTo = [&](Stage stage) {
    return [&, stage](ModuleOp) {
      llvm::Error error = driver.lowerTo(stage);
      bool isGood = !error;
      failed = llvm::joinErrors(std::move(failed), std::move(error));
      return success(isGood);
    };
  };
  FailureOr<std::string> report = explainModule(
      driver.getModule(), lowerTo(Stage::Raised), lowerTo(Stage::Tiles),
      form == "json" ? ReportForm::Json : ReportForm::Text);
  if (succeeded(report) && form == "text" && !target->chip.empty()) {
    // What the assembler says of kernels belongs to the report.
    if (llvm::Error error =
            driver.lowerTo(hasPtxas() ? Stage::Cubin : Stage::PTX))
      return conclude(llvm::joinErrors(std::move(failed), std::move(error)));
    *report += kernelTable(driver.getKernels());
    if (!driver.getFallback().empty())
      *report += "attention is computed by definition, since a tile program "
                 "has no kernel: " +
                 driver.getFallback() + '\n';
  }
  if (succeeded(report))
    write(report->data(), report->size(), context);
  else if (!failed)
    return conclude(
        compiler::failure("'" + Twine(input) + "' cannot be explained"));
  return conclude(std::move(failed));
}
