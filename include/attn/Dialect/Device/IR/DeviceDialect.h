//===- DeviceDialect.h - What the host asks of a device ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_DEVICE_IR_DEVICEDIALECT_H
#define ATTN_DIALECT_DEVICE_IR_DEVICEDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "attn/Dialect/Device/IR/DeviceDialect.h.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/Device/IR/DeviceOps.h.inc"

namespace mlir::attn::device {

/// Lets one-shot bufferization handle the operations of this dialect.
void registerBufferizationModels(DialectRegistry &registry);

} // namespace mlir::attn::device

#endif // ATTN_DIALECT_DEVICE_IR_DEVICEDIALECT_H
