//===- Control.cpp - Constants, generated tensors, control flow -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../GraphImporter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static LogicalResult importIdentity(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  return n.result(n.input(0));
}

static LogicalResult importDropout(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  if (n.hasInput(2)) {
    std::optional<double> training = n.emit.constantScalar(n.input(2));
    std::optional<double> ratio =
        n.hasInput(1) ? n.emit.constantScalar(n.input(1)) : 0.5;
    if (training != 0.0 && ratio != 0.0)
      return n.unsupported("training mode");
  }
  n.setOutput(0, n.input(0));
  if (n.hasOutput(1)) {
    TensorValue kept = n.emit.scalar(1, Bool);
    n.setOutput(1, n.emit.broadcastTo(kept, n.input(0).shape));
  }
  return success();
}

static LogicalResult importConstant(NodeImporter &n) {
  Emitter &emit = n.emit;
  if (const NodeAttr *value = n.attribute("value")) {
    if (!value->tensor)
      return n.invalid("its value is no tensor");
    FailureOr<TensorValue> constant = n.constant(*value->tensor);
    return failed(constant) ? failure() : n.result(*constant);
  }
  if (const NodeAttr *value = n.attribute("value_float"))
    return n.result(emit.scalar(static_cast<double>(value->f), Float32));
  if (const NodeAttr *value = n.attribute("value_int"))
    return n.result(emit.fromElements(Dim(value->i), true));
  if (const NodeAttr *value = n.attribute("value_ints")) {
    SmallVector<Dim> elements(value->ints.begin(), value->ints.end());
    return n.result(emit.fromElements(elements, false));
  }
  if (const NodeAttr *value = n.attribute("value_floats")) {
    auto type = emit.tensorType(
        {Dim(static_cast<int64_t>(value->floats.size()))}, Float32);
    return n.result(emit.fromConstant(
        DenseElementsAttr::get(type, ArrayRef<float>(value->floats)), Float32));
  }
  return n.unsupported("a value that is neither a dense tensor nor numbers");
}

static LogicalResult importConstantOfShape(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue fill = emit.scalar(0, Float32);
  if (const NodeAttr *value = n.attribute("value")) {
    if (!value->tensor)
      return n.invalid("its value is no tensor");
    FailureOr<TensorValue> constant = n.constant(*value->tensor);
    if (failed(constant))
      return failure();
    if (!constant->constant || constant->constant.getNumElements() != 1)
      return n.invalid("its value must have one element");
    fill = emit.reshape(*constant, {});
  }
  std::optional<SmallVector<Dim>> sizes = emit.elementsOf(n.input(0));
  if (!sizes)
    return n.unsupported("its shape is no integer tensor of known length");
  Shape shape;
  for (const Dim &size : *sizes) {
    if (size.isConstant() && *size.constant() < 0)
      return n.invalid("its shape has a negative dimension");
    shape.push_back(emit.maxDim(size, 0));
  }
  auto type = emit.tensorType(shape, fill.dataType);
  auto scalar = cast<TypedAttr>(*fill.constant.getValues<Attribute>().begin());
  if (type.hasStaticShape()) {
    TensorData probe;
    for (const Dim &dim : shape)
      probe.dims.push_back(*dim.constant());
    if (!probe.numElements())
      return n.invalid("its shape is too large");
    return n.result(emit.fromConstant(
        DenseElementsAttr::get(type, Attribute(scalar)), fill.dataType));
  }
  return n.result(emit.fromValue(
      emit.filled(shape, emit.scalarConstant(scalar)), fill.dataType, shape));
}

