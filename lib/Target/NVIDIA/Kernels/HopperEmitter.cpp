//===- HopperEmitter.cpp - Roles and loops of warpgroups ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HopperEmitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

/// Makes a loop of rings of a loop over key tiles, if it is one.
bool HopperEmitter::plan(scf::ForOp op) {
  SmallVector<linalg::GenericOp> loads = loadsAhead(op);
  if (loads.empty())
    return false;
  llvm::SmallPtrSet<Operation *, 4> used;
  for (auto generic : op.getBody()->getOps<linalg::GenericOp>()) {
    auto product = matchContraction(generic);
    if (!product)
      continue;
    auto right =
        generic.getDpsInputOperand(1)->get().getDefiningOp<linalg::GenericOp>();
    auto left = generic.getDpsInputOperand(0)->get().getDefiningOp();
    if (!isWgmma(*product) || !right || !llvm::is_contained(loads, right) ||
        !right.getResult(0).hasOneUse() || llvm::is_contained(loads, left))
      return false;
    used.insert(right);
  }
  if (used.size() != loads.size() ||
      (!rings.empty() && rings.size() != loads.size()))
    return false;
  rings.resize(loads.size());
  SmallVector<Fetch> own;
  for (auto [ring, load] : llvm::zip(rings, loads)) {
    auto type = cast<RankedTensorType>(load.getResult(0).getType());
    SharedTile tile;
    tile.rows = type.getDimSize(0);
    tile.columns = type.getDimSize(1);
    tile.element = type.getElementType();
    ring.bytes = std::max(ring.bytes, tile.bytes());
    own.push_back({load, matchRows(load)});
  }
  fetches[op] = own;
  lastRingLoop = op;
  return true;
}

LogicalResult HopperEmitter::emit(scf::ForallOp loop) {
  int64_t rows = 0;
  loop->walk([&](linalg::GenericOp op) {
    if (auto product = matchContraction(op))
      rows = std::max(rows, product->rows);
  });
  warps = rows / 16;
  if (rows % 64 || warps > 12 || warps == 0)
    return fail(loop, "has tiles that are not 64, 128 or 192 rows");
  if (failed(emitBefore(loop)))
    return failure();
  for (auto op : loop.getBody()->getOps<scf::ForOp>())
    plan(op);
  if (rings.empty())
    return fail(loop, "has no loop over tiles of keys");
  bool anyRows = false;
  for (auto &[op, list] : fetches)
    for (const Fetch &fetch : list)
      anyRows |= !fetch.rows || fetch.rows->mayExceed;

  Value own = thread;
  Value number = NVVM::ShflOp::create(
      b, b.getI32Type(), constant(-1), divide(own, 32), constant(0),
      constant(31), NVVM::ShflKind::idx, UnitAttr());
  Value role = divide(number, 4);
  usedShared = mostShared = barrierBytes;
  Value isFirst =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, own, constant(0));
  auto first = scf::IfOp::create(b, isFirst, /*withElse=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(first.thenYield());
    for (int64_t ring = 0; ring < static_cast<int64_t>(rings.size()); ++ring)
      for (int64_t stage = 0; stage < ringStages; ++stage) {
        NVVM::MBarrierInitOp::create(b, fullBarrier(ring, constant(stage)),
                                     constant(1), Value());
        NVVM::MBarrierInitOp::create(b, emptyBarrier(ring, constant(stage)),
                                     constant(warps), Value());
      }
    NVVM::FenceMbarrierInitOp::create(b);
  }
  NVVM::Barrier0Op::create(b);
  Value isProducer =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, role, constant(0));
  lead = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, lane, constant(0));
  auto roles = scf::IfOp::create(b, isProducer, /*withElse=*/true);
  // Registers of a producer and a consumer: 65536 for all warps.
  int64_t few = warps == 12 ? 32 : anyRows ? 40 : 24;
  int64_t many = warps == 12 ? 160 : anyRows ? 232 : 240;
  auto setRegisters = [&](int64_t count, NVVM::SetMaxRegisterAction action) {
    if (warps > 4)
      NVVM::SetMaxRegisterOp::create(b, count, action);
  };
  auto scalarsBefore = scalars;
  auto viewsBefore = views;
  auto tilesBefore = tiles;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(roles.elseYield());
    setRegisters(many, NVVM::SetMaxRegisterAction::increase);
    group = sub(role, constant(1));
    warp = sub(number, constant(4));
    thread = sub(own, constant(128));
    if (failed(consume(loop)))
      return failure();
  }
  scalars = scalarsBefore;
  views = viewsBefore;
  tiles = tilesBefore;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(roles.thenYield());
  setRegisters(few, NVVM::SetMaxRegisterAction::decrease);
  Value works =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, number, constant(0));
  if (!anyRows)
    works = both(works, lead);
  auto worker = scf::IfOp::create(b, works, /*withElse=*/false);
  b.setInsertionPoint(worker.thenYield());
  counter = constant(0);
  if (failed(produce(*loop.getBody())))
    return failure();
  if (mostShared > sharedLimit)
    return fail(loop, "needs " + Twine(mostShared) +
                          " bytes of shared memory, but there are " +
                          Twine(sharedLimit));
  return success();
}

