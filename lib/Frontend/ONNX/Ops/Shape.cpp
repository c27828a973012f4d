//===- Shape.cpp - Shapes, and tensors in other shapes --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "RuntimeAxes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult importShape(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const Shape &shape = n.input(0).shape;
  int64_t rank = static_cast<int64_t>(shape.size());
  if (n.opType() == "Size")
    return n.result(n.emit.fromElements(product(shape), true));
  int64_t start = n.intAttr("start", 0), end = n.intAttr("end", rank);
  start = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
  end = std::clamp<int64_t>(end < 0 ? end + rank : end, start, rank);
  return n.result(n.emit.fromElements(
      ArrayRef<Dim>(shape).slice(start, end - start), false));
}

//===----------------------------------------------------------------------===//
// Reshape and its relatives
//===----------------------------------------------------------------------===//

/// Target dimensions of which some are only known at run time: 0 copies, and
/// -1 stands for what is left.
static Shape solveAtRunTime(Emitter &emit, const TensorValue &input,
                            ArrayRef<Dim> target, bool allowZero) {
  OpBuilder &b = emit.getBuilder();
  Location l = emit.getLoc();
  Value zero = emit.indexConstant(0), one = emit.indexConstant(1);
  SmallVector<Value> dims;
  Value known = one;
  auto compare = [&](arith::CmpIPredicate predicate, Value x,
                     Value y) -> Value {
    return arith::CmpIOp::create(b, l, predicate, x, y);
  };
  for (auto [i, element] : llvm::enumerate(target)) {
    Value dim = emit.indexValue(element);
    if (!allowZero && i < input.shape.size())
      dim = arith::SelectOp::create(
          b, l, compare(arith::CmpIPredicate::eq, dim, zero),
          emit.indexValue(input.shape[i]), dim);
    dims.push_back(dim);
    Value factor = arith::SelectOp::create(
        b, l, compare(arith::CmpIPredicate::slt, dim, zero), one, dim);
    known = arith::MulIOp::create(b, l, known, factor);
  }
  Value divisor = arith::MaxSIOp::create(b, l, known, one);
  Value rest = arith::DivUIOp::create(
      b, l, emit.indexValue(product(input.shape)), divisor);
  Shape result;
  for (auto [dim, element] : llvm::zip(dims, target)) {
    if (element.isConstant() && *element.constant() > 0) {
      result.push_back(element);
      continue;
    }
    Value solved = arith::SelectOp::create(
        b, l, compare(arith::CmpIPredicate::slt, dim, zero), rest, dim);
    result.push_back(emit.newSymbol(solved, true));
  }
  return result;
}

static LogicalResult importReshape(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  bool allowZero = n.intAttr("allowzero", 0) != 0;
  std::optional<SmallVector<Dim>> target = emit.elementsOf(n.input(1));
  if (!target)
    return n.unsupported("its shape is no integer tensor of known length");
  if (llvm::any_of(*target, [&](const Dim &dim) {
        return !dim.isConstant() && !emit.isSizeOnly(dim);
      }))
    return n.result(
        emit.reshape(x, solveAtRunTime(emit, x, *target, allowZero)));

  Shape shape;
  std::optional<size_t> open;
  for (auto [i, dim] : llvm::enumerate(*target)) {
    if (dim.is(0) && !allowZero) {
      if (i >= x.shape.size())
        return n.invalid("dimension " + Twine(i) +
                         " of its shape copies one that the input lacks");
      shape.push_back(x.shape[i]);
    } else if (dim.is(-1)) {
      if (open)
        return n.invalid("its shape leaves two dimensions open");
      open = i;
      shape.push_back(1);
    } else if (dim.isConstant() && *dim.constant() < 0) {
      return n.invalid("its shape has dimension " + Twine(*dim.constant()));
    } else {
      shape.push_back(dim);
    }
  }
  Dim total = product(x.shape), known = product(shape);
  if (open) {
    // With a size of zero anything fits; 0 is the only useful answer.
    shape[*open] = known.is(0) ? Dim(0) : emit.floorDiv(total, known);
    known = product(shape);
  }
  if (total.isConstant() && known.isConstant() && total != known)
    return n.invalid("it has " + Twine(*total.constant()) +
                     " elements, but its shape needs " +
                     Twine(*known.constant()));
  return n.result(emit.reshape(x, shape));
}

