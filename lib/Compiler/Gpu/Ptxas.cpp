//===- Ptxas.cpp - Machine code by NVIDIA's assembler ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../CodeGen.h"
#include "GpuCode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

using namespace mlir;
using namespace mlir::attn::compiler;

static std::string findPtxas() {
  if (const char *given = std::getenv("ATTN_PTXAS"))
    return llvm::sys::fs::can_execute(given) ? given : "";
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  const char *folders[] = {std::getenv("CUDA_HOME"), std::getenv("CUDA_PATH"),
                           "/usr/local/cuda"};
  for (const char *folder : folders) {
    if (!folder)
      continue;
    SmallString<128> path(folder);
    llvm::sys::path::append(path, "bin", "ptxas");
    if (llvm::sys::fs::can_execute(path))
      return std::string(path);
  }
  return "";
}

bool mlir::attn::compiler::hasPtxas() { return !findPtxas().empty(); }

namespace {
/// The output of a program.
struct Output {
  int code = 0;
  std::string text;
};
} // namespace

static Output runProgram(ArrayRef<StringRef> arguments) {
  Output output;
  SmallString<128> log;
  if (llvm::sys::fs::createTemporaryFile("attn-ptxas", "log", log)) {
    output.code = -1;
    output.text = "cannot write a temporary file; check TMPDIR";
    return output;
  }
  llvm::FileRemover removeLog(log);
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log),
                                          StringRef(log)};
  output.code = llvm::sys::ExecuteAndWait(arguments[0], arguments, std::nullopt,
                                          redirects, 0, 0, &output.text);
  if (auto text = llvm::MemoryBuffer::getFile(log))
    output.text += (*text)->getBuffer().str();
  return output;
}

/// The number in "release 13.0": 13000.
static int readVersion(StringRef text) {
  llvm::Regex pattern("release ([0-9]+)\\.([0-9]+)");
  SmallVector<StringRef> groups;
  int major = 0, minor = 0;
  if (!pattern.match(text, &groups) || groups[1].getAsInteger(10, major) ||
      groups[2].getAsInteger(10, minor))
    return 0;
  return major * 1000 + minor * 10;
}

void mlir::attn::compiler::readAssemblerReport(
    StringRef text, std::vector<KernelInfo> &kernels) {
  llvm::StringMap<KernelInfo *> byName;
  for (KernelInfo &kernel : kernels)
    byName[kernel.name] = &kernel;
  llvm::Regex begins("Compiling entry function '([^']+)'");
  llvm::Regex remark("\\((C7[0-9]+)\\)"), named("in function '([^']+)'");
  llvm::Regex stack("([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, "
                    "([0-9]+) bytes spill loads");
  llvm::Regex registers("Used ([0-9]+) registers"),
      shared("([0-9]+) bytes smem");
  KernelInfo *current = nullptr;
  // Remarks come before the kernel's own lines, and some do not name it.
  std::vector<std::string> pending;
  for (StringRef line : llvm::split(text, '\n')) {
    SmallVector<StringRef> groups;
    auto number = [&](unsigned group) {
      int64_t value = 0;
      groups[group].getAsInteger(10, value);
      return value;
    };
    if (begins.match(line, &groups)) {
      current = byName.lookup(groups[1]);
      if (current)
        llvm::append_range(current->remarks, pending);
      pending.clear();
    } else if (remark.match(line, &groups)) {
      std::string code = groups[1].str();
      KernelInfo *owner =
          named.match(line, &groups) ? byName.lookup(groups[1]) : nullptr;
      (owner ? owner->remarks : pending).push_back(code);
    } else if (current && stack.match(line, &groups)) {
      current->stackBytes = number(1);
      current->spillBytes = number(2) + number(3);
    } else if (current && registers.match(line, &groups)) {
      current->registers = number(1);
      if (shared.match(line, &groups))
        current->sharedBytes = number(1);
    }
  }
}

