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

/// Heads of a batch entry that take their rows to the same places.
struct Heads {
  OpFoldResult entry, first, count;
};

/// The row at which the first row of the update goes.
OpFoldResult startOf(ImplicitLocOpBuilder &b, KVAppendOp op,
                     const Heads &heads) {
  IndexMath math(b, b.getLoc());
  if (cast<RankedTensorType>(op.getAt().getType()).getRank() == 2)
    return readOfHead(b, b.getLoc(), op.getAt(), heads.entry, heads.first,
                      tensor::getMixedSize(b, b.getLoc(), op.getCache(), 1),
                      {});
  return convertToIndex(
      b, tensor::ExtractOp::create(b, op.getAt(),
                                   ValueRange{math.materialize(heads.entry)}));
}

/// `cache` after `body` for all batch entries, one after the other, or for
/// each of their heads if these have places of their own.
Value forAllHeads(
    ImplicitLocOpBuilder &b, KVAppendOp op, OpFoldResult entries,
    llvm::function_ref<Value(ImplicitLocOpBuilder &, const Heads &, Value)>
        body) {
  IndexMath math(b, b.getLoc());
  OpFoldResult all = tensor::getMixedSize(b, b.getLoc(), op.getUpdate(), 1);
  bool together = cast<RankedTensorType>(op.getAt().getType()).getRank() == 1;
  Value zero = math.materialize(math.constant(0));
  Value one = math.materialize(math.constant(1));
  auto loop = scf::ForOp::create(
      b, zero, math.materialize(entries), one, ValueRange{op.getCache()},
      [&](OpBuilder &outer, Location loc, Value entry, ValueRange caches) {
        ImplicitLocOpBuilder b(loc, outer);
        if (together) {
          Heads heads{entry, math.constant(0), all};
          scf::YieldOp::create(b, body(b, heads, caches.front()));
          return;
        }
        auto ofHeads = scf::ForOp::create(
            b, zero, IndexMath(b, loc).materialize(all), one, caches,
            [&](OpBuilder &inner, Location loc, Value head, ValueRange caches) {
              ImplicitLocOpBuilder b(loc, inner);
              Heads heads{entry, head, math.constant(1)};
              scf::YieldOp::create(b, body(b, heads, caches.front()));
            });
        scf::YieldOp::create(b, ofHeads.getResults());
      });
  return loop.getResult(0);
}

/// `cache` with rows of an update in the place of its own.
Value copyRows(ImplicitLocOpBuilder &b, KVAppendOp op, const Heads &heads,
               const RowCopy &copy, OpFoldResult targetEntry, Value cache) {
  IndexMath math(b, b.getLoc());
  OpFoldResult zero = math.constant(0), one = math.constant(1);
  SmallVector<OpFoldResult> strides(4, one);
  SmallVector<OpFoldResult> from = {heads.entry, heads.first, copy.source,
                                    zero};
  SmallVector<OpFoldResult> to = {targetEntry, heads.first, copy.target, zero};
  SmallVector<OpFoldResult> sizes = {
      one, heads.count, copy.count,
      tensor::getMixedSize(b, b.getLoc(), op.getUpdate(), 3)};
  Value rows =
      tensor::ExtractSliceOp::create(b, op.getUpdate(), from, sizes, strides);
  return tensor::InsertSliceOp::create(b, rows, cache, to, sizes, strides);
}

/// The cache with rows replaced.
Value buildReplaced(ImplicitLocOpBuilder &b, KVAppendOp op) {
  if (isKnownEmpty(op.getUpdate()) || isKnownEmpty(op.getCache()))
    return op.getCache();
  Location loc = op.getLoc();
  OpFoldResult added = tensor::getMixedSize(b, loc, op.getUpdate(), 2);
  OpFoldResult length = tensor::getMixedSize(b, loc, op.getCache(), 2);
  return forAllHeads(
      b, op, tensor::getMixedSize(b, loc, op.getUpdate(), 0),
      [&](ImplicitLocOpBuilder &b, const Heads &heads, Value cache) {
        OpFoldResult at = startOf(b, op, heads);
        SmallVector<RowCopy> copies = op.getMode() == CacheMode::Circular
                                          ? circularCopies(b, at, added, length)
                                          : linearCopies(b, at, added, length);
        for (const RowCopy &copy : copies)
          cache = copyRows(b, op, heads, copy, heads.entry, cache);
        return cache;
      });
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
  OpFoldResult zero = math.constant(0), one = math.constant(1);
  Value first = math.materialize(zero), step = math.materialize(one);
  Value added = math.materialize(sizes[2]);
  // Without a page there is no place to write to, and no number to read.
  OpFoldResult any =
      math.logicalAnd(math.compare(arith::CmpIPredicate::sgt, pages, zero),
                      math.compare(arith::CmpIPredicate::sgt, numbers, zero));
  auto copyRow = [&](ImplicitLocOpBuilder &b, const Heads &heads, Value source,
                     Value pool) -> Value {
    IndexMath math(b, b.getLoc());
    OpFoldResult row = math.add(startOf(b, op, heads), source);
    OpFoldResult fits = math.boolean(true);
    if (op.getMode() == CacheMode::Circular) {
      row = floorMod(b, row, math.max(length, one));
    } else {
      fits =
          math.logicalAnd(math.compare(arith::CmpIPredicate::sge, row, zero),
                          math.compare(arith::CmpIPredicate::slt, row, length));
      row = math.max(zero, math.min(row, math.sub(length, one)));
    }
    Page page = readPage(b, b.getLoc(), op.getPageTable(), heads.entry,
                         math.floorDiv(row, pageSize), pages);
    // A row without a place is one of no rows.
    OpFoldResult count =
        math.select(math.logicalAnd(fits, page.exists), one, zero);
    return copyRows(b, op, heads, {source, math.mod(row, pageSize), count},
                    page.place, pool);
  };
  return forAllHeads(
      b, op, math.select(any, sizes[0], zero),
      [&](ImplicitLocOpBuilder &b, const Heads &heads, Value pool) {
        auto rows = scf::ForOp::create(
            b, first, added, step, pool,
            [&](OpBuilder &inner, Location loc, Value row, ValueRange pools) {
              ImplicitLocOpBuilder b(loc, inner);
              scf::YieldOp::create(b, copyRow(b, heads, row, pools.front()));
            });
        return rows.getResult(0);
      });
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, KVAppendOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), builder);
  Value result = op.getPageTable() ? buildInPages(b, op)
                 : op.getAt()      ? buildReplaced(b, op)
                                   : buildLonger(b, op);
  return {castTensor(b, result, op.getResult().getType())};
}
