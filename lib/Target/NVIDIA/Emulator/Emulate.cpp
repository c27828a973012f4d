//===- Emulate.cpp - Final gpu modules as host functions ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Pointers of all address spaces become host pointers. Those to shared memory
// hold numbers instead of addresses, which the emulator turns into addresses
// at each access.
//
//===----------------------------------------------------------------------===//
#include "Emitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "attn/Target/NVIDIA/NVPasses.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNEMULATE
#include "attn/Target/NVIDIA/NVPasses.h.inc"
} // namespace mlir::attn

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::emulator;

namespace {

// As in lib/Emulator/Machine.h.
constexpr int64_t sharedStart = 1024;
constexpr unsigned sharedSpace = 3, clusterSpace = 7;

class Emulation {
public:
  explicit Emulation(ModuleOp module) : module(module), emitter(module) {}

  LogicalResult run();

private:
  LogicalResult collect();
  void placeShared();
  void forgetSpaces();
  LogicalResult rewriteFunction(LLVM::LLVMFuncOp function);
  LogicalResult rewrite(Operation *op, Context &context);
  void rewriteAddress(LLVM::AddressOfOp op);
  void rewriteCast(LLVM::AddrSpaceCastOp op, Context &context);
  void emitEntry(LLVM::LLVMFuncOp kernel);

