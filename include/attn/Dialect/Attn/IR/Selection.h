//===- Selection.h - Operations that choose heads, keys and spans -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_ATTN_IR_SELECTION_H
#define ATTN_DIALECT_ATTN_IR_SELECTION_H

#include "attn/Dialect/Attn/IR/AttnDialect.h"

#include "attn/Dialect/Attn/IR/AttnSelectionEnums.h.inc"

#define GET_OP_CLASSES
#include "attn/Dialect/Attn/IR/AttnSelectionOps.h.inc"

#endif // ATTN_DIALECT_ATTN_IR_SELECTION_H
