//===- TileBody.cpp - Vector code for the body of a row operation ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileBody.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::attn;

bool TileBody::dependsOnColumn(Value x) {
  auto known = columnDependence.find(x);
  if (known != columnDependence.end())
    return known->second;
  bool depends = false;
  Operation *inner = x.getDefiningOp();
  if (auto argument = dyn_cast<BlockArgument>(x)) {
    if (argument.getOwner() == op.getBody()) {
      AffineMap map =
          op.getMatchingIndexingMap(&op->getOpOperand(argument.getArgNumber()));
      depends = map.isFunctionOfDim(1) && op.getNumLoops() == 2;
    }
  } else if (inner->getBlock() == op.getBody()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      depends = index.getDim() == 1;
    else
      depends = llvm::any_of(inner->getOperands(),
                             [&](Value y) { return dependsOnColumn(y); });
  }
  columnDependence[x] = depends;
  return depends;
}

std::optional<int64_t> TileBody::slope(Value x) {
  if (!dependsOnColumn(x))
    return 0;
  Operation *inner = x.getDefiningOp();
  if (!inner)
    return std::nullopt;
  if (isa<linalg::IndexOp>(inner))
    return 1;
  if (isa<arith::AddIOp, arith::SubIOp>(inner)) {
    auto a = slope(inner->getOperand(0)), c = slope(inner->getOperand(1));
    if (!a || !c)
      return std::nullopt;
    return isa<arith::AddIOp>(inner) ? *a + *c : *a - *c;
  }
  return std::nullopt;
}

bool TileBody::runsToLimit(Value x) {
  if (slope(x) == 1)
    return true;
  Operation *inner = x.getDefiningOp();
  if (!inner || inner->getBlock() != op.getBody())
    return false;
  Value lhs, rhs;
  if (isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp>(inner)) {
    lhs = inner->getOperand(0);
    rhs = inner->getOperand(1);
  } else {
    return false;
  }
  if (!isa<arith::SubIOp>(inner) && dependsOnColumn(rhs))
    std::swap(lhs, rhs);
  if (isa<arith::MinSIOp>(inner) && dependsOnColumn(rhs))
    return runsToLimit(lhs) && runsToLimit(rhs);
  return runsToLimit(lhs) && !dependsOnColumn(rhs);
}

Value TileBody::evaluateAt(Value x, int64_t column) {
  Operation *inner = x.getDefiningOp();
  if (!inner || inner->getBlock() != op.getBody())
    return x;
  if (auto index = dyn_cast<linalg::IndexOp>(inner))
    return index.getDim() == 0 ? row : indexConstant(b, column);
  bool shared = !dependsOnColumn(x);
  if (shared)
    if (Value known = scalars.lookup(x))
      return known;
  IRMapping map;
  for (Value operand : inner->getOperands())
    map.map(operand, evaluateAt(operand, column));
  Value result = b.clone(*inner, map)->getResult(0);
  if (shared)
    scalars[x] = result;
  return result;
}

AffineExpr TileBody::asAffine(Value x) {
  MLIRContext *context = op.getContext();
  APInt number;
  if (matchPattern(x, m_ConstantInt(&number)))
    return getAffineConstantExpr(number.getSExtValue(), context);
  Operation *inner = x.getDefiningOp();
  if (!inner || inner->getBlock() != op.getBody())
    return {};
  if (auto index = dyn_cast<linalg::IndexOp>(inner))
    return getAffineDimExpr(index.getDim(), context);
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::FloorDivSIOp>(
          inner))
    return {};
  AffineExpr lhs = asAffine(inner->getOperand(0));
  AffineExpr rhs = asAffine(inner->getOperand(1));
  if (!lhs || !rhs)
    return {};
  if (isa<arith::AddIOp>(inner))
    return lhs + rhs;
  if (isa<arith::SubIOp>(inner))
    return lhs - rhs;
  auto factor = dyn_cast<AffineConstantExpr>(rhs);
  if (!factor || factor.getValue() <= 0)
    return {};
  return isa<arith::MulIOp>(inner) ? lhs * rhs : lhs.floorDiv(rhs);
}

Value TileBody::evaluateMixed(Value x, int64_t column) {
  Operation *inner = x.getDefiningOp();
  if (!inner || inner->getBlock() != op.getBody())
    return x;
  if (inner == replaced)
    return replacement.front();
  bool usesLoad = false;
  for (Value operand : inner->getOperands())
    usesLoad |= isa_and_nonnull<memref::LoadOp>(operand.getDefiningOp());
  if (!usesLoad)
    return evaluateAt(x, column);
  SmallVector<Value> operands;
  for (Value operand : inner->getOperands())
    operands.push_back(evaluateMixed(operand, column));
  return evaluateOp(inner, operands);
}

