//===- SharedMemory.cpp - Tiles in shared memory --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

/// Regions give back what they took, see `emitRegion`.
SharedTile FragmentEmitter::allocate(int64_t rows, int64_t columns,
                                     Type element) {
  SharedTile tile;
  tile.rows = rows;
  tile.columns = columns;
  tile.element = element;
  tile.base = constant(usedShared);
  usedShared += tile.bytes();
  mostShared = std::max(mostShared, usedShared);
  return tile;
}

Value FragmentEmitter::sharedPointer(Value bytes) {
  auto type = LLVM::LLVMPointerType::get(b.getContext(), 3);
  return LLVM::GEPOp::create(b, type, b.getI8Type(), sharedBase,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

/// Bytes from the tile's base to an element.
Value FragmentEmitter::offsetIn(const SharedTile &tile, Value row,
                                Value column) {
  int64_t panel = tile.panelBytes(), width = panel / tile.elementBytes();
  Value offset =
      add(mul(row, panel), mul(modulo(column, width), tile.elementBytes()));
  Value bits = modulo(divide(mul(row, panel), 128), panel / 16);
  offset = arith::XOrIOp::create(b, offset, mul(bits, 16));
  return add(offset, mul(divide(column, width), panel * tile.paddedRows()));
}

Value FragmentEmitter::loadShared(const SharedTile &tile, Value row,
                                  Value column) {
  Value pointer = sharedPointer(add(tile.base, offsetIn(tile, row, column)));
  Type stored = tile.element;
  if (stored.isIndex() || stored.isInteger(1))
    stored = stored.isIndex() ? b.getI32Type() : b.getI8Type();
  Value x = LLVM::LoadOp::create(b, stored, pointer);
  if (tile.element.isInteger(1))
    x = arith::TruncIOp::create(b, tile.element, x);
  return x;
}

void FragmentEmitter::storeShared(const SharedTile &tile, Value row,
                                  Value column, Value x) {
  if (x.getType().isInteger(1))
    x = arith::ExtUIOp::create(b, b.getI8Type(), x);
  Value pointer = sharedPointer(add(tile.base, offsetIn(tile, row, column)));
  LLVM::StoreOp::create(b, x, pointer);
}

void FragmentEmitter::barrier() { NVVM::Barrier0Op::create(b); }

void FragmentEmitter::beforeWrite() { barrier(); }

void FragmentEmitter::finishCopies() {
  if (!pending)
    return;
  wait(0);
  barrier();
  pending = false;
}

FailureOr<SharedTile> FragmentEmitter::spill(const Tile &tile, Operation *op) {
  FailureOr<Tile> own = inRegisters(tile, op);
  if (failed(own))
    return failure();
  Type element = convert(own->type.getElementType());
  Layout layout = layoutOf(own->type);
  SharedTile to = allocate(layout.rows, layout.columns, element);
  beforeWrite();
  // Padding of columns and rows is zero, as products take it.
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
  int64_t columnBlocks =
      own->rank() == 1 ? 1 : llvm::divideCeil(to.paddedColumns(), 8);
  for (int64_t r = 0; r < layout.rowElements(); ++r) {
    Value row = add(add(mul(warp, 16), divide(lane, 4)),
                    r / 2 * 16 * warps + r % 2 * 8);
    Value fits;
    if (to.paddedRows() % (16 * warps))
      fits = less(row, constant(to.paddedRows()));
    if (own->rank() == 1)
      fits = both(fits, arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                              modulo(lane, 4), constant(0)));
    scf::IfOp guard;
    OpBuilder::InsertionGuard place(b);
    if (fits) {
      guard = scf::IfOp::create(b, fits, /*withElse=*/false);
      b.setInsertionPoint(guard.thenYield());
    }
    Value exists =
        layout.rows % 16 ? less(row, constant(layout.rows)) : Value();
    for (int64_t n = 0; n < columnBlocks; ++n)
      for (int64_t i = 0; i < (own->rank() == 1 ? 1 : 2); ++i) {
        Value column = own->rank() == 1
                           ? constant(0)
                           : add(mul(modulo(lane, 4), 2), n * 8 + i);
        Value x = zero;
        if (own->rank() == 1) {
          x = own->elements[r];
        } else if (n < layout.columnBlocks()) {
          x = own->elements[layout.at(r / 2, n, r % 2, i)];
          Value counts = exists;
          if (layout.columns % 8 && n == layout.columnBlocks() - 1)
            counts = both(counts, less(column, constant(layout.columns)));
          if (counts)
            x = arith::SelectOp::create(b, counts, x, zero);
        }
        storeShared(to, row, column, x);
      }
  }
  barrier();
  return to;
}

FailureOr<SharedTile> FragmentEmitter::inShared(Value operand, Operation *op) {
  auto found = tiles.find(operand);
  if (found == tiles.end())
    return fail(op, "reads what is no tile");
  if (found->second.shared) {
    finishCopies();
    return *tiles[operand].shared;
  }
  FailureOr<SharedTile> copy = spill(found->second, op);
  if (failed(copy))
    return failure();
  return *copy;
}

std::optional<LoadBody> FragmentEmitter::matchLoad(linalg::GenericOp load) {
  Value x = load.getBody()->getTerminator()->getOperand(0);
  LoadBody result;
  if (auto select = x.getDefiningOp<arith::SelectOp>()) {
    if (!matchPattern(select.getFalseValue(), m_PosZeroFloat()))
      return std::nullopt;
    result.exists = select.getCondition();
    x = select.getTrueValue();
  }
  result.extract = x.getDefiningOp<tensor::ExtractOp>();
  if (!result.extract || result.extract->getBlock() != load.getBody())
    return std::nullopt;
  return result;
}

/// Whether `x`, in the body of `load`, depends on the column.
static bool dependsOnColumn(Value x, linalg::GenericOp load) {
  Operation *op = x.getDefiningOp();
  if (!op || op->getBlock() != load.getBody())
    return false;
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return index.getDim() == 1;
  return llvm::any_of(op->getOperands(),
                      [&](Value y) { return dependsOnColumn(y, load); });
}

bool FragmentEmitter::hasWholeRows(linalg::GenericOp load) {
  auto body = matchLoad(load);
  if (!body || (body->exists && dependsOnColumn(body->exists, load)))
    return false;
  auto view = views.find(body->extract.getTensor());
  if (view == views.end() || !view->second.buffer->readOnly)
    return false;
  RankedTensorType source = view->second.buffer->type;
  auto type = cast<RankedTensorType>(load.getResult(0).getType());
  if (source.getElementType() != type.getElementType() ||
      !type.getElementType().isFloat())
    return false;
  int64_t lanes = 128 / type.getElementTypeBitWidth();
  auto indices = body->extract.getIndices();
  auto column = indices.back().getDefiningOp<linalg::IndexOp>();
  if (!column || column.getDim() != 1 ||
      source.isDynamicDim(source.getRank() - 1) ||
      source.getShape().back() % lanes || type.getDimSize(1) % lanes ||
      view->second.dims.back() != source.getRank() - 1 ||
      !matchPattern(view->second.offsets.back(), m_Zero()))
    return false;
  return llvm::none_of(indices.drop_back(),
                       [&](Value x) { return dependsOnColumn(x, load); });
}

LogicalResult FragmentEmitter::rowAddress(linalg::GenericOp load, Value row,
                                          Value column, Value &pointer,
                                          Value &exists) {
  auto body = matchLoad(load);
  for (Operation &op : load.getBody()->without_terminator()) {
    if (&op == body->extract)
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      scalars[index] = index.getDim() == 0 ? row : column;
      continue;
    }
    if (auto select = dyn_cast<arith::SelectOp>(op);
        select && select.getTrueValue() == body->extract.getResult())
      continue;
    if (failed(emitScalar(&op)))
      return failure();
  }
  SmallVector<Value> at;
  for (Value index : body->extract.getIndices())
    at.push_back(lookup(index));
  pointer = address(views[body->extract.getTensor()], at);
  exists = body->exists ? lookup(body->exists) : Value();
  return success();
}

