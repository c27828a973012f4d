//===- LoopEmitter.cpp - One linalg operation as vector loops -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "LoopEmitter.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::attn;

/// Whether neighbours in the last dimension are neighbours in memory.
static bool isUnitStride(MemRefType type) {
  if (type.getRank() == 0)
    return false;
  auto [strides, offset] = type.getStridesAndOffset();
  return strides.back() == 1;
}

static bool isLaneType(Type type) {
  return type.isIndex() || type.isF32() || type.isF64() || type.isF16() ||
         type.isBF16() ||
         (type.isInteger() && type.getIntOrFloatBitWidth() >= 8);
}

/// Lanes behind the end hold zeros, which these must not divide by.
static bool dividesIntegers(Operation *op) {
  return isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp,
             arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp>(op);
}

/// The operation that combines output `i` with each new value, if the body is
/// such a reduction.
static Operation *findCombiner(linalg::LinalgOp op, unsigned i) {
  SmallVector<Operation *, 2> combiners;
  if (!matchReduction(op.getRegionOutputArgs(), i, combiners) ||
      combiners.size() != 1)
    return nullptr;
  return combiners.front();
}

static std::optional<vector::CombiningKind> combiningKind(Operation *op) {
  return linalg::getCombinerOpKind(op);
}

LoopEmitter::LoopEmitter(linalg::LinalgOp op, unsigned numRows, int64_t lanes)
    : op(op), numRows(numRows), lanes(lanes) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  // The last dimension that works; parallel ones need no final reduction.
  for (auto wanted :
       {utils::IteratorType::parallel, utils::IteratorType::reduction}) {
    for (unsigned dim = op.getNumLoops(); dim-- > numRows && !vectorDim;)
      if (iterators[dim] == wanted && canVectorize(dim))
        vectorDim = dim;
  }
  for (unsigned dim = numRows; dim < op.getNumLoops(); ++dim)
    if (iterators[dim] == utils::IteratorType::reduction && dim != vectorDim)
      otherReductions.push_back(dim);
}

bool LoopEmitter::canVectorize(unsigned dim) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  bool isReduction = iterators[dim] == utils::IteratorType::reduction;
  AffineExpr lane = getAffineDimExpr(dim, op->getContext());
  DenseSet<Value> varying;
  bool isUsed = false;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isFunctionOfDim(dim)) {
      if (op.isDpsInit(&operand) && !isReduction)
        return false;
      continue;
    }
    for (AffineExpr result : map.getResults().drop_back())
      if (result.isFunctionOfDim(dim))
        return false;
    if (map.getResults().back() != lane || !isUnitStride(type) ||
        !isLaneType(type.getElementType()))
      return false;
    isUsed = true;
    varying.insert(op.getMatchingBlockArgument(&operand));
  }
  if (isReduction) {
    for (unsigned i = 0; i < op.getNumDpsInits(); ++i) {
      Operation *combiner = findCombiner(op, i);
      // Upstream knows no limits of an index.
      if (combiner && combiner->getResult(0).getType().isIndex() &&
          !isa<arith::AddIOp>(combiner))
        return false;
      if (!combiner || !combiningKind(combiner) ||
          !arith::getNeutralElement(combiner) ||
          !isLaneType(combiner->getResult(0).getType()))
        return false;
      varying.insert(op.getRegionOutputArgs()[i]);
    }
  }
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      if (index.getDim() == dim) {
        isUsed = true;
        varying.insert(index.getResult());
      }
      continue;
    }
    bool isVarying = llvm::any_of(inner.getOperands(),
                                  [&](Value v) { return varying.contains(v); });
    if (!isVarying) {
      if (inner.getNumRegions())
        return false;
      continue;
    }
    if (auto loadOp = dyn_cast<memref::LoadOp>(inner)) {
      // Rows of a table: only the last index varies, and it is the lane.
      for (Value index : loadOp.getIndices().drop_back())
        if (varying.contains(index))
          return false;
      auto index = loadOp.getIndices().back().getDefiningOp<linalg::IndexOp>();
      if (!index || index.getDim() != dim ||
          !isUnitStride(loadOp.getMemRefType()) ||
          !isLaneType(loadOp.getMemRefType().getElementType()))
        return false;
      varying.insert(loadOp.getResult());
      continue;
    }
    if (!OpTrait::hasElementwiseMappableTraits(&inner) ||
        dividesIntegers(&inner))
      return false;
    for (Value result : inner.getResults()) {
      if (!isLaneType(result.getType()) && !result.getType().isInteger(1))
        return false;
      varying.insert(result);
    }
  }
  return isUsed || !isReduction;
}

