//===- HopperProducer.cpp - The warp that loads tiles ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HopperEmitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

/// How often the row is part of `x`, in the body of `load`: 0 or 1; none if
/// `x` is something else.
static std::optional<int64_t> countRows(Value x, linalg::GenericOp load) {
  Operation *op = x.getDefiningOp();
  if (!op || op->getBlock() != load.getBody())
    return 0;
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return index.getDim() == 0 ? 1 : 0;
  int64_t sum = 0;
  for (Value operand : op->getOperands()) {
    auto count = countRows(operand, load);
    if (!count)
      return std::nullopt;
    sum += *count;
  }
  if (sum == 0 || (isa<arith::AddIOp>(op) && sum == 1))
    return sum;
  return std::nullopt;
}

/// Whether `x` is `limit` - 1.
static bool isLast(Value x, Value limit) {
  APInt last, size;
  if (matchPattern(x, m_ConstantInt(&last)) &&
      matchPattern(limit, m_ConstantInt(&size)))
    return last == size - 1;
  if (auto sub = x.getDefiningOp<arith::SubIOp>())
    return sub.getLhs() == limit && matchPattern(sub.getRhs(), m_One());
  if (auto sum = x.getDefiningOp<arith::AddIOp>())
    return sum.getLhs() == limit &&
           matchPattern(sum.getRhs(), m_ConstantInt(&size)) && size.isAllOnes();
  return false;
}

/// Whether `limit`, in the kernel, is a size of the tensor itself.
bool HopperEmitter::isSize(Value limit, const View &view, int64_t dim) {
  const Buffer &buffer = *view.buffer;
  APInt size;
  if (matchPattern(limit, m_ConstantInt(&size)))
    return size.getSExtValue() == buffer.type.getDimSize(dim);
  auto argument = dyn_cast<BlockArgument>(limit);
  if (!argument || argument.getOwner() != &source.getBody().front())
    return false;
  int64_t number = 0;
  for (const Buffer &other : buffers) {
    if (&other == &buffer)
      break;
    ++number;
  }
  int64_t tensors = launch.getIns().size() + launch.getOuts().size();
  int64_t scalar = static_cast<int64_t>(argument.getArgNumber()) - tensors;
  if (scalar < 0 || number >= static_cast<int64_t>(launch.getIns().size()))
    return false;
  auto asked = launch.getScalars()[scalar].getDefiningOp<tensor::DimOp>();
  return asked && asked.getConstantIndex() == dim &&
         asked.getSource() == launch.getIns()[number];
}

std::optional<HopperEmitter::Rows>
HopperEmitter::matchRows(linalg::GenericOp load) {
  auto body = matchLoad(load);
  if (!body)
    return std::nullopt;
  auto found = views.find(body->extract.getTensor());
  if (found == views.end() || found->second.buffer->type.getRank() > 5 ||
      found->second.buffer->type.getRank() < 2)
    return std::nullopt;
  const View &view = found->second;
  auto tile = cast<RankedTensorType>(load.getResult(0).getType());
  SharedTile shared;
  shared.rows = tile.getDimSize(0);
  shared.columns = tile.getDimSize(1);
  shared.element = tile.getElementType();
  if (shared.rows != shared.paddedRows() || shared.rows > 256 ||
      (shared.columns != shared.paddedColumns() &&
       shared.columns != view.buffer->type.getShape().back()))
    return std::nullopt;
  std::optional<Rows> rows;
  for (auto [i, index] : llvm::enumerate(body->extract.getIndices())) {
    if (i + 1 == body->extract.getIndices().size())
      break;
    Value x = index, last;
    if (auto clamp = x.getDefiningOp<arith::MinSIOp>();
        clamp && clamp->getBlock() == load.getBody()) {
      x = clamp.getLhs();
      last = clamp.getRhs();
      if (countRows(x, load) == 0)
        std::swap(x, last);
    }
    auto count = countRows(x, load);
    if (!count)
      return std::nullopt;
    if (*count == 0) {
      if (last && countRows(last, load) != 0)
        return std::nullopt;
      continue;
    }
    if (rows)
      return std::nullopt;
    rows = Rows{view.dims[i], x, Value(), false, Value()};
    if (body->exists) {
      auto test = body->exists.getDefiningOp<arith::CmpIOp>();
      if (!test || test.getPredicate() != arith::CmpIPredicate::slt ||
          test.getLhs() != x)
        return std::nullopt;
      rows->limit = test.getRhs();
    }
    // A row that is clamped is one that does not exist.
    if (last && (!rows->limit || !isLast(last, rows->limit)))
      return std::nullopt;
  }
  if (!rows || (rows->limit && countRows(rows->limit, load) != 0))
    return std::nullopt;
  rows->mayExceed = rows->limit && !isSize(rows->limit, view, rows->dim);
  rows->map = addMap(view, rows->dim, tile);
  return rows;
}

