//===- Conv.cpp - Convolutions --------------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Conv.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// Any rank and number of groups. x [N, G, C, ...], w [G, M, C, ...],
/// result [N, G, M, ...].
static Value grouped(Emitter &emit, Value x, Value w, Value init,
                     const Window &window, int32_t type) {
  MLIRContext *context = x.getContext();
  unsigned rank = static_cast<unsigned>(window.rank());
  unsigned numDims = 4 + 2 * rank;
  auto dim = [&](unsigned i) { return getAffineDimExpr(i, context); };
  // n, g, m, o..., c, k...
  unsigned c = 3 + rank;
  SmallVector<AffineExpr> in{dim(0), dim(1), dim(c)},
      kernel{dim(1), dim(2), dim(c)}, out{dim(0), dim(1), dim(2)};
  for (unsigned i = 0; i < rank; ++i) {
    in.push_back(dim(3 + i) * window.strides[i] +
                 dim(c + 1 + i) * window.dilations[i]);
    kernel.push_back(dim(c + 1 + i));
    out.push_back(dim(3 + i));
  }
  SmallVector<utils::IteratorType> iterators(3 + rank,
                                             utils::IteratorType::parallel);
  iterators.append(1 + rank, utils::IteratorType::reduction);
  AffineMap maps[] = {AffineMap::get(numDims, 0, in, context),
                      AffineMap::get(numDims, 0, kernel, context),
                      AffineMap::get(numDims, 0, out, context)};
  bool isHalf = accumulatorOf(type) != type;
  auto op = linalg::GenericOp::create(
      emit.getBuilder(), emit.getLoc(), init.getType(), ValueRange{x, w}, init,
      maps, iterators, [&](OpBuilder &b, Location l, ValueRange v) {
        Scalars s{b, l, accumulatorOf(type)};
        Value left = v[0], right = v[1];
        if (isHalf) {
          left = arith::ExtFOp::create(b, l, b.getF32Type(), left);
          right = arith::ExtFOp::create(b, l, b.getF32Type(), right);
        }
        linalg::YieldOp::create(b, l, s.add(v[2], s.mul(left, right)));
      });
  return op.getResult(0);
}

TensorValue onnx::convolve(Emitter &emit, const TensorValue &x,
                           const TensorValue &w, const Window &window,
                           int64_t groups) {
  OpBuilder &b = emit.getBuilder();
  Location loc = emit.getLoc();
  int32_t type = x.dataType, accumulator = accumulatorOf(type);
  size_t rank = window.rank();
  Shape shape{x.shape[0], w.shape[0]};
  shape.append(window.output.begin(), window.output.end());
  Value zero = emit.scalarConstant(emit.elementType(accumulator), 0);
  auto finish = [&](Value result) {
    return emit.cast(emit.fromValue(result, accumulator, shape), type);
  };
  auto strides = b.getI64VectorAttr(window.strides);
  auto dilations = b.getI64VectorAttr(window.dilations);
  bool isDepthwise = w.shape[1].is(1) && w.shape[0].is(groups) && groups > 1;
  if (groups == 1 && rank <= 3) {
    Value init = emit.filled(shape, zero);
    ValueRange inits(init);
    SmallVector<Value> inputs{emit.materialize(x), emit.materialize(w)};
    Type result = init.getType();
    if (rank == 1)
      return finish(linalg::Conv1DNcwFcwOp::create(b, loc, result, inputs,
                                                   inits, strides, dilations)
                        .getResult(0));
    if (rank == 2)
      return finish(linalg::Conv2DNchwFchwOp::create(b, loc, result, inputs,
                                                     inits, strides, dilations)
                        .getResult(0));
    return finish(linalg::Conv3DNcdhwFcdhwOp::create(b, loc, result, inputs,
                                                     inits, strides, dilations)
                      .getResult(0));
  }
  if (isDepthwise && rank <= 2) {
    Value init = emit.filled(shape, zero);
    ValueRange inits(init);
    SmallVector<Value> inputs{emit.materialize(x),
                              emit.materialize(emit.squeeze(w, {1}))};
    Type result = init.getType();
    if (rank == 1)
      return finish(linalg::DepthwiseConv1DNcwCwOp::create(
                        b, loc, result, inputs, inits, strides, dilations)
                        .getResult(0));
    return finish(linalg::DepthwiseConv2DNchwChwOp::create(
                      b, loc, result, inputs, inits, strides, dilations)
                      .getResult(0));
  }
  Dim perGroup = *w.shape[0].dividedBy(groups);
  Shape wideX{x.shape[0], Dim(groups), w.shape[1]};
  wideX.append(x.shape.begin() + 2, x.shape.end());
  Shape wideW{Dim(groups), perGroup, w.shape[1]};
  wideW.append(w.shape.begin() + 2, w.shape.end());
  Shape wideShape{shape[0], Dim(groups), perGroup};
  wideShape.append(window.output.begin(), window.output.end());
  Value left = emit.materialize(emit.reshape(x, wideX));
  Value right = emit.materialize(emit.reshape(w, wideW));
  Value init = emit.filled(wideShape, zero);
  Value result;
  if (rank == 2)
    result = linalg::Conv2DNgchwGfchwOp::create(b, loc, init.getType(),
                                                ValueRange{left, right}, init,
                                                strides, dilations)
                 .getResult(0);
  else
    result = grouped(emit, left, right, init, window, type);
  TensorValue wide = emit.fromValue(result, accumulator, wideShape);
  return emit.cast(emit.reshape(wide, shape), type);
}