static LogicalResult importRange(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  OpBuilder &builder = emit.getBuilder();
  int32_t type = n.input(0).dataType;
  for (size_t i : {0, 1, 2})
    if (n.input(i).dataType != type || !product(n.input(i).shape).is(1))
      return n.invalid("expects three scalars of one element type");
  Location loc = emit.getLoc();
  Type element = emit.elementType(type);
  if (isInteger(type)) {
    TensorValue flat[3];
    SmallVector<Dim> bounds;
    for (size_t i : {0, 1, 2}) {
      flat[i] = emit.reshape(n.input(i), {});
      bounds.push_back(emit.elementsOf(flat[i])->front());
    }
    Dim start = bounds[0], delta = bounds[2], count;
    if (delta.is(0))
      return n.invalid("its step is 0");
    if (delta.isConstant()) {
      bool up = *delta.constant() > 0;
      Dim span = up ? bounds[1] - start : start - bounds[1];
      Dim step = up ? delta : Dim(0) - delta;
      count = emit.maxDim(step.is(1) ? span : emit.ceilDiv(span, step), 0);
    } else {
      Value s = emit.indexValue(start), e = emit.indexValue(bounds[1]);
      Value d = emit.indexValue(delta), one = emit.indexConstant(1);
      Value isZero = arith::CmpIOp::create(
          builder, loc, arith::CmpIPredicate::eq, d, emit.indexConstant(0));
      d = arith::SelectOp::create(builder, loc, isZero, one, d);
      Value span = arith::SubIOp::create(builder, loc, e, s);
      Value steps = arith::CeilDivSIOp::create(builder, loc, span, d);
      steps =
          arith::MaxSIOp::create(builder, loc, steps, emit.indexConstant(0));
      count = emit.newSymbol(steps, true);
    }
    constexpr int64_t maxKnown = 64;
    if (count.isConstant() && *count.constant() <= maxKnown) {
      SmallVector<Dim> elements;
      for (int64_t i = 0; i < *count.constant(); ++i)
        elements.push_back(start + Dim(i) * delta);
      return n.result(emit.fromElements(elements, false, type));
    }
    Value first = emit.indexValue(start), step = emit.indexValue(delta);
    return n.result(emit.indexed(
        {}, count, type, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          Value index = v[0];
          if (!delta.is(1))
            index = arith::MulIOp::create(b, l, index, step);
          if (!start.is(0))
            index = arith::AddIOp::create(b, l, index, first);
          return arith::IndexCastOp::create(b, l, element, index);
        }));
  }
  if (!isFloat(type))
    return n.invalid("it is not defined on bool");
  Value bounds[3];
  for (size_t i : {0, 1, 2}) {
    Value tensor = emit.materialize(emit.reshape(n.input(i), {}));
    bounds[i] = tensor::ExtractOp::create(builder, loc, tensor, ValueRange());
  }
  Value span = arith::SubFOp::create(builder, loc, bounds[1], bounds[0]);
  Value ratio = arith::DivFOp::create(builder, loc, span, bounds[2]);
  Value steps = math::CeilOp::create(builder, loc, ratio);
  steps = arith::FPToSIOp::create(builder, loc, builder.getI64Type(), steps);
  steps =
      arith::IndexCastOp::create(builder, loc, builder.getIndexType(), steps);
  steps = arith::MaxSIOp::create(builder, loc, steps, emit.indexConstant(0));
  return n.result(emit.indexed(
      {}, emit.newSymbol(steps, true), type,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value index = arith::IndexCastOp::create(b, l, b.getI64Type(), v[0]);
        Value i = arith::SIToFPOp::create(b, l, element, index);
        Value offset = arith::MulFOp::create(b, l, i, bounds[2]);
        return arith::AddFOp::create(b, l, bounds[0], offset);
      }));
}

static LogicalResult importTrilu(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() < 2)
    return n.invalid("its input has no two dimensions");
  Dim diagonal = 0;
  if (n.hasInput(1)) {
    TensorValue k = emit.reshape(n.input(1), {});
    auto elements = emit.elementsOf(k);
    if (!elements)
      return n.invalid("its diagonal is no integer");
    diagonal = elements->front();
  }
  bool upper = n.intAttr("upper", 1) != 0;
  Value k = emit.indexValue(diagonal);
  Value zero = emit.scalarConstant(emit.elementType(x.dataType), 0);
  int64_t rank = x.rank();
  return n.result(emit.indexed(
      x, x.shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value row = v[static_cast<size_t>(rank) - 1];
        Value column = v[static_cast<size_t>(rank)];
        Value limit = diagonal.is(0)
                          ? row
                          : arith::AddIOp::create(b, l, row, k).getResult();
        Value keep = arith::CmpIOp::create(
            b, l, upper ? arith::CmpIPredicate::sge : arith::CmpIPredicate::sle,
            column, limit);
        return arith::SelectOp::create(b, l, keep, v[0], zero);
      }));
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

/// A dimension of the result, when it means the same after both branches.
static std::optional<Dim> commonDim(const Dim &a, const Dim &b,
                                    unsigned numSymbols) {
  if (a != b)
    return std::nullopt;
  for (const Dim::Term &term : a.getTerms())
    for (unsigned symbol : term.monomial)
      if (symbol >= numSymbols)
        return std::nullopt;
  return a;
}

