//===- Work.cpp - How much of the dense work an operation does ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Work.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;
using namespace mlir::attn;

std::string Share::text() const {
  if (!value)
    return "by data";
  // A share of all that no data changes needs no digits.
  if (*value >= 1 && !isBound && !isNominal)
    return "100 %";
  std::string text = llvm::formatv("{0:F1} %", *value * 100);
  if (isNominal)
    text += llvm::formatv(" at {0}", nominalLength);
  return isBound ? "at most " + text : text;
}

std::string Share::note() const {
  if (reason.empty())
    return "";
  if (!value || *value >= 1)
    return "saves work by data: " + reason;
  return llvm::formatv("saves at least {0:F1} % of the scores: {1}",
                       100 - *value * 100, reason);
}

int64_t mlir::attn::lengthOr(int64_t length, bool &isNominal) {
  if (!ShapedType::isDynamic(length))
    return length;
  isNominal = true;
  return nominalLength;
}

static int64_t sizeOf(Value tensor, int64_t dim) {
  return cast<ShapedType>(tensor.getType()).getDimSize(dim);
}

/// The share of rows in the lists of an attention, and what limits it.
static std::pair<std::optional<double>, std::string>
shareOfRows(AttentionOp op) {
  if (auto list = op.getRows().getDefiningOp<ListRowsOp>())
    if (auto route = list.getGates().getDefiningOp<RouteHeadsOp>()) {
      int64_t heads = sizeOf(route.getGates(), 2);
      int64_t routed = route.getNumRouted();
      if (!ShapedType::isDynamic(heads) && heads > 0 &&
          !ShapedType::isDynamic(routed)) {
        int64_t active =
            heads - routed +
            std::min(static_cast<int64_t>(route.getTopK()), routed);
        return {static_cast<double>(active) / static_cast<double>(heads),
                llvm::formatv("each row in {0} of {1} heads", active, heads)};
      }
    }
  int64_t entries = sizeOf(op.getRows(), 2), rows = sizeOf(op.getQuery(), 2);
  if (ShapedType::isDynamic(entries) || ShapedType::isDynamic(rows) ||
      entries >= rows)
    return {std::nullopt, "rows that a head does not list"};
  return {static_cast<double>(entries) / static_cast<double>(rows),
          llvm::formatv("{0} of {1} rows for a head", entries, rows)};
}

Share mlir::attn::shareOf(AttentionOp op) {
  Share share;
  share.value = 1;
  SmallVector<std::string> reasons;
  if (op.getKvLengths())
    reasons.push_back("key lengths");
  if (op.getPageTable())
    reasons.push_back("pages that exist");
  share.isBound =
      op.getKvLengths() || op.getPageTable() || op.getKeep() || op.getRows();
  if (auto mask = op.getMaskAttr()) {
    IntegerAttr offset;
    bool isNominal = op.getQueryOffset() &&
                     !matchPattern(op.getQueryOffset(), m_Constant(&offset));
    int64_t heads = sizeOf(op.getQuery(), 1);
    int64_t queryLen = lengthOr(sizeOf(op.getQuery(), 2), isNominal);
    int64_t kvLen = lengthOr(op.getStaticKeys(), isNominal);
    if (isNominal) {
      queryLen = kvLen = nominalLength;
      offset = {};
    }
    // The number of heads matters only where they differ, and is then static.
    TypeRange types = op.getMaskOperands().getTypes();
    share.value =
        maskBound(mask, types, ShapedType::isDynamic(heads) ? 1 : heads,
                  queryLen, kvLen, offset ? offset.getInt() : 0);
    share.isNominal = isNominal;
    if (!types.empty()) {
      share.isBound = true;
      reasons.push_back("keys that the mask's operands leave out");
    }
  }
  if (op.getRows()) {
    auto [rows, reason] = shareOfRows(op);
    if (rows)
      *share.value *= *rows;
    reasons.push_back(reason);
  }
  share.reason = llvm::join(reasons, ", ");
  if (share.isBound && *share.value >= 1)
    share.value = std::nullopt;
  return share;
}

Share mlir::attn::shareOf(LinearAttentionOp op) {
  // Scores exist of a token with its chunk only.
  Share share;
  int64_t length = lengthOr(sizeOf(op.getQuery(), 2), share.isNominal);
  double part = length ? static_cast<double>(op.getChunkSize()) /
                             static_cast<double>(length)
                       : 1.0;
  share.value = std::min(part, 1.0);
  return share;
}

Share mlir::attn::shareOf(SpanAttentionOp op) {
  Share share;
  int64_t length = lengthOr(sizeOf(op.getQuery(), 2), share.isNominal);
  int64_t keys = lengthOr(sizeOf(op.getKey(), 2), share.isNominal);
  int64_t spans = sizeOf(op.getBegins(), 3);
  share.isBound = true;
  share.reason = llvm::formatv("a window of {0} keys and {1} spans for a row",
                               op.getWindow(), spans);
  auto bounds = op.getBegins().getDefiningOp<SpanBoundsOp>();
  if (!bounds || ShapedType::isDynamic(spans) || length <= 0 || keys <= 0)
    return share;
  double factors = bounds.getBackward().convertToDouble() +
                   bounds.getForward().convertToDouble();
  double power = bounds.getPower().convertToDouble();
  double total = 0;
  // Of many rows some are taken, evenly; rows stand at the end of the keys.
  int64_t step = std::max<int64_t>(length / 1024, 1), rows = 0;
  for (int64_t row = 0; row < length; row += step, ++rows) {
    auto seen =
        static_cast<double>(std::max<int64_t>(keys - length, 0) + row + 1);
    // Two ends are rounded up, and the anchor counts.
    double span = factors * std::pow(seen, power) + 3;
    total += std::min(seen, static_cast<double>(op.getWindow()) +
                                static_cast<double>(spans) * span);
  }
  share.value = std::min(1.0, total / static_cast<double>(rows) /
                                  static_cast<double>(keys));
  return share;
}