FailureOr<ConvShape> onnx::readConv(NodeImporter &n, const TensorValue &x,
                                    const TensorValue &w) {
  if (x.rank() < 3 || x.rank() != w.rank())
    return n.invalid("expects an input of rank 3 or more and weights of its "
                     "rank; they have ranks " +
                     Twine(x.rank()) + " and " + Twine(w.rank()));
  SmallVector<int64_t> kernel;
  for (size_t i = 2; i < w.shape.size(); ++i) {
    std::optional<int64_t> size = w.shape[i].constant();
    if (!size)
      return n.unsupported("a kernel of dynamic size");
    kernel.push_back(*size);
  }
  if (auto given = n.intsAttr("kernel_shape"); given && *given != kernel)
    return n.invalid("kernel_shape is not the shape of its weights");
  int64_t groups = n.intAttr("group", 1);
  if (groups < 1 || groups > (int64_t(1) << 24))
    return n.invalid("group " + Twine(groups));
  auto window = readWindow(n, ArrayRef<Dim>(x.shape).drop_front(2), kernel);
  if (failed(window))
    return failure();
  return ConvShape{groups, *window};
}

TensorValue onnx::addChannelBias(Emitter &emit, const TensorValue &x,
                                 const TensorValue &bias) {
  Shape aligned(x.shape.size() - 1, 1);
  aligned[0] = bias.shape[0];
  return emit.elementwise({x, emit.reshape(bias, aligned)}, x.shape, x.dataType,
                          [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                            return Scalars{b, l, x.dataType}.add(v[0], v[1]);
                          });
}

static LogicalResult importConv(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &w = n.input(1);
  if (!isFloat(x.dataType) || x.dataType != w.dataType)
    return n.invalid("expects float tensors of one element type");
  auto conv = readConv(n, x, w);
  if (failed(conv))
    return failure();
  if (!w.shape[0].dividedBy(conv->groups))
    return n.invalid("its output channels do not divide by group " +
                     Twine(conv->groups));
  if (!emit.broadcastDim(x.shape[1], w.shape[1] * Dim(conv->groups)) ||
      (x.shape[1].isConstant() && w.shape[1].isConstant() &&
       x.shape[1] != w.shape[1] * Dim(conv->groups)))
    return n.invalid("its weights are for another number of channels");
  Value zero = emit.scalarConstant(emit.elementType(x.dataType), 0);
  TensorValue padded =
      padSpatial(emit, x, conv->window.low, conv->window.high, zero);
  TensorValue y = convolve(emit, padded, w, conv->window, conv->groups);
  if (n.hasInput(2)) {
    if (n.input(2).rank() != 1 || n.input(2).dataType != x.dataType ||
        !emit.broadcastDim(n.input(2).shape[0], w.shape[0]))
      return n.invalid("its bias does not fit");
    y = addChannelBias(emit, y, n.input(2));
  }
  return n.result(y);
}

/// w [C, M / groups, k...] with the kernel turned around and channels
/// exchanged: [M, C / groups, k...].
static TensorValue turnWeights(Emitter &emit, const TensorValue &w,
                               int64_t groups, const Dim &perGroup) {
  Value source = emit.materialize(w);
  Shape shape{w.shape[1] * Dim(groups), perGroup};
  shape.append(w.shape.begin() + 2, w.shape.end());
  Value outPerGroup = emit.indexValue(w.shape[1]);
  Value inPerGroup = emit.indexValue(perGroup);
  SmallVector<Value> last;
  for (size_t i = 2; i < w.shape.size(); ++i)
    last.push_back(emit.indexValue(w.shape[i] - Dim(1)));
  return emit.indexed({}, shape, w.dataType,
                      [&](OpBuilder &b, Location l, ValueRange at) -> Value {
                        Indices i{b, l};
                        Value group = i.div(at[0], outPerGroup);
                        SmallVector<Value> from{
                            i.add(i.mul(group, inPerGroup), at[1]),
                            i.rem(at[0], outPerGroup)};
                        for (size_t k = 0; k < last.size(); ++k)
                          from.push_back(i.sub(last[k], at[k + 2]));
                        return tensor::ExtractOp::create(b, l, source, from);
                      });
}