static LogicalResult importFlatten(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  int64_t axis = n.intAttr("axis", 1);
  axis = axis < 0 ? axis + x.rank() : axis;
  if (axis < 0 || axis > x.rank())
    return n.invalid("axis is outside of its rank");
  ArrayRef<Dim> shape = x.shape;
  return n.result(n.emit.reshape(
      x, {product(shape.take_front(axis)), product(shape.drop_front(axis))}));
}

static LogicalResult importSqueeze(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  if (n.hasInput(1) && !n.emit.constantInts(n.input(1)))
    if (auto axes = readRuntimeAxes(n.emit, n.input(1), x.rank()))
      return n.result(n.emit.reshape(x, axes->without(n.emit, x.shape)));
  auto given = n.intsFrom(1, "axes");
  if (failed(given))
    return failure();
  SmallVector<int64_t> axes;
  if (*given) {
    auto checked = n.axes(**given, x.rank());
    if (failed(checked))
      return failure();
    axes = *checked;
    for (int64_t axis : axes)
      if (x.shape[axis].isConstant() && !x.shape[axis].is(1))
        return n.invalid("dimension " + Twine(axis) + " is not 1");
  } else {
    for (int64_t i = 0; i < x.rank(); ++i) {
      if (!x.shape[i].isConstant())
        return n.unsupported("without axes on dynamic dimensions its rank is "
                             "not known");
      if (x.shape[i].is(1))
        axes.push_back(i);
    }
  }
  return n.result(n.emit.squeeze(x, axes));
}

static LogicalResult importUnsqueeze(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  if (n.hasInput(1) && !n.emit.constantInts(n.input(1)))
    if (auto axes =
            readRuntimeAxes(n.emit, n.input(1), x.rank(), /*addsRank=*/true))
      return n.result(n.emit.reshape(x, axes->inserted(n.emit, x.shape)));
  auto given = n.intsFrom(1, "axes");
  if (failed(given))
    return failure();
  if (!*given)
    return n.invalid("it has no axes");
  auto axes =
      n.axes(**given, x.rank() + static_cast<int64_t>((*given)->size()));
  if (failed(axes))
    return failure();
  return n.result(n.emit.unsqueeze(x, *axes));
}

static LogicalResult importTranspose(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  SmallVector<int64_t> perm;
  for (int64_t i = x.rank() - 1; i >= 0; --i)
    perm.push_back(i);
  if (auto given = n.intsAttr("perm")) {
    perm = *given;
    for (int64_t &axis : perm)
      axis = axis < 0 ? axis + x.rank() : axis;
    SmallVector<int64_t> sorted = perm;
    llvm::sort(sorted);
    if (!llvm::equal(sorted, llvm::seq<int64_t>(0, x.rank())))
      return n.invalid("perm is no permutation of its dimensions");
  }
  return n.result(n.emit.transpose(x, perm));
}

static LogicalResult importExpand(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  std::optional<SmallVector<Dim>> target = n.emit.elementsOf(n.input(1));
  if (!target)
    return n.unsupported("its shape is no integer tensor of known length");
  for (const Dim &dim : *target)
    if (dim.isConstant() && *dim.constant() < 0)
      return n.invalid("its shape has a negative dimension");
  std::optional<Shape> shape =
      n.emit.broadcastShapes(n.input(0).shape, *target);
  if (!shape)
    return n.invalid("its shape does not broadcast with the input");
  return n.result(n.emit.broadcastTo(n.input(0), *shape));
}

