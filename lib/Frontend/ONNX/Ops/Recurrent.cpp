//===- Recurrent.cpp - LSTM, GRU and RNN as loops over time ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
/// The weights of one direction, [rows, gates * hidden]; biases, peepholes
/// and starts may be null.
struct Direction {
  TensorValue input, recurrent, inputBias, recurrentBias, peephole;
  TensorValues starts;
  bool backwards = false;
};

/// What the three operators share.
struct Recurrence {
  Recurrence(NodeImporter &n, int64_t gates, int64_t numStates)
      : n(n), gates(gates), numStates(numStates) {}

  NodeImporter &n;
  Emitter &emit = n.emit;
  /// How many gates a step computes, and how many states it carries.
  int64_t gates, numStates;
  int64_t hidden = 0, directions = 1;
  int32_t type = Undefined, wide = Undefined;
  Dim length, batch, features;
  TensorValue x, lengths;
  bool hasLengths = false, batchFirst = false;

  /// The states after a step, from its input's product and those before.
  using Step = llvm::function_ref<TensorValues(
      const Direction &, const TensorValue &, ArrayRef<TensorValue>)>;

  LogicalResult read(ArrayRef<StringRef> activations);
  LogicalResult run(Step step);

  Shape stateShape() const { return {batch, Dim(hidden)}; }
  /// Columns `[i * hidden, (i + count) * hidden)`.
  TensorValue gate(const TensorValue &all, int64_t i, int64_t count = 1) {
    return emit.sliceAlong(all, 1, Dim(i * hidden), Dim(count * hidden));
  }
  TensorValue add(const TensorValue &a, const TensorValue &b) {
    Shape shape = a.rank() >= b.rank() ? a.shape : b.shape;
    return emit.elementwise({a, b}, shape, wide,
                            [&](OpBuilder &b, Location l, ValueRange v) {
                              return Scalars{b, l, wide}.add(v[0], v[1]);
                            });
  }
  TensorValue product(const TensorValue &state, const TensorValue &weight) {
    return emit.matmul(state, weight, wide);
  }
  TensorValue onStates(ArrayRef<TensorValue> operands, ScalarBody body) {
    return emit.elementwise(operands, stateShape(), wide, body);
  }

private:
  FailureOr<TensorValue> fitted(size_t i, ArrayRef<Dim> shape, StringRef what);
  TensorValue part(const TensorValue &all, int64_t direction);
  FailureOr<Direction> readDirection(int64_t d);
  TensorValues loop(const Direction &direction, Step step);
};
} // namespace

static Value sigmoid(OpBuilder &b, Location l, Value x) {
  Value one = arith::ConstantOp::create(b, l, b.getFloatAttr(x.getType(), 1));
  Value power = math::ExpOp::create(b, l, arith::NegFOp::create(b, l, x));
  return arith::DivFOp::create(b, l, one,
                               arith::AddFOp::create(b, l, one, power));
}

/// Input `i` in the type of the computation, in the shape it must have.
FailureOr<TensorValue> Recurrence::fitted(size_t i, ArrayRef<Dim> shape,
                                          StringRef what) {
  const TensorValue &given = n.input(i);
  if (given.rank() != static_cast<int64_t>(shape.size()) ||
      given.dataType != type)
    return n.invalid("expects " + what + " of rank " + Twine(shape.size()) +
                     " and of the type of its input");
  for (auto [d, dim] : llvm::enumerate(shape)) {
    if (dim.isConstant() && given.shape[d].isConstant() &&
        given.shape[d] != dim)
      return n.invalid("dimension " + Twine(d) + " of " + what + " is " +
                       Twine(*given.shape[d].constant()) + ", expected " +
                       Twine(*dim.constant()));
    emit.requireEqual(given.shape[d], dim);
  }
  return emit.cast(emit.reshape(given, shape), wide);
}

