//===- CallEmitter.cpp - Calls of the runtime from host code --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CallEmitter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::attn;

int64_t mlir::attn::elementBytes(MemRefType type) {
  Type element = type.getElementType();
  return element.isIndex()
             ? 8
             : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

CallEmitter::CallEmitter(Operation *op)
    : builder(op), loc(op->getLoc()), op(op) {}

Value CallEmitter::constant(int64_t value, unsigned bits) {
  return arith::ConstantIntOp::create(builder, loc, value, bits);
}

Value CallEmitter::toI64(OpFoldResult value) {
  if (auto known = getConstantIntValue(value))
    return constant(*known);
  auto given = cast<Value>(value);
  Type i64 = builder.getI64Type();
  if (given.getType().isIndex())
    return arith::IndexCastOp::create(builder, loc, i64, given);
  if (given.getType() == i64)
    return given;
  return arith::ExtUIOp::create(builder, loc, i64, given);
}

Value CallEmitter::toPointer(Value i64) {
  auto type = LLVM::LLVMPointerType::get(builder.getContext());
  return LLVM::IntToPtrOp::create(builder, loc, type, i64);
}

Value CallEmitter::addressAsI64(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  OpFoldResult address = Value(
      memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, buffer));
  if (!type.getLayout().isIdentity()) {
    auto metadata =
        memref::ExtractStridedMetadataOp::create(builder, loc, buffer);
    AffineExpr s0, s1;
    bindSymbols(builder.getContext(), s0, s1);
    address = affine::makeComposedFoldedAffineApply(
        builder, loc, s0 + s1 * elementBytes(type),
        {address, metadata.getConstifiedMixedOffset()});
  }
  return toI64(address);
}

Value CallEmitter::address(Value buffer) {
  return toPointer(addressAsI64(buffer));
}

SmallVector<OpFoldResult> CallEmitter::sizes(Value buffer) {
  return memref::getMixedSizes(builder, loc, buffer);
}

SmallVector<OpFoldResult> CallEmitter::strides(Value buffer) {
  return memref::ExtractStridedMetadataOp::create(builder, loc, buffer)
      .getConstifiedMixedStrides();
}

Value CallEmitter::allocateWords(Type element, int64_t count,
                                 int64_t alignment) {
  // At the start of the function: the stack must not grow in a loop.
  OpBuilder::InsertionGuard guard(builder);
  auto function = op->getParentOfType<func::FuncOp>();
  builder.setInsertionPointToStart(&function.getBody().front());
  return memref::AllocaOp::create(
      builder, loc, MemRefType::get({std::max<int64_t>(count, 1)}, element),
      builder.getI64IntegerAttr(alignment));
}

Value CallEmitter::pointerTo(Value words) {
  return toPointer(toI64(Value(
      memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, words))));
}

Value CallEmitter::array(ValueRange i64s, int64_t alignment) {
  Value words = allocateWords(builder.getI64Type(),
                              static_cast<int64_t>(i64s.size()), alignment);
  for (auto [i, word] : llvm::enumerate(i64s)) {
    Value index = arith::ConstantIndexOp::create(builder, loc, i);
    memref::StoreOp::create(builder, loc, word, words, ValueRange{index});
  }
  return pointerTo(words);
}

Value CallEmitter::array32(ArrayRef<int64_t> values) {
  Value words = allocateWords(builder.getI32Type(),
                              static_cast<int64_t>(values.size()), 8);
  for (auto [i, value] : llvm::enumerate(values)) {
    Value index = arith::ConstantIndexOp::create(builder, loc, i);
    memref::StoreOp::create(builder, loc, constant(value, 32), words,
                            ValueRange{index});
  }
  return pointerTo(words);
}

Value CallEmitter::scratch(int64_t bytes, int64_t alignment) {
  return pointerTo(allocateWords(builder.getI64Type(),
                                 llvm::divideCeil(bytes, 8), alignment));
}

Value CallEmitter::call(StringRef name, ValueRange arguments, Type result) {
  auto module = op->getParentOfType<ModuleOp>();
  auto function = module.lookupSymbol<func::FuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(module.getBody());
    SmallVector<Type> results;
    if (result)
      results.push_back(result);
    function = func::FuncOp::create(
        builder, module.getLoc(), name,
        builder.getFunctionType(arguments.getTypes(), results));
    function.setPrivate();
  }
  auto made = func::CallOp::create(builder, loc, function, arguments);
  return result ? made.getResult(0) : Value();
}