static LogicalResult importTile(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  const TensorValue &x = n.input(0);
  std::optional<SmallVector<Dim>> repeats = n.emit.elementsOf(n.input(1));
  if (!repeats || repeats->size() != x.shape.size())
    return n.unsupported("its repeats are no integer tensor of known length");
  // [d] repeated r times is [1, d] broadcast to [r, d], flattened.
  Shape split, wide, shape;
  for (auto [dim, repeat] : llvm::zip(x.shape, *repeats)) {
    split.append({Dim(1), dim});
    wide.append({repeat, dim});
    shape.push_back(dim * repeat);
  }
  TensorValue result = n.emit.reshape(x, split);
  return n.result(n.emit.reshape(n.emit.broadcastTo(result, wide), shape));
}

//===----------------------------------------------------------------------===//
// Concat, Split, Slice
//===----------------------------------------------------------------------===//

static LogicalResult importConcat(NodeImporter &n) {
  if (n.numInputs() == 0 || failed(n.require(n.numInputs())))
    return n.invalid("it needs inputs");
  Emitter &emit = n.emit;
  const TensorValue &first = n.input(0);
  FailureOr<int64_t> axis =
      n.axis(n.intAttr("axis", n.version() < 4 ? 1 : 0), first.rank());
  if (failed(axis))
    return failure();
  bool isSymbolic = false, isKnown = first.rank() == 1;
  TensorValues operands;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    const TensorValue &x = n.input(i);
    if (x.rank() != first.rank() || x.dataType != first.dataType)
      return n.invalid("input " + Twine(i) +
                       " has another rank or element type than input 0");
    for (int64_t d = 0; d < x.rank(); ++d)
      if (d != *axis && x.shape[d].isConstant() &&
          first.shape[d].isConstant() && x.shape[d] != first.shape[d])
        return n.invalid("its inputs do not fit together");
    isSymbolic |= x.elements.has_value();
    isKnown &= x.elements || x.constant;
    operands.push_back(x);
  }
  // Shape tensors built from pieces; pieces from run time join them.
  if (first.rank() == 1 && isInteger(first.dataType)) {
    SmallVector<Dim> all;
    Dim total = 0;
    for (const TensorValue &x : operands)
      total = total + x.shape.front();
    constexpr int64_t maxElements = 16;
    bool isSmall = total.isConstant() && *total.constant() <= maxElements;
    if (isKnown || (isSmall && isSymbolic)) {
      for (TensorValue &x : operands) {
        std::optional<SmallVector<Dim>> some = emit.elementsOf(x);
        if (!some) {
          all.clear();
          break;
        }
        all.append(some->begin(), some->end());
      }
      if (!all.empty())
        return n.result(emit.fromElements(all, false, first.dataType));
    }
  }
  return n.result(emit.concat(operands, *axis));
}

static LogicalResult importSplit(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  SmallVector<Dim> sizes;
  if (n.hasInput(1)) {
    auto given = n.emit.elementsOf(n.input(1));
    if (!given)
      return n.unsupported("its sizes are no integer tensor of known length");
    sizes = *given;
  } else if (auto given = n.intsAttr("split")) {
    sizes.assign(given->begin(), given->end());
  } else {
    int64_t parts =
        n.intAttr("num_outputs", static_cast<int64_t>(n.numOutputs()));
    if (parts <= 0 || parts != static_cast<int64_t>(n.numOutputs()))
      return n.invalid("num_outputs does not match its outputs");
    // The last part is smaller when the dimension does not divide.
    Dim chunk = n.emit.ceilDiv(x.shape[*axis], parts);
    sizes.assign(static_cast<size_t>(parts - 1), chunk);
    sizes.push_back(x.shape[*axis] - chunk * Dim(parts - 1));
  }
  if (sizes.size() != n.numOutputs())
    return n.invalid("it has " + Twine(sizes.size()) + " sizes for " +
                     Twine(n.numOutputs()) + " outputs");
  Dim offset = 0;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    if (size.isConstant() && *size.constant() < 0)
      return n.invalid("a size is negative");
    if (n.hasOutput(i))
      n.setOutput(i, n.emit.sliceAlong(x, *axis, offset, size));
    offset = offset + size;
  }
  if (offset.isConstant() && x.shape[*axis].isConstant() &&
      offset != x.shape[*axis])
    return n.invalid("its sizes add up to " + Twine(*offset.constant()) +
                     ", but the dimension is " +
                     Twine(*x.shape[*axis].constant()));
  n.emit.requireEqual(offset, x.shape[*axis]);
  return success();
}