LogicalResult FragmentEmitter::copyLoad(linalg::GenericOp load,
                                        const SharedTile &to) {
  if (!hasWholeRows(load))
    return copyElements(load, to);
  int64_t perRow = to.paddedColumns() * to.elementBytes() / 16;
  int64_t chunks = perRow * to.paddedRows();
  int64_t lanes = 16 / to.elementBytes();
  for (int64_t done = 0; done < chunks; done += threads()) {
    Value number = add(thread, done);
    OpBuilder::InsertionGuard guard(b);
    if (done + threads() > chunks) {
      auto some = scf::IfOp::create(b, less(number, constant(chunks)),
                                    /*withElse=*/false);
      b.setInsertionPoint(some.thenYield());
    }
    Value row = add(divide(thread, perRow), done / perRow);
    Value chunk = modulo(thread, perRow);
    if (threads() % perRow) {
      row = divide(number, perRow);
      chunk = modulo(number, perRow);
    }
    Value column = mul(chunk, lanes);
    Value exists, inside, pointer, from = row, fromColumn = column;
    auto limit = [&](Value x, int64_t size, int64_t padded, Value &clamped,
                     int64_t last) {
      if (size == padded)
        return;
      inside = both(inside, less(x, constant(size)));
      clamped = minimum(x, constant(last));
    };
    limit(row, to.rows, to.paddedRows(), from, to.rows - 1);
    limit(column, to.columns, to.paddedColumns(), fromColumn,
          to.columns - lanes);
    if (failed(rowAddress(load, from, fromColumn, pointer, exists)))
      return failure();
    exists = both(exists, inside);
    Value bytes;
    if (exists)
      bytes = arith::SelectOp::create(b, exists, constant(16), constant(0));
    Value target = sharedPointer(add(to.base, offsetIn(to, row, column)));
    NVVM::CpAsyncOp::create(b, target, pointer, 16,
                            NVVM::LoadCacheModifierKind::CG, bytes);
  }
  return success();
}

