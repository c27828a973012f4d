//===- Search.cpp - Places of values, and tensors made from places --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

//===----------------------------------------------------------------------===//
// ArgMax, Hardmax
//===----------------------------------------------------------------------===//

/// Index of the largest (or smallest) element along `axis`, without it.
static TensorValue argExtreme(Emitter &emit, const TensorValue &x, int64_t axis,
                              bool isMax, bool takesLast) {
  MLIRContext *context = emit.getBuilder().getContext();
  unsigned rank = static_cast<unsigned>(x.rank());
  Shape kept;
  SmallVector<AffineExpr> exprs;
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators[axis] = utils::IteratorType::reduction;
  for (unsigned i = 0; i < rank; ++i)
    if (i != axis) {
      kept.push_back(x.shape[i]);
      exprs.push_back(getAffineDimExpr(i, context));
    }
  AffineMap result = AffineMap::get(rank, 0, exprs, context);
  AffineMap maps[] = {AffineMap::getMultiDimIdentityMap(rank, context), result,
                      result};
  Type index = emit.elementType(Int64);
  Value minusOne = emit.scalarConstant(index, -1);
  Value zero = emit.scalarConstant(index, 0);
  Value values = emit.filled(kept, extremeOf(emit, x.dataType, !isMax));
  Value places = emit.filled(kept, minusOne);
  auto op = linalg::GenericOp::create(
      emit.getBuilder(), emit.getLoc(),
      TypeRange{values.getType(), places.getType()}, emit.materialize(x),
      ValueRange{values, places}, maps, iterators,
      [&](OpBuilder &b, Location l, ValueRange v) {
        Scalars s{b, l, x.dataType};
        Value isBetter = isMax ? s.less(v[1], v[0]) : s.less(v[0], v[1]);
        if (takesLast)
          isBetter = arith::OrIOp::create(b, l, isBetter, s.equal(v[0], v[1]));
        Value isFirst =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, v[2], zero);
        isBetter = arith::OrIOp::create(b, l, isBetter, isFirst);
        Value at = arith::IndexCastOp::create(
            b, l, index,
            linalg::IndexOp::create(b, l, static_cast<uint64_t>(axis)));
        linalg::YieldOp::create(b, l,
                                ValueRange{s.select(isBetter, v[0], v[1]),
                                           s.select(isBetter, at, v[2])});
      });
  return emit.fromValue(op.getResult(1), Int64, kept);
}

static LogicalResult importArgExtreme(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  const TensorValue &x = n.input(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  TensorValue result = argExtreme(n.emit, x, *axis, n.opType() == "ArgMax",
                                  n.intAttr("select_last_index", 0) != 0);
  if (n.intAttr("keepdims", 1))
    result = n.emit.unsqueeze(result, {*axis});
  return n.result(result);
}

static LogicalResult importHardmax(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (!isFloat(x.dataType))
    return n.invalid("it is not defined on integers");
  bool flattens = n.version() < 13;
  FailureOr<int64_t> axis =
      n.axis(n.intAttr("axis", flattens ? 1 : -1), x.rank());
  if (failed(axis))
    return failure();
  TensorValue wide = x;
  int64_t along = *axis;
  if (flattens) {
    ArrayRef<Dim> shape = x.shape;
    wide = emit.reshape(x, {product(shape.take_front(*axis)),
                            product(shape.drop_front(*axis))});
    along = 1;
  }
  TensorValue places =
      emit.unsqueeze(argExtreme(emit, wide, along, true, false), {along});
  Type element = emit.elementType(x.dataType);
  Value zero = emit.scalarConstant(element, 0);
  Value one = emit.scalarConstant(element, 1);
  TensorValue y = emit.indexed(
      places, wide.shape, x.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value place = arith::IndexCastOp::create(b, l, b.getIndexType(), v[0]);
        Value isPlace = arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq,
                                              place, v[1 + along]);
        return arith::SelectOp::create(b, l, isPlace, one, zero);
      });
  return n.result(emit.reshape(y, x.shape));
}

//===----------------------------------------------------------------------===//
// TopK
//===----------------------------------------------------------------------===//

