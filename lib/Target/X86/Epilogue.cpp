//===- Epilogue.cpp - What a library call does after a product ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Epilogue.h"
#include "ScalarFunction.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static bool isReshape(Operation *op) {
  return isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                         tensor::CastOp>(op);
}

bool mlir::attn::isModelConstant(Value value) {
  Operation *op = value.getDefiningOp();
  while (isReshape(op))
    op = op->getOperand(0).getDefiningOp();
  return isa_and_nonnull<rt::WeightOp, rt::PreparedOp, arith::ConstantOp>(op);
}

bool mlir::attn::isElementwise(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op.getNumDpsInits() == 1 &&
         op.getNumParallelLoops() == op.getNumLoops() &&
         op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity();
}

std::optional<BiasAddition>
mlir::attn::findBias(linalg::GenericOp op, OpOperand *product, unsigned loop) {
  BlockArgument value = op.getMatchingBlockArgument(product);
  if (!op.getMatchingIndexingMap(product).isIdentity() || !value.hasOneUse())
    return std::nullopt;
  auto add = dyn_cast<arith::AddFOp>(*value.user_begin());
  if (!add)
    return std::nullopt;
  auto other = dyn_cast<BlockArgument>(add.getLhs() == value ? add.getRhs()
                                                             : add.getLhs());
  if (!other || other == value || other.getOwner() != op.getBody() ||
      other.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  OpOperand *bias = op.getDpsInputOperand(other.getArgNumber());
  auto type = cast<RankedTensorType>(bias->get().getType());
  auto productType = cast<RankedTensorType>(product->get().getType());
  if (!type.getElementType().isF32() || type.getRank() == 0 ||
      !type.hasStaticShape() ||
      type.getNumElements() != productType.getDimSize(loop) ||
      !isModelConstant(bias->get()))
    return std::nullopt;
  // The other dimensions have size 1, whatever their expressions are.
  for (auto [i, expr] :
       llvm::enumerate(op.getMatchingIndexingMap(bias).getResults()))
    if (type.getDimSize(i) != 1 &&
        expr != getAffineDimExpr(loop, op.getContext()))
      return std::nullopt;
  return BiasAddition{add, value, bias};
}

Value mlir::attn::cloneBias(OpBuilder &builder, Value bias) {
  SmallVector<Operation *> chain;
  for (Operation *op = bias.getDefiningOp(); op;
       op = op->getNumOperands() ? op->getOperand(0).getDefiningOp() : nullptr)
    chain.push_back(op);
  IRMapping mapping;
  for (Operation *op : llvm::reverse(chain))
    builder.clone(*op, mapping);
  Value copy = mapping.lookup(bias);
  auto type = cast<RankedTensorType>(bias.getType());
  if (type.getRank() == 1)
    return copy;
  auto all = llvm::to_vector<2>(llvm::seq<int64_t>(0, type.getRank()));
  return tensor::CollapseShapeOp::create(builder, bias.getLoc(), copy,
                                         ArrayRef<ReassociationIndices>{all});
}

std::pair<OpOperand *, StringRef>
mlir::attn::findActivation(linalg::GenericOp op) {
  if (!isElementwise(op))
    return {};
  OpOperand *operand = nullptr;
  for (OpOperand *input : op.getDpsInputOperands())
    if (!op.getMatchingBlockArgument(input).use_empty()) {
      if (operand)
        return {};
      operand = input;
    }
  if (!operand || !op.getMatchingIndexingMap(operand).isIdentity() ||
      operand->get().getType() != op.getResultTypes()[0])
    return {};
  StringRef activation =
      recognizeActivation(op.getBody()->getTerminator()->getOperand(0),
                          op.getMatchingBlockArgument(operand));
  if (activation.empty())
    return {};
  return {operand, activation};
}
