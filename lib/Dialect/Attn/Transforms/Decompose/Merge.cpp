//===- Merge.cpp - The linalg meaning of attn.merge -----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// log(sum(exp(lses))), with the largest taken out of the sum.
static Value buildLogSumExp(ImplicitLocOpBuilder &b, ValueRange lses) {
  auto type = cast<FloatType>(lses.front().getType());
  Value minusInf =
      buildFloat(b, type, -std::numeric_limits<double>::infinity());
  Value maximum = lses.front();
  for (Value lse : lses.drop_front())
    maximum = arith::MaximumFOp::create(b, maximum, lse);
  Value none =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, minusInf);
  Value shift =
      arith::SelectOp::create(b, none, buildFloat(b, type, 0), maximum);
  Value sum = buildFloat(b, type, 0);
  for (Value lse : lses) {
    Value shifted = arith::SubFOp::create(b, lse, shift);
    sum = arith::AddFOp::create(b, sum, math::ExpOp::create(b, shifted));
  }
  return arith::AddFOp::create(b, math::LogOp::create(b, sum), shift);
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, MergeOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  MLIRContext *context = b.getContext();
  AffineMap lseMap = AffineMap::getMultiDimIdentityMap(3, context);
  SmallVector<MappedTensor> lses;
  for (Value lse : op.getLses())
    lses.push_back({lse, lseMap});
  FloatType compute = elementTypeOf(op.getLse());
  size_t parts = op.getLses().size();
  Value total = buildElementwise(
      b, lses, tensor::getMixedSizes(b, op.getLoc(), op.getLses().front()),
      compute, [&](ImplicitLocOpBuilder &b, ValueRange elements) {
        return buildLogSumExp(b, elements.take_front(parts));
      });

  AffineMap outputMap = AffineMap::getMultiDimIdentityMap(4, context);
  AffineMap rowMap =
      AffineMap::getMultiDimIdentityMap(4, context).dropResult(3);
  SmallVector<MappedTensor> inputs = {{total, rowMap}};
  for (auto [output, lse] : llvm::zip_equal(op.getOutputs(), op.getLses())) {
    inputs.push_back({lse, rowMap});
    inputs.push_back({output, outputMap});
  }
  FloatType element = elementTypeOf(op.getOutput());
  auto combine = [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
    Value zero = buildFloat(b, compute, 0);
    Value minusInf =
        buildFloat(b, compute, -std::numeric_limits<double>::infinity());
    Value sum = zero;
    for (size_t i = 0; i < parts; ++i) {
      Value lse = elements[1 + 2 * i], output = elements[2 + 2 * i];
      Value none =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, lse, minusInf);
      Value weight =
          math::ExpOp::create(b, arith::SubFOp::create(b, lse, elements[0]));
      Value share =
          arith::MulFOp::create(b, weight, convertFloat(b, output, compute));
      // A part without keys adds nothing, whatever its output holds.
      share = arith::SelectOp::create(b, none, zero, share);
      sum = arith::AddFOp::create(b, sum, share);
    }
    return convertFloat(b, sum, element);
  };
  Value output = buildElementwise(
      b, inputs, tensor::getMixedSizes(b, op.getLoc(), op.getOutputs().front()),
      element, combine);
  return {castTensor(b, output, op.getOutput().getType()),
          castTensor(b, total, op.getLse().getType())};
}
