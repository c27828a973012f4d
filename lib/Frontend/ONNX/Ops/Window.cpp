//===- Window.cpp - Kernels, strides, dilations and pads ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Window.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

FailureOr<SmallVector<int64_t>> onnx::spatialAttr(NodeImporter &n,
                                                  StringRef name, size_t rank,
                                                  int64_t otherwise,
                                                  int64_t least) {
  SmallVector<int64_t> values(rank, otherwise);
  if (auto given = n.intsAttr(name))
    values = *given;
  if (values.size() != rank)
    return n.invalid(name + " has " + Twine(values.size()) + " numbers for " +
                     Twine(rank) + " dimensions");
  // Products of such numbers cannot wrap around.
  constexpr int64_t most = int64_t(1) << 24;
  for (int64_t value : values)
    if (value < least || value > most)
      return n.invalid(name + " " + Twine(value));
  return values;
}

FailureOr<Window> onnx::readWindow(NodeImporter &n, ArrayRef<Dim> spatial,
                                   ArrayRef<int64_t> kernel) {
  Emitter &emit = n.emit;
  size_t rank = spatial.size();
  Window window;
  window.kernel.assign(kernel.begin(), kernel.end());
  for (int64_t size : kernel)
    if (size < 1 || size > (int64_t(1) << 24))
      return n.invalid("kernel size " + Twine(size));
  auto strides = spatialAttr(n, "strides", rank, 1, 1);
  auto dilations = spatialAttr(n, "dilations", rank, 1, 1);
  auto pads = spatialAttr(n, "pads", 2 * rank, 0, 0);
  if (failed(strides) || failed(dilations) || failed(pads))
    return failure();
  window.strides = *strides;
  window.dilations = *dilations;
  std::string automatic = n.stringAttr("auto_pad", "NOTSET");
  bool isSame = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (!isSame && automatic != "NOTSET" && automatic != "VALID")
    return n.invalid("auto_pad '" + automatic + "'");
  bool ceils = n.intAttr("ceil_mode", 0) != 0;
  for (size_t i = 0; i < rank; ++i) {
    const Dim &in = spatial[i];
    Dim extent = window.extent(i), stride = window.strides[i];
    if (isSame) {
      Dim out = emit.ceilDiv(in, stride);
      Dim total = emit.maxDim((out - Dim(1)) * stride + extent - in, 0);
      Dim half = emit.floorDiv(total, 2);
      window.low.push_back(automatic == "SAME_UPPER" ? half : total - half);
      window.high.push_back(total - window.low.back());
      window.output.push_back(out);
      continue;
    }
    bool isValid = automatic == "VALID";
    Dim low = isValid ? 0 : (*pads)[i];
    Dim high = isValid ? 0 : (*pads)[rank + i];
    Dim room = in + low + high - extent;
    Dim out = emit.floorDiv(room, stride) + Dim(1);
    if (ceils) {
      // No window starts in the padding at the end.
      out = emit.minDim(emit.ceilDiv(room, stride) + Dim(1),
                        emit.floorDiv(in + low - Dim(1), stride) + Dim(1));
      high = emit.maxDim((out - Dim(1)) * stride + extent - in - low, high);
    }
    window.low.push_back(low);
    window.high.push_back(high);
    window.output.push_back(emit.maxDim(out, 0));
  }
  return window;
}

TensorValue onnx::padSpatial(Emitter &emit, const TensorValue &x,
                             ArrayRef<Dim> low, ArrayRef<Dim> high,
                             Value scalar) {
  Shape before(2, 0), after(2, 0);
  TensorValue result = x;
  for (size_t i = 0; i < low.size(); ++i) {
    Dim cutLow = 0, cutHigh = 0;
    auto split = [&](const Dim &amount, Dim &cut) -> Dim {
      if (std::optional<int64_t> number = amount.constant()) {
        cut = std::max<int64_t>(-*number, 0);
        return std::max<int64_t>(*number, 0);
      }
      return amount;
    };
    before.push_back(split(low[i], cutLow));
    after.push_back(split(high[i], cutHigh));
    if (!cutLow.is(0) || !cutHigh.is(0))
      result = emit.sliceAlong(
          result, static_cast<int64_t>(i) + 2, cutLow,
          emit.maxDim(result.shape[i + 2] - cutLow - cutHigh, 0));
  }
  return emit.pad(result, before, after, scalar);
}

TensorValue onnx::reduceWindow(Emitter &emit, const TensorValue &padded,
                               const Window &window, Value init,
                               ScalarBody combine) {
  MLIRContext *context = init.getContext();
  unsigned rank = static_cast<unsigned>(window.rank());
  unsigned numDims = 2 + 2 * rank;
  SmallVector<AffineExpr> inputExprs, windowExprs, outputExprs;
  SmallVector<utils::IteratorType> iterators(2 + rank,
                                             utils::IteratorType::parallel);
  iterators.append(rank, utils::IteratorType::reduction);
  Shape shape{padded.shape[0], padded.shape[1]};
  SmallVector<Dim> kernel;
  for (unsigned i = 0; i < 2 + rank; ++i) {
    outputExprs.push_back(getAffineDimExpr(i, context));
    if (i < 2) {
      inputExprs.push_back(outputExprs.back());
      continue;
    }
    AffineExpr tap = getAffineDimExpr(i + rank, context);
    windowExprs.push_back(tap);
    inputExprs.push_back(outputExprs.back() * window.strides[i - 2] +
                         tap * window.dilations[i - 2]);
    shape.push_back(window.output[i - 2]);
    kernel.push_back(window.kernel[i - 2]);
  }
  AffineMap maps[] = {AffineMap::get(numDims, 0, inputExprs, context),
                      AffineMap::get(numDims, 0, windowExprs, context),
                      AffineMap::get(numDims, 0, outputExprs, context)};
  Value start = emit.filled(shape, init);
  // Only its shape counts: it says how large the window is.
  Value taps = emit.empty(kernel, init.getType());
  auto op = linalg::GenericOp::create(
      emit.getBuilder(), emit.getLoc(), start.getType(),
      ValueRange{emit.materialize(padded), taps}, start, maps, iterators,
      [&](OpBuilder &b, Location l, ValueRange v) {
        linalg::YieldOp::create(b, l, combine(b, l, {v[2], v[0]}));
      });
  return emit.fromValue(op.getResult(0), padded.dataType, shape);
}