/// A parameter for the tensor map of boxes of a tile's panels.
Value HopperEmitter::addMap(const View &view, int64_t dim,
                            RankedTensorType tile) {
  SharedTile shared;
  shared.rows = tile.getDimSize(0);
  shared.columns = tile.getDimSize(1);
  shared.element = tile.getElementType();
  int64_t operand = 0;
  for (const Buffer &other : buffers) {
    if (&other == view.buffer)
      break;
    ++operand;
  }
  SmallVector<Attribute> dims;
  SmallVector<int64_t> box;
  int64_t last = view.buffer->type.getRank() - 1;
  for (int64_t i = last; i >= 0; --i) {
    dims.push_back(b.getI64ArrayAttr({i}));
    box.push_back(i == last  ? shared.panelBytes() / shared.elementBytes()
                  : i == dim ? shared.rows
                             : 1);
  }
  Attribute map = b.getDictionaryAttr(
      {b.getNamedAttr("operand", b.getI64IntegerAttr(operand)),
       b.getNamedAttr("dims", b.getArrayAttr(dims)),
       b.getNamedAttr("box", b.getDenseI64ArrayAttr(box)),
       b.getNamedAttr("swizzle", b.getI64IntegerAttr(shared.panelBytes()))});
  int64_t first = target.getNumArguments() - maps.size();
  if (auto *known = llvm::find(maps, map); known != maps.end())
    return target.getArgument(first + (known - maps.begin()));
  maps.push_back(map);
  unsigned number = target.getNumArguments();
  auto type = LLVM::LLVMPointerType::get(b.getContext());
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), 128);
  DictionaryAttr attrs =
      b.getDictionaryAttr({b.getNamedAttr(LLVM::LLVMDialect::getByValAttrName(),
                                          TypeAttr::get(bytes)),
                           b.getNamedAttr(LLVM::LLVMDialect::getAlignAttrName(),
                                          b.getI64IntegerAttr(64))});
  if (failed(target.insertArgument(number, type, attrs, target.getLoc())))
    return {};
  return target.getArgument(number);
}

/// Whether the producer can compute an operation on scalars.
bool HopperEmitter::isKnown(Operation *op) {
  if (llvm::any_of(op->getResultTypes(), llvm::IsaPred<TensorType>))
    return false;
  bool known = true;
  op->walk([&](Operation *inner) {
    if (isa<linalg::LinalgOp>(inner))
      known = false;
    for (Value x : inner->getOperands()) {
      Operation *from = x.getDefiningOp();
      if (from ? op->isProperAncestor(from)
               : op->isProperAncestor(
                     cast<BlockArgument>(x).getOwner()->getParentOp()) ||
                     cast<BlockArgument>(x).getOwner()->getParentOp() == op)
        continue;
      if (isa<TensorType>(x.getType()) ? !views.contains(x) : !lookup(x))
        known = false;
    }
  });
  return known;
}

LogicalResult HopperEmitter::produce(Block &block) {
  for (Operation &op : block.without_terminator()) {
    b.setLoc(op.getLoc());
    if (auto loop = dyn_cast<scf::ForOp>(op); loop && fetches.contains(loop)) {
      if (failed(produceLoop(loop)))
        return failure();
      continue;
    }
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      if (views.contains(slice.getSource()) && failed(emitOp(slice)))
        return failure();
      continue;
    }
    if (!isa<linalg::LinalgOp>(op) && isKnown(&op) && failed(emitOp(&op)))
      return failure();
  }
  return success();
}

LogicalResult HopperEmitter::produceLoop(scf::ForOp op) {
  Value lower = lookup(op.getLowerBound()), upper = lookup(op.getUpperBound()),
        step = lookup(op.getStep());
  if (!lower || !upper || !step)
    return fail(op, "has bounds that depend on tiles");
  auto loop = scf::ForOp::create(b, lower, upper, step, counter);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    counter = loop.getRegionIterArg(0);
    scalars[op.getInductionVar()] = loop.getInductionVar();
    for (auto [ring, own] : llvm::enumerate(fetches[op]))
      if (failed(emitAddressOps(op, own.load)) || failed(fetch(own, ring)))
        return failure();
    scf::YieldOp::create(b, add(counter, 1));
  }
  counter = loop.getResult(0);
  return success();
}

