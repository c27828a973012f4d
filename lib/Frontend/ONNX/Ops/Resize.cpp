//===- Resize.cpp - Resampling --------------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One dimension after the other: each result element is a weighted sum of
// elements ("taps") around its place in the input.
//
//===----------------------------------------------------------------------===//
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
enum class Coordinates {
  HalfPixel,
  HalfPixelSymmetric,
  PytorchHalfPixel,
  AlignCorners,
  Asymmetric,
  TfHalfPixelForNearest,
  TfCropAndResize
};
enum class Method { Nearest, Linear, Cubic };

/// What the node asks for, the same for all dimensions.
struct Request {
  Coordinates coordinates = Coordinates::HalfPixel;
  Method method = Method::Nearest;
  std::string nearest;
  double cubic = -0.75;
  bool excludesOutside = false, antialiases = false;
  Value extrapolation;
};

/// One dimension that changes. Values are f64 scalars.
struct Along {
  int64_t axis;
  Dim size;
  Value scale, roiStart, roiEnd;
};

/// Float expressions in f64.
struct Reals {
  OpBuilder &b;
  Location l;

  Value number(double value) const {
    return arith::ConstantOp::create(b, l, b.getF64FloatAttr(value));
  }
  Value add(Value x, Value y) const {
    return arith::AddFOp::create(b, l, x, y);
  }
  Value sub(Value x, Value y) const {
    return arith::SubFOp::create(b, l, x, y);
  }
  Value mul(Value x, Value y) const {
    return arith::MulFOp::create(b, l, x, y);
  }
  Value div(Value x, Value y) const {
    return arith::DivFOp::create(b, l, x, y);
  }
  Value floor(Value x) const { return math::FloorOp::create(b, l, x); }
  Value ceil(Value x) const { return math::CeilOp::create(b, l, x); }
  Value abs(Value x) const { return math::AbsFOp::create(b, l, x); }
  Value max(Value x, Value y) const {
    return arith::MaximumFOp::create(b, l, x, y);
  }
  Value min(Value x, Value y) const {
    return arith::MinimumFOp::create(b, l, x, y);
  }
  Value less(Value x, Value y) const {
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT, x, y);
  }
  Value lessEqual(Value x, Value y) const {
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLE, x, y);
  }
  Value select(Value c, Value x, Value y) const {
    return arith::SelectOp::create(b, l, c, x, y);
  }
  Value fromIndex(Value index) const {
    Value integer = arith::IndexCastOp::create(b, l, b.getI64Type(), index);
    return arith::SIToFPOp::create(b, l, b.getF64Type(), integer);
  }
  /// Clamped to 32 bits, so that the conversion is defined.
  Value toIndex(Value x) const {
    Value safe = max(min(x, number(2147483647.0)), number(-2147483648.0));
    Value integer = arith::FPToSIOp::create(b, l, b.getI64Type(), safe);
    return arith::IndexCastOp::create(b, l, b.getIndexType(), integer);
  }
};
} // namespace

/// Where in the input an element of the result lies.
static Value sourcePlace(const Reals &r, const Request &request, Value place,
                         Value scale, Value inSize, Value outSize,
                         const Along &along) {
  Value half = r.number(0.5), one = r.number(1), zero = r.number(0);
  switch (request.coordinates) {
  case Coordinates::HalfPixel:
    return r.sub(r.div(r.add(place, half), scale), half);
  case Coordinates::HalfPixelSymmetric: {
    // The result size that the scale asks for may have been rounded.
    Value exact = r.mul(scale, inSize);
    Value adjust = r.div(outSize, exact);
    Value center = r.div(inSize, r.number(2));
    Value offset = r.mul(center, r.sub(one, adjust));
    return r.sub(r.add(offset, r.div(r.add(place, half), scale)), half);
  }
  case Coordinates::PytorchHalfPixel: {
    Value x = r.sub(r.div(r.add(place, half), scale), half);
    return r.select(r.less(one, outSize), x, r.number(-0.5));
  }
  case Coordinates::AlignCorners: {
    Value last = r.sub(outSize, one);
    Value x = r.div(r.mul(place, r.sub(inSize, one)), r.max(last, one));
    return r.select(r.less(zero, last), x, zero);
  }
  case Coordinates::Asymmetric:
    return r.div(place, scale);
  case Coordinates::TfHalfPixelForNearest:
    return r.div(r.add(place, half), scale);
  case Coordinates::TfCropAndResize: {
    Value lastIn = r.sub(inSize, one), lastOut = r.sub(outSize, one);
    Value span = r.mul(r.sub(along.roiEnd, along.roiStart), lastIn);
    Value many = r.add(r.mul(along.roiStart, lastIn),
                       r.div(r.mul(place, span), r.max(lastOut, one)));
    Value single =
        r.mul(r.mul(half, r.add(along.roiStart, along.roiEnd)), lastIn);
    return r.select(r.less(zero, lastOut), many, single);
  }
  }
  llvm_unreachable("all modes are handled");
}