LogicalResult Recurrence::read(ArrayRef<StringRef> activations) {
  if (failed(n.require(3)))
    return failure();
  type = n.input(0).dataType;
  wide = accumulatorOf(type);
  if (n.input(0).rank() != 3 || !isFloat(type))
    return n.invalid("expects an input of floats and rank 3");
  std::string direction = n.stringAttr("direction", "forward");
  if (direction != "forward" && direction != "reverse" &&
      direction != "bidirectional")
    return n.invalid("unknown direction '" + Twine(direction) + "'");
  directions = direction == "bidirectional" ? 2 : 1;
  if (n.attribute("clip"))
    return n.unsupported("clip");
  if (const NodeAttr *given = n.attribute("activations"))
    for (auto [i, name] : llvm::enumerate(given->strings)) {
      StringRef expected = activations[i % activations.size()];
      if (!name.equals_insensitive(expected))
        return n.unsupported("activation '" + name + "' in place of '" +
                             expected + "'");
    }
  const TensorValue &weight = n.input(2);
  if (weight.rank() != 3 || !weight.shape[2].isConstant())
    return n.unsupported("recurrent weights of a dynamic hidden size or of "
                         "another rank than 3");
  hidden = *weight.shape[2].constant();
  if (hidden < 1 || n.intAttr("hidden_size", hidden) != hidden)
    return n.invalid("hidden_size is " +
                     Twine(n.intAttr("hidden_size", hidden)) +
                     ", its recurrent weights have " + Twine(hidden));
  batchFirst = n.version() >= 14 && n.intAttr("layout", 0) != 0;
  x = emit.cast(n.input(0), wide);
  if (batchFirst)
    x = emit.transpose(x, {1, 0, 2});
  length = x.shape[0];
  batch = x.shape[1];
  features = x.shape[2];
  hasLengths = n.hasInput(4);
  if (hasLengths) {
    const TensorValue &given = n.input(4);
    if (given.rank() != 1 || given.dataType != Int32)
      return n.invalid("expects sequence_lens of int32 and rank 1");
    if (given.shape[0].isConstant() && batch.isConstant() &&
        given.shape[0] != batch)
      return n.invalid("expects one of sequence_lens for each sequence");
    emit.requireEqual(given.shape[0], batch);
    lengths = emit.reshape(given, {batch, Dim(1)});
    emit.materialize(lengths);
  }
  return success();
}

/// The slice of one direction, without its dimension.
TensorValue Recurrence::part(const TensorValue &all, int64_t direction) {
  TensorValue one = emit.sliceAlong(all, 0, Dim(direction), Dim(1));
  return emit.reshape(one, ArrayRef<Dim>(all.shape).drop_front());
}

FailureOr<Direction> Recurrence::readDirection(int64_t d) {
  Direction result;
  Dim count(directions), size(hidden), rows(gates * hidden);
  auto input = fitted(1, {count, rows, features}, "weights");
  auto recurrent = fitted(2, {count, rows, size}, "recurrent weights");
  if (failed(input) || failed(recurrent))
    return failure();
  result.input = emit.transpose(part(*input, d), {1, 0});
  result.recurrent = emit.transpose(part(*recurrent, d), {1, 0});
  emit.materialize(result.recurrent);
  if (n.hasInput(3)) {
    auto bias = fitted(3, {count, Dim(2) * rows}, "a bias");
    if (failed(bias))
      return failure();
    TensorValue both = part(*bias, d);
    result.inputBias = emit.sliceAlong(both, 0, Dim(0), rows);
    result.recurrentBias = emit.sliceAlong(both, 0, rows, rows);
    emit.materialize(result.recurrentBias);
  }
  for (int64_t i = 0; i < numStates; ++i) {
    size_t place = static_cast<size_t>(5 + i);
    if (!n.hasInput(place)) {
      Value zero = emit.scalarConstant(emit.elementType(wide), 0);
      result.starts.push_back(
          emit.fromValue(emit.filled(stateShape(), zero), wide, stateShape()));
      continue;
    }
    Shape shape = {count, batch, size};
    if (batchFirst)
      std::swap(shape[0], shape[1]);
    auto start = fitted(place, shape, "an initial state");
    if (failed(start))
      return failure();
    TensorValue whole = batchFirst ? emit.transpose(*start, {1, 0, 2}) : *start;
    result.starts.push_back(part(whole, d));
    emit.materialize(result.starts.back());
  }
  if (n.hasInput(7)) {
    auto peephole = fitted(7, {count, Dim(3 * hidden)}, "peepholes");
    if (failed(peephole))
      return failure();
    result.peephole =
        emit.reshape(part(*peephole, d), {Dim(1), Dim(3 * hidden)});
    emit.materialize(result.peephole);
  }
  result.backwards =
      d == 1 || n.stringAttr("direction", "forward") == "reverse";
  return result;
}

