//===- Jit.cpp - Object code in this process ------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Jit.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include <dlfcn.h>

using namespace llvm;
using namespace mlir::attn::compiler;

namespace {

/// The runtime that this library is linked with, which the process may have
/// loaded without making its symbols global.
class RuntimeSymbols : public orc::DefinitionGenerator {
public:
  explicit RuntimeSymbols(void *library) : library(library) {}
  Error tryToGenerate(orc::LookupState &, orc::LookupKind, orc::JITDylib &dylib,
                      orc::JITDylibLookupFlags,
                      const orc::SymbolLookupSet &wanted) override {
    orc::SymbolMap found;
    for (const auto &[name, flags] : wanted)
      if (void *address = dlsym(library, (*name).str().c_str()))
        found[name] = {orc::ExecutorAddr::fromPtr(address),
                       JITSymbolFlags::Exported};
    if (found.empty())
      return Error::success();
    return dylib.define(orc::absoluteSymbols(std::move(found)));
  }

private:
  void *library;
};

} // namespace

Expected<LoadedCode>
mlir::attn::compiler::loadObjects(ArrayRef<ArrayRef<char>> objects) {
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  auto jit = orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  // Errors come back from the lookup below; nothing is printed besides.
  (*jit)->getExecutionSession().setErrorReporter(
      [](Error error) { consumeError(std::move(error)); });
  // dlsym from here searches this library's dependencies: runtime, emulator,
  // libm.
  Dl_info info;
  void *library = nullptr;
  if (dladdr(reinterpret_cast<void *>(&loadObjects), &info))
    library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  orc::JITDylib &dylib = (*jit)->getMainJITDylib();
  dylib.addGenerator(std::make_unique<RuntimeSymbols>(
      library ? library : dlopen(nullptr, RTLD_NOW)));
  for (ArrayRef<char> object : objects) {
    auto buffer = MemoryBuffer::getMemBufferCopy(
        StringRef(object.data(), object.size()), "attn");
    if (Error error = (*jit)->addObjectFile(std::move(buffer)))
      return error;
  }
  auto entry = (*jit)->lookup("attn_packed_main");
  if (!entry)
    return entry.takeError();
  LoadedCode code;
  code.entry = entry->toPtr<void (*)(void **)>();
  auto lookup = [&](StringRef name) -> void * {
    auto found = (*jit)->lookup(name);
    if (found)
      return found->toPtr<void *>();
    consumeError(found.takeError());
    return nullptr;
  };
  code.init = reinterpret_cast<void (*)(void **)>(lookup("attn_packed_init"));
  code.cubin = lookup("attn_gpu_cubin");
  code.ptx = static_cast<const char *>(lookup("attn_gpu_ptx"));
  code.emulated = lookup(emulatedName);
  code.owner = jit->release();
  code.release = [](void *owner) { delete static_cast<orc::LLJIT *>(owner); };
  return code;
}
