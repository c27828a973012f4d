//===- EmitterCompute.cpp - Elementwise work, reductions, products --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

/// Runs the operations of `block` on constants with their folders.
static Attribute foldBlock(Block &block, Value result,
                           ArrayRef<Attribute> arguments) {
  llvm::DenseMap<Value, Attribute> known;
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments))
    known[argument] = value;
  auto lookup = [&](Value value) -> Attribute {
    if (Attribute attribute = known.lookup(value))
      return attribute;
    Attribute attribute;
    if (matchPattern(value, m_Constant(&attribute)))
      return attribute;
    return {};
  };
  for (Operation &op : block) {
    if (op.getNumResults() != 1 || op.getNumRegions() != 0)
      return {};
    SmallVector<OpFoldResult> results;
    // A folder may first only rewrite the operation in place.
    for (int attempt = 0; attempt < 4 && results.empty(); ++attempt) {
      SmallVector<Attribute> operands;
      for (Value operand : op.getOperands()) {
        operands.push_back(lookup(operand));
        if (!operands.back())
          return {};
      }
      if (failed(op.fold(operands, results)))
        return {};
    }
    if (results.size() != 1)
      return {};
    Attribute value = isa<Attribute>(results[0])
                          ? cast<Attribute>(results[0])
                          : lookup(cast<Value>(results[0]));
    if (!value || !isa<IntegerAttr, FloatAttr>(value))
      return {};
    known[op.getResult(0)] = value;
  }
  return lookup(result);
}

std::optional<TensorValue> Emitter::evaluate(ArrayRef<TensorValue> operands,
                                             ArrayRef<Dim> shape,
                                             int32_t resultType,
                                             ScalarBody body) {
  constexpr int64_t maxElements = 256;
  auto type = tensorType(shape, resultType);
  if (operands.empty() || !type.hasStaticShape() ||
      type.getNumElements() > maxElements ||
      !llvm::all_of(operands, [](const TensorValue &operand) {
        return bool(operand.constant);
      }))
    return std::nullopt;
  Block block;
  for (const TensorValue &operand : operands)
    block.addArgument(elementType(operand.dataType), loc);
  OpBuilder inner(builder.getContext());
  inner.setInsertionPointToStart(&block);
  Value result = body(inner, loc, block.getArguments());

  SmallVector<Attribute> values;
  for (int64_t flat = 0; flat < type.getNumElements(); ++flat) {
    SmallVector<Attribute> arguments;
    for (const TensorValue &operand : operands) {
      int64_t rest = flat, index = 0, stride = 1;
      for (int64_t i = type.getRank() - 1, j = operand.rank() - 1; j >= 0;
           --i, --j) {
        int64_t coordinate = rest % type.getDimSize(i);
        rest /= type.getDimSize(i);
        int64_t size = operand.constant.getType().getDimSize(j);
        index += (size == 1 ? 0 : coordinate) * stride;
        stride *= size;
      }
      if (operand.constant.isSplat())
        index = 0;
      arguments.push_back(
          operand.constant.isSplat()
              ? operand.constant.getSplatValue<Attribute>()
              : *(operand.constant.getValues<Attribute>().begin() + index));
    }
    values.push_back(foldBlock(block, result, arguments));
    if (!values.back())
      return std::nullopt;
  }
  return fromConstant(DenseElementsAttr::get(type, values), resultType);
}

void Emitter::checkBroadcast(ArrayRef<TensorValue> operands,
                             ArrayRef<Dim> shape) {
  for (const TensorValue &operand : operands)
    for (int64_t j = operand.rank() - 1,
                 i = static_cast<int64_t>(shape.size()) - 1;
         j >= 0; --i, --j)
      requireEqual(operand.shape[j], shape[i], /*orOne=*/true);
}

