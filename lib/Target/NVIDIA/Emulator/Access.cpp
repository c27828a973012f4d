//===- Access.cpp - Each access to memory asks the emulator ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn::emulator;

namespace {

// As in lib/Emulator/Calls.h.
enum AccessFlags { Write = 1, Atomic = 2, Shared = 16 };

/// No instruction moves more than this; alignments beyond it mean nothing.
constexpr uint64_t widest = 16;

int64_t bytesOf(Type type, Operation *op) {
  DataLayout layout = DataLayout::closest(op);
  return static_cast<int64_t>(layout.getTypeSize(type).getFixedValue());
}

uint64_t alignmentOf(std::optional<uint64_t> given, Type type, Operation *op) {
  if (given && *given)
    return std::min(*given, widest);
  return std::min(llvm::PowerOf2Ceil(static_cast<uint64_t>(bytesOf(type, op))),
                  widest);
}

void check(Operation *op, OpOperand &address, Value bytes, uint64_t alignment,
           int32_t flags, Context &context) {
  Emitter &e = context.emitter;
  e.at(op);
  if (context.spaceOf(address.get()) == 3)
    flags |= Shared;
  Value place = e.call("attn_emu_access", e.ptr(),
                       {e.site(op), address.get(), bytes,
                        e.i64(static_cast<int64_t>(alignment)), e.i32(flags)});
  address.set(place);
}

void checkType(Operation *op, OpOperand &address, Type type, uint64_t alignment,
               int32_t flags, Context &context) {
  context.emitter.at(op);
  check(op, address, context.emitter.i64(bytesOf(type, op)), alignment, flags,
        context);
}

/// Atomic and volatile accesses are meant to meet those of others.
template <typename Op>
int32_t sharing(Op op) {
  bool plain = op.getOrdering() == LLVM::AtomicOrdering::not_atomic;
  return plain && !op.getVolatile_() ? 0 : Atomic;
}

/// An operation that moves data in a way that no case below knows would use
/// numbers of shared memory as addresses.
LogicalResult checkOther(Operation *op) {
  if (!isa_and_nonnull<LLVM::LLVMDialect>(op->getDialect()) ||
      isMemoryEffectFree(op) || op->hasTrait<OpTrait::IsTerminator>() ||
      isa<LLVM::CallOp, LLVM::CallIntrinsicOp, LLVM::InlineAsmOp,
          LLVM::AllocaOp, LLVM::LifetimeStartOp, LLVM::LifetimeEndOp,
          LLVM::AssumeOp, LLVM::Prefetch>(op))
    return success();
  for (Type type : op->getOperandTypes())
    if (isa<LLVM::LLVMPointerType>(getElementTypeOrSelf(type)))
      return op->emitOpError("is unknown to the emulator");
  return success();
}

} // namespace

LogicalResult mlir::attn::emulator::rewriteAccess(Operation *op,
                                                  Context &context) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](LLVM::LoadOp load) {
        Type type = load.getType();
        uint64_t alignment = alignmentOf(load.getAlignment(), type, op);
        checkType(op, load.getAddrMutable(), type, alignment, sharing(load),
                  context);
        // Memory of the host is aligned to 16 bytes at best.
        load.setAlignment(alignment);
        load.setInvariant(false);
        return success();
      })
      .Case([&](LLVM::StoreOp store) {
        Type type = store.getValue().getType();
        uint64_t alignment = alignmentOf(store.getAlignment(), type, op);
        checkType(op, store.getAddrMutable(), type, alignment,
                  Write | sharing(store), context);
        store.setAlignment(alignment);
        return success();
      })
      .Case([&](LLVM::AtomicRMWOp atomic) {
        Type type = atomic.getVal().getType();
        checkType(op, atomic.getPtrMutable(), type,
                  alignmentOf(std::nullopt, type, op), Write | Atomic, context);
        return success();
      })
      .Case([&](LLVM::AtomicCmpXchgOp atomic) {
        Type type = atomic.getVal().getType();
        checkType(op, atomic.getPtrMutable(), type,
                  alignmentOf(std::nullopt, type, op), Write | Atomic, context);
        return success();
      })
      .Case<LLVM::MemcpyOp, LLVM::MemmoveOp>([&](auto copy) {
        Emitter &e = context.emitter;
        e.at(op);
        Value bytes = e.integer(copy.getLen(), e.i64());
        check(op, copy.getSrcMutable(), bytes, 1, 0, context);
        check(op, copy.getDstMutable(), bytes, 1, Write, context);
        return success();
      })
      .Case([&](LLVM::MemsetOp fill) {
        Emitter &e = context.emitter;
        e.at(op);
        Value bytes = e.integer(fill.getLen(), e.i64());
        check(op, fill.getDstMutable(), bytes, 1, Write, context);
        return success();
      })
      .Default([](Operation *op) { return checkOther(op); });
}