/// Element by element, with zeros around.
LogicalResult FragmentEmitter::copyElements(linalg::GenericOp load,
                                            const SharedTile &to) {
  int64_t columns = to.paddedColumns(), count = columns * to.paddedRows();
  auto loop =
      scf::ForOp::create(b, thread, constant(count), constant(threads()));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value number = loop.getInductionVar();
  Value row = divide(number, columns), column = modulo(number, columns);
  Value inside;
  if (to.rows != to.paddedRows())
    inside = less(row, constant(to.rows));
  if (to.columns != columns)
    inside = both(inside, less(column, constant(to.columns)));
  Value fromRow = row, fromColumn = column;
  if (inside) {
    fromRow = minimum(row, constant(to.rows - 1));
    fromColumn = minimum(column, constant(to.columns - 1));
  }
  FailureOr<Value> x = emitBody(load, {}, {fromRow, fromColumn});
  if (failed(x))
    return failure();
  Value element = *x;
  if (inside) {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element.getType()));
    element = arith::SelectOp::create(b, inside, element, zero);
  }
  storeShared(to, row, column, element);
  return success();
}

void FragmentEmitter::commit() { NVVM::CpAsyncCommitGroupOp::create(b); }

void FragmentEmitter::wait(int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, pending);
}

/// The operations of the loop's body that a load's place depends on; none if
/// it depends on what the loop carries.
static std::optional<SetVector<Operation *>>
addressOps(scf::ForOp op, linalg::GenericOp load) {
  SetVector<Operation *> needed;
  SmallVector<Value> todo;
  bool isPure = true;
  load.getBodyRegion().walk([&](Operation *inner) {
    llvm::append_range(todo, inner->getOperands());
  });
  while (!todo.empty()) {
    Value x = todo.pop_back_val();
    if (auto argument = dyn_cast<BlockArgument>(x)) {
      if (argument.getOwner() == op.getBody() &&
          argument != op.getInductionVar())
        isPure = false;
      continue;
    }
    Operation *from = x.getDefiningOp();
    if (from->getBlock() != op.getBody() || !needed.insert(from))
      continue;
    StringRef dialect = from->getName().getDialectNamespace();
    if ((dialect != "arith" && !isa<tensor::ExtractOp>(from)) ||
        from->getNumRegions())
      isPure = false;
    llvm::append_range(todo, from->getOperands());
  }
  if (!isPure)
    return std::nullopt;
  return needed;
}

SmallVector<linalg::GenericOp> FragmentEmitter::loadsAhead(scf::ForOp op) {
  SmallVector<linalg::GenericOp> loads;
  for (auto load : op.getBody()->getOps<linalg::GenericOp>()) {
    if (load.getNumDpsInputs() != 0 || load.getNumReductionLoops() != 0 ||
        load.getNumLoops() != 2)
      continue;
    bool isOperand =
        llvm::any_of(load.getResult(0).getUsers(), [](Operation *user) {
          auto generic = dyn_cast<linalg::GenericOp>(user);
          return generic && matchContraction(generic);
        });
    if (isOperand && hasWholeRows(load) && addressOps(op, load))
      loads.push_back(load);
  }
  return loads;
}

LogicalResult FragmentEmitter::emitAddressOps(scf::ForOp op,
                                              linalg::GenericOp load) {
  auto needed = addressOps(op, load);
  for (Operation &inner : op.getBody()->without_terminator())
    if (needed->contains(&inner) && failed(emitScalar(&inner)))
      return failure();
  return success();
}