VectorType LoopEmitter::vectorOf(Type element) const {
  return VectorType::get({lanes}, element);
}

Value LoopEmitter::toVector(ImplicitLocOpBuilder &b, Value value) const {
  if (isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(b, vectorOf(value.getType()), value);
}

void LoopEmitter::emit(ImplicitLocOpBuilder &b, ValueRange allSizes,
                       ValueRange rows, const RowBuffers &rowBuffers) {
  sizes.assign(allSizes.begin(), allSizes.end());
  indices.assign(rows.begin(), rows.end());
  indices.resize(op.getNumLoops());
  buffers = &rowBuffers;
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  for (unsigned dim = numRows; dim < op.getNumLoops(); ++dim) {
    if (dim == vectorDim || iterators[dim] != utils::IteratorType::parallel)
      continue;
    auto loop = scf::ForOp::create(b, zero, sizes[dim], one);
    indices[dim] = loop.getInductionVar();
    b.setInsertionPointToStart(loop.getBody());
  }
  emitInner(b);
}

void LoopEmitter::emitInner(ImplicitLocOpBuilder &b) {
  if (!vectorDim)
    return emitPoint(b, Value());
  bool isReduction =
      op.getIteratorTypesArray()[*vectorDim] == utils::IteratorType::reduction;
  isReduction ? emitLanesReduced(b) : emitLanesParallel(b);
}

/// `size` rounded down to a multiple of `lanes`.
static Value wholeVectors(ImplicitLocOpBuilder &b, Value size, int64_t lanes) {
  if (auto constant = getConstantIntValue(size))
    return arith::ConstantIndexOp::create(b, *constant / lanes * lanes);
  Value mask = arith::ConstantIndexOp::create(b, -lanes);
  return arith::AndIOp::create(b, size, mask);
}

void LoopEmitter::emitLanesParallel(ImplicitLocOpBuilder &b) {
  Value size = sizes[*vectorDim];
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value step = arith::ConstantIndexOp::create(b, lanes);
  Value whole = wholeVectors(b, size, lanes);
  if (getConstantIntValue(whole) != 0) {
    auto loop = scf::ForOp::create(b, zero, whole, step);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    indices[*vectorDim] = loop.getInductionVar();
    emitPoint(b, Value());
  }
  if (auto constant = getConstantIntValue(size);
      constant && *constant % lanes == 0)
    return;
  Value rest = arith::SubIOp::create(b, size, whole);
  auto isLeft = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, rest, zero);
  auto tail = scf::IfOp::create(b, isLeft, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(tail.thenBlock());
  Value mask = vector::CreateMaskOp::create(b, vectorOf(b.getI1Type()), rest);
  indices[*vectorDim] = whole;
  emitPoint(b, mask);
}

void LoopEmitter::emitLanesReduced(ImplicitLocOpBuilder &b) {
  SmallVector<Value> start, initial;
  SmallVector<Operation *> combiners;
  for (unsigned i = 0; i < op.getNumDpsInits(); ++i) {
    initial.push_back(load(b, *op.getDpsInitOperand(i), Value()));
    combiners.push_back(findCombiner(op, i));
    start.push_back(
        toVector(b, arith::ConstantOp::create(
                        b, *arith::getNeutralElement(combiners.back()))));
  }
  Value size = sizes[*vectorDim];
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value step = arith::ConstantIndexOp::create(b, lanes);
  Value whole = wholeVectors(b, size, lanes);
  bool hasTail = true;
  if (auto constant = getConstantIntValue(size))
    hasTail = *constant % lanes != 0;
  SmallVector<Value> sums = emitCarriedLoops(
      b, otherReductions, start,
      [&](ImplicitLocOpBuilder &b, ValueRange carried) {
        auto loop = scf::ForOp::create(
            b, zero, whole, step, carried,
            [&](OpBuilder &inner, Location loc, Value index, ValueRange args) {
              ImplicitLocOpBuilder builder(loc, inner);
              indices[*vectorDim] = index;
              SmallVector<Value> next = emitBody(builder, Value(), args);
              for (Value &value : next)
                value = toVector(builder, value);
              scf::YieldOp::create(builder, next);
            });
        SmallVector<Value> results(loop.getResults());
        if (!hasTail)
          return results;
        Value rest = arith::SubIOp::create(b, size, whole);
        Value mask =
            vector::CreateMaskOp::create(b, vectorOf(b.getI1Type()), rest);
        indices[*vectorDim] = whole;
        SmallVector<Value> next = emitBody(b, mask, results);
        for (auto [value, before] : llvm::zip(next, results))
          value = arith::SelectOp::create(b, mask, toVector(b, value), before);
        return next;
      });
  for (unsigned i = 0; i < op.getNumDpsInits(); ++i) {
    Operation *combiner = combiners[i];
    bool isFloat = isa<FloatType>(combiner->getResult(0).getType());
    Value sum = vector::ReductionOp::create(
        b, *combiningKind(combiner), sums[i],
        isFloat ? arith::FastMathFlags::reassoc : arith::FastMathFlags::none);
    IRMapping mapping;
    mapping.map(op.getRegionOutputArgs()[i], initial[i]);
    for (Value operand : combiner->getOperands())
      if (operand != op.getRegionOutputArgs()[i])
        mapping.map(operand, sum);
    Value result = b.clone(*combiner, mapping)->getResult(0);
    store(b, *op.getDpsInitOperand(i), result, Value());
  }
}

SmallVector<Value> LoopEmitter::emitCarriedLoops(
    ImplicitLocOpBuilder &b, ArrayRef<unsigned> dims, ValueRange carried,
    llvm::function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)>
        body) {
  if (dims.empty())
    return body(b, carried);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto loop = scf::ForOp::create(
      b, zero, sizes[dims.front()], one, carried,
      [&](OpBuilder &inner, Location loc, Value index, ValueRange args) {
        ImplicitLocOpBuilder builder(loc, inner);
        indices[dims.front()] = index;
        scf::YieldOp::create(
            builder, emitCarriedLoops(builder, dims.drop_front(), args, body));
      });
  return SmallVector<Value>(loop.getResults());
}