Value TileBody::widen(Value x) {
  if (isa<VectorType>(x.getType()))
    return x;
  if (x.getType().isIndex()) {
    // Comparisons with columns need no more than the range of columns.
    constexpr int64_t bound = int64_t(1) << 30;
    x = arith::MinSIOp::create(b, x, indexConstant(b, bound));
    x = arith::MaxSIOp::create(b, x, indexConstant(b, -bound));
    x = arith::IndexCastOp::create(b, b.getI32Type(), x);
  }
  return vector::BroadcastOp::create(b, VectorType::get({lanes}, x.getType()),
                                     x);
}

Value TileBody::evaluate(Value x, int64_t chunk,
                         llvm::function_ref<Value(BlockArgument)> argument) {
  if (auto own = dyn_cast<BlockArgument>(x))
    return own.getOwner() == op.getBody() ? argument(own) : x;
  Operation *inner = x.getDefiningOp();
  if (inner->getBlock() != op.getBody())
    return x;
  bool depends = dependsOnColumn(x);
  if (!depends)
    if (Value known = scalars.lookup(x))
      return known;
  if (Value known = vectors.lookup({x, chunk}))
    return known;
  Value result;
  if (auto load = dyn_cast<memref::LoadOp>(inner);
      load && replaced && load == replaced) {
    result = replacement[chunk];
  } else if (load && depends) {
    result = evaluateLoad(load, chunk, argument);
  } else if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
    if (index.getDim() == 0)
      return row;
    SmallVector<int32_t> columns(lanes);
    std::iota(columns.begin(), columns.end(), chunk * lanes);
    auto type = VectorType::get({lanes}, b.getI32Type());
    result = arith::ConstantOp::create(
        b, DenseElementsAttr::get(type, ArrayRef<int32_t>(columns)));
  } else {
    SmallVector<Value> operands;
    for (Value operand : inner->getOperands())
      operands.push_back(evaluate(operand, chunk, argument));
    result = evaluateOp(inner, operands);
  }
  // A replaced load makes vectors of what looks like scalars.
  if (isa<VectorType>(result.getType()) || depends)
    vectors[{x, chunk}] = result;
  else
    scalars[x] = result;
  return result;
}

static Type elementOf(Value x) { return getElementTypeOrSelf(x.getType()); }

Value TileBody::evaluateOp(Operation *inner, SmallVector<Value> operands) {
  bool isVector = llvm::any_of(
      operands, [](Value x) { return isa<VectorType>(x.getType()); });
  Type type = inner->getResult(0).getType();
  if (auto power = dyn_cast<math::Exp2Op>(inner)) {
    // One lane of a vector is as fast as a scalar would be.
    Value result = buildExp2(b, widen(operands[0]), scalef);
    if (isVector)
      return result;
    return vector::ExtractOp::create(b, result, ArrayRef<int64_t>{0});
  }
  if (isa<arith::MaxNumFOp>(inner)) {
    if (isVector)
      operands = {widen(operands[0]), widen(operands[1])};
    return buildMaximum(b, operands[0], operands[1]);
  }
  if (!isVector) {
    IRMapping map;
    for (auto [from, to] : llvm::zip(inner->getOperands(), operands))
      map.map(from, to);
    return b.clone(*inner, map)->getResult(0);
  }
  bool scalarCondition =
      isa<arith::SelectOp>(inner) && !isa<VectorType>(operands[0].getType());
  for (auto [i, x] : llvm::enumerate(operands))
    if (i != 0 || !scalarCondition)
      x = widen(x);
  // Indices are i32, unless one was read from memory as index (kept as i64).
  Type wide = b.getI64Type();
  bool hasWide = false, hasIndex = false;
  for (auto [original, x] : llvm::zip(inner->getOperands(), operands)) {
    hasIndex |= original.getType().isIndex();
    hasWide |= original.getType().isIndex() && elementOf(x) == wide;
  }
  auto wideVector = VectorType::get({lanes}, wide);
  if (hasWide)
    for (auto [original, x] : llvm::zip(inner->getOperands(), operands))
      if (original.getType().isIndex() && elementOf(x) != wide)
        x = arith::ExtSIOp::create(b, wideVector, x);
  if (isa<arith::IndexCastOp>(inner)) {
    Type from = elementOf(operands[0]);
    Type to = type.isIndex() ? wide : type;
    auto toVector = VectorType::get({lanes}, to);
    if (from == to)
      return operands[0];
    if (from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth())
      return arith::ExtSIOp::create(b, toVector, operands[0]);
    return arith::TruncIOp::create(b, toVector, operands[0]);
  }
  if (type.isIndex())
    type = hasIndex && hasWide ? wide : Type(b.getI32Type());
  auto resultType = VectorType::get({lanes}, type);
  if (auto division = dyn_cast<arith::FloorDivSIOp>(inner)) {
    // Rounds towards zero after a step down for negative numbers.
    APInt divisor;
    if (matchPattern(division.getRhs(), m_ConstantInt(&divisor)) &&
        divisor.isStrictlyPositive()) {
      auto constant = [&](int64_t value) -> Value {
        auto number = b.getIntegerAttr(type, value);
        return arith::ConstantOp::create(
            b, DenseElementsAttr::get(resultType, number));
      };
      Value negative = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             operands[0], constant(0));
      Value lower = arith::SubIOp::create(b, operands[0],
                                          constant(divisor.getSExtValue() - 1));
      Value x = arith::SelectOp::create(b, negative, lower, operands[0]);
      return arith::DivSIOp::create(b, x, operands[1]);
    }
  }
  OperationState state(b.getLoc(), inner->getName(), operands, resultType,
                       inner->getAttrs());
  return b.create(state)->getResult(0);
}