LogicalResult HopperEmitter::consume(scf::ForallOp loop) {
  counter = constant(0);
  // The first warpgroup has the first turn.
  int64_t groups = warps / 4;
  auto only = [&](int64_t number, llvm::function_ref<void()> body) {
    Value own = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, group,
                                      constant(number));
    auto choice = scf::IfOp::create(b, own, /*withElse=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(choice.thenYield());
    body();
  };
  if (groups > 1)
    only(groups - 1, [&] { passTurn(); });
  if (failed(emitBlock(*loop.getBody())))
    return failure();
  if (groups > 1)
    only(0, [&] { takeTurn(); });
  return emitResults(loop);
}

/// Rings come after what the program holds in shared memory before them.
void HopperEmitter::placeRings() {
  if (ringEnd)
    return;
  ringBegin = usedShared;
  for (Ring &ring : rings) {
    ring.begin = usedShared;
    usedShared += ring.bytes * ringStages;
  }
  ringEnd = usedShared;
  mostShared = std::max(mostShared, usedShared);
}

/// Once the last loop of rings is done their memory is free.
SharedTile HopperEmitter::allocate(int64_t rows, int64_t columns,
                                   Type element) {
  SharedTile tile;
  tile.rows = rows;
  tile.columns = columns;
  tile.element = element;
  if (reusesRings && usedShared < ringEnd &&
      usedShared + tile.bytes() > ringEnd)
    usedShared = afterRings;
  return FragmentEmitter::allocate(rows, columns, element);
}

void HopperEmitter::barrier() {
  NVVM::BarrierOp::create(b, Type(), constant(8), constant(threads()),
                          NVVM::BarrierReductionAttr(), Value());
}

/// What this thread copied is read by wgmma.
void HopperEmitter::wait(int64_t pending) {
  FragmentEmitter::wait(pending);
  NVVM::FenceProxyOp::create(
      b,
      NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(b.getContext(),
                                 NVVM::SharedSpace::shared_cta));
}

Value HopperEmitter::fullBarrier(int64_t ring, Value stage) {
  return sharedPointer(add(mul(stage, 8), ring * ringStages * 8));
}

Value HopperEmitter::emptyBarrier(int64_t ring, Value stage) {
  return sharedPointer(
      add(mul(stage, 8), barrierBytes / 2 + ring * ringStages * 8));
}

void HopperEmitter::release(int64_t ring, Value stage) {
  nv::MBarrierArriveOp::create(b, emptyBarrier(ring, stage), lead);
}

LogicalResult HopperEmitter::emitIf(scf::IfOp op) {
  bool after = depth == 0 && !reusesRings && ringEnd &&
               op->getBlock() == lastRingLoop->getBlock() &&
               lastRingLoop->isBeforeInBlock(op);
  if (!after)
    return FragmentEmitter::emitIf(op);
  barrier(); // nobody reads the rings any more
  int64_t before = usedShared;
  afterRings = usedShared;
  usedShared = ringBegin;
  reusesRings = true;
  LogicalResult result = FragmentEmitter::emitIf(op);
  reusesRings = false;
  usedShared = before;
  return result;
}

/// The loads of the loop are complete in their rings.
void HopperEmitter::bindRings(scf::ForOp op) {
  for (auto [i, fetch] : llvm::enumerate(fetches[op])) {
    Value result = fetch.load.getResult(0);
    Tile tile;
    tile.kind = Tile::Kind::Load;
    tile.type = cast<RankedTensorType>(result.getType());
    tile.load = fetch.load;
    SharedTile shared;
    shared.rows = tile.rows();
    shared.columns = tile.columns();
    shared.element = tile.type.getElementType();
    shared.base = constant(rings[i].begin);
    tile.shared = std::make_shared<SharedTile>(shared);
    tiles[result] = tile;
    ringOf[result] = i;
  }
}

LogicalResult HopperEmitter::emitLoop(scf::ForOp op) {
  if (!fetches.contains(op))
    return FragmentEmitter::emitLoop(op);
  Value lower = lookup(op.getLowerBound()), upper = lookup(op.getUpperBound()),
        step = lookup(op.getStep());
  if (!lower || !upper || !step)
    return fail(op, "has bounds that have no scalar form");
  finishCopies();
  placeRings();
  if (auto rotation = matchRotation(op))
    return emitRotated(op, *rotation);
  SmallVector<Value> start;
  for (Value x : op.getInitArgs()) {
    FailureOr<SmallVector<Value>> flat = flatten(x, op);
    if (failed(flat))
      return failure();
    llvm::append_range(start, *flat);
  }
  start.push_back(counter);
  auto loop = scf::ForOp::create(b, lower, upper, step, start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange carried = loop.getRegionIterArgs();
    counter = carried.back();
    bindRings(op);
    scalars[op.getInductionVar()] = loop.getInductionVar();
    if (failed(emitLoopBody(op, carried.drop_back())))
      return failure();
    auto yield = cast<scf::YieldOp>(loop.getBody()->getTerminator());
    b.setInsertionPoint(yield);
    yield.getResultsMutable().append(add(counter, 1));
  }
  counter = loop.getResults().back();
  ValueRange results = loop.getResults().drop_back();
  for (Value result : op.getResults())
    if (failed(bind(result, results, op)))
      return failure();
  return success();
}