void LoopEmitter::emitPoint(ImplicitLocOpBuilder &b, Value mask) {
  SmallVector<Value> outs;
  for (OpOperand &operand : op.getDpsInitsMutable()) {
    bool isRead = !otherReductions.empty() ||
                  !op.getMatchingBlockArgument(&operand).use_empty();
    outs.push_back(isRead ? load(b, operand, mask) : Value());
  }
  SmallVector<Value> results;
  if (otherReductions.empty())
    results = emitBody(b, mask, outs);
  else
    results =
        emitCarriedLoops(b, otherReductions, outs,
                         [&](ImplicitLocOpBuilder &b, ValueRange carried) {
                           SmallVector<Value> next = emitBody(b, mask, carried);
                           if (vectorDim)
                             for (Value &value : next)
                               value = toVector(b, value);
                           return next;
                         });
  for (auto [operand, value] : llvm::zip(op.getDpsInitsMutable(), results))
    store(b, operand, value, mask);
}

LoopEmitter::Access LoopEmitter::access(ImplicitLocOpBuilder &b,
                                        OpOperand &operand) {
  AffineMap map = op.getMatchingIndexingMap(&operand);
  Access result{
      operand.get(), {}, vectorDim && map.isFunctionOfDim(*vectorDim)};
  unsigned first = 0;
  if (Value scratch = buffers->scratch.lookup(operand.get())) {
    result.buffer = scratch;
    first = buffers->numRows;
  }
  for (AffineExpr expr : map.getResults().drop_front(first)) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      result.indices.push_back(indices[dim.getPosition()]);
    } else if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
      result.indices.push_back(
          arith::ConstantIndexOp::create(b, constant.getValue()));
    } else {
      SmallVector<OpFoldResult> operands;
      for (Value index : indices)
        operands.push_back(index ? OpFoldResult(index)
                                 : OpFoldResult(b.getIndexAttr(0)));
      result.indices.push_back(getValueOrCreateConstantIndexOp(
          b, b.getLoc(),
          affine::makeComposedFoldedAffineApply(
              b, b.getLoc(), AffineMap::get(map.getNumDims(), 0, expr),
              operands)));
    }
  }
  return result;
}

