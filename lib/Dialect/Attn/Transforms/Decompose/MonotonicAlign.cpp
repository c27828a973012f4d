//===- MonotonicAlign.cpp - The meaning of attn.monotonic_align -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// `body` gets the index and what is carried, and returns what is carried on.
static SmallVector<Value>
buildLoop(ImplicitLocOpBuilder &b, OpFoldResult end, ValueRange carried,
          llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  IndexMath math(b, b.getLoc());
  auto loop = scf::ForOp::create(b, math.materialize(math.constant(0)),
                                 math.materialize(end),
                                 math.materialize(math.constant(1)), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b,
                       body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return llvm::to_vector(llvm::map_range(
      loop.getResults(), [](OpResult x) -> Value { return x; }));
}

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder,
                                         MonotonicAlignOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  IndexMath math(b, op.getLoc());
  FloatType element = elementTypeOf(op.getChoose());
  FloatType compute = computeTypeOf(op.getChoose());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, op.getLoc(), op.getChoose());
  Value zero = buildFloat(b, compute, 0), one = buildFloat(b, compute, 1);
  Value first = math.materialize(math.constant(0));

  // The row before, of one batch entry and head, is carried from target to
  // target in full precision.
  auto row = [&](Value batch, Value head) -> Value {
    return buildElementwise(
        b, {}, {sizes[3]}, compute,
        [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
          Value source = linalg::IndexOp::create(b, 0);
          if (op.getPrevious())
            return tensor::ExtractOp::create(b, op.getPrevious(),
                                             ValueRange{batch, head, source});
          Value isFirst =
              arith::CmpIOp::create(b, arith::CmpIPredicate::eq, source, first);
          return arith::SelectOp::create(b, isFirst, one, zero);
        });
  };
  auto overSources = [&](Value batch, Value head, Value target,
                         ValueRange carried) {
    SmallVector<Value> inner(carried);
    inner.push_back(zero);
    inner = buildLoop(b, sizes[3], inner, [&](Value source, ValueRange x) {
      Value at[] = {batch, head, target, source};
      Value choose = convertFloat(
          b, tensor::ExtractOp::create(b, op.getChoose(), at), compute);
      // What arrives here: who stopped here before, and who went on.
      Value before = tensor::ExtractOp::create(b, x[1], source);
      Value arrived = arith::AddFOp::create(b, before, x[2]);
      Value stays = arith::MulFOp::create(b, choose, arrived);
      Value on = arith::MulFOp::create(b, arith::SubFOp::create(b, one, choose),
                                       arrived);
      Value output = tensor::InsertOp::create(
          b, convertFloat(b, stays, element), x[0], at);
      Value next = tensor::InsertOp::create(b, stays, x[1], source);
      return SmallVector<Value>{output, next, on};
    });
    inner.pop_back();
    return inner;
  };
  Value result = buildEmpty(b, sizes, element);
  result = buildLoop(b, sizes[0], result, [&](Value batch, ValueRange x) {
    return buildLoop(b, sizes[1], x, [&](Value head, ValueRange x) {
      SmallVector<Value> carried = {x[0], row(batch, head)};
      carried =
          buildLoop(b, sizes[2], carried, [&](Value target, ValueRange x) {
            return overSources(batch, head, target, x);
          });
      carried.pop_back();
      return carried;
    });
  })[0];
  return {castTensor(b, result, op.getAlignment().getType())};
}