/// All steps of one direction: the states after the last one, then every
/// hidden state as [length, batch, hidden] if that is an output.
TensorValues Recurrence::loop(const Direction &direction, Step step) {
  OpBuilder &builder = emit.getBuilder();
  Location loc = emit.getLoc();
  // The inputs do not depend on the states: one product for all steps.
  TensorValue inputs = emit.matmul(x, direction.input, wide);
  if (direction.inputBias.shape.size())
    inputs = add(inputs, direction.inputBias);
  emit.materialize(inputs);
  Shape all = {length, batch, Dim(hidden)};
  SmallVector<Value> starts;
  for (const TensorValue &start : direction.starts)
    starts.push_back(emit.materialize(start));
  bool wantsAll = n.hasOutput(0);
  if (wantsAll)
    starts.push_back(emit.empty(all, emit.elementType(wide)));
  Value steps = emit.indexValue(length);
  Value rows = emit.indexValue(batch);
  Value last = emit.indexValue(length - Dim(1));
  Value zero = emit.scalarConstant(emit.elementType(wide), 0);
  auto loop = scf::ForOp::create(builder, loc, emit.indexConstant(0), steps,
                                 emit.indexConstant(1), starts);
  {
    OpBuilder::InsertionGuard guard(builder);
    Emitter::RegionScope scope(emit);
    builder.setInsertionPointToStart(loop.getBody());
    Value at = loop.getInductionVar();
    if (direction.backwards)
      at = arith::SubIOp::create(builder, loc, last, at);
    TensorValue now = emit.sliceAlong(inputs, 0, emit.newSymbol(at, true), 1);
    now = emit.reshape(now, {batch, Dim(gates * hidden)});
    TensorValues before;
    for (int64_t i = 0; i < numStates; ++i)
      before.push_back(
          emit.fromValue(loop.getRegionIterArg(i), wide, stateShape()));
    TensorValues after = step(direction, now, before);
    TensorValue output = after.front();
    if (hasLengths) {
      // Past its length a sequence keeps its states and gives zeros.
      Value place =
          arith::IndexCastOp::create(builder, loc, builder.getI32Type(), at);
      auto keep = [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value inside =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, place, v[0]);
        return arith::SelectOp::create(b, l, inside, v[1],
                                       v.size() == 3 ? v[2] : zero);
      };
      output = onStates({lengths, output}, keep);
      for (auto [a, b] : llvm::zip(after, before))
        a = onStates({lengths, a, b}, keep);
    }
    SmallVector<Value> yielded;
    for (const TensorValue &state : after)
      yielded.push_back(emit.materialize(state));
    if (wantsAll) {
      OpFoldResult one = builder.getIndexAttr(1),
                   none = builder.getIndexAttr(0);
      OpFoldResult height =
          batch.isConstant()
              ? OpFoldResult(builder.getIndexAttr(*batch.constant()))
              : OpFoldResult(rows);
      SmallVector<OpFoldResult> offsets = {at, none, none};
      SmallVector<OpFoldResult> sizes = {one, height,
                                         builder.getIndexAttr(hidden)};
      yielded.push_back(tensor::InsertSliceOp::create(
          builder, loc, emit.materialize(output),
          loop.getRegionIterArgs().back(), offsets, sizes,
          SmallVector<OpFoldResult>(3, one)));
    }
    scf::YieldOp::create(builder, loc, yielded);
  }
  TensorValues results;
  for (int64_t i = 0; i < numStates; ++i)
    results.push_back(emit.fromValue(loop.getResult(i), wide, stateShape()));
  if (wantsAll)
    results.push_back(emit.fromValue(loop.getResults().back(), wide, all));
  return results;
}