static Value nearestPlace(const Reals &r, const Request &request, Value x) {
  Value half = r.number(0.5);
  if (request.nearest == "floor")
    return r.floor(x);
  if (request.nearest == "ceil")
    return r.ceil(x);
  if (request.nearest == "round_prefer_ceil")
    return r.floor(r.add(x, half));
  return r.ceil(r.sub(x, half)); // round_prefer_floor
}

/// Weight of the tap at distance `x` (not negative).
static Value tapWeight(const Reals &r, const Request &request, Value x) {
  Value zero = r.number(0), one = r.number(1), two = r.number(2);
  if (request.method == Method::Linear)
    return r.max(r.sub(one, x), zero);
  Value a = r.number(request.cubic);
  Value x2 = r.mul(x, x), x3 = r.mul(x2, x);
  // (a + 2) x^3 - (a + 3) x^2 + 1 up to 1; a (x^3 - 5 x^2 + 8 x - 4) up to 2.
  Value near = r.add(r.sub(r.mul(r.number(request.cubic + 2), x3),
                           r.mul(r.number(request.cubic + 3), x2)),
                     one);
  Value far = r.mul(
      a, r.sub(r.add(r.sub(x3, r.mul(r.number(5), x2)), r.mul(r.number(8), x)),
               r.number(4)));
  return r.select(r.lessEqual(x, one), near,
                  r.select(r.less(x, two), far, zero));
}

/// `taps`: the number of elements that may count on either side together.
static TensorValue resample(Emitter &emit, const TensorValue &x,
                            const Along &along, const Request &request,
                            int64_t taps) {
  Shape shape = x.shape;
  shape[along.axis] = along.size;
  Value source = emit.materialize(x);
  Value inSize = emit.indexValue(x.shape[along.axis]);
  Value outSize = emit.indexValue(along.size);
  bool isNearest = request.method == Method::Nearest;
  int32_t type = x.dataType;
  Type element = emit.elementType(type);
  return emit.indexed(
      {}, shape, type, [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        Reals r{b, l};
        Indices i{b, l};
        Value in = r.fromIndex(inSize), out = r.fromIndex(outSize);
        // The other modes mean the size before it is rounded.
        if (request.coordinates != Coordinates::HalfPixelSymmetric)
          out = r.mul(along.scale, in);
        Value place = sourcePlace(r, request, r.fromIndex(at[along.axis]),
                                  along.scale, in, out, along);
        SmallVector<Value> from(at.begin(), at.end());
        Value result;
        if (isNearest) {
          Value index = r.toIndex(nearestPlace(r, request, place));
          from[along.axis] = i.clamp(index, inSize);
          result = tensor::ExtractOp::create(b, l, source, from);
        } else {
          // Shrinking with antialiasing stretches the filter.
          Value stretch = r.number(1);
          if (request.antialiases)
            stretch = r.min(along.scale, stretch);
          Value base = r.floor(place), sum, total;
          Value first = r.number(static_cast<double>(1 - taps / 2));
          for (int64_t k = 0; k < taps; ++k) {
            Value tap =
                r.add(r.add(base, first), r.number(static_cast<double>(k)));
            Value distance = r.mul(r.abs(r.sub(tap, place)), stretch);
            Value weight = tapWeight(r, request, distance);
            Value index = r.toIndex(tap);
            if (request.excludesOutside)
              weight = r.select(i.inside(index, inSize), weight, r.number(0));
            from[along.axis] = i.clamp(index, inSize);
            Value raw = tensor::ExtractOp::create(b, l, source, from);
            Value value = raw;
            if (isFloat(type)) {
              if (!raw.getType().isF64())
                value = arith::ExtFOp::create(b, l, b.getF64Type(), raw);
            } else if (isUnsigned(type)) {
              value = arith::UIToFPOp::create(b, l, b.getF64Type(), raw);
            } else {
              value = arith::SIToFPOp::create(b, l, b.getF64Type(), raw);
            }
            Value part = r.mul(weight, value);
            sum = sum ? r.add(sum, part) : part;
            total = total ? r.add(total, weight) : weight;
          }
          if (request.antialiases || request.excludesOutside)
            sum = r.div(sum, total);
          if (isFloat(type))
            result =
                element.isF64()
                    ? sum
                    : arith::TruncFOp::create(b, l, element, sum).getResult();
          else
            result = arith::FPToSIOp::create(b, l, element, sum);
        }
        if (request.coordinates == Coordinates::TfCropAndResize) {
          Value last = r.sub(in, r.number(1));
          Value inside =
              i.both(r.lessEqual(r.number(0), place), r.lessEqual(place, last));
          result = i.select(inside, result, request.extrapolation);
        }
        return result;
      });
}

