//===- Trace.cpp - From tensors to element expressions --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Trace.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::attn::raise;

/// Deeper programs are cut off: their elements stay loads.
static constexpr unsigned maxDepth = 200;

bool mlir::attn::raise::isElementwise(linalg::LinalgOp op, unsigned result) {
  if (!op.hasPureTensorSemantics() ||
      op.getNumParallelLoops() != op.getNumLoops())
    return false;
  AffineMap map = op.getIndexingMapMatchingResult(op->getResult(result));
  return map.isPermutation() ||
         (map.getNumResults() == 0 && op.getNumLoops() == 0);
}

bool mlir::attn::raise::stepThroughView(
    ExprArena &arena, Operation *op, ArrayRef<AffineExpr> indices,
    Value &source, SmallVectorImpl<AffineExpr> &sourceIndices) {
  sourceIndices.clear();
  if (auto cast = dyn_cast<tensor::CastOp>(op)) {
    if (!isa<RankedTensorType>(cast.getSource().getType()))
      return false;
    source = cast.getSource();
    sourceIndices.assign(indices.begin(), indices.end());
    return true;
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    source = expand.getSrc();
    for (ArrayRef<int64_t> group : expand.getReassociationIndices()) {
      // Row-major; unit dimensions do not count.
      AffineExpr linear = getAffineConstantExpr(0, arena.getContext());
      for (int64_t dim : group) {
        AffineExpr size = arena.dimOf(expand.getResult(), dim);
        if (size == 1)
          continue;
        if (linear == 0) {
          linear = indices[dim];
          continue;
        }
        if (!isa<AffineConstantExpr>(size))
          return false;
        linear = linear * size + indices[dim];
      }
      sourceIndices.push_back(arena.simplify(linear));
    }
    // A rank-0 source has no groups.
    return true;
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    source = collapse.getSrc();
    auto type = collapse.getSrcType();
    sourceIndices.assign(type.getRank(),
                         getAffineConstantExpr(0, arena.getContext()));
    for (auto [i, group] :
         llvm::enumerate(collapse.getReassociationIndices())) {
      AffineExpr rest = indices[i];
      SmallVector<int64_t> dims;
      for (int64_t dim : group)
        if (type.getDimSize(dim) != 1)
          dims.push_back(dim);
      for (unsigned k = dims.size(); k-- > 0;) {
        if (k == 0) {
          sourceIndices[dims[k]] = arena.simplify(rest);
          break;
        }
        auto size = dyn_cast<AffineConstantExpr>(
            arena.dimOf(collapse.getSrc(), dims[k]));
        if (!size || size.getValue() <= 0)
          return false;
        sourceIndices[dims[k]] = arena.simplify(rest % size.getValue());
        rest = arena.simplify(rest.floorDiv(size.getValue()));
      }
    }
    return true;
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    source = slice.getSource();
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    auto offsets = slice.getMixedOffsets();
    unsigned kept = 0;
    for (auto [dim, stride] : llvm::enumerate(slice.getMixedStrides())) {
      auto step = getConstantIntValue(stride);
      auto fixed = getConstantIntValue(offsets[dim]);
      AffineExpr offset =
          fixed ? getAffineConstantExpr(*fixed, arena.getContext())
                : arena.indexOf(cast<Value>(offsets[dim]));
      if (dropped.test(dim)) {
        sourceIndices.push_back(offset);
        continue;
      }
      if (!step)
        return false;
      sourceIndices.push_back(arena.simplify(offset + indices[kept++] * *step));
    }
    return true;
  }
  return false;
}

const Expr *Tracer::elementOf(Value tensor, ArrayRef<AffineExpr> indices) {
  for (Entry &entry : memo[tensor])
    if (ArrayRef<AffineExpr>(entry.indices) == indices)
      return entry.expr;
  const Expr *expr = nullptr;
  if (!stops.contains(tensor) && depth < maxDepth) {
    ++depth;
    expr = compute(tensor, indices);
    --depth;
  }
  if (!expr)
    expr = arena.load(tensor, indices);
  memo[tensor].push_back({SmallVector<AffineExpr, 4>(indices), expr});
  return expr;
}

const Expr *Tracer::scalarOf(Value value) {
  const Expr *expr = evaluate(value, nullptr);
  return expr ? expr : arena.scalar(value);
}

