//===- Spans.cpp - An interval of keys for each query row -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Operands.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::attn;

unsigned SpansAttr::getNumMaskOperands() const { return 2; }

LogicalResult
SpansAttr::verifyMask(const MaskUse &use,
                      function_ref<InFlightDiagnostic()> emit) const {
  StringRef names[] = {"begins of spans", "ends of spans"};
  for (auto [type, name] : llvm::zip_equal(use.operandTypes, names))
    if (failed(verifyMaskOperand(type, {name, 3}, use, emit)) ||
        failed(verifyMaskDim(type, name, 2, use.entries,
                             "the number of query rows", emit)))
      return failure();
  return verifyAlike(use.operandTypes, names[0], names[1], emit);
}

int64_t SpansAttr::getHeadsAlike(int64_t heads, TypeRange types) const {
  return headsThatShare(types[0], heads);
}

/// The span of one row of a tile or point.
template <typename Use>
static KeyInterval spanOf(OpBuilder &builder, Location loc, const Use &use,
                          OpFoldResult entry) {
  auto read = [&](Value operand) {
    return readOfHead(builder, loc, operand, use.batch, use.head, use.heads,
                      entry);
  };
  return {read(use.operands[0]), read(use.operands[1])};
}

OpFoldResult SpansAttr::keep(OpBuilder &builder, Location loc,
                             const MaskPoint &point) const {
  IndexMath math(builder, loc);
  KeyInterval span = spanOf(builder, loc, point, point.entry);
  return math.logicalAnd(
      math.compare(arith::CmpIPredicate::sge, point.key, span.begin),
      math.compare(arith::CmpIPredicate::slt, point.key, span.end));
}

/// The hull of the spans of a tile's rows, or what they have in common. An
/// empty span has no part in the hull.
static KeyIntervals overRows(OpBuilder &builder, Location loc,
                             const MaskTile &tile, bool hull) {
  IndexMath math(builder, loc);
  OpFoldResult zero = math.constant(0);
  KeyInterval none =
      hull ? KeyInterval{tile.kvLen, zero} : KeyInterval{zero, tile.kvLen};
  auto loop = scf::ForOp::create(
      builder, loc, math.materialize(tile.entryBegin),
      math.materialize(tile.entryEnd), math.materialize(math.constant(1)),
      ValueRange{math.materialize(none.begin), math.materialize(none.end)});
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    KeyInterval span =
        spanOf(builder, loc, tile, OpFoldResult(loop.getInductionVar()));
    OpFoldResult begin = loop.getRegionIterArg(0);
    OpFoldResult end = loop.getRegionIterArg(1);
    if (hull) {
      OpFoldResult empty =
          math.compare(arith::CmpIPredicate::sge, span.begin, span.end);
      begin = math.min(begin, math.select(empty, begin, span.begin));
      end = math.max(end, math.select(empty, end, span.end));
    } else {
      begin = math.max(begin, span.begin);
      end = math.min(end, span.end);
    }
    scf::YieldOp::create(
        builder, loc,
        ValueRange{math.materialize(begin), math.materialize(end)});
  }
  return {{loop.getResult(0), loop.getResult(1)}};
}

KeyIntervals SpansAttr::visitIntervals(OpBuilder &builder, Location loc,
                                       const MaskTile &tile) const {
  return overRows(builder, loc, tile, /*hull=*/true);
}

KeyIntervals SpansAttr::fullIntervals(OpBuilder &builder, Location loc,
                                      const MaskTile &tile) const {
  return overRows(builder, loc, tile, /*hull=*/false);
}