/// A bound of a slice, counted from the start and inside of [0, dim].
static Dim clampBound(NodeImporter &n, Dim bound, const Dim &dim) {
  Emitter &emit = n.emit;
  if (bound.isConstant()) {
    if (*bound.constant() < 0)
      bound = emit.isAtLeast(Dim(-(int64_t(1) << 61)), bound) ? Dim(0)
                                                              : bound + dim;
  } else if (!emit.isAtLeast(bound, 0)) {
    bound =
        emit.opaque("wrap", {bound, dim}, false, [&](ValueRange v) -> Value {
          OpBuilder &b = emit.getBuilder();
          Value negative =
              arith::CmpIOp::create(b, emit.getLoc(), arith::CmpIPredicate::slt,
                                    v[0], emit.indexConstant(0));
          Value moved = arith::AddIOp::create(b, emit.getLoc(), v[0], v[1]);
          return arith::SelectOp::create(b, emit.getLoc(), negative, moved,
                                         v[0]);
        });
  }
  bound = emit.maxDim(bound, 0);
  // A run-time length that indexes a table of fixed size: clamping would lose
  // what is known of the shape, so it is checked instead.
  if (!bound.isConstant() && dim.isConstant() && emit.isSizeOnly(bound)) {
    emit.opaque("check", {bound, dim}, true, [&](ValueRange v) -> Value {
      emit.require(arith::CmpIOp::create(emit.getBuilder(), emit.getLoc(),
                                         arith::CmpIPredicate::sle, v[0], v[1]),
                   "an input is longer than the " + Twine(*dim.constant()) +
                       " positions that the model holds");
      return v[0];
    });
    return bound;
  }
  return emit.minDim(bound, dim);
}

/// The tensor with its order along some dimensions reversed.
static TensorValue reverse(Emitter &emit, const TensorValue &x,
                           ArrayRef<int64_t> axes) {
  Value source = emit.materialize(x);
  SmallVector<Value> last(x.shape.size());
  for (int64_t axis : axes)
    last[axis] = emit.indexValue(x.shape[axis] - Dim(1));
  return emit.indexed(
      {}, x.shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange indices) -> Value {
        SmallVector<Value> at(indices.begin(), indices.end());
        for (int64_t axis : axes)
          at[axis] = arith::SubIOp::create(b, l, last[axis], at[axis]);
        return tensor::ExtractOp::create(b, l, source, at);
      });
}

