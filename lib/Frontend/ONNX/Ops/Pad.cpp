//===- Pad.cpp - Padding and cropping -------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

enum class PadMode { Constant, Edge, Reflect, Wrap };

/// Every element by its own place in the input; pads may be negative.
static TensorValue gatherPadded(Emitter &emit, const TensorValue &x,
                                ArrayRef<Dim> low, ArrayRef<Dim> shape,
                                PadMode mode, Value fill) {
  Value source = emit.materialize(x);
  SmallVector<Value> starts, limits;
  for (auto [before, dim] : llvm::zip(low, x.shape)) {
    starts.push_back(emit.indexValue(before));
    limits.push_back(emit.indexValue(dim));
  }
  return emit.indexed(
      {}, shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        Indices i{b, l};
        Value zero = i.number(0), one = i.number(1);
        Value inside = arith::ConstantOp::create(b, l, b.getBoolAttr(true));
        SmallVector<Value> from;
        for (size_t d = 0; d < limits.size(); ++d) {
          Value place = i.sub(at[d], starts[d]), size = limits[d];
          if (mode == PadMode::Wrap) {
            place = i.floorRem(place, i.max(size, one));
          } else if (mode == PadMode::Reflect) {
            Value last = i.sub(size, one);
            Value period = i.max(i.add(last, last), one);
            place = i.floorRem(place, period);
            place = i.select(i.less(last, place), i.sub(period, place), place);
          } else if (mode == PadMode::Constant) {
            inside = i.both(inside, i.inside(place, size));
          }
          from.push_back(i.max(i.clamp(place, size), zero));
        }
        Value element = tensor::ExtractOp::create(b, l, source, from);
        if (mode == PadMode::Constant)
          element = i.select(inside, element, fill);
        return element;
      });
}

static LogicalResult importPad(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  std::string name = n.stringAttr("mode", "constant");
  PadMode mode = name == "edge"      ? PadMode::Edge
                 : name == "reflect" ? PadMode::Reflect
                 : name == "wrap"    ? PadMode::Wrap
                                     : PadMode::Constant;
  if (mode == PadMode::Constant && name != "constant")
    return n.invalid("mode '" + name + "'");
  SmallVector<Dim> pads;
  Type element = emit.elementType(x.dataType);
  Value fill = emit.scalarConstant(element, n.floatAttr("value", 0));
  if (n.version() < 11) {
    auto given = n.intsAttr("pads");
    if (!given)
      return n.invalid("it has no pads");
    pads.assign(given->begin(), given->end());
  } else {
    if (failed(n.require(2)))
      return failure();
    auto given = emit.elementsOf(n.input(1));
    if (!given)
      return n.unsupported("its pads are no integer tensor of known length");
    pads = *given;
    if (n.hasInput(2)) {
      const TensorValue &value = n.input(2);
      if (value.dataType != x.dataType || !product(value.shape).is(1))
        return n.invalid("its value is no scalar of its element type");
      fill = tensor::ExtractOp::create(
          emit.getBuilder(), emit.getLoc(),
          emit.materialize(emit.reshape(value, {})), ValueRange());
    }
  }
  // Which dimension each pair of numbers is for.
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  Shape low(x.shape.size(), 0), high(x.shape.size(), 0);
  if (n.hasInput(3)) {
    auto given = emit.elementsOf(n.input(3));
    if (!given || pads.size() != 2 * given->size())
      return n.invalid("it needs two pads for each of its axes");
    if (llvm::all_of(*given, [](const Dim &d) { return d.isConstant(); })) {
      axes.clear();
      for (const Dim &axis : *given) {
        FailureOr<int64_t> checked = n.axis(*axis.constant(), x.rank());
        if (failed(checked))
          return failure();
        axes.push_back(*checked);
      }
    } else {
      // Axes from run time: a dimension takes the pads of the one that is it.
      OpBuilder &builder = emit.getBuilder();
      Indices i{builder, emit.getLoc()};
      size_t count = given->size();
      for (int64_t d = 0; d < x.rank(); ++d) {
        Value before = i.number(0), after = before;
        for (size_t k = 0; k < count; ++k) {
          Value axis = emit.indexValue((*given)[k]);
          Value wrapped = i.select(i.less(axis, i.number(0)),
                                   i.add(axis, i.number(x.rank())), axis);
          Value isIt = i.equal(wrapped, i.number(d));
          before = i.select(isIt, emit.indexValue(pads[k]), before);
          after = i.select(isIt, emit.indexValue(pads[count + k]), after);
        }
        low[d] = emit.newSymbol(before, false);
        high[d] = emit.newSymbol(after, false);
      }
      axes.clear();
    }
  }
  if (!axes.empty() && pads.size() != 2 * axes.size())
    return n.invalid("it has " + Twine(pads.size()) + " pads for " +
                     Twine(axes.size()) + " dimensions");
  for (size_t k = 0; k < axes.size(); ++k) {
    low[axes[k]] = pads[k];
    high[axes[k]] = pads[axes.size() + k];
  }
  Shape shape;
  bool isPlain = mode == PadMode::Constant;
  constexpr int64_t most = int64_t(1) << 31;
  for (auto [dim, before, after] : llvm::zip(x.shape, low, high)) {
    for (const Dim &amount : {before, after}) {
      isPlain &= emit.isAtLeast(amount, 0);
      if (amount.isConstant() && std::abs(*amount.constant()) > most)
        return n.invalid("a pad of " + Twine(*amount.constant()));
    }
    shape.push_back(emit.maxDim(dim + before + after, 0));
  }
  if (isPlain)
    return n.result(emit.pad(x, low, high, fill));
  for (int64_t d = 0; d < x.rank(); ++d)
    if (failed(n.requireElements(0, d, shape)))
      return failure();
  return n.result(gatherPadded(emit, x, low, shape, mode, fill));
}

static LogicalResult importCenterCropPad(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  auto target = emit.elementsOf(n.input(1));
  auto axes = n.intsAttr("axes").value_or(
      llvm::to_vector(llvm::seq<int64_t>(0, x.rank())));
  if (!target || target->size() != axes.size())
    return n.invalid("its shape does not fit its axes");
  Shape low(x.shape.size(), 0), shape = x.shape;
  for (auto [given, wanted] : llvm::zip(axes, *target)) {
    FailureOr<int64_t> axis = n.axis(given, x.rank());
    if (failed(axis))
      return failure();
    Dim size = emit.maxDim(wanted, 0);
    // Half of what is missing goes before; half of what is too much, too.
    Dim missing = emit.floorDiv(emit.maxDim(size - shape[*axis], 0), 2);
    Dim tooMuch = emit.floorDiv(emit.maxDim(shape[*axis] - size, 0), 2);
    low[*axis] = missing - tooMuch;
    shape[*axis] = size;
  }
  for (int64_t d = 0; d < x.rank(); ++d)
    if (failed(n.requireElements(0, d, shape)))
      return failure();
  Value zero = emit.scalarConstant(emit.elementType(x.dataType), 0);
  return n.result(gatherPadded(emit, x, low, shape, PadMode::Constant, zero));
}

void onnx::registerPadOps(OpRegistry &registry) {
  registry.add("Pad", 2, importPad);
  registry.add("CenterCropPad", 18, importCenterCropPad);
}
