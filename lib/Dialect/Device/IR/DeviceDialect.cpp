//===- DeviceDialect.cpp - What the host asks of a device -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::attn::device;

static ParseResult parseNumber(OpAsmParser &parser, IntegerAttr &number) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  number = parser.getBuilder().getI64IntegerAttr(value);
  return success();
}

static void printNumber(OpAsmPrinter &printer, Operation *,
                        IntegerAttr number) {
  printer << number.getInt();
}

#include "attn/Dialect/Device/IR/DeviceDialect.cpp.inc"
#define GET_OP_CLASSES
#include "attn/Dialect/Device/IR/DeviceOps.cpp.inc"

void AttnGPUDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/Device/IR/DeviceOps.cpp.inc"
      >();
}

void LaunchOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  auto add = [&](MutableOperandRange range, MemoryEffects::Effect *effect) {
    for (OpOperand &operand : range)
      if (isa<MemRefType>(operand.get().getType()))
        effects.emplace_back(effect, &operand,
                             SideEffects::DefaultResource::get());
  };
  add(getInsMutable(), MemoryEffects::Read::get());
  add(getOutsMutable(), MemoryEffects::Read::get());
  add(getOutsMutable(), MemoryEffects::Write::get());
}

LogicalResult LaunchOp::verify() {
  int64_t threads = static_cast<int64_t>(getThreads());
  if (threads < 1 || threads > 1024)
    return emitOpError("expects 1 to 1024 threads, but there are ") << threads;
  if (static_cast<int64_t>(getSharedBytes()) < 0)
    return emitOpError("expects shared bytes of zero or more, but there are ")
           << static_cast<int64_t>(getSharedBytes());
  size_t tensors = llvm::count_if(
      getOuts(), [](Value x) { return isa<TensorType>(x.getType()); });
  if (tensors != 0 && tensors != getOuts().size())
    return emitOpError("expects outs that are all tensors or all buffers");
  if (getNumResults() != tensors)
    return emitOpError("expects one result for each tensor of outs, ")
           << tensors << ", but there are " << getNumResults();
  for (auto [result, out] : llvm::zip(getResults(), getOuts()))
    if (result.getType() != out.getType())
      return emitOpError("expects a result of the type of its out, ")
             << out.getType() << ", but it is " << result.getType();
  auto maps = getTensorMaps();
  if (!maps)
    return success();
  int64_t operands = getIns().size() + getOuts().size();
  for (Attribute map : *maps) {
    auto fields = dyn_cast<DictionaryAttr>(map);
    auto operand = fields ? fields.getAs<IntegerAttr>("operand") : nullptr;
    if (!operand || !fields.getAs<ArrayAttr>("dims") ||
        !fields.getAs<DenseI64ArrayAttr>("box") ||
        !fields.getAs<IntegerAttr>("swizzle"))
      return emitOpError("expects tensor maps with operand, dims, box and "
                         "swizzle, but one is ")
             << map;
    if (operand.getInt() < 0 || operand.getInt() >= operands)
      return emitOpError("expects a tensor map of one of ")
             << operands << " operands, but it names " << operand.getInt();
  }
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &tables) {
  if (tables.lookupNearestSymbolFrom(*this, getKernelAttr()))
    return success();
  return emitOpError("expects a kernel of the module, but there is no ")
         << getKernelAttr();
}