LogicalResult HopperEmitter::fetch(const Fetch &fetch, int64_t ring) {
  linalg::GenericOp load = fetch.load;
  auto type = cast<RankedTensorType>(load.getResult(0).getType());
  Value stage = stageOf(counter);
  // The first pass over a ring finds it empty.
  Value parity = arith::XOrIOp::create(b, phaseOf(counter), constant(1));
  nv::MBarrierWaitOp::create(b, emptyBarrier(ring, stage), parity);
  Value full = fullBarrier(ring, stage);
  SharedTile to;
  to.rows = type.getDimSize(0);
  to.columns = type.getDimSize(1);
  to.element = type.getElementType();
  to.base = add(constant(rings[ring].begin), mul(stage, rings[ring].bytes));
  if (!fetch.rows)
    return fetchRows(load, to, full);
  const Rows &rows = *fetch.rows;
  // Places of the first row.
  auto body = matchLoad(load);
  for (Operation &op : load.getBody()->without_terminator()) {
    if (&op == body->extract || isa<arith::SelectOp>(op))
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      scalars[index] = constant(0);
    else if (failed(emitScalar(&op)))
      return failure();
  }
  const View &view = views[body->extract.getTensor()];
  SmallVector<Value> at(view.offsets);
  for (auto [dim, index] : llvm::zip(view.dims, body->extract.getIndices()))
    at[dim] = add(at[dim], lookup(dim == rows.dim ? rows.position : index));
  auto copy = [&] {
    int64_t panel = to.panelBytes(), width = panel / to.elementBytes();
    int64_t panels = to.paddedColumns() / width;
    NVVM::MBarrierArriveExpectTxOp::create(
        b, Type(), full, constant(panels * panel * to.rows),
        NVVM::MemScopeKindAttr::get(b.getContext(), NVVM::MemScopeKind::CTA),
        b.getBoolAttr(false), Value());
    for (int64_t i = 0; i < panels; ++i) {
      SmallVector<Value> place(llvm::reverse(at));
      place[0] = add(place[0], i * width);
      Value pointer = LLVM::AddrSpaceCastOp::create(
          b, LLVM::LLVMPointerType::get(b.getContext(), 7),
          sharedPointer(add(to.base, i * panel * to.rows)));
      NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
          b, pointer, rows.map, place, full, ValueRange(), Value(), Value(),
          NVVM::TMALoadModeAttr::get(b.getContext(), NVVM::TMALoadMode::TILE),
          b.getBoolAttr(false), NVVM::CTAGroupKindAttr(), Value());
    }
  };
  auto byLead = [&] {
    auto one = scf::IfOp::create(b, lead, /*withElse=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(one.thenYield());
    copy();
  };
  if (!rows.mayExceed) {
    byLead();
    return success();
  }
  // Rows between the limit and the tensor's end must not be read.
  Value limit = lookup(rows.limit);
  Value inside = arith::CmpIOp::create(
      b, arith::CmpIPredicate::sle, add(lookup(rows.position), to.rows), limit);
  Value whole = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, limit,
                                      view.buffer->sizes[rows.dim]);
  auto choice = scf::IfOp::create(b, arith::OrIOp::create(b, inside, whole),
                                  /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(choice.thenYield());
  byLead();
  b.setInsertionPoint(choice.elseYield());
  return fetchRows(load, to, full);
}

/// Row by row, by the lanes of the warp.
LogicalResult HopperEmitter::fetchRows(linalg::GenericOp load,
                                       const SharedTile &to, Value full) {
  int64_t perRow = to.paddedColumns() * to.elementBytes() / 16;
  int64_t lanes = 16 / to.elementBytes();
  auto loop = scf::ForOp::create(b, lane, constant(perRow * to.paddedRows()),
                                 constant(32));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value number = loop.getInductionVar();
    Value row = divide(number, perRow);
    Value column = mul(modulo(number, perRow), lanes);
    Value inside, from = row, fromColumn = column, pointer, exists;
    if (to.rows != to.paddedRows()) {
      inside = less(row, constant(to.rows));
      from = minimum(row, constant(to.rows - 1));
    }
    if (to.columns != to.paddedColumns()) {
      inside = both(inside, less(column, constant(to.columns)));
      fromColumn = minimum(column, constant(to.columns - lanes));
    }
    if (failed(rowAddress(load, from, fromColumn, pointer, exists)))
      return failure();
    exists = both(exists, inside);
    Value bytes;
    if (exists)
      bytes = arith::SelectOp::create(b, exists, constant(16), constant(0));
    Value place = sharedPointer(add(to.base, offsetIn(to, row, column)));
    NVVM::CpAsyncOp::create(b, place, pointer, 16,
                            NVVM::LoadCacheModifierKind::CG, bytes);
  }
  commit();
  wait(0);
  NVVM::SyncWarpOp::create(b, constant(-1));
  nv::MBarrierArriveOp::create(b, full, lead);
  return success();
}