  ModuleOp module;
  Emitter emitter;
  SmallVector<LLVM::LLVMFuncOp> functions, kernels;
  SmallVector<LLVM::GlobalOp> globals;
  /// Parameters that are passed as a pointer to the bytes themselves.
  DenseMap<Operation *, SmallVector<bool>> byValue;
  DenseMap<Value, unsigned> spaces;
  /// Offset of each shared variable; -1 for the dynamic part.
  llvm::StringMap<int64_t> shared;
  llvm::StringMap<int64_t> sharedAlignment;
  int64_t sharedBytes = 0;
};

/// Moves what the gpu modules hold into the module.
LogicalResult Emulation::collect() {
  SmallVector<Block *> bodies;
  SmallVector<gpu::GPUModuleOp> holders(module.getOps<gpu::GPUModuleOp>());
  for (gpu::GPUModuleOp holder : holders)
    bodies.push_back(holder.getBody());
  if (holders.empty())
    bodies.push_back(module.getBody());
  for (Block *body : bodies) {
    for (Operation &op : llvm::make_early_inc_range(*body)) {
      if (!isa<LLVM::LLVMFuncOp, LLVM::GlobalOp>(op)) {
        if (holders.empty() || op.hasTrait<OpTrait::IsTerminator>())
          continue;
        return op.emitOpError("cannot be emulated: a final gpu module holds "
                              "functions and variables of the LLVM dialect");
      }
      if (!holders.empty()) {
        StringAttr name = SymbolTable::getSymbolName(&op);
        if (SymbolTable::lookupSymbolIn(module, name))
          return op.emitOpError("cannot be emulated: the host has a symbol ")
                 << name << ", too";
        op.moveBefore(module.getBody(), module.getBody()->end());
      }
      if (auto global = dyn_cast<LLVM::GlobalOp>(op))
        globals.push_back(global);
      else if (auto function = cast<LLVM::LLVMFuncOp>(op);
               !function.isExternal())
        functions.push_back(function);
      else if (function.symbolKnownUseEmpty(module))
        function.erase();
      else if (!function.getName().starts_with("llvm."))
        return function.emitOpError("cannot be emulated: it has no body");
    }
  }
  for (gpu::GPUModuleOp holder : holders)
    holder.erase();
  return success();
}

void Emulation::placeShared() {
  DataLayout layout(module);
  for (LLVM::GlobalOp global : llvm::make_early_inc_range(globals)) {
    if (global.getAddrSpace() != sharedSpace) {
      global.setAddrSpace(0);
      global.setLinkage(LLVM::Linkage::Internal);
      if (!global.getValueOrNull() && global.getInitializerRegion().empty())
        global.setValueAttr(LLVM::ZeroAttr::get(module.getContext()));
      continue;
    }
    Type type = global.getGlobalType();
    auto bytes = static_cast<int64_t>(layout.getTypeSize(type).getFixedValue());
    auto alignment = static_cast<int64_t>(std::max<uint64_t>(
        global.getAlignment().value_or(1), layout.getTypeABIAlignment(type)));
    sharedAlignment[global.getSymName()] = alignment;
    if (bytes == 0) {
      shared[global.getSymName()] = -1;
    } else {
      sharedBytes = llvm::alignTo(sharedBytes, alignment);
      shared[global.getSymName()] = sharedBytes;
      sharedBytes += bytes;
    }
    global.erase();
  }
}

/// All pointers become pointers of address space 0.
void Emulation::forgetSpaces() {
  auto remember = [&](Value value) {
    if (auto type = dyn_cast<LLVM::LLVMPointerType>(value.getType()))
      if (type.getAddressSpace())
        spaces[value] = type.getAddressSpace();
  };
  AttrTypeReplacer replacer;
  replacer.addReplacement([](LLVM::LLVMPointerType type) -> Type {
    return LLVM::LLVMPointerType::get(type.getContext());
  });
  auto replace = [&](Operation *op) {
    op->walk([&](Operation *inner) {
      for (Value result : inner->getResults())
        remember(result);
      for (Region &region : inner->getRegions())
        for (Block &block : region)
          for (Value argument : block.getArguments())
            remember(argument);
    });
    replacer.recursivelyReplaceElementsIn(op, /*replaceAttrs=*/true,
                                          /*replaceLocs=*/false,
                                          /*replaceTypes=*/true);
  };
  for (LLVM::LLVMFuncOp function : functions)
    replace(function);
  for (Operation &op : *module.getBody())
    if (isa<LLVM::GlobalOp>(op))
      replacer.recursivelyReplaceElementsIn(&op, true, false, true);
}

void Emulation::rewriteAddress(LLVM::AddressOfOp op) {
  OpBuilder &b = emitter.at(op);
  StringRef name = op.getGlobalName();
  Value address;
  if (auto found = shared.find(name); found != shared.end()) {
    if (found->second < 0)
      address = emitter.call("attn_emu_dynamic_shared", emitter.ptr(),
                             {emitter.i64(sharedAlignment[name])});
    else
      address =
          LLVM::IntToPtrOp::create(b, op.getLoc(), emitter.ptr(),
                                   emitter.i64(sharedStart + found->second));
  } else if (auto global = module.lookupSymbol<LLVM::GlobalOp>(name)) {
    DataLayout layout(module);
    b.setInsertionPointAfter(op);
    address = emitter.call(
        "attn_emu_global", emitter.ptr(),
        {op,
         emitter.i64(static_cast<int64_t>(
             layout.getTypeSize(global.getGlobalType()).getFixedValue())),
         emitter.i32(!global.getConstant())});
    op.getResult().replaceAllUsesExcept(address, address.getDefiningOp());
    return;
  } else {
    return;
  }
  op.getResult().replaceAllUsesWith(address);
  spaces[address] = sharedSpace;
  op.erase();
}

void Emulation::rewriteCast(LLVM::AddrSpaceCastOp op, Context &context) {
  auto isShared = [](unsigned space) {
    return space == sharedSpace || space == clusterSpace;
  };
  bool from = isShared(context.spaceOf(op.getArg()));
  bool to = isShared(context.spaceOf(op.getRes()));
  emitter.at(op);
  Value result = op.getArg();
  if (from != to)
    result = emitter.call(from ? "attn_emu_to_generic" : "attn_emu_to_shared",
                          emitter.ptr(), {result});
  op.getRes().replaceAllUsesWith(result);
  op.erase();
}

LogicalResult Emulation::rewrite(Operation *op, Context &context) {
  if (auto address = dyn_cast<LLVM::AddressOfOp>(op)) {
    rewriteAddress(address);
    return success();
  }
  if (auto cast = dyn_cast<LLVM::AddrSpaceCastOp>(op)) {
    rewriteCast(cast, context);
    return success();
  }
  if (failed(rewriteAccess(op, context)))
    return failure();
  return rewriteTarget(op, context);
}

LogicalResult Emulation::rewriteFunction(LLVM::LLVMFuncOp function) {
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (op != function)
      ops.push_back(op);
  });
  // Casts go last: accesses ask for the space of what they see.
  Context context{emitter, spaces};
  for (Operation *op : ops)
    if (!isa<LLVM::AddrSpaceCastOp>(op))
      if (failed(rewrite(op, context)))
        return failure();
  SmallVector<LLVM::AddrSpaceCastOp> casts;
  function.walk([&](LLVM::AddrSpaceCastOp cast) { casts.push_back(cast); });
  for (LLVM::AddrSpaceCastOp cast : casts)
    rewriteCast(cast, context);
  return success();
}