const Expr *Tracer::compute(Value tensor, ArrayRef<AffineExpr> indices) {
  Operation *op = tensor.getDefiningOp();
  if (!op || !isa<RankedTensorType>(tensor.getType()))
    return nullptr;
  MLIRContext *context = arena.getContext();

  DenseElementsAttr dense;
  if (matchPattern(tensor, m_Constant(&dense))) {
    if (dense.isSplat()) {
      auto attr = dyn_cast<TypedAttr>(dense.getSplatValue<Attribute>());
      return attr ? arena.constant(attr) : nullptr;
    }
    uint64_t linear = 0;
    for (auto [dim, index] : llvm::enumerate(indices)) {
      auto value = dyn_cast<AffineConstantExpr>(index);
      int64_t size = dense.getType().getDimSize(dim);
      if (size == 1)
        continue;
      if (!value || value.getValue() < 0 || value.getValue() >= size)
        return nullptr;
      linear = linear * size + value.getValue();
    }
    auto attr = dyn_cast<TypedAttr>(dense.getValues<Attribute>()[linear]);
    return attr ? arena.constant(attr) : nullptr;
  }

  Value source;
  SmallVector<AffineExpr> sourceIndices;
  if (stepThroughView(arena, op, indices, source, sourceIndices))
    return elementOf(source, sourceIndices);

  if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
    unsigned result = cast<OpResult>(tensor).getResultNumber();
    return isElementwise(structured, result)
               ? elementOfStructured(structured, result, indices)
               : nullptr;
  }

  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return scalarOf(splat.getInput());
  if (auto fromElements = dyn_cast<tensor::FromElementsOp>(op)) {
    uint64_t linear = 0;
    for (auto [dim, index] : llvm::enumerate(indices)) {
      auto value = dyn_cast<AffineConstantExpr>(index);
      int64_t size = fromElements.getType().getDimSize(dim);
      if (size == 1)
        continue;
      if (!value || value.getValue() < 0 || value.getValue() >= size)
        return nullptr;
      linear = linear * size + value.getValue();
    }
    return scalarOf(fromElements.getElements()[linear]);
  }

  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    // Piece k holds the indices [start_k, start_k + size_k).
    int64_t dim = concat.getDim();
    const Expr *result = nullptr;
    SmallVector<AffineExpr> starts;
    AffineExpr start = getAffineConstantExpr(0, context);
    for (Value input : concat.getInputs()) {
      starts.push_back(start);
      start = arena.simplify(start + arena.dimOf(input, dim));
    }
    for (unsigned k = concat.getInputs().size(); k-- > 0;) {
      const Expr *here = arena.nonNegative(indices[dim] - starts[k]);
      if (result && boolConstant(here) == false)
        continue;
      SmallVector<AffineExpr> inner(indices);
      inner[dim] = arena.simplify(indices[dim] - starts[k]);
      // Indices before this piece are replaced by earlier ones below.
      const Expr *piece = elementOf(concat.getInputs()[k], inner);
      if (!result) {
        result = piece;
        continue;
      }
      // `result` covers the pieces after k.
      const Expr *later = arena.nonNegative(indices[dim] - starts[k + 1]);
      result = arena.select(later, result, piece);
    }
    return result;
  }

  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    if (insert.getSourceType().getRank() != insert.getDestType().getRank() ||
        !llvm::all_of(insert.getMixedStrides(), [](OpFoldResult stride) {
          return isConstantIntValue(stride, 1);
        }))
      return nullptr;
    const Expr *inside = arena.boolean(true);
    SmallVector<AffineExpr> inner;
    auto affine = [&](OpFoldResult x) {
      auto fixed = getConstantIntValue(x);
      return fixed ? getAffineConstantExpr(*fixed, context)
                   : arena.indexOf(cast<Value>(x));
    };
    for (auto [dim, offset] : llvm::enumerate(insert.getMixedOffsets())) {
      AffineExpr local = arena.simplify(indices[dim] - affine(offset));
      AffineExpr size = affine(insert.getMixedSizes()[dim]);
      inner.push_back(local);
      // A slice of the full extent holds every index.
      if (size == arena.dimOf(insert.getDest(), dim) && affine(offset) == 0)
        continue;
      inside = arena.logicalAnd(
          inside, arena.logicalAnd(arena.nonNegative(local),
                                   arena.nonNegative(size - local - 1)));
    }
    if (boolConstant(inside) == false)
      return elementOf(insert.getDest(), indices);
    const Expr *written = elementOf(insert.getSource(), inner);
    if (boolConstant(inside) == true)
      return written;
    return arena.select(inside, written, elementOf(insert.getDest(), indices));
  }

  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    Value padding = pad.getConstantPaddingValue();
    if (!padding)
      return nullptr;
    const Expr *inside = arena.boolean(true);
    SmallVector<AffineExpr> inner;
    for (auto [dim, low] : llvm::enumerate(pad.getMixedLowPad())) {
      auto fixed = getConstantIntValue(low);
      AffineExpr offset = fixed ? getAffineConstantExpr(*fixed, context)
                                : arena.indexOf(cast<Value>(low));
      AffineExpr local = arena.simplify(indices[dim] - offset);
      inner.push_back(local);
      if (!isConstantIntValue(low, 0))
        inside = arena.logicalAnd(inside, arena.nonNegative(local));
      if (!isConstantIntValue(pad.getMixedHighPad()[dim], 0))
        inside = arena.logicalAnd(
            inside,
            arena.nonNegative(arena.dimOf(pad.getSource(), dim) - local - 1));
    }
    return arena.select(inside, elementOf(pad.getSource(), inner),
                        scalarOf(padding));
  }
  return nullptr;
}

