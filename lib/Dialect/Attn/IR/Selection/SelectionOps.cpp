//===- SelectionOps.cpp - Operations that choose heads, keys and spans ----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/Selection.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace mlir::attn;

#include "attn/Dialect/Attn/IR/AttnSelectionEnums.cpp.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/Attn/IR/AttnSelectionOps.cpp.inc"

void AttnDialect::registerSelectionOps() {
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/Attn/IR/AttnSelectionOps.cpp.inc"
      >();
}
