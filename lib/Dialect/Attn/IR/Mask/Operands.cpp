//===- Operands.cpp - Mask operands for each head -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Operands.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

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

OpFoldResult mlir::attn::readOfHead(OpBuilder &builder, Location loc,
                                    Value operand, OpFoldResult batch,
                                    OpFoldResult head, OpFoldResult heads,
                                    ArrayRef<OpFoldResult> at) {
  IndexMath math(builder, loc);
  auto size = [&](int64_t dim) {
    return tensor::getMixedSize(builder, loc, operand, dim);
  };
  auto clamped = [&](OpFoldResult x, int64_t dim) {
    OpFoldResult length = size(dim);
    if (constantOf(length) == 1)
      return math.materialize(math.constant(0));
    return math.materialize(math.min(x, math.sub(length, math.constant(1))));
  };
  OpFoldResult own = size(1);
  if (constantOf(own) && constantOf(heads) && *constantOf(own) > 1)
    head = math.floorDiv(head, *constantOf(heads) / *constantOf(own));
  else if (constantOf(own) != 1)
    head = arith::DivUIOp::create(builder, loc,
                                  math.materialize(math.mul(head, own)),
                                  math.materialize(heads))
               .getResult();
  SmallVector<Value> indices = {clamped(batch, 0), clamped(head, 1)};
  for (auto [i, x] : llvm::enumerate(at))
    indices.push_back(clamped(x, i + 2));
  Value x = tensor::ExtractOp::create(builder, loc, operand, indices);
  if (x.getType().isInteger(1) || x.getType().isIndex())
    return x;
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), x)
      .getResult();
}
