//===- ListReads.cpp - Elements of lists of rows, heads and pages ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static OpFoldResult toIndex(OpBuilder &builder, Location loc, Value x) {
  if (x.getType().isInteger(1) || x.getType().isIndex())
    return x;
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), x)
      .getResult();
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
  return toIndex(builder, loc, x);
}

/// An element of a list [B, H, ...] that may have one head for all of them.
static OpFoldResult readList(OpBuilder &builder, Location loc, Value list,
                             OpFoldResult batch, OpFoldResult head,
                             ArrayRef<OpFoldResult> at) {
  IndexMath math(builder, loc);
  auto type = cast<RankedTensorType>(list.getType());
  if (type.getDimSize(1) == 1)
    head = math.constant(0);
  else if (type.isDynamicDim(1))
    head = math.min(head, math.sub(tensor::getMixedSize(builder, loc, list, 1),
                                   math.constant(1)));
  SmallVector<Value> indices = {math.materialize(batch),
                                math.materialize(head)};
  for (OpFoldResult x : at)
    indices.push_back(math.materialize(x));
  return toIndex(builder, loc,
                 tensor::ExtractOp::create(builder, loc, list, indices));
}

/// `x` in [0, length), and whether it was there.
static std::pair<OpFoldResult, OpFoldResult>
clampTo(const IndexMath &math, OpFoldResult x, OpFoldResult length) {
  OpFoldResult zero = math.constant(0);
  OpFoldResult exists =
      math.logicalAnd(math.compare(arith::CmpIPredicate::slt, x, length),
                      math.compare(arith::CmpIPredicate::sge, x, zero));
  OpFoldResult inside =
      math.max(zero, math.min(x, math.sub(length, math.constant(1))));
  return {inside, exists};
}

OpFoldResult mlir::attn::readRowCount(OpBuilder &builder, Location loc,
                                      Value counts, OpFoldResult batch,
                                      OpFoldResult head,
                                      OpFoldResult capacity) {
  return IndexMath(builder, loc)
      .min(readList(builder, loc, counts, batch, head, {}), capacity);
}

OpFoldResult mlir::attn::readListedRow(OpBuilder &builder, Location loc,
                                       Value rows, OpFoldResult batch,
                                       OpFoldResult head, OpFoldResult entry,
                                       OpFoldResult length) {
  IndexMath math(builder, loc);
  OpFoldResult row = readList(builder, loc, rows, batch, head, entry);
  return math.max(math.constant(0),
                  math.min(row, math.sub(length, math.constant(1))));
}

ListedRow mlir::attn::readListedRow(OpBuilder &builder, Location loc,
                                    Value rows, Value counts,
                                    OpFoldResult batch, OpFoldResult head,
                                    OpFoldResult entry, OpFoldResult length) {
  IndexMath math(builder, loc);
  OpFoldResult row = readList(builder, loc, rows, batch, head, entry);
  OpFoldResult counted =
      math.compare(arith::CmpIPredicate::slt, entry,
                   readList(builder, loc, counts, batch, head, {}));
  auto [inside, exists] = clampTo(math, row, length);
  return {inside, math.logicalAnd(counted, exists)};
}

Page mlir::attn::readPage(OpBuilder &builder, Location loc, Value table,
                          OpFoldResult batch, OpFoldResult number,
                          OpFoldResult pages) {
  IndexMath math(builder, loc);
  Value place = tensor::ExtractOp::create(
      builder, loc, table,
      ValueRange{math.materialize(batch), math.materialize(number)});
  auto [inside, exists] = clampTo(math, toIndex(builder, loc, place), pages);
  return {inside, exists};
}
