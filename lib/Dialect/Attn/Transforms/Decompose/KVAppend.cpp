//===- KVAppend.cpp - The meaning of attn.kv_append -----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// Rows [source, source + count) of an update that replace as many rows of a
/// cache from `target` on.
struct RowCopy {
  OpFoldResult source, target, count;
};

/// Remainder of a division that rounds down; `b` is positive.
OpFoldResult floorMod(ImplicitLocOpBuilder &b, OpFoldResult x,
                      OpFoldResult divisor) {
  IndexMath math(b, b.getLoc());
  Value d = math.materialize(divisor);
  Value rest = arith::RemSIOp::create(b, math.materialize(x), d);
  Value positive = arith::AddIOp::create(b, rest, d);
  return arith::RemSIOp::create(b, positive, d).getResult();
}

/// Rows in bounds: `at + s` for `s` in [max(0, -at), min(added, length - at)).
SmallVector<RowCopy> linearCopies(ImplicitLocOpBuilder &b, OpFoldResult at,
                                  OpFoldResult added, OpFoldResult length) {
  IndexMath math(b, b.getLoc());
  OpFoldResult zero = math.constant(0);
  OpFoldResult begin = math.min(math.max(zero, math.sub(zero, at)), added);
  OpFoldResult end = math.min(added, math.sub(length, at));
  OpFoldResult count = math.max(zero, math.sub(end, begin));
  OpFoldResult target = math.min(math.max(zero, at), length);
  return {{begin, target, count}};
}

/// The last rows of the update, at most as many as the cache has, up to the
/// end of the cache and then on from its start.
SmallVector<RowCopy> circularCopies(ImplicitLocOpBuilder &b, OpFoldResult at,
                                    OpFoldResult added, OpFoldResult length) {
  IndexMath math(b, b.getLoc());
  OpFoldResult zero = math.constant(0);
  OpFoldResult begin = math.max(zero, math.sub(added, length));
  OpFoldResult count = math.sub(added, begin);
  OpFoldResult divisor = math.max(length, math.constant(1));
  OpFoldResult target =
      floorMod(b, math.add(floorMod(b, at, divisor), begin), divisor);
  OpFoldResult first = math.min(count, math.sub(length, target));
  return {{begin, target, first},
          {math.add(begin, first), zero, math.sub(count, first)}};
}

/// The cache with `update` behind its last row.
Value buildLonger(ImplicitLocOpBuilder &b, KVAppendOp op) {
  Location loc = op.getLoc();
  IndexMath math(b, loc);
  SmallVector<OpFoldResult> cacheSizes =
      tensor::getMixedSizes(b, loc, op.getCache());
  SmallVector<OpFoldResult> updateSizes =
      tensor::getMixedSizes(b, loc, op.getUpdate());
  SmallVector<OpFoldResult> shape = cacheSizes;
  shape[2] = math.add(cacheSizes[2], updateSizes[2]);
  Value result = buildEmpty(b, shape, elementTypeOf(op.getResult()));
  if (isKnownEmpty(result))
    return result;
  if (isKnownEmpty(op.getUpdate()))
    return op.getCache();
  if (isKnownEmpty(op.getCache()))
    return op.getUpdate();
  SmallVector<OpFoldResult> offsets(4, math.constant(0));
  SmallVector<OpFoldResult> strides(4, math.constant(1));
  result = tensor::InsertSliceOp::create(b, op.getCache(), result, offsets,
                                         cacheSizes, strides);
  offsets[2] = cacheSizes[2];
  return tensor::InsertSliceOp::create(b, op.getUpdate(), result, offsets,
                                       updateSizes, strides);
}

/// The cache with rows replaced, batch entry by batch entry.
Value buildReplaced(ImplicitLocOpBuilder &b, KVAppendOp op) {
  if (isKnownEmpty(op.getUpdate()) || isKnownEmpty(op.getCache()))
    return op.getCache();
  Location loc = op.getLoc();
  IndexMath math(b, loc);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, op.getUpdate());
  OpFoldResult batch = sizes[0], added = sizes[2];
  OpFoldResult length = tensor::getMixedSize(b, loc, op.getCache(), 2);
  auto loop = scf::ForOp::create(
      b, math.materialize(math.constant(0)), math.materialize(batch),
      math.materialize(math.constant(1)), ValueRange{op.getCache()},
      [&](OpBuilder &nested, Location loc, Value entry, ValueRange caches) {
        ImplicitLocOpBuilder b(loc, nested);
        IndexMath math(b, loc);
        Value at = convertToIndex(
            b, tensor::ExtractOp::create(b, op.getAt(), ValueRange{entry}));
        SmallVector<RowCopy> copies = op.getMode() == CacheMode::Circular
                                          ? circularCopies(b, at, added, length)
                                          : linearCopies(b, at, added, length);
        Value cache = caches.front();
        SmallVector<OpFoldResult> strides(4, math.constant(1));
        sizes[0] = math.constant(1);
        for (const RowCopy &copy : copies) {
          SmallVector<OpFoldResult> source = {entry, math.constant(0),
                                              copy.source, math.constant(0)};
          SmallVector<OpFoldResult> target = source;
          target[2] = copy.target;
          sizes[2] = copy.count;
          Value rows = tensor::ExtractSliceOp::create(b, op.getUpdate(), source,
                                                      sizes, strides);
          cache = tensor::InsertSliceOp::create(b, rows, cache, target, sizes,
                                                strides);
        }
        scf::YieldOp::create(b, cache);
      });
  return loop.getResult(0);
}

