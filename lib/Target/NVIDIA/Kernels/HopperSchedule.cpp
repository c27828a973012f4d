//===- HopperSchedule.cpp - The order of a loop over keys -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HopperEmitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

std::optional<HopperEmitter::Rotation>
HopperEmitter::matchRotation(scf::ForOp op) {
  Block &body = *op.getBody();
  SmallVector<Contraction> products;
  for (auto generic : body.getOps<linalg::GenericOp>())
    if (auto product = matchContraction(generic))
      products.push_back(*product);
  if (products.size() != 2)
    return std::nullopt;
  Rotation rotation;
  rotation.first = products[0];
  rotation.second = products[1];
  linalg::GenericOp second = products[1].op;
  if (!second.getResult(0).hasOneUse() ||
      *second.getResult(0).user_begin() != body.getTerminator())
    return std::nullopt;
  rotation.argument = second.getResult(0).use_begin()->getOperandNumber();
  // What depends on the sums comes after the second product.
  auto &late = rotation.late;
  BlockArgument sums = op.getRegionIterArg(rotation.argument);
  late.insert(second);
  for (Operation &inner : body.without_terminator()) {
    bool reads = false;
    inner.walk([&](Operation *nested) {
      for (Value x : nested->getOperands())
        reads |=
            x == sums || (x.getDefiningOp() && x.getDefiningOp() != second &&
                          late.contains(x.getDefiningOp()));
    });
    if (reads)
      late.insert(&inner);
  }
  // So does what only such operations read: the weights in 16 bits, whose
  // registers the second product still reads.
  for (Operation &inner : llvm::reverse(body.without_terminator())) {
    if (!isa<linalg::GenericOp>(inner) || inner.getNumResults() != 1 ||
        inner.use_empty() || ringOf.contains(inner.getResult(0)))
      continue;
    if (llvm::all_of(inner.getUsers(), [&](Operation *user) {
          return user->getBlock() == &body && late.contains(user);
        }))
      late.insert(&inner);
  }
  for (auto &fetch : fetches[op])
    late.erase(fetch.load);
  if (late.contains(rotation.first.op))
    return std::nullopt;
  // Nothing that the loop carries may wait but the sums.
  for (auto [i, x] : llvm::enumerate(body.getTerminator()->getOperands()))
    if (i != rotation.argument && x.getDefiningOp() &&
        x.getDefiningOp()->getBlock() == &body &&
        late.contains(x.getDefiningOp()))
      return std::nullopt;
  auto left = second.getDpsInputOperand(0)->get().getDefiningOp();
  if (!left || left->getBlock() != &body)
    return std::nullopt;
  matchPartialSums(op, rotation);
  return rotation;
}

/// Sums of rows that an iteration only scales and adds to can stay apart in
/// the four threads of a row until the loop is done.
void HopperEmitter::matchPartialSums(scf::ForOp op, Rotation &rotation) {
  Block &body = *op.getBody();
  for (auto [i, argument] : llvm::enumerate(op.getRegionIterArgs())) {
    rotation.isPartial.push_back(false);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.getRank() != 1 || !type.getElementType().isF32() ||
        !argument.hasOneUse())
      continue;
    auto sum =
        body.getTerminator()->getOperand(i).getDefiningOp<linalg::GenericOp>();
    if (!sum || sum->getBlock() != &body || sum.getNumReductionLoops() != 1 ||
        sum.getNumLoops() != 2 || !sum.getResult(0).hasOneUse() ||
        !isa_and_nonnull<arith::AddFOp>(
            sum.getBody()->getTerminator()->getOperand(0).getDefiningOp()))
      continue;
    Value from = sum.getDpsInitOperand(0)->get();
    if (from != argument) {
      // argument * x, with x the same for the whole row.
      auto scaled = from.getDefiningOp<linalg::GenericOp>();
      if (!scaled || !scaled.getResult(0).hasOneUse() ||
          scaled.getDpsInitOperand(0)->get() != argument)
        continue;
      auto times = scaled.getBody()
                       ->getTerminator()
                       ->getOperand(0)
                       .getDefiningOp<arith::MulFOp>();
      Value own = scaled.getBody()->getArguments().back();
      if (!times || !own.hasOneUse() ||
          (times.getLhs() != own && times.getRhs() != own))
        continue;
    }
    rotation.isPartial.back() = true;
    rotation.partial.insert(sum);
  }
}

LogicalResult HopperEmitter::emitRowReduction(linalg::GenericOp op) {
  sharesRows = !current || !current->partial.contains(op);
  LogicalResult result = FragmentEmitter::emitRowReduction(op);
  sharesRows = true;
  return result;
}

Value HopperEmitter::sumOfQuad(Value x) {
  for (int64_t mask : {1, 2})
    x = arith::AddFOp::create(b, x, shuffle(x, mask));
  return x;
}

/// Waits until the warpgroup before has started its products.
void HopperEmitter::takeTurn() {
  if (warps > 4)
    NVVM::BarrierOp::create(b, Type(), add(group, 1), constant(256),
                            NVVM::BarrierReductionAttr(), Value());
}

