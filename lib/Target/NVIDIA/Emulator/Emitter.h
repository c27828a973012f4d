//===- Emitter.h - Calls of the emulator ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_EMULATOR_EMITTER_H
#define ATTN_LIB_TARGET_NVIDIA_EMULATOR_EMITTER_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::attn::emulator {

/// Builds calls of the functions in lib/Emulator/Calls.h, and the constants
/// that they take.
class Emitter {
public:
  explicit Emitter(ModuleOp module)
      : module(module), builder(module.getContext()) {}

  OpBuilder &at(Operation *op) {
    builder.setInsertionPoint(op);
    loc = op->getLoc();
    return builder;
  }
  OpBuilder &atStart(Block *block, Location where) {
    builder.setInsertionPointToStart(block);
    loc = where;
    return builder;
  }
  OpBuilder &b() { return builder; }
  Location location() const { return loc; }

  Type ptr() { return LLVM::LLVMPointerType::get(builder.getContext()); }
  Type i32() { return builder.getI32Type(); }
  Type i64() { return builder.getI64Type(); }

  Value constant(Type type, int64_t value);
  Value i32(int64_t value) { return constant(i32(), value); }
  Value i64(int64_t value) { return constant(i64(), value); }
  Value null() { return LLVM::ZeroOp::create(builder, loc, ptr()); }
  /// Integers become i32 (by zero extension) or the type asked for.
  Value integer(Value value, Type type);

  /// A call; without a result type it returns nothing.
  Value call(StringRef name, Type result, ValueRange arguments);
  void call(StringRef name, ValueRange arguments) {
    call(name, Type(), arguments);
  }

  /// The address of the constant that describes `op`.
  Value site(Operation *op);
  Value string(StringRef text);

  /// Memory of the current function for values on their way; `number` keeps
  /// those of one call apart.
  Value scratch(unsigned number);
  static constexpr int64_t scratchBytes = 1024;
  /// Stores values one after another into scratch memory.
  Value pack(unsigned number, ValueRange values, int64_t elementBytes);
  Value load(Type type, Value address, int64_t offset = 0);
  void store(Value value, Value address, int64_t offset = 0);

  ModuleOp module;

private:
  OpBuilder builder;
  Location loc = builder.getUnknownLoc();
  llvm::StringMap<LLVM::GlobalOp> strings;
  DenseMap<std::pair<Operation *, unsigned>, Value> scratches;
  unsigned sites = 0;
};

/// What the rewriting of operations needs to know.
struct Context {
  Emitter &emitter;
  /// Address spaces of pointers, which their types no longer tell.
  DenseMap<Value, unsigned> &spaces;

  unsigned spaceOf(Value pointer) const {
    auto found = spaces.find(pointer);
    return found == spaces.end() ? 0 : found->second;
  }
};

/// Replaces an operation of nvvm, attn_nv, or an NVPTX intrinsic. An operation
/// that is of none of these is left alone.
LogicalResult rewriteTarget(Operation *op, Context &context);
/// Special registers, barriers, shuffles and the rest of what has no matrices.
/// Success with true if it was one of them.
FailureOr<bool> rewriteSimple(Operation *op, Context &context);
/// Replaces the address of an access to memory.
LogicalResult rewriteAccess(Operation *op, Context &context);

} // namespace mlir::attn::emulator

#endif // ATTN_LIB_TARGET_NVIDIA_EMULATOR_EMITTER_H