static LogicalResult readRequest(NodeImporter &n, Request &request) {
  std::string mode = n.stringAttr("mode", "nearest");
  if (mode == "linear" || mode == "bilinear")
    request.method = Method::Linear;
  else if (mode == "cubic")
    request.method = Method::Cubic;
  else if (mode != "nearest")
    return n.invalid("mode '" + mode + "'");
  bool isOld = n.opType() == "Upsample" || n.version() < 11;
  std::string name = n.stringAttr("coordinate_transformation_mode",
                                  isOld ? "asymmetric" : "half_pixel");
  static const std::pair<StringRef, Coordinates> known[] = {
      {"half_pixel", Coordinates::HalfPixel},
      {"half_pixel_symmetric", Coordinates::HalfPixelSymmetric},
      {"pytorch_half_pixel", Coordinates::PytorchHalfPixel},
      {"align_corners", Coordinates::AlignCorners},
      {"asymmetric", Coordinates::Asymmetric},
      {"tf_half_pixel_for_nn", Coordinates::TfHalfPixelForNearest},
      {"tf_crop_and_resize", Coordinates::TfCropAndResize}};
  const auto *found =
      llvm::find_if(known, [&](auto &entry) { return entry.first == name; });
  if (found == std::end(known))
    return n.invalid("coordinate_transformation_mode '" + name + "'");
  request.coordinates = found->second;
  request.nearest =
      n.stringAttr("nearest_mode", isOld ? "floor" : "round_prefer_floor");
  request.cubic = n.floatAttr("cubic_coeff_a", -0.75);
  request.excludesOutside = n.intAttr("exclude_outside", 0) != 0;
  request.antialiases = n.intAttr("antialias", 0) != 0;
  Type element = n.emit.elementType(n.input(0).dataType);
  request.extrapolation =
      n.emit.scalarConstant(element, n.floatAttr("extrapolation_value", 0));
  return success();
}

/// The i-th number of a float vector, as an f64 scalar; `known` when it is a
/// constant.
static Value readReal(Emitter &emit, const TensorValue &v, int64_t i,
                      std::optional<double> &known) {
  OpBuilder &b = emit.getBuilder();
  if (v.constant) {
    APFloat value = *(v.constant.getValues<APFloat>().begin() + i);
    bool ignored;
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                  &ignored);
    known = value.convertToDouble();
    return emit.scalarConstant(b.getF64Type(), *known);
  }
  Value raw = tensor::ExtractOp::create(b, emit.getLoc(), emit.materialize(v),
                                        emit.indexConstant(i));
  if (raw.getType().isF64())
    return raw;
  return arith::ExtFOp::create(b, emit.getLoc(), b.getF64Type(), raw);
}

