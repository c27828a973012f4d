//===- MergeOp.cpp - Attention over the union of disjoint key sets --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

// attn.merge (%o0, %l0), (%o1, %l1) {attrs} : output-type, lse-type
ParseResult MergeOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> outputs, lses;
  auto parsePart = [&]() -> ParseResult {
    return failure(
        parser.parseLParen() || parser.parseOperand(outputs.emplace_back()) ||
        parser.parseComma() || parser.parseOperand(lses.emplace_back()) ||
        parser.parseRParen());
  };
  Type outputType, lseType;
  if (parser.parseCommaSeparatedList(parsePart) ||
      parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() ||
      parser.parseType(outputType) || parser.parseComma() ||
      parser.parseType(lseType) ||
      parser.resolveOperands(outputs, outputType, result.operands) ||
      parser.resolveOperands(lses, lseType, result.operands))
    return failure();
  result.addTypes({outputType, lseType});
  return success();
}

void MergeOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  llvm::interleaveComma(
      llvm::zip_equal(getOutputs(), getLses()), printer, [&](auto part) {
        printer << '(' << std::get<0>(part) << ", " << std::get<1>(part) << ')';
      });
  printer.printOptionalAttrDict((*this)->getAttrs());
  printer << " : " << getOutput().getType() << ", " << getLse().getType();
}

LogicalResult MergeOp::verify() {
  if (getOutputs().empty())
    return emitOpError("expects at least one part");
  auto output = cast<RankedTensorType>(getOutput().getType());
  auto lse = cast<RankedTensorType>(getLse().getType());
  for (Value part : getOutputs())
    if (part.getType() != output)
      return emitOpError("expects every part to have the type of the result ")
             << output << ", but one is " << part.getType();
  for (Value part : getLses())
    if (part.getType() != lse)
      return emitOpError("expects every lse to have the type of the result ")
             << lse << ", but one is " << part.getType();
  Type expected = output.getElementType().isF64()
                      ? output.getElementType()
                      : Float32Type::get(getContext());
  if (lse.getElementType() != expected)
    return emitOpError("expects lses of ")
           << expected << " for outputs of " << output.getElementType()
           << ", but their element type is " << lse.getElementType();
  for (unsigned i = 0; i < 3; ++i) {
    int64_t a = output.getDimSize(i), b = lse.getDimSize(i);
    if (!ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b)
      return emitOpError("expects dimension ")
             << i << " of outputs and lses to be equal, but they are " << a
             << " and " << b;
  }
  return success();
}

LogicalResult
MergeOp::reifyResultShapes(OpBuilder &builder,
                           ReifiedRankedShapedTypeDims &reifiedShapes) {
  reifiedShapes.push_back(
      tensor::getMixedSizes(builder, getLoc(), getOutputs().front()));
  reifiedShapes.push_back(
      tensor::getMixedSizes(builder, getLoc(), getLses().front()));
  return success();
}

LogicalResult MergeOp::fold(FoldAdaptor,
                            SmallVectorImpl<OpFoldResult> &results) {
  // One part is the whole.
  if (getOutputs().size() != 1)
    return failure();
  results.push_back(getOutputs().front());
  results.push_back(getLses().front());
  return success();
}
