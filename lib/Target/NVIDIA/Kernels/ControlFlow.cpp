//===- ControlFlow.cpp - Loops and branches that carry tiles --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

FailureOr<SmallVector<Value>> FragmentEmitter::flatten(Value x, Operation *op) {
  if (!isa<RankedTensorType>(x.getType())) {
    Value own = lookup(x);
    if (!own)
      return fail(op, "carries a value that has no scalar form");
    return SmallVector<Value>{own};
  }
  auto found = tiles.find(x);
  if (found == tiles.end())
    return fail(op, "carries what is no tile");
  if (isGlobal(x))
    return SmallVector<Value>{};
  FailureOr<Tile> tile = inRegisters(found->second, op);
  if (failed(tile))
    return failure();
  return tile->elements;
}

LogicalResult FragmentEmitter::bind(Value x, ValueRange &values,
                                    Operation *op) {
  if (isGlobal(x))
    return success();
  auto type = dyn_cast<RankedTensorType>(x.getType());
  if (!type) {
    scalars[x] = values.front();
    values = values.drop_front();
    return success();
  }
  if (!type.hasStaticShape() || type.getRank() > 2 || type.getRank() == 0)
    return fail(op, "carries a tile that is not static");
  Layout layout = layoutOf(type);
  Tile tile;
  tile.type = type;
  tile.kind = type.getRank() == 1 ? Tile::Kind::Rows : Tile::Kind::Block;
  int64_t count =
      type.getRank() == 1 ? layout.rowElements() : layout.tileElements();
  tile.elements = llvm::to_vector(values.take_front(count));
  values = values.drop_front(count);
  tiles[x] = tile;
  return success();
}

LogicalResult FragmentEmitter::emitRegion(Block &block, Operation *op,
                                          SmallVector<Value> &results) {
  int64_t before = usedShared;
  if (failed(emitBlock(block)))
    return failure();
  for (Value x : block.getTerminator()->getOperands()) {
    FailureOr<SmallVector<Value>> flat = flatten(x, op);
    if (failed(flat))
      return failure();
    llvm::append_range(results, *flat);
  }
  finishCopies();
  finishStores();
  usedShared = before;
  return success();
}

/// Emits the body of `op` at the builder's place, with what it carries.
LogicalResult FragmentEmitter::emitLoopBody(scf::ForOp op, ValueRange carried) {
  ValueRange left = carried;
  for (Value argument : op.getRegionIterArgs())
    if (failed(bind(argument, left, op)))
      return failure();
  SmallVector<Value> results;
  ++depth;
  LogicalResult body = emitRegion(*op.getBody(), op, results);
  --depth;
  if (failed(body))
    return failure();
  scf::YieldOp::create(b, results);
  return success();
}

/// Whether `x` is `start` after insertions into it.
static bool writesInPlace(Value x, Value start) {
  while (x != start) {
    Operation *op = x.getDefiningOp();
    if (auto insert = dyn_cast_if_present<tensor::InsertOp>(op))
      x = insert.getDest();
    else if (auto insert = dyn_cast_if_present<tensor::InsertSliceOp>(op))
      x = insert.getDest();
    else if (auto loop = dyn_cast_if_present<scf::ForOp>(op))
      x = loop.getInitArgs()[cast<OpResult>(x).getResultNumber()];
    else if (auto choice = dyn_cast_if_present<scf::IfOp>(op))
      return llvm::all_of(
          std::array<Block *, 2>{choice.thenBlock(), choice.elseBlock()},
          [&](Block *block) {
            return writesInPlace(block->getTerminator()->getOperand(
                                     cast<OpResult>(x).getResultNumber()),
                                 start);
          });
    else
      return false;
  }
  return true;
}

