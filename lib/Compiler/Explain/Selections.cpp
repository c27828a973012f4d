//===- Selections.cpp - What selections choose and cost -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Selections.h"
#include "Work.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::attn;

static std::string sizeText(int64_t size) {
  return ShapedType::isDynamic(size) ? "?" : std::to_string(size);
}

static int64_t sizeOf(Value tensor, int64_t dim) {
  auto type = cast<ShapedType>(tensor.getType());
  return type.getDimSize(dim < 0 ? type.getRank() + dim : dim);
}

/// Elements of a tensor. An open batch is 1, any other open size nominal.
static double elements(Value tensor, bool &isNominal) {
  double count = 1;
  for (auto [dim, size] :
       llvm::enumerate(cast<ShapedType>(tensor.getType()).getShape()))
    if (dim || !ShapedType::isDynamic(size))
      count *= static_cast<double>(lengthOr(size, isNominal));
  return count;
}

std::optional<Choice> mlir::attn::describeChoice(Operation *op) {
  Choice result{op, op->getName().stripDialect().str(), "", 0, false};
  auto count = [&](Value tensor) { return elements(tensor, result.isNominal); };
  auto length = [&](Value tensor, int64_t dim) {
    return static_cast<double>(lengthOr(sizeOf(tensor, dim), result.isNominal));
  };
  return llvm::TypeSwitch<Operation *, std::optional<Choice>>(op)
      .Case([&](TopKOp op) {
        result.chooses = llvm::formatv("{0} of {1}, {2}",
                                       sizeText(sizeOf(op.getIndices(), -1)),
                                       sizeText(sizeOf(op.getScores(), -1)),
                                       stringifySelection(op.getBy()));
        // A bisection on the bits of a number, 16 at a time.
        result.operations = 2 * count(op.getScores());
        return result;
      })
      .Case([&](RouteHeadsOp op) {
        int64_t heads = sizeOf(op.getGates(), 2), routed = op.getNumRouted();
        if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(routed))
          result.chooses = llvm::formatv("{0} routed heads", op.getTopK());
        else
          result.chooses = llvm::formatv(
              "{0} of {1} heads for a row",
              heads - routed +
                  std::min(static_cast<int64_t>(op.getTopK()), routed),
              heads);
        result.operations = count(op.getGates());
        if (op.getRouted())
          result.operations = count(op.getInput()) * length(op.getRouted(), 0);
        else
          result.operations = count(op.getInput());
        return result;
      })
      .Case([&](ListRowsOp op) {
        result.chooses = "the rows of each head";
        result.operations = count(op.getGates());
        return result;
      })
      .Case([&](PoolOp op) {
        result.chooses = llvm::formatv("{0} of {1} rows",
                                       sizeText(sizeOf(op.getOutput(), 2)),
                                       sizeText(sizeOf(op.getInput(), 2)));
        if (op.getBlock())
          result.chooses = llvm::formatv("one row for {0}", *op.getBlock());
        result.operations = count(op.getInput());
        return result;
      })
      .Case([&](SegmentOp op) {
        result.chooses = llvm::formatv("{0} cuts", op.getMaxCuts());
        result.operations = count(op.getLogits());
        return result;
      })
      .Case([&](GatherRowsOp op) {
        result.chooses = llvm::formatv("{0} of {1} rows",
                                       sizeText(sizeOf(op.getOutput(), 2)),
                                       sizeText(sizeOf(op.getInput(), 2)));
        result.operations = count(op.getOutput());
        return result;
      })
      .Case([&](ScatterRowsOp op) {
        result.chooses =
            llvm::formatv("{0} rows of {1}", sizeText(sizeOf(op.getInput(), 2)),
                          sizeText(sizeOf(op.getResult(), 2)));
        result.operations = count(op.getInput());
        return result;
      })
      .Case([&](SpanSearchOp op) {
        double anchors = length(op.getOffsets(), 0);
        result.chooses = llvm::formatv("{0} of {1} keys for a row",
                                       sizeText(sizeOf(op.getAnchors(), -1)),
                                       sizeText(sizeOf(op.getOffsets(), 0)));
        // Half of the anchors lie before the first key.
        result.operations = count(op.getQuery()) * anchors / 2;
        return result;
      })
      .Case([&](SpanBoundsOp op) {
        result.chooses = "keys around anchors";
        result.operations = count(op.getAnchors());
        return result;
      })
      .Case([&](MonotonicAlignOp op) {
        result.chooses = "expected alignment, by a scan";
        result.operations = count(op.getChoose());
        return result;
      })
      .Case([&](KeyImportanceOp op) {
        result.chooses = "a number for each key, by a second product with them";
        result.operations = count(op.getQuery()) * length(op.getKey(), 2);
        if (auto mask = op.getMaskAttr())
          result.operations *=
              maskBound(mask, op.getMaskOperands().getTypes(),
                        ShapedType::isDynamic(sizeOf(op.getQuery(), 1))
                            ? 1
                            : sizeOf(op.getQuery(), 1),
                        static_cast<int64_t>(length(op.getQuery(), 2)),
                        static_cast<int64_t>(length(op.getKey(), 2)), 0);
        return result;
      })
      .Default([](Operation *) { return std::nullopt; });
}

double mlir::attn::denseOperations(Operation *op) {
  auto dense = [](auto attention) {
    bool isNominal = false;
    auto keys =
        static_cast<double>(lengthOr(sizeOf(attention.getKey(), 2), isNominal));
    auto rows = static_cast<double>(
        lengthOr(sizeOf(attention.getQuery(), 2), isNominal));
    auto batch = sizeOf(attention.getQuery(), 0);
    auto heads = sizeOf(attention.getQuery(), 1);
    auto positive = [](int64_t size) {
      return ShapedType::isDynamic(size) ? 1.0 : static_cast<double>(size);
    };
    return positive(batch) * positive(heads) * rows * keys *
           (positive(sizeOf(attention.getQuery(), 3)) +
            positive(sizeOf(attention.getValue(), 3)));
  };
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case<AttentionOp, LinearAttentionOp, SpanAttentionOp,
            LocalLinearAttentionOp>(dense)
      .Default([](Operation *) { return 0; });
}
