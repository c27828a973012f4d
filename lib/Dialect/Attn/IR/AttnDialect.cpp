//===- AttnDialect.cpp - The attn dialect ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/IR/Linear.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::attn;

#include "attn/Dialect/Attn/IR/AttnAttrInterfaces.cpp.inc"
#include "attn/Dialect/Attn/IR/AttnDialect.cpp.inc"
#include "attn/Dialect/Attn/IR/AttnEnums.cpp.inc"

/// `[` mask, mask, ... `]`, possibly empty.
static ParseResult parseMaskList(AsmParser &parser,
                                 SmallVector<MaskAttrInterface> &masks) {
  return parser.parseCommaSeparatedList(
      AsmParser::Delimiter::Square, [&]() -> ParseResult {
        SMLoc where = parser.getCurrentLocation();
        Attribute attr;
        if (parser.parseAttribute(attr))
          return failure();
        auto mask = dyn_cast<MaskAttrInterface>(attr);
        if (!mask)
          return parser.emitError(where, "expected a mask, but found ") << attr;
        masks.push_back(mask);
        return success();
      });
}

static void printMaskList(AsmPrinter &printer,
                          ArrayRef<MaskAttrInterface> masks) {
  printer << '[';
  llvm::interleaveComma(masks, printer, [&](MaskAttrInterface mask) {
    printer.printAttribute(mask);
  });
  printer << ']';
}

/// `score(%s: f32, %b: index, ...) { ... }`, or nothing.
static ParseResult parseScoreRegion(OpAsmParser &parser, Region &region) {
  if (failed(parser.parseOptionalKeyword("score")))
    return success();
  SmallVector<OpAsmParser::Argument> arguments;
  return failure(parser.parseArgumentList(arguments,
                                          OpAsmParser::Delimiter::Paren,
                                          /*allowType=*/true) ||
                 parser.parseRegion(region, arguments));
}

static void printScoreRegion(OpAsmPrinter &printer, AttentionOp op,
                             Region &region) {
  if (region.empty())
    return;
  printer << "score(";
  llvm::interleaveComma(region.getArguments(), printer, [&](BlockArgument x) {
    printer.printRegionArgument(x);
  });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

#define GET_ATTRDEF_CLASSES
#include "attn/Dialect/Attn/IR/AttnAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "attn/Dialect/Attn/IR/AttnOps.cpp.inc"
#define GET_OP_CLASSES
#include "attn/Dialect/Attn/IR/AttnLinearOps.cpp.inc"

void AttnDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/Attn/IR/AttnOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "attn/Dialect/Attn/IR/AttnLinearOps.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "attn/Dialect/Attn/IR/AttnAttrs.cpp.inc"
      >();
  registerSelectionOps();
}