Value TileBody::loadContiguous(memref::LoadOp load, ArrayRef<Value> at,
                               Value mask, int64_t count) {
  Value buffer = load.getMemRef();
  Type element = load.getMemRefType().getElementType();
  auto type = VectorType::get({lanes}, element);
  if (!mask && count < lanes)
    mask = prefixMask(b, lanes, count);
  if (element.isInteger(1)) {
    // One byte each in memory, which `vector.load` would not respect.
    auto bytes = VectorType::get({lanes}, b.getI8Type());
    auto meta = memref::ExtractStridedMetadataOp::create(b, buffer);
    Value offset = meta.getOffset();
    for (auto [index, stride] : llvm::zip(at, meta.getStrides()))
      offset = arith::AddIOp::create(b, offset,
                                     arith::MulIOp::create(b, index, stride));
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, buffer);
    Value address = arith::IndexCastOp::create(
        b, b.getI64Type(), arith::AddIOp::create(b, base, offset));
    Value pointer = LLVM::IntToPtrOp::create(
        b, LLVM::LLVMPointerType::get(b.getContext()), address);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(bytes));
    Value loaded;
    if (mask)
      loaded = LLVM::MaskedLoadOp::create(b, bytes, pointer, mask, zero,
                                          /*alignment=*/1);
    else
      loaded = LLVM::LoadOp::create(b, bytes, pointer, /*alignment=*/1);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, loaded, zero);
  }
  if (!mask)
    return vector::LoadOp::create(b, type, buffer, at);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, type, buffer, at, mask, zero);
}

Value TileBody::evaluateLoad(
    memref::LoadOp load, int64_t chunk,
    llvm::function_ref<Value(BlockArgument)> argument) {
  Value buffer = load.getMemRef();
  Type element = load.getMemRefType().getElementType();
  int64_t first = chunk * lanes, count = std::min(lanes, columns - first);
  SmallVector<Value> indices(load.getIndices());
  bool onlyLast = hasUnitStride(buffer) &&
                  llvm::none_of(ArrayRef<Value>(indices).drop_back(),
                                [&](Value x) { return dependsOnColumn(x); });
  auto toWide = [&](Value x) -> Value {
    if (!element.isIndex())
      return x;
    return arith::IndexCastOp::create(
        b, VectorType::get({lanes}, b.getI64Type()), x);
  };
  SmallVector<Value> at;
  if (onlyLast) {
    for (Value x : ArrayRef<Value>(indices).drop_back())
      at.push_back(evaluateAt(x, first));
    Value last = indices.back();
    if (slope(last) == 1) {
      at.push_back(evaluateAt(last, first));
      return toWide(loadContiguous(load, at, {}, count));
    }
    // Such as min(column + x, limit): past the limit all read its element.
    if (runsToLimit(last)) {
      Value begin = evaluateAt(last, first);
      Value end = evaluateAt(last, first + count - 1);
      Value left = arith::AddIOp::create(
          b, arith::SubIOp::create(b, end, begin), indexConstant(b, 1));
      Value inside = prefixMask(b, lanes, left);
      Value mask = inside;
      if (count < lanes)
        mask = arith::AndIOp::create(b, mask, prefixMask(b, lanes, count));
      SmallVector<Value> atEnd = at;
      at.push_back(begin);
      atEnd.push_back(end);
      Value loaded = loadContiguous(load, at, mask, count);
      Value edge = memref::LoadOp::create(b, buffer, atEnd);
      edge = vector::BroadcastOp::create(b, VectorType::get({lanes}, element),
                                         edge);
      return toWide(arith::SelectOp::create(b, inside, loaded, edge));
    }
  }
  // Element by element.
  auto type = VectorType::get({lanes}, element);
  Value result = arith::ConstantOp::create(b, b.getZeroAttr(type));
  for (int64_t lane = 0; lane < count; ++lane) {
    SmallVector<Value> at;
    for (Value x : indices)
      at.push_back(evaluateAt(x, first + lane));
    Value x = memref::LoadOp::create(b, buffer, at);
    result = vector::InsertOp::create(b, x, result, ArrayRef<int64_t>{lane});
  }
  return toWide(result);
}