void HopperEmitter::passTurn() {
  int64_t groups = warps / 4;
  if (groups == 1)
    return;
  Value next = sub(constant(2), group);
  if (groups > 2) {
    Value last = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, group,
                                       constant(groups - 1));
    next = arith::SelectOp::create(b, last, constant(1), add(group, 2));
  }
  NVVM::BarrierArriveOp::create(b, next, constant(256));
}

/// Whether `op` multiplies the rows of `sums` by factors.
static bool isRescale(Operation &op, Value sums) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumReductionLoops() != 0 ||
      generic.getNumDpsInputs() != 1 || generic.getNumResults() != 1 ||
      generic.getDpsInitOperand(0)->get() != sums)
    return false;
  auto times = generic.getBody()
                   ->getTerminator()
                   ->getOperand(0)
                   .getDefiningOp<arith::MulFOp>();
  Value factor = generic.getBody()->getArgument(0);
  Value sum = generic.getBody()->getArgument(1);
  AffineMap rows = generic.getIndexingMapsArray()[0];
  return times && rows.getNumResults() == 1 &&
         rows.getResult(0) == getAffineDimExpr(0, op.getContext()) &&
         ((times.getLhs() == factor && times.getRhs() == sum) ||
          (times.getLhs() == sum && times.getRhs() == factor));
}