/// The pool with rows replaced one by one, each in its page.
Value buildInPages(ImplicitLocOpBuilder &b, KVAppendOp op) {
  if (isKnownEmpty(op.getUpdate()) || isKnownEmpty(op.getCache()) ||
      isKnownEmpty(op.getPageTable()))
    return op.getCache();
  Location loc = op.getLoc();
  IndexMath math(b, loc);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, op.getUpdate());
  OpFoldResult pages = tensor::getMixedSize(b, loc, op.getCache(), 0);
  int64_t pageSize =
      cast<RankedTensorType>(op.getCache().getType()).getDimSize(2);
  OpFoldResult numbers = tensor::getMixedSize(b, loc, op.getPageTable(), 1);
  OpFoldResult length = math.mul(numbers, math.constant(pageSize));
  Value zero = math.materialize(math.constant(0));
  Value one = math.materialize(math.constant(1));
  // Without a page there is no place to write to, and no number to read.
  OpFoldResult any = math.logicalAnd(
      math.compare(arith::CmpIPredicate::sgt, pages, math.constant(0)),
      math.compare(arith::CmpIPredicate::sgt, numbers, math.constant(0)));
  OpFoldResult entries = math.select(any, sizes[0], math.constant(0));
  auto copyRow = [&](ImplicitLocOpBuilder &b, Value entry, Value source,
                     Value pool) -> Value {
    IndexMath math(b, b.getLoc());
    OpFoldResult row = convertToIndex(
        b, tensor::ExtractOp::create(b, op.getAt(), ValueRange{entry}));
    row = math.add(row, source);
    OpFoldResult fits = math.boolean(true);
    if (op.getMode() == CacheMode::Circular) {
      row = floorMod(b, row, math.max(length, math.constant(1)));
    } else {
      fits = math.logicalAnd(
          math.compare(arith::CmpIPredicate::sge, row, math.constant(0)),
          math.compare(arith::CmpIPredicate::slt, row, length));
      row = math.max(math.constant(0),
                     math.min(row, math.sub(length, math.constant(1))));
    }
    Page page = readPage(b, b.getLoc(), op.getPageTable(), entry,
                         math.floorDiv(row, pageSize), pages);
    // A row without a place is one of no rows.
    OpFoldResult count = math.select(math.logicalAnd(fits, page.exists),
                                     math.constant(1), math.constant(0));
    SmallVector<OpFoldResult> strides(4, math.constant(1));
    SmallVector<OpFoldResult> from = {entry, math.constant(0), source,
                                      math.constant(0)};
    SmallVector<OpFoldResult> to = {page.place, math.constant(0),
                                    math.mod(row, pageSize), math.constant(0)};
    SmallVector<OpFoldResult> extent = {math.constant(1), sizes[1], count,
                                        sizes[3]};
    Value rows = tensor::ExtractSliceOp::create(b, op.getUpdate(), from, extent,
                                                strides);
    return tensor::InsertSliceOp::create(b, rows, pool, to, extent, strides);
  };
  auto loop = scf::ForOp::create(
      b, zero, math.materialize(entries), one, ValueRange{op.getCache()},
      [&](OpBuilder &outer, Location loc, Value entry, ValueRange pools) {
        auto rows = scf::ForOp::create(
            outer, loc, zero, math.materialize(sizes[2]), one, pools,
            [&](OpBuilder &inner, Location loc, Value row, ValueRange pools) {
              ImplicitLocOpBuilder b(loc, inner);
              scf::YieldOp::create(b, copyRow(b, entry, row, pools.front()));
            });
        scf::YieldOp::create(outer, loc, rows.getResults());
      });
  return loop.getResult(0);
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, KVAppendOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  Value result = op.getPageTable() ? buildInPages(b, op)
                 : op.getAt()      ? buildReplaced(b, op)
                                   : buildLonger(b, op);
  return {castTensor(b, result, op.getResult().getType())};
}
