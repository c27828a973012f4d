//===- RuntimeDialect.cpp - What the runtime supplies ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "mlir/IR/Builders.h"

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
