//===- NVDialect.cpp - Instructions of NVIDIA GPUs ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::attn::nv;

/// The accumulator has the type of the result.
static ParseResult
parseAccumulatorType(OpAsmParser &parser, Type &result,
                     std::optional<OpAsmParser::UnresolvedOperand> accumulator,
                     Type &type) {
  if (parser.parseType(result))
    return failure();
  if (accumulator)
    type = result;
  return success();
}

static void printAccumulatorType(OpAsmPrinter &printer, Operation *,
                                 Type result, Value, Type) {
  printer << result;
}

using OperandList = SmallVectorImpl<OpAsmParser::UnresolvedOperand>;

/// `(%a, %b : type, type)`, or nothing: the results have the same types.
static ParseResult parsePassedOn(OpAsmParser &parser, OperandList &values,
                                 SmallVectorImpl<Type> &types,
                                 SmallVectorImpl<Type> &results) {
  if (failed(parser.parseOptionalLParen()))
    return success();
  if (parser.parseOperandList(values) || parser.parseColonTypeList(types) ||
      parser.parseRParen())
    return failure();
  results.assign(types.begin(), types.end());
  return success();
}

static void printPassedOn(OpAsmPrinter &printer, Operation *,
                          OperandRange values, TypeRange types, TypeRange) {
  if (!values.empty())
    printer << '(' << values << " : " << types << ')';
}

#include "attn/Dialect/NV/IR/NVDialect.cpp.inc"
#include "attn/Dialect/NV/IR/NVEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "attn/Dialect/NV/IR/NVAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "attn/Dialect/NV/IR/NVOps.cpp.inc"

void AttnNVDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "attn/Dialect/NV/IR/NVAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/NV/IR/NVOps.cpp.inc"
      >();
}

LogicalResult WgmmaOp::verify() {
  int64_t n = getN();
  if (n % 8 || n > 256)
    return emitOpError("expects a result of N / 2 elements for a multiple N of "
                       "8 up to 256, but it has ")
           << n / 2;
  if (getAccumulator() && getAccumulator().getType() != getResult().getType())
    return emitOpError("expects an accumulator of the result's type ")
           << getResult().getType() << ", but it is "
           << getAccumulator().getType();
  if (getTransA() && hasRegisterA())
    return emitOpError("expects no 'trans_a' with A in registers");
  if (getElement() == MatrixType::tf32 && (getTransA() || getTransB()))
    return emitOpError("expects tf32 operands with K contiguous, but one is "
                       "transposed");
  return success();
}

/// What is passed on keeps its type.
static LogicalResult verifyPassedOn(Operation *op) {
  if (llvm::equal(op->getOperandTypes(), op->getResultTypes()))
    return success();
  return op->emitOpError("expects one result of the same type for each value");
}

LogicalResult WgmmaFenceOp::verify() { return verifyPassedOn(*this); }

LogicalResult WgmmaWaitOp::verify() { return verifyPassedOn(*this); }
