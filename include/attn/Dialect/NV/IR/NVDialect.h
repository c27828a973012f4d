//===- NVDialect.h - Instructions of NVIDIA GPUs ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_NV_IR_NVDIALECT_H
#define ATTN_DIALECT_NV_IR_NVDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "attn/Dialect/NV/IR/NVDialect.h.inc"
#include "attn/Dialect/NV/IR/NVEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "attn/Dialect/NV/IR/NVAttrs.h.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/NV/IR/NVOps.h.inc"

#endif // ATTN_DIALECT_NV_IR_NVDIALECT_H