llvm::Expected<Cubin>
mlir::attn::compiler::assemblePtx(StringRef ptx, StringRef chip,
                                  std::vector<KernelInfo> &kernels) {
  std::string program = findPtxas();
  if (program.empty()) {
    const char *given = std::getenv("ATTN_PTXAS");
    return failure((given ? "ATTN_PTXAS names '" + std::string(given) +
                                "', which is no program"
                          : std::string("no program 'ptxas' to assemble GPU "
                                        "code")) +
                   "; install NVIDIA's CUDA compiler (cuda-nvcc), put its "
                   "ptxas on PATH or in ATTN_PTXAS, or stop at --emit ptx");
  }
  SmallString<128> source, target;
  if (llvm::sys::fs::createTemporaryFile("attn", "ptx", source) ||
      llvm::sys::fs::createTemporaryFile("attn", "cubin", target))
    return failure("cannot write a temporary file; check TMPDIR");
  llvm::FileRemover removeSource(source), removeTarget(target);
  if (llvm::Error error =
          writeFile(source, ArrayRef<char>(ptx.data(), ptx.size())))
    return error;
  std::string arch = ("-arch=" + chip).str();
  Output output = runProgram({program, "-v", arch, source, "-o", target});
  if (output.code != 0) {
    // What it says of other things does not help.
    std::string first;
    for (StringRef line : llvm::split(output.text, '\n'))
      if (first.empty() || (!StringRef(first).contains("error") &&
                            StringRef(line).contains("error")))
        first = line.trim().str();
    return failure("'" + program + "' refuses the code of " + chip + ": " +
                   first);
  }
  readAssemblerReport(output.text, kernels);
  auto file = llvm::MemoryBuffer::getFile(target, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file || (*file)->getBufferSize() == 0)
    return failure("'" + program + "' wrote no code");
  Cubin cubin;
  cubin.bytes.append((*file)->getBufferStart(), (*file)->getBufferEnd());
  cubin.cudaVersion = readVersion(runProgram({program, "--version"}).text);
  return cubin;
}

std::string mlir::attn::compiler::kernelTable(ArrayRef<KernelInfo> kernels) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  size_t width = 6;
  for (const KernelInfo &kernel : kernels)
    width = std::max(width, kernel.name.size());
  stream << '\n'
         << llvm::left_justify("kernel", width)
         << "  threads registers shared bytes spills\n";
  for (const KernelInfo &kernel : kernels) {
    stream << llvm::left_justify(kernel.name, width)
           << llvm::formatv(" {0,8} ", kernel.threads);
    if (kernel.registers == 0)
      stream << llvm::formatv("{0,9} {1,12} {2,6}", "?", "?", "?");
    else
      stream << llvm::formatv("{0,9} {1,12} {2,6}", kernel.registers,
                              kernel.sharedBytes, kernel.spillBytes);
    if (!kernel.remarks.empty())
      stream << "  slow: " << llvm::join(kernel.remarks, ", ");
    stream << '\n';
  }
  if (llvm::any_of(kernels,
                   [](const KernelInfo &k) { return k.registers == 0; }))
    stream << "registers are known to ptxas only, which is not on this "
              "machine\n";
  return text;
}

std::string mlir::attn::compiler::describeGpu(StringRef chip, int cudaVersion,
                                              ArrayRef<KernelInfo> kernels) {
  llvm::json::Array list;
  for (const KernelInfo &kernel : kernels) {
    llvm::json::Object entry{
        {"name", kernel.name},           {"threads", kernel.threads},
        {"registers", kernel.registers}, {"shared", kernel.sharedBytes},
        {"stack", kernel.stackBytes},    {"spills", kernel.spillBytes}};
    if (!kernel.remarks.empty())
      entry["remarks"] = llvm::json::Array(kernel.remarks);
    list.push_back(std::move(entry));
  }
  llvm::json::Value gpu = llvm::json::Object{
      {"chip", chip}, {"cuda", cudaVersion}, {"kernels", std::move(list)}};
  std::string text;
  llvm::raw_string_ostream(text) << gpu;
  return text;
}