/// Loads lanes; those behind the end are zero.
static Value loadLanes(ImplicitLocOpBuilder &b, VectorType type, Value buffer,
                       ValueRange indices, Value mask) {
  if (!mask)
    return vector::LoadOp::create(b, type, buffer, indices);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, buffer, indices, mask, zero);
}

Value LoopEmitter::load(ImplicitLocOpBuilder &b, OpOperand &operand,
                        Value mask) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return operand.get();
  Access place = access(b, operand);
  if (!place.isVector)
    return memref::LoadOp::create(b, place.buffer, place.indices);
  return loadLanes(b, vectorOf(type.getElementType()), place.buffer,
                   place.indices, mask);
}

void LoopEmitter::store(ImplicitLocOpBuilder &b, OpOperand &operand,
                        Value value, Value mask) {
  Access place = access(b, operand);
  if (!place.isVector) {
    memref::StoreOp::create(b, value, place.buffer, place.indices);
    return;
  }
  value = toVector(b, value);
  if (mask)
    vector::MaskedStoreOp::create(b, place.buffer, place.indices, mask, value);
  else
    vector::StoreOp::create(b, value, place.buffer, place.indices);
}

SmallVector<Value> LoopEmitter::emitBody(ImplicitLocOpBuilder &b, Value mask,
                                         ValueRange outs) {
  IRMapping mapping;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(operand);
    if (!argument.use_empty())
      mapping.map(argument, load(b, *operand, mask));
  }
  for (auto [argument, value] : llvm::zip(op.getRegionOutputArgs(), outs))
    if (value)
      mapping.map(argument, value);
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      Value value = indices[index.getDim()];
      if (index.getDim() == vectorDim) {
        VectorType type = vectorOf(b.getIndexType());
        value = arith::AddIOp::create(b, toVector(b, value),
                                      vector::StepOp::create(b, type));
      }
      mapping.map(index.getResult(), value);
      continue;
    }
    bool isVarying = llvm::any_of(inner.getOperands(), [&](Value operand) {
      return isa<VectorType>(mapping.lookupOrDefault(operand).getType());
    });
    if (!isVarying) {
      b.clone(inner, mapping);
      continue;
    }
    if (auto loadOp = dyn_cast<memref::LoadOp>(inner)) {
      SmallVector<Value> where;
      for (Value index : loadOp.getIndices().drop_back())
        where.push_back(mapping.lookupOrDefault(index));
      where.push_back(indices[*vectorDim]);
      mapping.map(loadOp.getResult(),
                  loadLanes(b, vectorOf(loadOp.getType()),
                            mapping.lookupOrDefault(loadOp.getMemRef()), where,
                            mask));
      continue;
    }
    OperationState state(inner.getLoc(), inner.getName());
    for (Value operand : inner.getOperands())
      state.operands.push_back(toVector(b, mapping.lookupOrDefault(operand)));
    for (Type type : inner.getResultTypes())
      state.types.push_back(vectorOf(type));
    state.attributes = inner.getDiscardableAttrDictionary();
    state.propertiesAttr = inner.getPropertiesAsAttribute();
    Operation *created = b.create(state);
    // One rounding instead of two where the processor can.
    auto fastMath = dyn_cast<arith::ArithFastMathInterface>(created);
    if (fastMath && fastMath.getFastMathFlagsAttr())
      created->setAttr(
          fastMath.getFastMathAttrName(),
          arith::FastMathFlagsAttr::get(
              b.getContext(), fastMath.getFastMathFlagsAttr().getValue() |
                                  arith::FastMathFlags::contract));
    mapping.map(inner.getResults(), created->getResults());
  }
  SmallVector<Value> results;
  for (Value value : op.getBlock()->getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
  return results;
}