/// Once the maxima of a warp's rows stay as they are, its factors are all 1.
LogicalResult HopperEmitter::emitRescale(linalg::GenericOp op) {
  Tile sums = tiles[op.getDpsInitOperand(0)->get()];
  auto found = tiles.find(op.getDpsInputOperand(0)->get());
  if (found == tiles.end())
    return fail(op, "reads what is no tile");
  FailureOr<Tile> factors = inRegisters(found->second, op);
  if (failed(factors))
    return failure();
  Value one = arith::ConstantOp::create(b, b.getF32FloatAttr(1));
  Value differs;
  for (Value x : factors->elements) {
    Value own = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, x, one);
    differs = differs ? arith::OrIOp::create(b, differs, own).getResult() : own;
  }
  Value any = NVVM::VoteSyncOp::create(
      b, b.getI1Type(), constant(-1), differs,
      NVVM::VoteSyncKindAttr::get(b.getContext(), NVVM::VoteSyncKind::any));
  Layout layout = layoutOf(sums.type);
  auto choice = scf::IfOp::create(b, ValueRange(sums.elements).getTypes(), any,
                                  /*addThenBlock=*/true, /*addElseBlock=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(b, sums.elements);
    b.setInsertionPointToEnd(choice.thenBlock());
    SmallVector<Value> scaled;
    for (auto [i, x] : llvm::enumerate(sums.elements))
      scaled.push_back(arith::MulFOp::create(
          b, x, factors->elements[layout.rowOf(static_cast<int64_t>(i))]));
    scf::YieldOp::create(b, scaled);
  }
  sums.elements = llvm::to_vector_of<Value>(choice.getResults());
  tiles[op.getResult(0)] = sums;
  return success();
}

/// One iteration: the first product, then the second one of the iteration
/// before (unless this `isFirst`), under which the rest is computed.
LogicalResult HopperEmitter::emitIteration(scf::ForOp op,
                                           const Rotation &rotation,
                                           Value variable, bool isFirst,
                                           Iteration &state) {
  Block &body = *op.getBody();
  scalars[op.getInductionVar()] = variable;
  bindRings(op);
  for (auto [i, argument] : llvm::enumerate(op.getRegionIterArgs())) {
    if (i == rotation.argument && !isFirst)
      continue;
    ValueRange values = i == rotation.argument ? state.sums : state.carried[i];
    if (failed(bind(argument, values, op)))
      return failure();
  }
  BlockArgument sums = op.getRegionIterArg(rotation.argument);
  Tile like;
  like.type = cast<RankedTensorType>(sums.getType());
  std::optional<Flight> second;
  for (Operation &inner : body.without_terminator()) {
    b.setLoc(inner.getLoc());
    if (rotation.late.contains(&inner))
      continue;
    if (&inner != rotation.first.op) {
      if (failed(emitOp(&inner)))
        return failure();
      continue;
    }
    auto product = cast<linalg::GenericOp>(inner);
    auto start = tiles.find(product.getDpsInitOperand(0)->get());
    if (start == tiles.end())
      return fail(&inner, "adds to what is no tile");
    FailureOr<Tile> from = inRegisters(start->second, &inner);
    FailureOr<SmallVector<Value>> words = leftWords(rotation.first);
    if (failed(from) || failed(words))
      return failure();
    takeTurn();
    FailureOr<Flight> first =
        issue(rotation.first, from->elements, *words, counter);
    if (failed(first))
      return failure();
    if (!isFirst) {
      FailureOr<Flight> before = issue(rotation.second, state.sums, state.words,
                                       sub(counter, constant(1)));
      if (failed(before))
        return failure();
      second = *before;
    }
    passTurn();
    auto wait =
        nv::WgmmaWaitOp::create(b, isFirst ? 0 : 1, ValueRange(first->sums));
    tiles[inner.getResult(0)] = finish(*first, wait.getResult(0), *from);
  }
  if (second) {
    auto wait = nv::WgmmaWaitOp::create(b, 0, ValueRange(second->sums));
    tiles[sums] = finish(*second, wait.getResult(0), like);
  }
  for (Operation &inner : body.without_terminator()) {
    b.setLoc(inner.getLoc());
    if (!rotation.late.contains(&inner) || &inner == rotation.second.op)
      continue;
    if (skipRescale && !isFirst && isRescale(inner, sums)
            ? failed(emitRescale(cast<linalg::GenericOp>(inner)))
            : failed(emitOp(&inner)))
      return failure();
  }
  finishCopies();
  for (auto [i, x] : llvm::enumerate(body.getTerminator()->getOperands())) {
    if (i == rotation.argument)
      continue;
    FailureOr<SmallVector<Value>> flat = flatten(x, op);
    if (failed(flat))
      return failure();
    state.carried[i] = *flat;
  }
  linalg::GenericOp product = rotation.second.op;
  auto start = tiles.find(product.getDpsInitOperand(0)->get());
  if (start == tiles.end())
    return fail(op, "adds to what is no tile");
  FailureOr<Tile> from = inRegisters(start->second, op);
  FailureOr<SmallVector<Value>> words = leftWords(rotation.second);
  if (failed(from) || failed(words))
    return failure();
  if (words->empty())
    return fail(op, "multiplies what is not in registers");
  state.sums = from->elements;
  state.words = *words;
  return success();
}

LogicalResult HopperEmitter::emitRotated(scf::ForOp op,
                                         const Rotation &rotation) {
  Iteration state;
  SmallVector<Value> start;
  for (Value x : op.getInitArgs()) {
    FailureOr<SmallVector<Value>> flat = flatten(x, op);
    if (failed(flat))
      return failure();
    state.carried.push_back(*flat);
    llvm::append_range(start, *flat);
  }
  state.sums = state.carried[rotation.argument];
  state.carried[rotation.argument].clear();
  start.push_back(counter);
  Value lower = lookup(op.getLowerBound()), upper = lookup(op.getUpperBound()),
        step = lookup(op.getStep());
  int64_t before = usedShared;
  auto some = scf::IfOp::create(b, ValueRange(start).getTypes(),
                                less(lower, upper), /*addThenBlock=*/true,
                                /*addElseBlock=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(some.elseBlock());
    scf::YieldOp::create(b, start);
    b.setInsertionPointToEnd(some.thenBlock());
    ++depth;
    current = &rotation;
    Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
    Value isOne = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        modulo(lane, 4), constant(0));
    for (auto [partial, values] : llvm::zip(rotation.isPartial, state.carried))
      if (partial)
        for (Value &x : values)
          x = arith::SelectOp::create(b, isOne, x, zero);
    if (failed(emitIteration(op, rotation, lower, /*isFirst=*/true, state)))
      return failure();
    auto pack = [&] {
      SmallVector<Value> all;
      for (const auto &values : state.carried)
        llvm::append_range(all, values);
      llvm::append_range(all, state.sums);
      llvm::append_range(all, state.words);
      all.push_back(add(counter, 1));
      return all;
    };
    auto unpack = [&](ValueRange all) {
      auto take = [&](SmallVector<Value> &values) {
        ValueRange own = all.take_front(values.size());
        all = all.drop_front(values.size());
        values.assign(own.begin(), own.end());
      };
      for (auto &values : state.carried)
        take(values);
      take(state.sums);
      take(state.words);
      counter = all.front();
    };
    auto loop = scf::ForOp::create(b, add(lower, step), upper, step, pack());
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      unpack(loop.getRegionIterArgs());
      if (failed(emitIteration(op, rotation, loop.getInductionVar(),
                               /*isFirst=*/false, state)))
        return failure();
      scf::YieldOp::create(b, pack());
    }
    unpack(loop.getResults());
    FailureOr<Flight> last = issue(rotation.second, state.sums, state.words,
                                   sub(counter, constant(1)));
    if (failed(last))
      return failure();
    auto wait = nv::WgmmaWaitOp::create(b, 0, ValueRange(last->sums));
    Tile like;
    like.type = cast<RankedTensorType>(
        op.getRegionIterArg(rotation.argument).getType());
    state.carried[rotation.argument] =
        finish(*last, wait.getResult(0), like).elements;
    SmallVector<Value> results;
    for (auto [partial, values] : llvm::zip(rotation.isPartial, state.carried))
      for (Value x : values)
        results.push_back(partial ? sumOfQuad(x) : x);
    results.push_back(counter);
    scf::YieldOp::create(b, results);
    current = nullptr;
    --depth;
  }
  usedShared = before;
  counter = some.getResults().back();
  ValueRange results = some.getResults().drop_back();
  for (Value result : op.getResults())
    if (failed(bind(result, results, op)))
      return failure();
  return success();
}
