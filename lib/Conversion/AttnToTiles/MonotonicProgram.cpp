//===- MonotonicProgram.cpp - Alignments in parallel ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "MonotonicProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

SmallVector<Value> MonotonicProgram::loop(OpFoldResult end, ValueRange carried,
                                          Step step) {
  auto loop =
      scf::ForOp::create(b, math.materialize(c(0)), math.materialize(end),
                         math.materialize(c(1)), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b,
                       step(loop.getInductionVar(), loop.getRegionIterArgs()));
  return llvm::to_vector(llvm::map_range(
      loop.getResults(), [](OpResult x) -> Value { return x; }));
}

SmallVector<Value> MonotonicProgram::build() {
  Value choose = op.getChoose();
  auto element = cast<FloatType>(
      cast<RankedTensorType>(choose.getType()).getElementType());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, op.getLoc(), choose);
  OpFoldResult targets = sizes[2], sources = sizes[3];
  TensorView laidOut{Value(), outputDims};
  auto all = forall(
      {sizes[0], sizes[1]},
      empty(laidOut.permute<OpFoldResult>(sizes), element),
      [&](scf::ForallOp forall) {
        SmallVector<Value> at = forall.getInductionVars();
        auto offsets =
            laidOut.permute<OpFoldResult>({at[0], at[1], c(0), c(0)});
        auto extent =
            laidOut.permute<OpFoldResult>({c(1), c(1), targets, sources});
        Value output = slice(forall.getRegionIterArgs()[0], offsets, extent,
                             {outputDims[2], outputDims[3]});
        // The row of the target before, in full precision.
        Value row = generic(
            {}, empty({sources}, compute), {{0}}, 1, 0,
            [&](ValueRange) -> Value {
              Value source = index(0);
              if (op.getPrevious())
                return tensor::ExtractOp::create(
                    b, op.getPrevious(), ValueRange{at[0], at[1], source});
              Value first = math.materialize(
                  math.compare(arith::CmpIPredicate::eq, source, c(0)));
              return arith::SelectOp::create(b, first, number(1), number(0));
            });
        SmallVector<Value> done =
            loop(targets, {output, row}, [&](Value target, ValueRange x) {
              SmallVector<Value> carried = {x[0], x[1], number(0)};
              carried = loop(sources, carried, [&](Value source, ValueRange x) {
                Value p = toCompute(tensor::ExtractOp::create(
                    b, choose, ValueRange{at[0], at[1], target, source}));
                Value before = tensor::ExtractOp::create(b, x[1], source);
                Value arrived = arith::AddFOp::create(b, before, x[2]);
                Value stays = arith::MulFOp::create(b, p, arrived);
                Value on = arith::MulFOp::create(
                    b, arith::SubFOp::create(b, number(1), p), arrived);
                Value stored = stays;
                if (element != compute)
                  stored = arith::TruncFOp::create(b, element, stays);
                Value output = tensor::InsertOp::create(
                    b, stored, x[0], ValueRange{target, source});
                Value row = tensor::InsertOp::create(b, stays, x[1], source);
                return SmallVector<Value>{output, row, on};
              });
              carried.pop_back();
              return carried;
            });
        insert(forall, done[0], 0, offsets, extent);
      });
  return {all.getResult(0)};
}