static LogicalResult importResize(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  OpBuilder &b = emit.getBuilder();
  Reals r{b, emit.getLoc()};
  const TensorValue &x = n.input(0);
  if (x.dataType == Bool)
    return n.unsupported("element type bool");
  Request request;
  if (failed(readRequest(n, request)))
    return failure();
  bool isOld = n.opType() == "Upsample" || n.version() < 11;
  size_t scalesAt = isOld ? 1 : 2, sizesAt = isOld ? 99 : 3;
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  if (auto given = n.intsAttr("axes")) {
    axes = *given;
    for (int64_t &axis : axes) {
      FailureOr<int64_t> checked = n.axis(axis, x.rank());
      if (failed(checked))
        return failure();
      axis = *checked;
    }
  }
  auto count = static_cast<int64_t>(axes.size());
  auto isGiven = [&](size_t i) {
    return n.hasInput(i) && !product(n.input(i).shape).is(0);
  };

  SmallVector<Along, 0> work;
  SmallVector<std::optional<double>> knownScales(axes.size());
  if (isGiven(sizesAt)) {
    auto sizes = emit.elementsOf(n.input(sizesAt));
    if (!sizes || static_cast<int64_t>(sizes->size()) != count)
      return n.invalid("its sizes do not fit its axes");
    SmallVector<Value> scales;
    for (int64_t k = 0; k < count; ++k)
      scales.push_back(r.div(r.fromIndex(emit.indexValue((*sizes)[k])),
                             r.fromIndex(emit.indexValue(x.shape[axes[k]]))));
    std::string policy = n.stringAttr("keep_aspect_ratio_policy", "stretch");
    Value common;
    if (policy != "stretch") {
      for (Value scale : scales)
        common = !common                  ? scale
                 : policy == "not_larger" ? r.min(common, scale)
                                          : r.max(common, scale);
    }
    for (int64_t k = 0; k < count; ++k) {
      Dim size = emit.maxDim((*sizes)[k], 0);
      Value scale = scales[k];
      if (common) {
        scale = common;
        Value exact =
            r.mul(r.fromIndex(emit.indexValue(x.shape[axes[k]])), common);
        Value rounded = r.floor(r.add(exact, r.number(0.5)));
        size = emit.newSymbol(Indices{b, emit.getLoc()}.max(
                                  r.toIndex(rounded), emit.indexConstant(0)),
                              true);
      } else if ((*sizes)[k].isConstant() && x.shape[axes[k]].isConstant() &&
                 !x.shape[axes[k]].is(0)) {
        knownScales[k] = static_cast<double>(*(*sizes)[k].constant()) /
                         static_cast<double>(*x.shape[axes[k]].constant());
      }
      work.push_back({axes[k], size, scale, {}, {}});
    }
  } else {
    TensorValue scales;
    if (isGiven(scalesAt)) {
      scales = n.input(scalesAt);
    } else if (const NodeAttr *given = n.attribute("scales")) {
      auto type = emit.tensorType(
          {Dim(static_cast<int64_t>(given->floats.size()))}, Float32);
      scales = emit.fromConstant(
          DenseElementsAttr::get(type, ArrayRef<float>(given->floats)),
          Float32);
    } else {
      return n.invalid("it has neither scales nor sizes");
    }
    if (!isFloat(scales.dataType) || scales.rank() != 1 ||
        !scales.shape[0].is(count))
      return n.invalid("its scales do not fit its axes");
    for (int64_t k = 0; k < count; ++k) {
      std::optional<double> &known = knownScales[k];
      Value scale = readReal(emit, scales, k, known);
      const Dim &in = x.shape[axes[k]];
      if (known && !(*known > 0 && *known < 1e6))
        return n.invalid("scale " + std::to_string(*known));
      Dim size;
      if (known && in.isConstant())
        size = static_cast<int64_t>(
            std::floor(static_cast<double>(*in.constant()) * *known));
      else if (known && std::floor(*known) == *known)
        size = in * Dim(static_cast<int64_t>(*known));
      else
        size = emit.newSymbol(
            Indices{b, emit.getLoc()}.max(
                r.toIndex(
                    r.floor(r.mul(r.fromIndex(emit.indexValue(in)), scale))),
                emit.indexConstant(0)),
            true);
      work.push_back({axes[k], size, scale, {}, {}});
    }
  }
  if (request.coordinates == Coordinates::TfCropAndResize) {
    if (!n.hasInput(1) || !isFloat(n.input(1).dataType) ||
        n.input(1).rank() != 1 || !n.input(1).shape[0].is(2 * count))
      return n.invalid("its roi does not fit its axes");
    std::optional<double> ignored;
    for (int64_t k = 0; k < count; ++k) {
      work[k].roiStart = readReal(emit, n.input(1), k, ignored);
      work[k].roiEnd = readReal(emit, n.input(1), count + k, ignored);
    }
  }

  TensorValue y = x;
  for (int64_t k = 0; k < count; ++k) {
    bool isCropping = request.coordinates == Coordinates::TfCropAndResize;
    if (!isCropping && (knownScales[k] == 1.0 ||
                        (work[k].size == x.shape[axes[k]] && !knownScales[k])))
      continue;
    int64_t taps = request.method == Method::Cubic ? 4 : 2;
    if (request.antialiases && request.method != Method::Nearest) {
      // A run-time scale is taken to shrink eight times at the most.
      double least = std::min(knownScales[k].value_or(0.125), 1.0);
      constexpr double mostTaps = 256;
      double wanted = std::ceil(static_cast<double>(taps) / least / 2) * 2 + 2;
      if (wanted > mostTaps)
        return n.unsupported("antialiasing with scale " +
                             std::to_string(least));
      taps = static_cast<int64_t>(wanted);
    }
    if (failed(n.requireElements(0, work[k].axis, work[k].size)))
      return failure();
    y = resample(emit, y, work[k], request, taps);
  }
  return n.result(y);
}

void onnx::registerResizeOps(OpRegistry &registry) {
  registry.add("Upsample", 7, importResize);
  registry.add("Resize", 10, importResize);
}