/// One result after the other: the best element that comes after the last one
/// in the order by value, then by place.
static LogicalResult importTopK(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), x.rank());
  if (failed(axis))
    return failure();
  Dim k = n.intAttr("k", 0);
  if (n.version() >= 10) {
    if (failed(n.require(2)))
      return failure();
    auto given = emit.elementsOf(n.input(1));
    if (!given || given->size() != 1)
      return n.invalid("its k is no single integer");
    k = given->front();
  }
  const Dim &size = x.shape[*axis];
  if (k.isConstant() &&
      (*k.constant() < 0 || (size.isConstant() && !emit.isAtLeast(size, k))))
    return n.invalid("k is " + Twine(*k.constant()));
  k = emit.maxDim(k, 0);
  bool isLargest = n.intAttr("largest", 1) != 0;
  Shape shape = x.shape;
  shape[*axis] = k;

  Type element = emit.elementType(x.dataType), index = emit.elementType(Int64);
  Value source = emit.materialize(x);
  SmallVector<Value> lower, upper, step;
  Value zero = emit.indexConstant(0), one = emit.indexConstant(1);
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != *axis) {
      lower.push_back(zero);
      upper.push_back(emit.indexValue(x.shape[i]));
      step.push_back(one);
    }
  Value count = emit.indexValue(k), length = emit.indexValue(size);
  Value none = emit.indexConstant(-1);
  Value nothing = emit.scalarConstant(element, 0);
  Value inits[] = {emit.empty(shape, element), emit.empty(shape, index)};
  auto full = [&](ValueRange at, Value along) {
    SmallVector<Value> result(at.begin(), at.end());
    result.insert(result.begin() + *axis, along);
    return result;
  };
  scf::LoopNest nest = scf::buildLoopNest(
      emit.getBuilder(), emit.getLoc(), lower, upper, step, inits,
      [&](OpBuilder &b, Location l, ValueRange at,
          ValueRange carried) -> scf::ValueVector {
        auto results = scf::ForOp::create(
            b, l, zero, count, one,
            ValueRange{carried[0], carried[1], nothing, none},
            [&](OpBuilder &b1, Location, Value j, ValueRange state) {
              auto best = scf::ForOp::create(
                  b1, l, zero, length, one, ValueRange{nothing, none},
                  [&](OpBuilder &b2, Location, Value i, ValueRange found) {
                    Scalars s{b2, l, x.dataType};
                    Indices at2{b2, l};
                    Value v =
                        tensor::ExtractOp::create(b2, l, source, full(at, i));
                    auto precedes = [&](Value first, Value second) {
                      return isLargest ? s.less(second, first)
                                       : s.less(first, second);
                    };
                    auto either = [&](Value p, Value q) -> Value {
                      return arith::OrIOp::create(b2, l, p, q);
                    };
                    Value later =
                        at2.both(s.equal(v, state[2]), at2.less(state[3], i));
                    Value isOpen = either(at2.less(state[3], zero),
                                          either(precedes(state[2], v), later));
                    Value isBetter =
                        either(at2.less(found[1], zero), precedes(v, found[0]));
                    Value take = at2.both(isOpen, isBetter);
                    scf::YieldOp::create(
                        b2, l,
                        ValueRange{s.select(take, v, found[0]),
                                   at2.select(take, i, found[1])});
                  });
              Value value = best.getResult(0), place = best.getResult(1);
              Value number = arith::IndexCastOp::create(b1, l, index, place);
              Value values =
                  tensor::InsertOp::create(b1, l, value, state[0], full(at, j));
              Value places = tensor::InsertOp::create(b1, l, number, state[1],
                                                      full(at, j));
              scf::YieldOp::create(b1, l,
                                   ValueRange{values, places, value, place});
            });
        return {results.getResult(0), results.getResult(1)};
      });
  n.setOutput(0, emit.fromValue(nest.results[0], x.dataType, shape));
  n.setOutput(1, emit.fromValue(nest.results[1], Int64, shape));
  return success();
}

//===----------------------------------------------------------------------===//
// CumSum, CumProd
//===----------------------------------------------------------------------===//

static Value cumulate(Emitter &emit, const TensorValue &x, int64_t axis,
                      bool isProduct, bool excludes, bool reverses) {
  Type element = emit.elementType(x.dataType);
  Value source = emit.materialize(x);
  SmallVector<Value> lower, upper, step;
  Value zero = emit.indexConstant(0), one = emit.indexConstant(1);
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != axis) {
      lower.push_back(zero);
      upper.push_back(emit.indexValue(x.shape[i]));
      step.push_back(one);
    }
  Value length = emit.indexValue(x.shape[axis]);
  Value last = emit.indexValue(x.shape[axis] - Dim(1));
  Value neutral = emit.scalarConstant(element, isProduct ? 1 : 0);
  Value init = emit.empty(x.shape, element);
  scf::LoopNest nest = scf::buildLoopNest(
      emit.getBuilder(), emit.getLoc(), lower, upper, step, init,
      [&](OpBuilder &b, Location l, ValueRange at,
          ValueRange carried) -> scf::ValueVector {
        auto loop = scf::ForOp::create(
            b, l, zero, length, one, ValueRange{carried[0], neutral},
            [&](OpBuilder &b1, Location, Value i, ValueRange state) {
              SmallVector<Value> to(at.begin(), at.end());
              Value along = i;
              if (reverses)
                along = arith::SubIOp::create(b1, l, last, i);
              to.insert(to.begin() + axis, along);
              Scalars s{b1, l, x.dataType};
              Value v = tensor::ExtractOp::create(b1, l, source, to);
              Value next = isProduct ? s.mul(state[1], v) : s.add(state[1], v);
              Value written = tensor::InsertOp::create(
                  b1, l, excludes ? state[1] : next, state[0], to);
              scf::YieldOp::create(b1, l, ValueRange{written, next});
            });
        return {loop.getResult(0)};
      });
  return nest.results.front();
}

