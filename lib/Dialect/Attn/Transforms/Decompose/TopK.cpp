//===- TopK.cpp - The linalg meaning of attn.top_k ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionRows.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

/// Places by comparison of all pairs: an entry's place is the number of those
/// that are better, its slot in the result the number of selected ones before.
SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, TopKOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  MLIRContext *context = b.getContext();
  SelectionRows rows = buildSelectionRows(b, op);
  AffineExpr d0, d1, d2;
  bindDims(context, d0, d1, d2);
  AffineMap pair = AffineMap::get(3, 0, {d0, d1}, context);
  AffineMap other = AffineMap::get(3, 0, {d0, d2}, context);
  AffineMap all = AffineMap::get(2, 0, {d0, d1}, context);
  AffineMap ofRow = AffineMap::get(2, 0, {d0}, context);
  SmallVector<OpFoldResult> shape = {rows.rows, rows.columns};
  Type index = b.getIndexType();
  auto zeros = [&](ArrayRef<OpFoldResult> shape) -> Value {
    Value zero = arith::ConstantIndexOp::create(b, 0);
    return linalg::FillOp::create(b, zero, buildEmpty(b, shape, index))
        .getResult(0);
  };
  // Whether entry d2 of the row is better than entry d1.
  auto isBetter = [&](ImplicitLocOpBuilder &b, Value x, Value y) -> Value {
    Value greater = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, y, x);
    Value equal = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, y, x);
    Value before = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                         linalg::IndexOp::create(b, 2),
                                         linalg::IndexOp::create(b, 1));
    return arith::OrIOp::create(b, greater,
                                arith::AndIOp::create(b, equal, before));
  };
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value places = buildGeneric(
      b, {{rows.images, pair}, {rows.images, other}}, {zeros(shape), pair},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        return addIf(b, isBetter(b, x[0], x[1]), x[2], one);
      });
  SmallVector<MappedTensor> inputs = {
      {rows.images, all}, {places, all}, {rows.budgets, ofRow}};
  if (rows.weights) {
    FloatType compute = elementTypeOf(rows.weights);
    Value before = buildGeneric(
        b, {{rows.images, pair}, {rows.images, other}, {rows.weights, other}},
        {buildFilled(b, shape, compute, 0), pair}, /*reductions=*/1,
        [&](ImplicitLocOpBuilder &b, ValueRange x) {
          return addIf(b, isBetter(b, x[0], x[1]), x[3], x[2]);
        });
    inputs.append({{before, all}, {rows.targets, ofRow}});
  }
  Value selected = buildElementwise(
      b, inputs, shape, index,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        Value isGood = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, x[0],
                                             rows.none(b));
        Value isPaid =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x[1], x[2]);
        isGood = arith::AndIOp::create(b, isGood, isPaid);
        if (rows.weights) {
          Value isMissing =
              arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x[3], x[4]);
          Value isForced = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                                 x[0], rows.forced(b));
          isGood = arith::AndIOp::create(
              b, isGood, arith::OrIOp::create(b, isMissing, isForced));
        }
        return arith::SelectOp::create(b, isGood, one,
                                       arith::ConstantIndexOp::create(b, 0));
      });
  Value slots = buildGeneric(
      b, {{selected, other}}, {zeros(shape), pair}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        Value before = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             linalg::IndexOp::create(b, 2),
                                             linalg::IndexOp::create(b, 1));
        return addIf(b, before, x[1], x[0]);
      });
  // Slot d1 holds the sum of the indices + 1 of what belongs there: one or
  // none.
  SmallVector<OpFoldResult> resultShape = {rows.rows, rows.capacity};
  Value found = buildGeneric(
      b, {{selected, other}, {slots, other}}, {zeros(resultShape), pair},
      /*reductions=*/1, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        Value here = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x[1],
                                           linalg::IndexOp::create(b, 1));
        Value isThere = arith::AndIOp::create(
            b, here,
            arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x[0], one));
        Value next =
            arith::AddIOp::create(b, linalg::IndexOp::create(b, 2), one);
        return addIf(b, isThere, x[2], next);
      });
  Type element =
      cast<RankedTensorType>(op.getIndices().getType()).getElementType();
  Value indices =
      buildElementwise(b, {{found, all}}, resultShape, element,
                       [&](ImplicitLocOpBuilder &b, ValueRange x) {
                         return convertFromIndex(
                             b, arith::SubIOp::create(b, x[0], one), element);
                       });
  Value sums = buildGeneric(
      b, {{selected, all}}, {zeros({rows.rows}), ofRow}, /*reductions=*/1,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::AddIOp::create(b, x[0], x[1]);
      });
  AffineMap row = AffineMap::get(1, 0, {d0}, context);
  Value counts = buildElementwise(b, {{sums, row}}, {rows.rows}, element,
                                  [&](ImplicitLocOpBuilder &b, ValueRange x) {
                                    return convertFromIndex(b, x[0], element);
                                  });
  return restoreSelection(b, op, indices, counts);
}
