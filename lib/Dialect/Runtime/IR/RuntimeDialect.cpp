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

static LogicalResult verifyActivation(Operation *op, StringRef activation) {
  if (llvm::is_contained(getKnownActivations(), activation))
    return success();
  return op->emitOpError("expects one of the activations ")
         << llvm::join(getKnownActivations(), ", ") << ", but it is "
         << activation;
}

/// Results exist on tensors only, and have the type of `out`.
static LogicalResult verifyResult(Operation *op, Value out, Value result) {
  if (isa<TensorType>(out.getType()) != static_cast<bool>(result))
    return op->emitOpError(
        "expects a result with tensors and none with buffers");
  if (result && result.getType() != out.getType())
    return op->emitOpError("expects a result of the type of 'out', ")
           << out.getType() << ", but it is " << result.getType();
  return success();
}

LogicalResult MatmulOp::verify() {
  if (failed(verifyActivation(*this, getActivation())))
    return failure();
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
  if (failed(verifyResult(*this, getOut(), getResult())))
    return failure();
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

MutableOperandRange ConvOp::getDpsInitsMutable() { return getOutMutable(); }

void ConvOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (!isa<MemRefType>(getOut().getType()))
    return;
  for (OpOperand &operand : getOperation()->getOpOperands())
    if (operand.get() != getOut())
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
  effects.emplace_back(MemoryEffects::Write::get(), &getOutMutable(),
                       SideEffects::DefaultResource::get());
}

LogicalResult ConvOp::verify() {
  if (failed(verifyActivation(*this, getActivation())) ||
      failed(verifyResult(*this, getOut(), getResult())))
    return failure();
  auto x = cast<ShapedType>(getX().getType());
  auto w = cast<ShapedType>(getW().getType());
  auto out = cast<ShapedType>(getOut().getType());
  for (ShapedType type : {x, w, out})
    if (!type.hasRank() || type.getRank() < 3 || type.getRank() > 5 ||
        type.getRank() != out.getRank())
      return emitOpError("expects operands of one rank from 3 to 5, but one "
                         "is ")
             << type;
  int64_t spatial = out.getRank() - 2;
  std::tuple<const char *, ArrayRef<int64_t>, int64_t> lists[] = {
      {"strides", getStrides(), 1},
      {"dilations", getDilations(), 1},
      {"pads_low", getPadsLow(), 0},
      {"pads_high", getPadsHigh(), 0}};
  for (auto [name, values, least] : lists) {
    if (static_cast<int64_t>(values.size()) != spatial)
      return emitOpError("expects ")
             << spatial << ' ' << name << ", but there are " << values.size();
    for (int64_t value : values)
      if (value < least)
        return emitOpError("expects ")
               << name << " of at least " << least << ", but one is " << value;
  }
  int64_t groups = static_cast<int64_t>(getGroups());
  if (groups < 1)
    return emitOpError("expects one group or more, but there are ") << groups;
  auto differ = [](int64_t a, int64_t b) {
    return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b;
  };
  int64_t channels = w.getDimSize(1);
  if (!ShapedType::isDynamic(channels) &&
      differ(x.getDimSize(1), channels * groups))
    return emitOpError("expects an input of ")
           << channels * groups << " channels, those of 'w' in " << groups
           << " groups, but it has " << x.getDimSize(1);
  if (!w.isDynamicDim(0) && w.getDimSize(0) % groups)
    return emitOpError("expects output channels that divide by ")
           << groups << " groups, but there are " << w.getDimSize(0);
  if (differ(out.getDimSize(0), x.getDimSize(0)) ||
      differ(out.getDimSize(1), w.getDimSize(0)))
    return emitOpError("expects an 'out' of the batch of 'x' and the channels "
                       "of 'w', but it is ")
           << out;
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t size = x.getDimSize(i + 2), kernel = w.getDimSize(i + 2);
    if (ShapedType::isDynamic(size) || ShapedType::isDynamic(kernel))
      continue;
    int64_t room = size + getPadsLow()[i] + getPadsHigh()[i] -
                   (kernel - 1) * getDilations()[i] - 1;
    int64_t expected = room < 0 ? 0 : room / getStrides()[i] + 1;
    if (differ(out.getDimSize(i + 2), expected))
      return emitOpError("expects a size of ")
             << expected << " of dimension " << i + 2 << ", but it is "
             << out.getDimSize(i + 2);
  }
  if (Value bias = getBias()) {
    auto type = cast<ShapedType>(bias.getType());
    if (!type.hasRank() || type.getRank() != 1 ||
        differ(type.getDimSize(0), w.getDimSize(0)))
      return emitOpError("expects a bias of the channels of 'w', but it is ")
             << type;
  }
  return success();
}
