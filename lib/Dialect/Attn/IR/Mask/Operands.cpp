//===- Operands.cpp - Mask operands for each head -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Operands.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::attn;

LogicalResult
mlir::attn::verifyMaskOperand(Type type, MaskOperand expected,
                              const MaskUse &use,
                              function_ref<InFlightDiagnostic()> emit) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  bool right = tensor && tensor.getRank() == expected.rank;
  if (right) {
    Type element = tensor.getElementType();
    right = expected.members
                ? element.isInteger(1)
                : element.isSignlessIntOrIndex() && !element.isInteger(1);
  }
  if (!right)
    return emit() << "expects the " << expected.name << " to be a rank "
                  << expected.rank << " tensor of "
                  << (expected.members ? "i1" : "integers")
                  << ", but their type is " << type;
  int64_t batch = tensor.getDimSize(0), heads = tensor.getDimSize(1);
  if (!ShapedType::isDynamic(batch) && batch != 1 &&
      !ShapedType::isDynamic(use.batch) && batch != use.batch)
    return emit() << "expects the " << expected.name << " to have batch size "
                  << use.batch << " or 1, but dimension 0 is " << batch;
  if (!ShapedType::isDynamic(heads) && !ShapedType::isDynamic(use.heads) &&
      (heads == 0 || use.heads % heads != 0))
    return emit() << "expects the number of heads of the " << expected.name
                  << " to divide the " << use.heads
                  << " query heads, but dimension 1 is " << heads;
  return success();
}

LogicalResult
mlir::attn::verifyMaskDim(Type type, StringRef name, int64_t dim, int64_t size,
                          StringRef meaning,
                          function_ref<InFlightDiagnostic()> emit) {
  int64_t own = cast<RankedTensorType>(type).getDimSize(dim);
  if (ShapedType::isDynamic(own) || ShapedType::isDynamic(size) || own == size)
    return success();
  return emit() << "expects dimension " << dim << " of the " << name
                << " to be " << size << ", " << meaning << ", but it is "
                << own;
}

void mlir::attn::checkMaskDim(OpBuilder &builder, Location loc, Value operand,
                              StringRef name, int64_t dim, OpFoldResult size,
                              StringRef meaning) {
  IndexMath math(builder, loc);
  OpFoldResult same =
      math.compare(arith::CmpIPredicate::eq,
                   tensor::getMixedSize(builder, loc, operand, dim), size);
  // What is wrong at compile time is the verifier's.
  if (constantOf(same))
    return;
  std::string where;
  if (auto place = dyn_cast<NameLoc>(loc))
    where = ("node '" + place.getName().getValue() + "': ").str();
  std::string message =
      llvm::formatv("{0}attn.attention expects dimension {1} of the {2} of its "
                    "mask to be {3}",
                    where, dim, name, meaning);
  cf::AssertOp::create(builder, loc, math.materialize(same), message);
}

LogicalResult mlir::attn::verifyAlike(TypeRange types, StringRef first,
                                      StringRef second,
                                      function_ref<InFlightDiagnostic()> emit) {
  auto a = cast<RankedTensorType>(types[0]);
  auto b = cast<RankedTensorType>(types[1]);
  bool alike =
      a.getElementType() == b.getElementType() && a.getRank() == b.getRank();
  for (int64_t dim = 0; alike && dim < a.getRank(); ++dim)
    alike = a.isDynamicDim(dim) || b.isDynamicDim(dim) ||
            a.getDimSize(dim) == b.getDimSize(dim);
  if (alike)
    return success();
  return emit() << "expects the " << first << " and the " << second
                << " to have one type, but they are " << types[0] << " and "
                << types[1];
}

int64_t mlir::attn::headsThatShare(Type type, int64_t heads) {
  int64_t own = cast<RankedTensorType>(type).getDimSize(1);
  if (own == 1)
    return 0;
  bool known = !ShapedType::isDynamic(own) && !ShapedType::isDynamic(heads);
  return known && own > 0 ? heads / own : 1;
}