LogicalResult FragmentEmitter::emitLoop(scf::ForOp op) {
  SmallVector<Value> start;
  for (auto [i, x] : llvm::enumerate(op.getInitArgs())) {
    if (isGlobal(x)) {
      // It stays where it is: the loop writes it in place.
      Value next = op.getBody()->getTerminator()->getOperand(i);
      if (!writesInPlace(next, op.getRegionIterArg(i)))
        return fail(op, "carries different tensors in global memory");
      alias(x, op.getRegionIterArg(i));
      alias(x, op.getResult(i));
      // No thread reads any more what is overwritten.
      barrier();
      continue;
    }
    FailureOr<SmallVector<Value>> flat = flatten(x, op);
    if (failed(flat))
      return failure();
    llvm::append_range(start, *flat);
  }
  Value lower = lookup(op.getLowerBound()), upper = lookup(op.getUpperBound()),
        step = lookup(op.getStep());
  if (!lower || !upper || !step)
    return fail(op, "has bounds that have no scalar form");
  SmallVector<linalg::GenericOp> ahead = loadsAhead(op);
  int64_t before = usedShared;
  SmallVector<SharedTile> ring; // the first stage of each load
  SmallVector<int64_t> size;
  for (linalg::GenericOp load : ahead) {
    auto type = cast<RankedTensorType>(load.getResult(0).getType());
    SharedTile tile;
    tile.rows = type.getDimSize(0);
    tile.columns = type.getDimSize(1);
    tile.element = type.getElementType();
    size.push_back(tile.bytes());
    for (int64_t stage = 0; stage < stages; ++stage) {
      SharedTile own = allocate(tile.rows, tile.columns, tile.element);
      if (stage == 0)
        ring.push_back(own);
    }
  }
  // Copies for the iteration with this induction variable, if there is one.
  auto copyAhead = [&](Value variable, Value stage) -> LogicalResult {
    auto exists =
        scf::IfOp::create(b, less(variable, upper), /*withElse=*/false);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(exists.thenYield());
      scalars[op.getInductionVar()] = variable;
      for (auto [i, load] : llvm::enumerate(ahead)) {
        if (failed(emitAddressOps(op, load)))
          return failure();
        SharedTile to = ring[i];
        to.base = add(to.base, mul(stage, size[i]));
        if (failed(copyLoad(load, to)))
          return failure();
      }
    }
    commit();
    return success();
  };
  if (ahead.empty()) {
    finishCopies();
  } else {
    beforeWrite();
    for (int64_t stage = 0; stage + 1 < stages; ++stage)
      if (failed(copyAhead(add(lower, mul(step, stage)), constant(stage))))
        return failure();
  }
  pending = false; // the first iteration waits for everything before
  if (!ahead.empty())
    start.push_back(constant(0));
  auto loop = scf::ForOp::create(b, lower, upper, step, start);
  {
    OpBuilder::InsertionGuard guard(b);
    loop.getBody()->clear(); // what carries nothing has a terminator already
    b.setInsertionPointToStart(loop.getBody());
    ValueRange carried = loop.getRegionIterArgs();
    Value variable = loop.getInductionVar();
    Value nextStage;
    if (!ahead.empty()) {
      Value stage = carried.back();
      carried = carried.drop_back();
      wait(stages - 2);
      barrier();
      Value last = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, stage,
                                         constant(stages - 1));
      nextStage = arith::SelectOp::create(b, last, constant(0),
                                          add(stage, constant(1)));
      // The stage that the last iteration used.
      Value first = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, stage,
                                          constant(0));
      Value free = arith::SelectOp::create(b, first, constant(stages - 1),
                                           sub(stage, constant(1)));
      if (failed(copyAhead(add(variable, mul(step, stages - 1)), free)))
        return failure();
      for (auto [i, load] : llvm::enumerate(ahead)) {
        Tile &tile = tiles[load.getResult(0)];
        tile = Tile();
        tile.kind = Tile::Kind::Load;
        tile.type = cast<RankedTensorType>(load.getResult(0).getType());
        tile.load = load;
        SharedTile own = ring[i];
        own.base = add(own.base, mul(stage, size[i]));
        tile.shared = std::make_shared<SharedTile>(own);
      }
    }
    scalars[op.getInductionVar()] = variable;
    if (failed(emitLoopBody(op, carried)))
      return failure();
    if (nextStage) {
      auto yield = cast<scf::YieldOp>(loop.getBody()->getTerminator());
      yield.getResultsMutable().append(nextStage);
    }
  }
  ValueRange results = loop.getResults();
  if (!ahead.empty()) {
    results = results.drop_back();
    wait(0);
    barrier();
  }
  usedShared = before;
  for (Value result : op.getResults())
    if (failed(bind(result, results, op)))
      return failure();
  return success();
}

LogicalResult FragmentEmitter::emitIf(scf::IfOp op) {
  Value condition = lookup(op.getCondition());
  if (!condition)
    return fail(op, "has a condition that has no scalar form");
  finishCopies();
  // The types of the results are known when the first branch is there.
  SmallVector<Value> thenValues, elseValues;
  auto scratch = scf::IfOp::create(b, TypeRange(), condition,
                                   /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(scratch.thenYield());
    if (failed(emitRegion(*op.thenBlock(), op, thenValues)))
      return failure();
    for (auto [i, x] :
         llvm::enumerate(op.thenBlock()->getTerminator()->getOperands()))
      if (isGlobal(x))
        alias(x, op.getResult(i));
    if (op.elseBlock()) {
      b.setInsertionPoint(scratch.elseYield());
      if (failed(emitRegion(*op.elseBlock(), op, elseValues)))
        return failure();
    }
  }
  auto choice = scf::IfOp::create(b, ValueRange(thenValues).getTypes(),
                                  condition, /*addThenBlock=*/true,
                                  /*addElseBlock=*/true);
  auto move = [&](Block *from, Block *to, ValueRange values) {
    from->getTerminator()->erase();
    to->clear();
    to->getOperations().splice(to->end(), from->getOperations());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(to);
    scf::YieldOp::create(b, values);
  };
  move(scratch.thenBlock(), choice.thenBlock(), thenValues);
  move(scratch.elseBlock(), choice.elseBlock(), elseValues);
  scratch.erase();
  ValueRange results = choice.getResults();
  for (Value result : op.getResults())
    if (failed(bind(result, results, op)))
      return failure();
  return success();
}