TensorValue Emitter::generic(ArrayRef<TensorValue> operands,
                             ArrayRef<Dim> shape, int32_t resultType,
                             bool withIndices, ScalarBody body) {
  MLIRContext *context = builder.getContext();
  unsigned rank = static_cast<unsigned>(shape.size());
  checkBroadcast(operands, shape);
  enum Kind { Scalar, Input, Clamped };
  SmallVector<Kind> kinds;
  SmallVector<Value> values, inputs;
  SmallVector<AffineMap> maps;
  for (const TensorValue &operand : operands) {
    if (operand.constant && operand.constant.isSplat()) {
      kinds.push_back(Scalar);
      values.push_back(scalarConstant(
          cast<TypedAttr>(operand.constant.getSplatValue<Attribute>())));
      continue;
    }
    SmallVector<AffineExpr> exprs;
    bool isClamped = false;
    for (int64_t j = 0; j < operand.rank(); ++j) {
      unsigned i = rank - static_cast<unsigned>(operand.rank() - j);
      if (operand.shape[j].is(1) && !shape[i].is(1))
        exprs.push_back(getAffineConstantExpr(0, context));
      else
        exprs.push_back(getAffineDimExpr(i, context));
      isClamped |=
          !operand.shape[j].isConstant() && operand.shape[j] != shape[i];
    }
    kinds.push_back(isClamped ? Clamped : Input);
    values.push_back(materialize(operand));
    if (!isClamped) {
      inputs.push_back(values.back());
      maps.push_back(AffineMap::get(rank, 0, exprs, context));
    } else {
      // Needed inside of the body; built outside.
      for (const Dim &dim : operand.shape)
        indexValue(dim);
    }
  }
  maps.push_back(builder.getMultiDimIdentityMap(rank));
  Value one = indexConstant(1), zero = indexConstant(0);
  Value init = empty(shape, elementType(resultType));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  auto buildBody = [&](OpBuilder &b, Location bodyLoc, ValueRange arguments) {
    SmallVector<Value> scalars;
    unsigned next = 0;
    for (auto [n, operand] : llvm::enumerate(operands)) {
      if (kinds[n] == Scalar) {
        scalars.push_back(values[n]);
      } else if (kinds[n] == Input) {
        scalars.push_back(arguments[next++]);
      } else {
        SmallVector<Value> indices;
        for (int64_t j = 0; j < operand.rank(); ++j) {
          unsigned i = rank - static_cast<unsigned>(operand.rank() - j);
          const Dim &dim = operand.shape[j];
          if (dim.is(1)) {
            indices.push_back(zero);
            continue;
          }
          Value index = linalg::IndexOp::create(b, bodyLoc, i);
          if (dim != shape[i] && !dim.isConstant()) {
            Value isOne = arith::CmpIOp::create(
                b, bodyLoc, arith::CmpIPredicate::eq, indexValue(dim), one);
            index = arith::SelectOp::create(b, bodyLoc, isOne, zero, index);
          }
          indices.push_back(index);
        }
        scalars.push_back(
            tensor::ExtractOp::create(b, bodyLoc, values[n], indices));
      }
    }
    if (withIndices)
      for (unsigned i = 0; i < rank; ++i)
        scalars.push_back(linalg::IndexOp::create(b, bodyLoc, i));
    linalg::YieldOp::create(b, bodyLoc, body(b, bodyLoc, scalars));
  };
  auto op = linalg::GenericOp::create(builder, loc, init.getType(), inputs,
                                      init, maps, iterators, buildBody);
  return fromValue(op.getResult(0), resultType, shape);
}

TensorValue Emitter::elementwise(ArrayRef<TensorValue> operands,
                                 ArrayRef<Dim> shape, int32_t resultType,
                                 ScalarBody body) {
  if (auto constant = evaluate(operands, shape, resultType, body))
    return *constant;
  return generic(operands, shape, resultType, false, body);
}

TensorValue Emitter::indexed(ArrayRef<TensorValue> operands,
                             ArrayRef<Dim> shape, int32_t resultType,
                             ScalarBody body) {
  return generic(operands, shape, resultType, true, body);
}

