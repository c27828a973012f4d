//===- RuntimeDialect.h - What the runtime supplies -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H
#define ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "attn/Dialect/Runtime/IR/RuntimeDialect.h.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/Runtime/IR/RuntimeOps.h.inc"

namespace mlir::attn::rt {

/// The activations that `attn_rt.matmul` knows; the position of each is its
/// number in calls of the runtime.
ArrayRef<StringRef> getKnownActivations();

/// Lets one-shot bufferization handle the operations of this dialect.
void registerBufferizationModels(DialectRegistry &registry);

} // namespace mlir::attn::rt

#endif // ATTN_DIALECT_RUNTIME_IR_RUNTIMEDIALECT_H