LogicalResult Recurrence::run(Step step) {
  std::vector<TensorValues> collected(static_cast<size_t>(numStates) + 1);
  for (int64_t d = 0; d < directions; ++d) {
    auto direction = readDirection(d);
    if (failed(direction))
      return failure();
    for (auto [i, value] : llvm::enumerate(loop(*direction, step)))
      collected[i].push_back(value);
  }
  if (n.hasOutput(0)) {
    for (TensorValue &one : collected.back())
      one = emit.unsqueeze(one, {1});
    TensorValue y = emit.concat(collected.back(), 1);
    if (batchFirst)
      y = emit.transpose(y, {2, 0, 1, 3});
    n.setOutput(0, emit.cast(y, type));
  }
  for (int64_t i = 0; i < numStates; ++i) {
    size_t place = static_cast<size_t>(i);
    if (!n.hasOutput(place + 1))
      continue;
    for (TensorValue &one : collected[place])
      one = emit.unsqueeze(one, {0});
    TensorValue state = emit.concat(collected[place], 0);
    if (batchFirst)
      state = emit.transpose(state, {1, 0, 2});
    n.setOutput(place + 1, emit.cast(state, type));
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The operators
//===----------------------------------------------------------------------===//

/// Gates in the order input, output, forget, cell; peepholes input, output,
/// forget.
static LogicalResult importLSTM(NodeImporter &n) {
  Recurrence r(n, 4, 2);
  if (failed(r.read({"Sigmoid", "Tanh", "Tanh"})))
    return failure();
  bool coupled = n.intAttr("input_forget", 0) != 0;
  return r.run([&](const Direction &d, const TensorValue &now,
                   ArrayRef<TensorValue> before) -> TensorValues {
    TensorValue sum = r.add(now, r.product(before[0], d.recurrent));
    if (n.hasInput(3))
      sum = r.add(sum, d.recurrentBias);
    bool peeks = n.hasInput(7);
    TensorValues operands = {r.gate(sum, 0), r.gate(sum, 2), r.gate(sum, 3),
                             before[1]};
    if (peeks) {
      operands.push_back(r.gate(d.peephole, 0));
      operands.push_back(r.gate(d.peephole, 2));
    }
    auto newCell = [&](OpBuilder &b, Location l, ValueRange v) -> Value {
      Scalars s{b, l, r.wide};
      Value in = v[0], forget = v[1];
      if (peeks) {
        in = s.add(in, s.mul(v[4], v[3]));
        forget = s.add(forget, s.mul(v[5], v[3]));
      }
      in = sigmoid(b, l, in);
      if (coupled) {
        Value one =
            arith::ConstantOp::create(b, l, b.getFloatAttr(in.getType(), 1));
        forget = s.sub(one, in);
      } else {
        forget = sigmoid(b, l, forget);
      }
      Value cell = math::TanhOp::create(b, l, v[2]);
      return s.add(s.mul(forget, v[3]), s.mul(in, cell));
    };
    TensorValue cell = r.onStates(operands, newCell);
    TensorValues last = {r.gate(sum, 1), cell};
    if (peeks)
      last.push_back(r.gate(d.peephole, 1));
    auto newHidden = [&](OpBuilder &b, Location l, ValueRange v) -> Value {
      Scalars s{b, l, r.wide};
      Value out = peeks ? s.add(v[0], s.mul(v[2], v[1])) : Value(v[0]);
      Value value = math::TanhOp::create(b, l, v[1]);
      return s.mul(sigmoid(b, l, out), value);
    };
    TensorValue hidden = r.onStates(last, newHidden);
    return {hidden, cell};
  });
}

/// Gates in the order update, reset, hidden.
static LogicalResult importGRU(NodeImporter &n) {
  Recurrence r(n, 3, 1);
  if (failed(r.read({"Sigmoid", "Tanh"})))
    return failure();
  bool resetsProduct = n.intAttr("linear_before_reset", 0) != 0;
  return r.run([&](const Direction &d, const TensorValue &now,
                   ArrayRef<TensorValue> before) -> TensorValues {
    const TensorValue &state = before[0];
    auto candidate = [&](OpBuilder &b, Location l, Value update, Value sum,
                         Value old) -> Value {
      Scalars s{b, l, r.wide};
      Value z = sigmoid(b, l, update);
      Value value = math::TanhOp::create(b, l, sum);
      return s.add(value, s.mul(z, s.sub(old, value)));
    };
    if (resetsProduct) {
      TensorValue own = r.product(state, d.recurrent);
      if (n.hasInput(3))
        own = r.add(own, d.recurrentBias);
      return {
          r.onStates({r.gate(now, 0), r.gate(own, 0), r.gate(now, 1),
                      r.gate(own, 1), r.gate(now, 2), r.gate(own, 2), state},
                     [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                       Scalars s{b, l, r.wide};
                       Value reset = sigmoid(b, l, s.add(v[2], v[3]));
                       Value sum = s.add(v[4], s.mul(reset, v[5]));
                       return candidate(b, l, s.add(v[0], v[1]), sum, v[6]);
                     })};
    }
    TensorValue base = n.hasInput(3) ? r.add(now, d.recurrentBias) : now;
    TensorValue first =
        r.add(r.gate(base, 0, 2), r.product(state, r.gate(d.recurrent, 0, 2)));
    TensorValue kept = r.onStates(
        {r.gate(first, 1), state},
        [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          return Scalars{b, l, r.wide}.mul(sigmoid(b, l, v[0]), v[1]);
        });
    TensorValue sum =
        r.add(r.gate(base, 2), r.product(kept, r.gate(d.recurrent, 2)));
    return {r.onStates({r.gate(first, 0), sum, state},
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         return candidate(b, l, v[0], v[1], v[2]);
                       })};
  });
}

static LogicalResult importRNN(NodeImporter &n) {
  Recurrence r(n, 1, 1);
  if (failed(r.read({"Tanh"})))
    return failure();
  return r.run([&](const Direction &d, const TensorValue &now,
                   ArrayRef<TensorValue> before) -> TensorValues {
    TensorValue sum = r.add(now, r.product(before[0], d.recurrent));
    if (n.hasInput(3))
      sum = r.add(sum, d.recurrentBias);
    return {
        r.onStates(sum, [](OpBuilder &b, Location l, ValueRange v) -> Value {
          return math::TanhOp::create(b, l, v[0]);
        })};
  });
}

void onnx::registerRecurrentOps(OpRegistry &registry) {
  registry.add("LSTM", 7, importLSTM);
  registry.add("GRU", 7, importGRU);
  registry.add("RNN", 7, importRNN);
}