static LogicalResult importCumulate(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.dataType == Bool || x.rank() < 1)
    return n.invalid("expects numbers of rank 1 or more");
  bool isProduct = n.opType() == "CumProd";
  bool excludes = n.intAttr("exclusive", 0) != 0;
  bool reverses = n.intAttr("reverse", 0) != 0;
  auto given = emit.elementsOf(n.input(1));
  if (!given || given->size() != 1)
    return n.invalid("its axis is no single integer");
  if (given->front().isConstant()) {
    FailureOr<int64_t> axis = n.axis(*given->front().constant(), x.rank());
    if (failed(axis))
      return failure();
    Value y = cumulate(emit, x, *axis, isProduct, excludes, reverses);
    return n.result(emit.fromValue(y, x.dataType, x.shape));
  }
  // One branch for each axis; a wrong number takes the last one.
  OpBuilder &builder = emit.getBuilder();
  emit.materialize(n.input(0));
  for (const Dim &dim : x.shape) {
    emit.indexValue(dim);
    emit.indexValue(dim - Dim(1));
  }
  Value axis = emit.indexValue(given->front());
  Indices i{builder, emit.getLoc()};
  axis = i.select(i.less(axis, i.number(0)), i.add(axis, i.number(x.rank())),
                  axis);
  std::function<Value(int64_t)> choose = [&](int64_t d) -> Value {
    if (d == x.rank() - 1)
      return cumulate(emit, x, d, isProduct, excludes, reverses);
    Value isAxis = i.equal(axis, i.number(d));
    auto branch =
        scf::IfOp::create(builder, emit.getLoc(),
                          emit.tensorType(x.shape, x.dataType), isAxis, true);
    for (bool isThen : {true, false}) {
      OpBuilder::InsertionGuard guard(builder);
      Emitter::RegionScope scope(emit);
      builder.setInsertionPointToStart(isThen ? branch.thenBlock()
                                              : branch.elseBlock());
      Value y = isThen ? cumulate(emit, x, d, isProduct, excludes, reverses)
                       : choose(d + 1);
      scf::YieldOp::create(builder, emit.getLoc(), y);
    }
    return branch.getResult(0);
  };
  return n.result(emit.fromValue(choose(0), x.dataType, x.shape));
}

//===----------------------------------------------------------------------===//
// OneHot, EyeLike
//===----------------------------------------------------------------------===//

static LogicalResult importOneHot(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &indices = n.input(0), &values = n.input(2);
  TensorValue depth = emit.cast(n.input(1), Int64);
  auto given = emit.elementsOf(depth);
  if (!given || given->size() != 1)
    return n.invalid("its depth is no single number");
  if (values.rank() != 1 || !emit.broadcastDim(values.shape[0], 2))
    return n.invalid("its values are not a pair");
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), indices.rank() + 1);
  if (failed(axis))
    return failure();
  Dim size = emit.maxDim(given->front(), 0);
  Shape shape = indices.shape;
  shape.insert(shape.begin() + *axis, size);
  Value pair = emit.materialize(values), limit = emit.indexValue(size);
  Value zero = emit.indexConstant(0), one = emit.indexConstant(1);
  TensorValue places = emit.unsqueeze(emit.cast(indices, Int64), {*axis});
  return n.result(emit.indexed(
      places, shape, values.dataType,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Indices i{b, l};
        Value place = arith::IndexCastOp::create(b, l, b.getIndexType(), v[0]);
        place = i.select(i.less(place, zero), i.add(place, limit), place);
        Value isHere = i.equal(place, v[1 + *axis]);
        Value which = i.select(isHere, one, zero);
        return tensor::ExtractOp::create(b, l, pair, which);
      }));
}

static LogicalResult importEyeLike(NodeImporter &n) {
  if (failed(n.require(1)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if (x.rank() != 2)
    return n.invalid("expects a matrix");
  auto type = static_cast<int32_t>(n.intAttr("dtype", x.dataType));
  Type element = emit.elementType(type);
  if (!element)
    return n.unsupported("element type " + dataTypeName(type));
  Value one = emit.scalarConstant(element, 1);
  Value zero = emit.scalarConstant(element, 0);
  Value shift = emit.indexConstant(n.intAttr("k", 0));
  return n.result(emit.indexed(
      {}, x.shape, type, [&](OpBuilder &b, Location l, ValueRange at) -> Value {
        Indices i{b, l};
        return i.select(i.equal(i.add(at[0], shift), at[1]), one, zero);
      }));
}

void onnx::registerSearchOps(OpRegistry &registry) {
  registry.add("ArgMax", 1, importArgExtreme);
  registry.add("ArgMin", 1, importArgExtreme);
  registry.add("Hardmax", 1, importHardmax);
  registry.add("TopK", 1, importTopK);
  registry.add("CumSum", 11, importCumulate);
  registry.add("CumProd", 26, importCumulate);
  registry.add("OneHot", 9, importOneHot);
  registry.add("EyeLike", 9, importEyeLike);
}
