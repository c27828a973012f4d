//===- ScatterRows.cpp - The meaning of attn.scatter_rows -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// `rows`, [S, D], plus what the operation adds to those of one head.
static Value buildScatteredHead(ImplicitLocOpBuilder &b, ScatterRowsOp op,
                                Value rows, Value batch, Value head) {
  IndexMath math(b, b.getLoc());
  auto less = arith::CmpIPredicate::slt;
  OpFoldResult zero = math.constant(0), one = math.constant(1);
  OpFoldResult length = tensor::getMixedSize(b, b.getLoc(), rows, 0);
  OpFoldResult width = tensor::getMixedSize(b, b.getLoc(), rows, 1);
  OpFoldResult count =
      readRowCount(b, b.getLoc(), op.getRowCounts(), batch, head,
                   tensor::getMixedSize(b, b.getLoc(), op.getInput(), 2));
  // Without rows there is none to add to.
  count = math.select(math.compare(less, zero, length), count, zero);
  FloatType element = elementTypeOf(rows), compute = computeTypeOf(rows);
  auto loop = scf::ForOp::create(
      b, math.materialize(zero), math.materialize(math.max(count, zero)),
      math.materialize(one), rows,
      [&](OpBuilder &nested, Location loc, Value entry, ValueRange state) {
        ImplicitLocOpBuilder b(loc, nested);
        IndexMath math(b, loc);
        ListedRow listed =
            readListedRow(b, loc, op.getRows(), op.getRowCounts(), batch, head,
                          entry, length);
        Value weight;
        if (op.getRowWeights())
          weight =
              convertFloat(b,
                           extractBroadcast(b, op.getRowWeights(),
                                            tensor::getMixedSizes(
                                                b, loc, op.getRowWeights()),
                                            {batch, head, entry}),
                           compute);
        SmallVector<OpFoldResult> strides(4, one);
        auto slices = ArrayRef<OpFoldResult>(strides).take_front(2);
        auto type = RankedTensorType::get(
            {1, cast<RankedTensorType>(rows.getType()).getDimSize(1)}, element);
        Value source = tensor::ExtractSliceOp::create(
            b, type, op.getInput(),
            SmallVector<OpFoldResult>{batch, head, entry, zero},
            SmallVector<OpFoldResult>{one, one, one, width}, strides);
        SmallVector<OpFoldResult> place = {listed.row, zero},
                                  size = {one, width};
        Value target = tensor::ExtractSliceOp::create(b, type, state[0], place,
                                                      size, slices);
        AffineMap map = b.getMultiDimIdentityMap(2);
        Value sum = buildGeneric(
            b, {{source, map}}, {target, map}, /*reductions=*/0,
            [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
              Value part = convertFloat(b, x[0], compute);
              if (weight)
                part = arith::MulFOp::create(b, part, weight);
              part = arith::SelectOp::create(
                  b, IndexMath(b, b.getLoc()).materialize(listed.exists), part,
                  buildFloat(b, compute, 0));
              Value old = convertFloat(b, x[1], compute);
              return convertFloat(b, arith::AddFOp::create(b, old, part),
                                  element);
            });
        scf::YieldOp::create(b, tensor::InsertSliceOp::create(
                                    b, sum, state[0], place, size, slices)
                                    .getResult());
      });
  return loop.getResult(0);
}

/// One iteration for each batch entry and head: entries of one list may name
/// the same row.
SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, ScatterRowsOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  IndexMath math(b, b.getLoc());
  auto type = cast<RankedTensorType>(op.getInit().getType());
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, b.getLoc(), op.getInit());
  auto forall = scf::ForallOp::create(
      b, ArrayRef<OpFoldResult>{sizes[0], sizes[1]}, ValueRange{op.getInit()},
      /*mapping=*/std::nullopt);
  Value all = forall.getRegionIterArgs()[0];
  Value batch = forall.getInductionVar(0), head = forall.getInductionVar(1);
  OpFoldResult zero = math.constant(0), one = math.constant(1);
  SmallVector<OpFoldResult> at = {batch, head, zero, zero};
  SmallVector<OpFoldResult> strides(4, one);
  sizes[0] = sizes[1] = one;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(forall.getTerminator());
  Value rows = tensor::ExtractSliceOp::create(
      b,
      RankedTensorType::get(type.getShape().drop_front(2),
                            type.getElementType()),
      all, at, sizes, strides);
  Value sum = buildScatteredHead(b, op, rows, batch, head);
  b.setInsertionPointToEnd(forall.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(b, sum, all, at, sizes, strides);
  return {forall.getResult(0)};
}
