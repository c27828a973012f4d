//===- RuntimeDialect.h - What the runtime supplies -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H
#define ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "attn/Dialect/Runtime/IR/RuntimeDialect.h.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/Runtime/IR/RuntimeOps.h.inc"

#endif // ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H
