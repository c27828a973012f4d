//===- Matrices.cpp - Instructions of the matrix units as calls -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::emulator;

namespace {

/// A scalar or a struct of scalars, each of four bytes, from memory.
Value loadResult(Emitter &e, Type type, Value address) {
  auto tuple = dyn_cast<LLVM::LLVMStructType>(type);
  if (!tuple)
    return e.load(type, address);
  Value result = LLVM::PoisonOp::create(e.b(), e.location(), type);
  for (auto [i, element] : llvm::enumerate(tuple.getBody()))
    result = LLVM::InsertValueOp::create(
        e.b(), e.location(), result,
        e.load(element, address, 4 * static_cast<int64_t>(i)), i);
  return result;
}

void rewrite(NVVM::LdMatrixOp op, Emitter &e) {
  Value out = e.scratch(0);
  e.call("attn_emu_ldmatrix",
         {e.site(op), op.getPtr(), e.i32(op.getNum()),
          e.i32(op.getLayout() == NVVM::MMALayout::col), out});
  op.getResult().replaceAllUsesWith(loadResult(e, op.getType(), out));
}

void rewrite(NVVM::StMatrixOp op, Emitter &e) {
  Value in = e.pack(0, op.getSources(), 4);
  e.call("attn_emu_stmatrix",
         {e.site(op), op.getPtr(), e.i32(op.getSources().size()),
          e.i32(op.getLayout() == NVVM::MMALayout::col), in});
}

LogicalResult rewrite(NVVM::MmaOp op, Emitter &e) {
  auto refuse = [&] {
    return op.emitOpError("is unknown to the emulator in this shape or with "
                          "these types");
  };
  NVVM::MMAShapeAttr shape = op.getShape();
  std::optional<NVVM::MMATypes> element = op.getMultiplicandAPtxType();
  if (!element) {
    auto type = dyn_cast<VectorType>(op.getOperandA().front().getType());
    if (!type || !type.getElementType().isF16())
      return refuse();
    element = NVVM::MMATypes::f16;
  }
  if (op.getMultiplicandBPtxType().value_or(*element) != *element)
    return refuse();
  int64_t type = *element == NVVM::MMATypes::f16    ? 0
                 : *element == NVVM::MMATypes::bf16 ? 1
                 : *element == NVVM::MMATypes::tf32 ? 2
                                                    : -1;
  int64_t k = shape.getK();
  if (type < 0 || shape.getM() != 16 || shape.getN() != 8 ||
      (type == 2 ? k != 4 && k != 8 : k != 8 && k != 16))
    return refuse();
  bool wide = op.getOperandC().front().getType().isF32();
  Value a = e.pack(0, op.getOperandA(), 4), b = e.pack(1, op.getOperandB(), 4);
  Value c = e.pack(2, op.getOperandC(), 4), d = e.scratch(3);
  e.call("attn_emu_mma",
         {e.site(op), e.i32(k), e.i32(type), e.i32(wide), a, b, c, d});
  op.getResult().replaceAllUsesWith(loadResult(e, op.getType(), d));
  return success();
}

void rewrite(nv::WgmmaOp op, Emitter &e) {
  Value a = e.i64(0), registers = e.null(), accumulator = e.null();
  if (op.hasRegisterA())
    registers = e.pack(0, op.getA(), 16);
  else
    a = op.getA();
  if (op.getAccumulator())
    accumulator = e.pack(1, op.getAccumulator(), Emitter::scratchBytes);
  Value result = e.scratch(2);
  e.call("attn_emu_wgmma",
         {e.site(op), e.i32(static_cast<int64_t>(op.getElement())),
          e.i32(op.getN()), a, registers, op.getB(), e.i32(op.getTransA()),
          e.i32(op.getTransB()), accumulator, result});
  op.getResult().replaceAllUsesWith(e.load(op.getType(), result));
}

void rewrite(nv::WgmmaWaitOp op, Emitter &e) {
  Value site = e.site(op);
  e.call("attn_emu_wgmma_wait", {site, e.i32(op.getPending())});
  for (auto [value, result] : llvm::zip(op.getValues(), op.getResults())) {
    Value in = e.pack(1, value, Emitter::scratchBytes), out = e.scratch(2);
    auto type = cast<VectorType>(value.getType());
    e.call("attn_emu_wgmma_collect",
           {site, e.i32(2 * type.getNumElements()), in, out});
    result.replaceAllUsesWith(e.load(type, out));
  }
}

void rewrite(nv::WgmmaFenceOp op, Emitter &e) {
  e.call("attn_emu_wgmma_fence", {e.site(op)});
  op->replaceAllUsesWith(op.getValues());
}

/// The two packing intrinsics that have no operation.
LogicalResult rewriteIntrinsic(LLVM::CallIntrinsicOp op, Emitter &e) {
  StringRef name = op.getIntrin();
  if (!name.starts_with("llvm.nvvm."))
    return success();
  if (name != "llvm.nvvm.ff2bf16x2.rn" && name != "llvm.nvvm.ff2f16x2.rn")
    return op.emitOpError("is unknown to the emulator: ") << name;
  auto type = cast<VectorType>(op->getResult(0).getType());
  Value pair = LLVM::PoisonOp::create(e.b(), op.getLoc(), type);
  for (int i = 0; i < 2; ++i) {
    Value half = LLVM::FPTruncOp::create(
        e.b(), op.getLoc(), type.getElementType(), op->getOperand(1 - i));
    pair =
        LLVM::InsertElementOp::create(e.b(), op.getLoc(), pair, half, e.i32(i));
  }
  op->getResult(0).replaceAllUsesWith(pair);
  op.erase();
  return success();
}

} // namespace

LogicalResult mlir::attn::emulator::rewriteTarget(Operation *op,
                                                  Context &context) {
  Emitter &e = context.emitter;
  if (isa<LLVM::InlineAsmOp, NVVM::InlinePtxOp>(op))
    return op->emitOpError("cannot be emulated: each target instruction must "
                           "be an operation");
  FailureOr<bool> simple = rewriteSimple(op, context);
  if (failed(simple))
    return failure();
  if (*simple) {
    op->erase();
    return success();
  }
  e.at(op);
  if (auto intrinsic = dyn_cast<LLVM::CallIntrinsicOp>(op))
    return rewriteIntrinsic(intrinsic, e);
  Dialect *dialect = op->getDialect();
  if (!isa_and_nonnull<NVVM::NVVMDialect, nv::AttnNVDialect>(dialect))
    return success();
  LogicalResult result =
      llvm::TypeSwitch<Operation *, LogicalResult>(op)
          .Case<NVVM::LdMatrixOp, NVVM::StMatrixOp, nv::WgmmaOp,
                nv::WgmmaWaitOp, nv::WgmmaFenceOp>([&](auto op) {
            rewrite(op, e);
            return success();
          })
          .Case([&](NVVM::MmaOp op) { return rewrite(op, e); })
          .Case([&](NVVM::WgmmaFenceAlignedOp op) {
            e.call("attn_emu_wgmma_fence", {e.site(op)});
            return success();
          })
          .Case([&](NVVM::WgmmaGroupSyncAlignedOp op) {
            e.call("attn_emu_wgmma_commit", {e.site(op)});
            return success();
          })
          .Case([&](NVVM::WgmmaWaitGroupSyncOp op) {
            e.call("attn_emu_wgmma_wait", {e.site(op), e.i32(op.getGroup())});
            return success();
          })
          .Default([](Operation *op) {
            return op->emitOpError("is unknown to the emulator");
          });
  if (succeeded(result))
    op->erase();
  return result;
}
