//===- RuntimeDialect.cpp - What the runtime supplies ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::attn::rt;

static ParseResult parseOffset(OpAsmParser &parser, IntegerAttr &offset) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  offset = parser.getBuilder().getI64IntegerAttr(value);
  return success();
}

static void printOffset(OpAsmPrinter &printer, Operation *,
                        IntegerAttr offset) {
  printer << offset.getInt();
}

static ParseResult parseKeyword(OpAsmParser &parser, StringAttr &keyword) {
  StringRef text;
  if (parser.parseKeyword(&text))
    return failure();
  keyword = parser.getBuilder().getStringAttr(text);
  return success();
}

static void printKeyword(OpAsmPrinter &printer, Operation *,
                         StringAttr keyword) {
  printer << keyword.getValue();
}

#include "attn/Dialect/Runtime/IR/RuntimeDialect.cpp.inc"
#define GET_OP_CLASSES
#include "attn/Dialect/Runtime/IR/RuntimeOps.cpp.inc"

void AttnRTDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/Runtime/IR/RuntimeOps.cpp.inc"
      >();
}

LogicalResult WeightOp::verify() {
  Type element = cast<RankedTensorType>(getResult().getType()).getElementType();
  if (!element.isIntOrFloat())
    return emitOpError("expects elements of an integer or float type, but they "
                       "are ")
           << element;
  if (static_cast<int64_t>(getOffset()) < 0)
    return emitOpError("expects an offset of zero or more, but it is ")
           << static_cast<int64_t>(getOffset());
  return success();
}

ArrayRef<StringRef> mlir::attn::rt::getKnownActivations() {
  static const StringRef known[] = {"none",      "relu", "gelu_erf",
                                    "gelu_tanh", "silu", "tanh"};
  return known;
}

MutableOperandRange MatmulOp::getDpsInitsMutable() { return getOutMutable(); }

void MatmulOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (!isa<MemRefType>(getOut().getType()))
    return;
  for (OpOperand &operand : getOperation()->getOpOperands()) {
    bool isOut = operand.get() == getOut();
    if (!isOut || getAccumulate())
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
  effects.emplace_back(MemoryEffects::Write::get(), &getOutMutable(),
                       SideEffects::DefaultResource::get());
}

LogicalResult MatmulOp::verify() {
  if (!llvm::is_contained(getKnownActivations(), getActivation()))
    return emitOpError("expects one of the activations ")
           << llvm::join(getKnownActivations(), ", ") << ", but it is "
           << getActivation();
  auto a = cast<ShapedType>(getA().getType());
  auto b = cast<ShapedType>(getB().getType());
  auto out = cast<ShapedType>(getOut().getType());
  for (ShapedType type : {a, b, out})
    if (!type.hasRank() || type.getRank() < 2)
      return emitOpError("expects operands of rank 2 or more, but one is ")
             << type;
  int64_t rank = out.getRank();
  if (a.getRank() != rank || b.getRank() != rank)
    return emitOpError("expects operands of one rank, but they have ")
           << a.getRank() << ", " << b.getRank() << " and " << rank;
  if (isa<TensorType>(out) != static_cast<bool>(getResult()))
    return emitOpError("expects a result with tensors and none with buffers");
  if (getResult() && getResult().getType() != getOut().getType())
    return emitOpError("expects a result of the type of 'out', ")
           << getOut().getType() << ", but it is " << getResult().getType();
  if (getAccumulate() && (getBias() || getActivation() != "none"))
    return emitOpError("expects neither bias nor activation with accumulate");
  auto check = [&](const char *what, ShapedType x, int64_t i, ShapedType y,
                   int64_t j) -> LogicalResult {
    if (x.isDynamicDim(i) || y.isDynamicDim(j) ||
        x.getDimSize(i) == y.getDimSize(j))
      return success();
    return emitOpError("expects equal sizes of dimension ")
           << what << ", but they are " << x.getDimSize(i) << " and "
           << y.getDimSize(j);
  };
  int64_t aRow = getTransposeA() ? rank - 1 : rank - 2;
  int64_t bRow = getTransposeB() ? rank - 1 : rank - 2;
  int64_t other = 2 * rank - 3;
  if (failed(check("M", a, aRow, out, rank - 2)) ||
      failed(check("K", a, other - aRow, b, bRow)) ||
      failed(check("N", b, other - bRow, out, rank - 1)))
    return failure();
  if (Value bias = getBias()) {
    auto type = cast<ShapedType>(bias.getType());
    if (!type.hasRank() || type.getRank() != 1)
      return emitOpError("expects a bias of rank 1, but it is ") << type;
    return check("N", type, 0, out, rank - 1);
  }
  return success();
}
