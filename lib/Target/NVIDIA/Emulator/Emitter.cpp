//===- Emitter.cpp - Calls of the emulator --------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::attn::emulator;

Value Emitter::constant(Type type, int64_t value) {
  return LLVM::ConstantOp::create(builder, loc, type,
                                  builder.getIntegerAttr(type, value));
}

Value Emitter::integer(Value value, Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (!isa<IntegerType>(value.getType()))
    return LLVM::BitcastOp::create(builder, loc, type, value);
  if (from < to)
    return LLVM::ZExtOp::create(builder, loc, type, value);
  if (from > to)
    return LLVM::TruncOp::create(builder, loc, type, value);
  return value;
}

Value Emitter::call(StringRef name, Type result, ValueRange arguments) {
  Type returned =
      result ? result : LLVM::LLVMVoidType::get(builder.getContext());
  SmallVector<Type> types(arguments.getTypes());
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    function =
        LLVM::LLVMFuncOp::create(builder, module.getLoc(), name,
                                 LLVM::LLVMFunctionType::get(returned, types));
    // Copies and merges of calls must keep the meetings of threads.
    function.setConvergent(true);
    function.setNoUnwind(true);
  }
  auto op = LLVM::CallOp::create(builder, loc, function, arguments);
  return result ? op.getResult() : Value();
}

/// "file:line:column" or the name of the operation in the source program.
static std::string describe(Location loc) {
  return llvm::TypeSwitch<LocationAttr, std::string>(loc)
      .Case([](FileLineColLoc at) {
        return (llvm::sys::path::filename(at.getFilename()) + ":" +
                Twine(at.getLine()) + ":" + Twine(at.getColumn()))
            .str();
      })
      .Case([](NameLoc name) {
        std::string inner = describe(name.getChildLoc());
        std::string text = name.getName().str();
        return inner.empty() ? text : text + " " + inner;
      })
      .Case([](CallSiteLoc call) { return describe(call.getCallee()); })
      .Case([](FusedLoc fused) {
        return fused.getLocations().empty()
                   ? std::string()
                   : describe(fused.getLocations().front());
      })
      .Default([](LocationAttr) { return std::string(); });
}

Value Emitter::string(StringRef text) {
  LLVM::GlobalOp &global = strings[text];
  if (!global) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    std::string bytes = text.str();
    bytes.push_back('\0');
    auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size());
    global = LLVM::GlobalOp::create(
        builder, module.getLoc(), type, /*isConstant=*/true,
        LLVM::Linkage::Internal,
        "attn_emu_text_" + std::to_string(strings.size()),
        builder.getStringAttr(bytes));
  }
  return LLVM::AddressOfOp::create(builder, loc, ptr(), global.getSymName());
}

Value Emitter::site(Operation *op) {
  std::string name = op->getName().getStringRef().str();
  if (auto intrinsic = dyn_cast<LLVM::CallIntrinsicOp>(op))
    name = intrinsic.getIntrin().str();
  std::string where = describe(op->getLoc());
  auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(),
                                               {ptr(), ptr(), i32()});
  LLVM::GlobalOp global;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    global = LLVM::GlobalOp::create(
        builder, module.getLoc(), type,
        /*isConstant=*/false, LLVM::Linkage::Internal,
        "attn_emu_site_" + std::to_string(sites++), Attribute());
    builder.createBlock(&global.getInitializerRegion());
    Value value = LLVM::ZeroOp::create(builder, loc, type);
    value = LLVM::InsertValueOp::create(builder, loc, value, string(name),
                                        int64_t(0));
    value = LLVM::InsertValueOp::create(builder, loc, value, string(where), 1);
    LLVM::ReturnOp::create(builder, loc, value);
  }
  return LLVM::AddressOfOp::create(builder, loc, ptr(), global.getSymName());
}

Value Emitter::scratch(unsigned number) {
  auto function = builder.getInsertionBlock()
                      ->getParentOp()
                      ->getParentOfType<LLVM::LLVMFuncOp>();
  if (!function)
    function =
        cast<LLVM::LLVMFuncOp>(builder.getInsertionBlock()->getParentOp());
  Value &address = scratches[{function, number}];
  if (!address) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&function.getBody().front());
    Value bytes = i64(scratchBytes);
    address = LLVM::AllocaOp::create(builder, loc, ptr(), builder.getI8Type(),
                                     bytes, /*alignment=*/64);
  }
  return address;
}

void Emitter::store(Value value, Value address, int64_t offset) {
  if (offset)
    address = LLVM::GEPOp::create(builder, loc, ptr(), builder.getI8Type(),
                                  address, LLVM::GEPArg(offset));
  LLVM::StoreOp::create(builder, loc, value, address, /*alignment=*/4);
}

Value Emitter::load(Type type, Value address, int64_t offset) {
  if (offset)
    address = LLVM::GEPOp::create(builder, loc, ptr(), builder.getI8Type(),
                                  address, LLVM::GEPArg(offset));
  return LLVM::LoadOp::create(builder, loc, type, address, /*alignment=*/4);
}

Value Emitter::pack(unsigned number, ValueRange values, int64_t elementBytes) {
  Value address = scratch(number);
  for (auto [i, value] : llvm::enumerate(values))
    store(value, address, static_cast<int64_t>(i) * elementBytes);
  return address;
}