/// `NAME__emu`, and the constant that describes the kernel to the emulator.
void Emulation::emitEntry(LLVM::LLVMFuncOp kernel) {
  Location loc = kernel.getLoc();
  MLIRContext *context = module.getContext();
  OpBuilder b(context);
  b.setInsertionPointToEnd(module.getBody());
  std::string name = kernel.getName().str();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                          {emitter.ptr()});
  auto entry = LLVM::LLVMFuncOp::create(b, loc, name + "__emu", type);
  Block *block = entry.addEntryBlock(b);
  OpBuilder &e = emitter.atStart(block, loc);
  SmallVector<Value> arguments;
  ArrayRef<bool> pointers = byValue[kernel];
  for (auto [i, argument] : llvm::enumerate(kernel.getArguments())) {
    Value place = emitter.load(emitter.ptr(), block->getArgument(0),
                               8 * static_cast<int64_t>(i));
    arguments.push_back(pointers[i] ? place
                                    : emitter.load(argument.getType(), place));
  }
  LLVM::CallOp::create(e, loc, kernel, arguments);
  LLVM::ReturnOp::create(e, loc, ValueRange());

  int64_t threads = 0;
  if (auto sizes = kernel->getAttrOfType<DenseI32ArrayAttr>(
          NVVM::NVVMDialect::getReqntidAttrName())) {
    threads = 1;
    for (int32_t size : sizes.asArrayRef())
      threads *= size;
  }
  auto infoType = LLVM::LLVMStructType::getLiteral(
      context, {emitter.ptr(), emitter.ptr(), emitter.i64(), emitter.i64(),
                emitter.i64()});
  auto info = LLVM::GlobalOp::create(b, loc, infoType, /*isConstant=*/true,
                                     LLVM::Linkage::External,
                                     name + "__emu_info", Attribute());
  Block *body = b.createBlock(&info.getInitializerRegion());
  emitter.atStart(body, loc);
  Value fields[] = {LLVM::AddressOfOp::create(e, loc, entry),
                    emitter.string(name), emitter.i64(sharedBytes),
                    emitter.i64(threads),
                    emitter.i64(kernel.getNumArguments())};
  Value value = LLVM::ZeroOp::create(e, loc, infoType);
  for (auto [i, field] : llvm::enumerate(fields))
    value = LLVM::InsertValueOp::create(e, loc, value, field, i);
  LLVM::ReturnOp::create(e, loc, value);
}

LogicalResult Emulation::run() {
  if (failed(collect()))
    return failure();
  StringRef kernelName = NVVM::NVVMDialect::getKernelFuncAttrName();
  for (LLVM::LLVMFuncOp function : functions) {
    if (function->hasAttr(kernelName) ||
        function->hasAttr(gpu::GPUDialect::getKernelFuncAttrName()))
      kernels.push_back(function);
    auto &flags = byValue[function];
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      flags.push_back(static_cast<bool>(
          function.getArgAttr(i, LLVM::LLVMDialect::getByValAttrName())));
  }
  placeShared();
  forgetSpaces();
  for (LLVM::LLVMFuncOp function : functions)
    if (failed(rewriteFunction(function)))
      return failure();
  for (LLVM::LLVMFuncOp kernel : kernels)
    emitEntry(kernel);
  for (LLVM::LLVMFuncOp function : functions) {
    function.setCConv(LLVM::CConv::C);
    function.removeArgAttrsAttr();
    function.setPassthroughAttr(nullptr);
    function.setTargetCpuAttr(nullptr);
    function.setTargetFeaturesAttr(nullptr);
    function.setLinkage(LLVM::Linkage::Internal);
    for (NamedAttribute attribute :
         llvm::to_vector(function->getDiscardableAttrs()))
      function->removeDiscardableAttr(attribute.getName());
  }
  // The target of the modules was the GPU.
  if (module->hasAttr(LLVM::LLVMDialect::getTargetTripleAttrName()))
    if (auto triple = module->getAttrOfType<StringAttr>(
            LLVM::LLVMDialect::getTargetTripleAttrName());
        triple && triple.getValue().starts_with("nvptx")) {
      module->removeAttr(LLVM::LLVMDialect::getTargetTripleAttrName());
      module->removeAttr(LLVM::LLVMDialect::getDataLayoutAttrName());
    }
  return success();
}

struct EmulatePass : attn::impl::AttnEmulateBase<EmulatePass> {
  void runOnOperation() override {
    if (failed(Emulation(getOperation()).run()))
      signalPassFailure();
  }
};

} // namespace