static LogicalResult importSlice(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue &x = n.input(0);
  SmallVector<Dim> starts, ends;
  SmallVector<int64_t> axes, steps;
  if (n.version() < 10) {
    auto first = n.intsAttr("starts"), last = n.intsAttr("ends");
    if (!first || !last)
      return n.invalid("it has no starts or ends");
    starts.assign(first->begin(), first->end());
    ends.assign(last->begin(), last->end());
    axes = n.intsAttr("axes").value_or(SmallVector<int64_t>());
  } else {
    if (failed(n.require(3)))
      return failure();
    auto first = emit.elementsOf(n.input(1)),
         last = emit.elementsOf(n.input(2));
    if (!first || !last)
      return n.unsupported("its bounds are no integer tensors of known length");
    starts = *first;
    ends = *last;
    auto givenAxes = n.intsFrom(3, ""), givenSteps = n.intsFrom(4, "");
    if (failed(givenAxes) || failed(givenSteps))
      return failure();
    axes = givenAxes->value_or(SmallVector<int64_t>());
    steps = givenSteps->value_or(SmallVector<int64_t>());
  }
  if (axes.empty())
    axes = llvm::to_vector(
        llvm::seq<int64_t>(0, static_cast<int64_t>(starts.size())));
  if (steps.empty())
    steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size())
    return n.invalid("starts, ends, axes and steps differ in length");

  SmallVector<Dim> offsets(x.shape.size(), 0);
  Shape sizes = x.shape;
  SmallVector<int64_t> strides(x.shape.size(), 1), reversed;
  for (size_t i = 0; i < starts.size(); ++i) {
    FailureOr<int64_t> axis = n.axis(axes[i], x.rank());
    if (failed(axis))
      return failure();
    const Dim &dim = x.shape[*axis];
    int64_t step = steps[i];
    if (step == 0 || step == std::numeric_limits<int64_t>::min())
      return n.invalid("step " + Twine(step));
    if (step > 0) {
      Dim from = clampBound(n, starts[i], dim);
      Dim to = clampBound(n, ends[i], dim);
      // Any step past the end of a known dimension takes one element.
      if (dim.isConstant())
        step = std::min<int64_t>(step, std::max<int64_t>(1, *dim.constant()));
      Dim length = emit.maxDim(to - from, 0);
      offsets[*axis] = from;
      sizes[*axis] = step == 1 ? length : emit.ceilDiv(length, step);
      strides[*axis] = step;
      continue;
    }
    // Backwards: positions from, from - |step|, ..., above `to`.
    constexpr int64_t lowest = -(int64_t(1) << 60);
    int64_t stride = -step;
    if (dim.isConstant())
      stride = std::min<int64_t>(stride, std::max<int64_t>(1, *dim.constant()));
    auto wrap = [&](const Dim &bound) -> Dim {
      if (bound.isConstant() && *bound.constant() < 0)
        return *bound.constant() <= lowest ? Dim(-1)
                                           : emit.maxDim(bound + dim, -1);
      return bound;
    };
    if (!starts[i].isConstant() || !ends[i].isConstant())
      return n.unsupported("backwards with bounds from run time");
    Dim from = emit.minDim(wrap(starts[i]), dim - Dim(1));
    Dim to = emit.minDim(wrap(ends[i]), dim - Dim(1));
    Dim length = emit.maxDim(from - to, 0);
    Dim count = emit.ceilDiv(length, stride);
    offsets[*axis] =
        emit.maxDim(from - emit.maxDim(count - Dim(1), 0) * Dim(stride), 0);
    sizes[*axis] = count;
    strides[*axis] = stride;
    reversed.push_back(*axis);
  }
  // Shape tensors stay symbolic.
  bool isStatic =
      offsets.size() <= 1 &&
      llvm::all_of(offsets, [](const Dim &d) { return d.isConstant(); });
  if ((x.elements || x.constant) && x.rank() == 1 && isInteger(x.dataType) &&
      isStatic && sizes[0].isConstant()) {
    auto all = emit.elementsOf(x);
    if (all) {
      SmallVector<Dim> some;
      for (int64_t i = 0; i < *sizes[0].constant(); ++i)
        some.push_back((*all)[*offsets[0].constant() + i * strides[0]]);
      if (!reversed.empty())
        std::reverse(some.begin(), some.end());
      return n.result(emit.fromElements(some, false, x.dataType));
    }
  }
  TensorValue result = emit.slice(x, offsets, sizes, strides);
  if (!reversed.empty())
    result = reverse(emit, result, reversed);
  return n.result(result);
}

void onnx::registerShapeOps(OpRegistry &registry) {
  registry.add("Shape", 1, importShape);
  registry.add("Size", 1, importShape);
  registry.add("Reshape", 5, importReshape);
  registry.add("Flatten", 1, importFlatten);
  registry.add("Squeeze", 1, importSqueeze);
  registry.add("Unsqueeze", 1, importUnsqueeze);
  registry.add("Transpose", 1, importTranspose);
  registry.add("Expand", 8, importExpand);
  registry.add("Tile", 6, importTile);
  registry.add("Concat", 4, importConcat);
  registry.add("Split", 2, importSplit);
  registry.add("Slice", 1, importSlice);
}