static LogicalResult importIf(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  GraphImporter &graph = n.getGraph();
  const NodeAttr *branches[] = {n.attribute("then_branch"),
                                n.attribute("else_branch")};
  if (!branches[0] || !branches[1] || !branches[0]->graph ||
      !branches[1]->graph)
    return n.invalid("it lacks a branch");
  if (n.input(0).dataType != Bool || !product(n.input(0).shape).is(1))
    return n.invalid("its condition is no bool");
  for (const NodeAttr *branch : branches)
    if (branch->graph->outputs.size() != n.numOutputs() ||
        !branch->graph->inputs.empty())
      return n.invalid("a branch has inputs or another number of outputs");

  size_t problemsBefore = graph.getProblems().size();
  if (std::optional<double> known = emit.constantScalar(n.input(0))) {
    const Graph &taken = *branches[*known != 0 ? 0 : 1]->graph;
    Location loc = emit.getLoc();
    TensorValues results = graph.importNested(taken);
    emit.setLoc(loc);
    for (auto [i, result] : llvm::enumerate(results))
      n.setOutput(i, result);
    return success();
  }

  graph.materializeVisible();
  OpBuilder &builder = emit.getBuilder();
  Location loc = emit.getLoc();
  Value condition = tensor::ExtractOp::create(
      builder, loc, emit.materialize(emit.reshape(n.input(0), {})),
      ValueRange());
  unsigned numSymbols = emit.numSymbols();
  Region regions[2];
  TensorValues results[2];
  for (int i : {0, 1}) {
    OpBuilder::InsertionGuard guard(builder);
    Emitter::RegionScope scope(emit);
    builder.createBlock(&regions[i]);
    results[i] = graph.importNested(*branches[i]->graph);
    for (TensorValue &result : results[i])
      if (!result.isPoison)
        emit.materialize(result);
    emit.setLoc(loc);
  }
  auto isPoison = [](const TensorValue &v) { return v.isPoison; };
  if (graph.getProblems().size() != problemsBefore ||
      llvm::any_of(results[0], isPoison) || llvm::any_of(results[1], isPoison))
    return failure();

  SmallVector<Type> types;
  SmallVector<SmallVector<std::optional<Dim>>> common;
  for (auto [a, b] : llvm::zip(results[0], results[1])) {
    if (a.rank() != b.rank() || a.dataType != b.dataType)
      return n.unsupported("branches that give other ranks or element types");
    SmallVector<int64_t> sizes;
    common.emplace_back();
    for (auto [da, db] : llvm::zip(a.shape, b.shape)) {
      common.back().push_back(commonDim(da, db, numSymbols));
      sizes.push_back(da.isConstant() && da == db ? *da.constant()
                                                  : ShapedType::kDynamic);
    }
    types.push_back(RankedTensorType::get(sizes, emit.elementType(a.dataType)));
  }
  for (int i : {0, 1}) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(&regions[i].front());
    SmallVector<Value> values;
    for (auto [result, type] : llvm::zip(results[i], types)) {
      Value value = result.value;
      if (value.getType() != type)
        value = tensor::CastOp::create(builder, loc, type, value);
      values.push_back(value);
    }
    scf::YieldOp::create(builder, loc, values);
  }
  auto op = scf::IfOp::create(builder, loc, types, condition,
                              /*addThenBlock=*/false, /*addElseBlock=*/false);
  op.getThenRegion().takeBody(regions[0]);
  op.getElseRegion().takeBody(regions[1]);
  for (auto [i, value] : llvm::enumerate(op.getResults())) {
    Shape shape;
    for (auto [d, dim] : llvm::enumerate(common[i]))
      shape.push_back(dim ? *dim : emit.dimOf(value, static_cast<int64_t>(d)));
    n.setOutput(i, emit.fromValue(value, results[0][i].dataType, shape));
  }
  return success();
}

void onnx::registerControlOps(OpRegistry &registry) {
  registry.add("Identity", 1, importIdentity);
  registry.add("Dropout", 1, importDropout);
  registry.add("Constant", 1, importConstant);
  registry.add("ConstantOfShape", 9, importConstantOfShape);
  registry.add("Range", 11, importRange);
  registry.add("Trilu", 14, importTrilu);
  registry.add("If", 1, importIf);
}