TensorValue Emitter::cast(const TensorValue &operand, int32_t resultType) {
  if (operand.dataType == resultType)
    return operand;
  if (operand.elements && isInteger(resultType))
    return fromElements(*operand.elements, operand.rank() == 0, resultType);
  int32_t from = operand.dataType;
  Type target = elementType(resultType), source = elementType(from);
  return map(operand, resultType,
             [&](OpBuilder &b, Location l, ValueRange v) -> Value {
               if (resultType == Bool) {
                 Value zero = scalarConstant(source, 0);
                 if (isFloat(from))
                   return arith::CmpFOp::create(b, l, arith::CmpFPredicate::UNE,
                                                v[0], zero);
                 return arith::CmpIOp::create(b, l, arith::CmpIPredicate::ne,
                                              v[0], zero);
               }
               if (isFloat(from) && isFloat(resultType)) {
                 unsigned a = source.getIntOrFloatBitWidth(),
                          c = target.getIntOrFloatBitWidth();
                 if (a < c)
                   return arith::ExtFOp::create(b, l, target, v[0]);
                 if (a > c)
                   return arith::TruncFOp::create(b, l, target, v[0]);
                 // Between the two half types.
                 Value wide = arith::ExtFOp::create(b, l, b.getF32Type(), v[0]);
                 return arith::TruncFOp::create(b, l, target, wide);
               }
               if (isFloat(from)) {
                 if (isUnsigned(resultType))
                   return arith::FPToUIOp::create(b, l, target, v[0]);
                 return arith::FPToSIOp::create(b, l, target, v[0]);
               }
               if (isFloat(resultType)) {
                 if (isUnsigned(from))
                   return arith::UIToFPOp::create(b, l, target, v[0]);
                 return arith::SIToFPOp::create(b, l, target, v[0]);
               }
               unsigned a = source.getIntOrFloatBitWidth(),
                        c = target.getIntOrFloatBitWidth();
               if (a > c)
                 return arith::TruncIOp::create(b, l, target, v[0]);
               if (a == c)
                 return v[0];
               if (isUnsigned(from))
                 return arith::ExtUIOp::create(b, l, target, v[0]);
               return arith::ExtSIOp::create(b, l, target, v[0]);
             });
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

TensorValue Emitter::reduce(const TensorValue &operand, ArrayRef<int64_t> axes,
                            bool keepDims, Value init, ScalarBody combine) {
  MLIRContext *context = builder.getContext();
  unsigned rank = static_cast<unsigned>(operand.rank());
  Shape kept, shape;
  SmallVector<AffineExpr> exprs;
  SmallVector<utils::IteratorType> iterators;
  for (unsigned i = 0; i < rank; ++i) {
    bool isReduced = llvm::is_contained(axes, static_cast<int64_t>(i));
    iterators.push_back(isReduced ? utils::IteratorType::reduction
                                  : utils::IteratorType::parallel);
    shape.push_back(isReduced ? Dim(1) : operand.shape[i]);
    if (!isReduced) {
      kept.push_back(operand.shape[i]);
      exprs.push_back(getAffineDimExpr(i, context));
    }
  }
  Value start = filled(kept, init);
  AffineMap maps[] = {builder.getMultiDimIdentityMap(rank),
                      AffineMap::get(rank, 0, exprs, context)};
  auto op = linalg::GenericOp::create(
      builder, loc, start.getType(), materialize(operand), start, maps,
      iterators, [&](OpBuilder &b, Location l, ValueRange v) {
        linalg::YieldOp::create(b, l, combine(b, l, {v[1], v[0]}));
      });
  TensorValue result = fromValue(op.getResult(0), operand.dataType, kept);
  return keepDims ? reshape(result, shape) : result;
}

TensorValue Emitter::reduceSum(const TensorValue &operand,
                               ArrayRef<int64_t> axes, bool keepDims) {
  bool floats = isFloat(operand.dataType);
  return reduce(operand, axes, keepDims,
                scalarConstant(elementType(operand.dataType), 0),
                [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                  if (floats)
                    return arith::AddFOp::create(b, l, v[0], v[1]);
                  return arith::AddIOp::create(b, l, v[0], v[1]);
                });
}

Value Emitter::countAsFloat(const Dim &count, Type type) {
  if (std::optional<int64_t> constant = count.constant())
    return scalarConstant(type, static_cast<double>(*constant));
  Value integer = arith::IndexCastOp::create(builder, loc, builder.getI64Type(),
                                             indexValue(count));
  return arith::SIToFPOp::create(builder, loc, type, integer);
}

TensorValue Emitter::reduceMean(const TensorValue &operand,
                                ArrayRef<int64_t> axes, bool keepDims) {
  TensorValue sum = reduceSum(operand, axes, keepDims);
  Dim count = 1;
  for (int64_t axis : axes)
    count = count * operand.shape[axis];
  bool floats = isFloat(operand.dataType);
  Value divisor;
  if (floats) {
    divisor = countAsFloat(count, elementType(operand.dataType));
  } else {
    divisor =
        arith::IndexCastOp::create(builder, loc, elementType(operand.dataType),
                                   indexValue(maxDim(count, 1)));
  }
  return map(sum, operand.dataType,
             [&](OpBuilder &b, Location l, ValueRange v) -> Value {
               if (floats)
                 return arith::DivFOp::create(b, l, v[0], divisor);
               if (isUnsigned(operand.dataType))
                 return arith::DivUIOp::create(b, l, v[0], divisor);
               return arith::DivSIOp::create(b, l, v[0], divisor);
             });
}

TensorValue Emitter::softmax(const TensorValue &operand, int64_t axis) {
  int32_t dataType = operand.dataType;
  if (dataType == Float16 || dataType == BFloat16)
    return cast(softmax(cast(operand, Float32), axis), dataType);
  int64_t last = operand.rank() - 1;
  if (axis != last) {
    auto perm = llvm::to_vector(llvm::seq<int64_t>(0, operand.rank()));
    std::swap(perm[axis], perm[last]);
    return transpose(softmax(transpose(operand, perm), last), perm);
  }
  Value input = materialize(operand);
  Value init = empty(operand.shape, elementType(dataType));
  auto op = linalg::SoftmaxOp::create(builder, loc, input.getType(), input,
                                      init, static_cast<uint64_t>(axis));
  return fromValue(op->getResult(0), dataType, operand.shape);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

TensorValue Emitter::matmul(const TensorValue &a, const TensorValue &b,
                            int32_t resultType) {
  if (a.rank() == 0 || b.rank() == 0)
    return {};
  if (a.rank() == 1) {
    TensorValue result = matmul(unsqueeze(a, {0}), b, resultType);
    int64_t row = result.rank() - (b.rank() == 1 ? 1 : 2);
    return result.value ? squeeze(result, {row}) : result;
  }
  if (b.rank() == 1) {
    TensorValue result = matmul(a, unsqueeze(b, {1}), resultType);
    return result.value ? squeeze(result, {result.rank() - 1}) : result;
  }
  const Dim &rows = a.shape[a.rank() - 2], &depth = a.shape[a.rank() - 1];
  const Dim &columns = b.shape[b.rank() - 1];
  if (!broadcastDim(depth, b.shape[b.rank() - 2]))
    return {};

  requireEqual(b.shape[b.rank() - 2], depth);
  // Batch dimensions of the left side are rows when the right side has none.
  if (b.rank() == 2 && a.rank() > 2) {
    Shape full = a.shape;
    full.back() = columns;
    Dim allRows = product(ArrayRef<Dim>(a.shape).drop_back());
    TensorValue flat = matmul(reshape(a, {allRows, depth}), b, resultType);
    return flat.value ? reshape(flat, full) : flat;
  }

  ArrayRef<Dim> batchA = ArrayRef<Dim>(a.shape).drop_back(2);
  ArrayRef<Dim> batchB = ArrayRef<Dim>(b.shape).drop_back(2);
  std::optional<Shape> batch = broadcastShapes(batchA, batchB);
  if (!batch)
    return {};
  Shape shape = *batch;
  shape.push_back(rows);
  shape.push_back(columns);
  bool isHalf = resultType == Float16 || resultType == BFloat16;
  int32_t accumulator = isHalf ? int32_t(Float32) : resultType;
  Value init = filled(shape, scalarConstant(elementType(accumulator), 0));

  Operation *op = nullptr;
  int64_t batchRank = static_cast<int64_t>(batch->size());
  bool sameBatch = batchA == batchB;
  if (batchRank == 0) {
    op = linalg::MatmulOp::create(builder, loc, init.getType(),
                                  {materialize(a), materialize(b)}, init);
  } else if (batchRank == 1 && sameBatch) {
    op = linalg::BatchMatmulOp::create(builder, loc, init.getType(),
                                       {materialize(a), materialize(b)}, init);
  } else {
    MLIRContext *context = builder.getContext();
    unsigned numDims = static_cast<unsigned>(batchRank) + 3;
    unsigned m = numDims - 3, n = numDims - 2, k = numDims - 1;
    // Broadcast unit dimensions leave the operand and its map.
    auto prepare = [&](const TensorValue &operand, ArrayRef<Dim> own,
                       std::array<unsigned, 2> inner, Value &value) {
      SmallVector<AffineExpr> exprs;
      SmallVector<int64_t> dropped;
      Shape wanted = operand.shape;
      int64_t shift = batchRank - static_cast<int64_t>(own.size());
      for (int64_t j = 0; j < static_cast<int64_t>(own.size()); ++j) {
        if (own[j].is(1) && !(*batch)[shift + j].is(1)) {
          dropped.push_back(j);
          continue;
        }
        wanted[j] = (*batch)[shift + j];
        exprs.push_back(
            getAffineDimExpr(static_cast<unsigned>(shift + j), context));
      }
      exprs.push_back(getAffineDimExpr(inner[0], context));
      exprs.push_back(getAffineDimExpr(inner[1], context));
      TensorValue used = broadcastTo(operand, wanted);
      value = materialize(dropped.empty() ? used : squeeze(used, dropped));
      return AffineMap::get(numDims, 0, exprs, context);
    };
    Value valueA, valueB;
    AffineMap mapA = prepare(a, batchA, {m, k}, valueA);
    AffineMap mapB = prepare(b, batchB, {k, n}, valueB);
    SmallVector<AffineExpr> exprs;
    for (unsigned i = 0; i < numDims - 1; ++i)
      exprs.push_back(getAffineDimExpr(i, context));
    AffineMap maps[] = {mapA, mapB, AffineMap::get(numDims, 0, exprs, context)};
    op = linalg::ContractOp::create(builder, loc, init.getType(),
                                    ValueRange{valueA, valueB}, init,
                                    builder.getAffineMapArrayAttr(maps));
  }
  return cast(fromValue(op->getResult(0), accumulator, shape), resultType);
}