/// The convolution of the input, spread by the strides, with the turned
/// kernel.
static LogicalResult importConvTranspose(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0), &w = n.input(1);
  if (!isFloat(x.dataType) || x.dataType != w.dataType)
    return n.invalid("expects float tensors of one element type");
  auto conv = readConv(n, x, w);
  if (failed(conv))
    return failure();
  std::optional<Dim> perGroup = x.shape[1].dividedBy(conv->groups);
  if (!perGroup || (w.shape[0].isConstant() && x.shape[1].isConstant() &&
                    w.shape[0] != x.shape[1]))
    return n.invalid("its weights are for another number of channels");
  Window window = conv->window;
  size_t rank = window.rank();
  auto extra = spatialAttr(n, "output_padding", rank, 0, 0);
  auto pads = spatialAttr(n, "pads", 2 * rank, 0, 0);
  if (failed(extra) || failed(pads))
    return failure();
  auto wanted = n.intsAttr("output_shape");
  // Some exporters give all dimensions.
  if (wanted && wanted->size() == rank + 2)
    wanted->erase(wanted->begin(), wanted->begin() + 2);
  if (wanted && (wanted->size() != rank ||
                 llvm::any_of(*wanted, [](int64_t v) { return v < 1; })))
    return n.invalid("output_shape does not fit");
  std::string automatic = n.stringAttr("auto_pad", "NOTSET");
  bool isSame = StringRef(automatic).starts_with("SAME");

  Value zero = emit.scalarConstant(emit.elementType(x.dataType), 0);
  Shape spreadShape{x.shape[0], x.shape[1]}, low, high;
  SmallVector<int64_t> steps(2, 1);
  for (size_t i = 0; i < rank; ++i) {
    const Dim &in = x.shape[i + 2];
    Dim stride = window.strides[i], extent = window.extent(i);
    Dim spread = (in - Dim(1)) * stride + Dim(1);
    Dim full = spread + extent - Dim(1) + Dim((*extra)[i]);
    Dim before = (*pads)[i], out = full - before - Dim((*pads)[rank + i]);
    if (automatic == "VALID") {
      before = 0;
      out = full;
    } else if (wanted || isSame) {
      out = wanted ? Dim((*wanted)[i]) : in * stride;
      Dim total = full - out;
      Dim half = emit.floorDiv(total, 2);
      before = automatic == "SAME_UPPER" ? half : total - half;
    }
    window.output[i] = out;
    spreadShape.push_back(spread);
    steps.push_back(window.strides[i]);
    low.push_back(extent - Dim(1) - before);
    high.push_back(out + extent - Dim(1) - spread - low.back());
    if (out.isConstant() && *out.constant() < 1)
      return n.invalid("its result has no elements");
  }
  TensorValue spread = x;
  if (llvm::any_of(steps, [](int64_t step) { return step != 1; })) {
    SmallVector<OpFoldResult> strides;
    for (int64_t step : steps)
      strides.push_back(emit.getBuilder().getIndexAttr(step));
    Value empty = emit.filled(spreadShape, zero);
    spread = emit.fromValue(
        tensor::InsertSliceOp::create(emit.getBuilder(), emit.getLoc(),
                                      emit.materialize(x), empty,
                                      emit.foldResults(Shape(rank + 2, 0)),
                                      emit.foldResults(x.shape), strides),
        x.dataType, spreadShape);
  }
  window.strides.assign(rank, 1);
  TensorValue padded = padSpatial(emit, spread, low, high, zero);
  TensorValue turned = turnWeights(emit, w, conv->groups, *perGroup);
  TensorValue y = convolve(emit, padded, turned, window, conv->groups);
  if (n.hasInput(2)) {
    if (n.input(2).rank() != 1 || n.input(2).dataType != x.dataType)
      return n.invalid("its bias does not fit");
    y = addChannelBias(emit, y, n.input(2));
  }
  return n.result(y);
}

void onnx::registerConvOps(OpRegistry &registry) {
  registry.add("Conv", 1, importConv);
  registry.add("ConvTranspose", 1, importConvTranspose);
}
