//===- PointEmitter.cpp - Loops of which each point is a thread -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

bool PointEmitter::accepts(scf::ForallOp loop) {
  bool noTiles = FragmentEmitter::warpsFor(loop) == 0;
  return !loop.getBody()
              ->walk([&](Operation *op) {
                StringRef dialect = op->getName().getDialectNamespace();
                if (dialect == "arith" || dialect == "math" ||
                    dialect == "ub" ||
                    isa<tensor::ExtractOp, tensor::ExtractSliceOp,
                        tensor::InsertOp, tensor::InsertSliceOp,
                        tensor::ParallelInsertSliceOp, tensor::DimOp,
                        scf::ForOp, scf::IfOp, scf::WhileOp, scf::ConditionOp,
                        scf::YieldOp, scf::InParallelOp>(op))
                  return WalkResult::advance();
                // Tiles belong to the threads of a block.
                if (noTiles && dialect == "linalg")
                  return WalkResult::advance();
                return WalkResult::interrupt();
              })
              .wasInterrupted();
}

LogicalResult PointEmitter::emit(scf::ForallOp loop) {
  bindParameters();
  for (Operation &op : source.getBody().front().without_terminator())
    if (&op != loop && failed(emitOp(&op)))
      return failure();
  Value block = NVVM::BlockIdXOp::create(b, b.getI32Type());
  Value point = add(mul(block, threads), thread);
  auto exists = scf::IfOp::create(b, less(point, countPoints(loop)),
                                  /*withElse=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(exists.thenYield());
  bindPoint(loop, point);
  for (auto [own, out] : llvm::zip(loop.getRegionIterArgs(), loop.getOutputs()))
    views[own] = views.lookup(out);
  if (failed(emitBlock(*loop.getBody())))
    return failure();
  // What is inserted must be a part of the result that was written in place.
  for (Operation &op : loop.getTerminator().getYieldingOps()) {
    auto insert = cast<tensor::ParallelInsertSliceOp>(op);
    auto part = views.find(insert.getSource());
    if (part == views.end() ||
        part->second.buffer != views.lookup(insert.getDest()).buffer)
      return fail(&op, "inserts what was not computed in place");
  }
  return success();
}

LogicalResult PointEmitter::emitRegion(Block &block,
                                       SmallVector<Value> &results) {
  if (failed(emitBlock(block)))
    return failure();
  for (Value x : block.getTerminator()->getOperands()) {
    if (isa<TensorType>(x.getType()))
      continue;
    if (!lookup(x))
      return fail(block.getTerminator(), "carries what has no scalar form");
    results.push_back(lookup(x));
  }
  return success();
}

/// Loops over the elements, one after the other; results are written in place.
LogicalResult PointEmitter::emitLinalg(linalg::LinalgOp op) {
  SmallVector<Value> sizes(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<TensorType>(operand.get().getType()))
      continue;
    auto view = views.find(operand.get());
    if (view == views.end())
      return fail(op, "works on what is not in global memory");
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [result, size] : llvm::zip(map.getResults(), view->second.sizes))
      if (auto dim = dyn_cast<AffineDimExpr>(result))
        sizes[dim.getPosition()] = size;
      else if (!isa<AffineConstantExpr>(result))
        return fail(op, "has a map that is no selection of dimensions");
  }
  if (llvm::is_contained(sizes, Value()))
    return fail(op, "has a loop without a size");
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> outer = std::move(loopIndices);
  loopIndices.clear();
  for (Value size : sizes) {
    auto loop = scf::ForOp::create(b, constant(0), size, constant(1));
    loopIndices.push_back(loop.getInductionVar());
    b.setInsertionPointToStart(loop.getBody());
  }
  auto placeOf = [&](OpOperand &operand) {
    SmallVector<Value> at;
    for (AffineExpr result : op.getMatchingIndexingMap(&operand).getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(result))
        at.push_back(loopIndices[dim.getPosition()]);
      else
        at.push_back(constant(cast<AffineConstantExpr>(result).getValue()));
    return at;
  };
  Block &body = *op.getBlock();
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument element = op.getMatchingBlockArgument(&operand);
    if (element.use_empty())
      continue;
    Value x = operand.get();
    scalars[element] = isa<TensorType>(x.getType())
                           ? load(views.lookup(x), placeOf(operand))
                           : lookup(x);
  }
  if (failed(emitBlock(body)))
    return failure();
  for (auto [operand, element] :
       llvm::zip(op.getDpsInitsMutable(), body.getTerminator()->getOperands()))
    store(views.lookup(operand.get()), placeOf(operand), lookup(element));
  loopIndices = std::move(outer);
  for (auto [result, init] : llvm::zip(op->getResults(), op.getDpsInits())) {
    View view = views.lookup(init);
    views[result] = view;
  }
  return success();
}

Value PointEmitter::emitIndex(linalg::IndexOp op) {
  return loopIndices[op.getDim()];
}

LogicalResult PointEmitter::emitOp(Operation *op) {
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return emitLinalg(linalgOp);
  if (auto part = dyn_cast<tensor::ExtractSliceOp>(op)) {
    auto source = views.find(part.getSource());
    if (source == views.end())
      return fail(op, "takes a part of what is not in global memory");
    FailureOr<View> view = slice(part, source->second);
    if (failed(view))
      return failure();
    views[part.getResult()] = *view;
    return success();
  }
  if (auto insert = dyn_cast<tensor::InsertOp>(op)) {
    auto dest = views.find(insert.getDest());
    if (dest == views.end())
      return fail(op, "writes what is not in global memory");
    SmallVector<Value> at;
    for (Value index : insert.getIndices())
      at.push_back(lookup(index));
    store(dest->second, at, lookup(insert.getScalar()));
    View view = dest->second;
    views[insert.getResult()] = view;
    return success();
  }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    auto source = views.find(insert.getSource());
    auto dest = views.find(insert.getDest());
    if (source == views.end() || dest == views.end() ||
        source->second.buffer != dest->second.buffer)
      return fail(op, "inserts what was not computed in place");
    View view = dest->second;
    views[insert.getResult()] = view;
    return success();
  }
  // Tensors that a region carries are written in place.
  auto carryViews = [&](ValueRange from, ValueRange to) {
    for (auto [x, y] : llvm::zip(from, to))
      if (isa<TensorType>(x.getType())) {
        View view = views.lookup(x);
        views[y] = view;
      }
  };
  auto scalarsOf = [&](ValueRange values) {
    SmallVector<Value> own;
    for (Value x : values)
      if (!isa<TensorType>(x.getType()))
        own.push_back(lookup(x));
    return own;
  };
  auto bindScalars = [&](ValueRange values, ValueRange own) {
    for (Value x : values)
      if (!isa<TensorType>(x.getType())) {
        scalars[x] = own.front();
        own = own.drop_front();
      }
  };
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    auto own = scf::ForOp::create(
        b, lookup(loop.getLowerBound()), lookup(loop.getUpperBound()),
        lookup(loop.getStep()), scalarsOf(loop.getInitArgs()));
    carryViews(loop.getInitArgs(), loop.getRegionIterArgs());
    carryViews(loop.getInitArgs(), loop.getResults());
    scalars[loop.getInductionVar()] = own.getInductionVar();
    bindScalars(loop.getRegionIterArgs(), own.getRegionIterArgs());
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(own.getBody());
      SmallVector<Value> results;
      if (failed(emitRegion(*loop.getBody(), results)))
        return failure();
      if (results.empty())
        own.getBody()->getTerminator()->erase();
      b.setInsertionPointToEnd(own.getBody());
      scf::YieldOp::create(b, results);
    }
    bindScalars(loop.getResults(), own.getResults());
    return success();
  }
  if (auto choice = dyn_cast<scf::IfOp>(op)) {
    SmallVector<Type> types;
    for (Type type : choice.getResultTypes())
      if (!isa<TensorType>(type))
        types.push_back(convert(type));
    auto own = scf::IfOp::create(b, types, lookup(choice.getCondition()),
                                 /*addThenBlock=*/true, /*addElseBlock=*/true);
    for (auto [from, to] : {std::pair(choice.thenBlock(), own.thenBlock()),
                            std::pair(choice.elseBlock(), own.elseBlock())}) {
      OpBuilder::InsertionGuard guard(b);
      if (!to->empty())
        to->back().erase(); // the terminator of a choice without results
      b.setInsertionPointToEnd(to);
      SmallVector<Value> results;
      if (from && failed(emitRegion(*from, results)))
        return failure();
      scf::YieldOp::create(b, results);
      if (from)
        carryViews(from->getTerminator()->getOperands(), choice.getResults());
    }
    bindScalars(choice.getResults(), own.getResults());
    return success();
  }
  if (isa<scf::WhileOp>(op))
    return fail(op, "is not a counted loop");
  return emitScalar(op);
}