const Expr *Tracer::elementOfStructured(linalg::LinalgOp op, unsigned result,
                                        ArrayRef<AffineExpr> indices) {
  Body body;
  body.op = op;
  body.loops.resize(op.getNumLoops());
  AffineMap map = op.getIndexingMapMatchingResult(op->getResult(result));
  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
    body.loops[cast<AffineDimExpr>(expr).getPosition()] = indices[dim];
  Operation *yield = op.getBlock()->getTerminator();
  return evaluate(yield->getOperand(result), &body);
}

const Expr *Tracer::evaluate(Value value, Body *body) {
  if (body)
    if (auto it = body->values.find(value); it != body->values.end())
      return it->second;
  if (depth >= maxDepth)
    return nullptr;
  ++depth;
  auto compute = [&]() -> const Expr * {
    if (auto arg = dyn_cast<BlockArgument>(value)) {
      if (!body || arg.getOwner() != body->op.getBlock())
        return arena.scalar(value);
      OpOperand *operand = body->op.getMatchingOpOperand(arg);
      // A scalar operand is itself the element.
      if (!isa<RankedTensorType>(operand->get().getType()))
        return isa<ShapedType>(operand->get().getType())
                   ? nullptr
                   : scalarOf(operand->get());
      AffineMap map = body->op.getMatchingIndexingMap(operand);
      SmallVector<AffineExpr> indices;
      for (AffineExpr expr : map.getResults())
        indices.push_back(arena.simplify(expr.replaceDims(body->loops)));
      return elementOf(operand->get(), indices);
    }
    Operation *op = value.getDefiningOp();
    Attribute attr;
    if (matchPattern(value, m_Constant(&attr))) {
      auto typed = dyn_cast<TypedAttr>(attr);
      return typed ? arena.constant(typed) : nullptr;
    }
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      return body && op->getParentOp() == body->op.getOperation()
                 ? arena.index(body->loops[index.getDim()], index.getType())
                 : nullptr;
    if (value.getType().isIndex() && isa<tensor::DimOp>(op))
      return arena.index(arena.indexOf(value), value.getType());
    if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      if (!isa<RankedTensorType>(extract.getTensor().getType()))
        return nullptr;
      SmallVector<AffineExpr> indices;
      SmallVector<const Expr *> computed;
      bool affine = true;
      for (Value operand : extract.getIndices()) {
        const Expr *index = evaluate(operand, body);
        if (!index)
          return nullptr;
        computed.push_back(index);
        if (index->kind == ExprKind::Index)
          indices.push_back(index->affine);
        else if (auto fixed = intConstant(index))
          indices.push_back(getAffineConstantExpr(*fixed, arena.getContext()));
        else
          affine = false;
      }
      if (affine)
        return elementOf(extract.getTensor(), indices);
      auto known = [](int64_t size) {
        return !ShapedType::isDynamic(size) && size > 0;
      };
      return gathers && llvm::all_of(extract.getTensor().getType().getShape(),
                                     known)
                 ? arena.gather(extract.getTensor(), computed)
                 : nullptr;
    }
    if (op->getNumResults() != 1 || op->getNumRegions() != 0 ||
        !isMemoryEffectFree(op) || op->getNumOperands() == 0 ||
        !(op->getDialect() && (op->getDialect()->getNamespace() == "arith" ||
                               op->getDialect()->getNamespace() == "math")) ||
        !value.getType().isIntOrIndexOrFloat())
      return nullptr;
    SmallVector<const Expr *> operands;
    for (Value operand : op->getOperands()) {
      const Expr *expr = evaluate(operand, body);
      if (!expr)
        return nullptr;
      operands.push_back(expr);
    }
    return arena.operation(op->getName(), op->getAttrDictionary(),
                           value.getType(), operands);
  };
  const Expr *expr = compute();
  --depth;
  if (body)
    body->values[value] = expr;
  return expr;
}
