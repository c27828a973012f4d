//===- FragmentEmitter.cpp - Tile programs as code of one thread ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

FragmentEmitter::FragmentEmitter(func::FuncOp source, gpu::GPUFuncOp target,
                                 LLVM::GlobalOp sharedMemory)
    : ScalarEmitter(source, target), sharedMemory(sharedMemory) {
  lane = modulo(thread, 32);
  warp = divide(thread, 32);
  sharedBase = LLVM::AddressOfOp::create(b, sharedMemory);
}

int64_t FragmentEmitter::warpsFor(scf::ForallOp loop) {
  int64_t rows = 0, ofVectors = 0;
  loop->walk([&](linalg::GenericOp op) {
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (!type || !type.hasStaticShape() || type.getRank() == 0)
      return;
    ofVectors = std::max(ofVectors, type.getDimSize(0));
    if (auto product = matchContraction(op))
      rows = std::max(rows, product->rows);
  });
  if (rows == 0)
    rows = ofVectors;
  return std::min<int64_t>(llvm::divideCeil(rows, 16), 4);
}

LogicalResult FragmentEmitter::emit(scf::ForallOp loop) {
  warps = warpsFor(loop);
  if (warps == 0)
    return fail(loop, "has no tiles");
  if (failed(emitBefore(loop)) || failed(emitBlock(*loop.getBody())))
    return failure();
  return emitResults(loop);
}

LogicalResult FragmentEmitter::emitBefore(scf::ForallOp loop) {
  bindParameters();
  for (Operation &op : source.getBody().front().without_terminator())
    if (&op != loop && failed(emitOp(&op)))
      return failure();
  bindPoint(loop, NVVM::BlockIdXOp::create(b, b.getI32Type()));
  for (auto [own, out] :
       llvm::zip(loop.getRegionIterArgs(), loop.getOutputs())) {
    views[own] = views.lookup(out);
    Tile &tile = tiles[own];
    tile.kind = Tile::Kind::Global;
    tile.type = cast<RankedTensorType>(own.getType());
    tile.view = views[own];
  }
  return success();
}

LogicalResult FragmentEmitter::emitResults(scf::ForallOp loop) {
  for (Operation &op : loop.getTerminator().getYieldingOps()) {
    auto insert = cast<tensor::ParallelInsertSliceOp>(op);
    View view = views.lookup(insert.getDest());
    if (isGlobal(insert.getSource())) {
      // It was written in place.
      if (views.lookup(insert.getSource()).buffer == view.buffer)
        continue;
      return fail(&op, "copies a part of a tensor in global memory");
    }
    View part;
    part.buffer = view.buffer;
    part.offsets = view.offsets;
    llvm::SmallBitVector dropped = insert.getDroppedDims();
    for (auto [i, offset] : llvm::enumerate(insert.getMixedOffsets())) {
      int64_t dim = view.dims[i];
      part.offsets[dim] = add(part.offsets[dim], valueOf(offset));
      if (dropped.test(i))
        continue;
      part.dims.push_back(dim);
      part.sizes.push_back(valueOf(insert.getMixedSizes()[i]));
    }
    if (failed(storeResult(insert.getSource(), part, &op)))
      return failure();
  }
  return success();
}

LogicalResult FragmentEmitter::emitOp(Operation *op) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return emitGeneric(generic);
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitLoop(loop);
  if (auto choice = dyn_cast<scf::IfOp>(op))
    return emitIf(choice);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return emitSlice(slice);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return emitInsertSlice(insert);
  if (auto insert = dyn_cast<tensor::InsertOp>(op))
    return emitInsert(insert);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
    Tile &tile = tiles[empty];
    tile.type = empty.getType();
    return success();
  }
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    if (!fill.hasPureTensorSemantics())
      return fail(op, "works on buffers");
    Tile tile;
    tile.kind = Tile::Kind::Uniform;
    tile.type = cast<RankedTensorType>(fill.getResult(0).getType());
    auto out = tiles.find(fill.getDpsInitOperand(0)->get());
    if (out == tiles.end())
      return fail(op, "fills what is no tile");
    tile.rowCount = out->second.rowCount;
    if (out->second.kind == Tile::Kind::Global || !tile.type.hasStaticShape())
      return fail(op, "fills a part of a tensor in global memory");
    Value x = lookup(fill.getInputs()[0]);
    tile.elements = {x};
    tiles[fill.getResult(0)] = tile;
    return success();
  }
  return emitScalar(op);
}

/// A part of a tensor in global memory, or the first rows of a tile.
LogicalResult FragmentEmitter::emitSlice(tensor::ExtractSliceOp op) {
  auto view = views.find(op.getSource());
  if (view != views.end()) {
    FailureOr<View> part = slice(op, view->second);
    if (failed(part))
      return failure();
    views[op.getResult()] = *part;
    Tile &tile = tiles[op.getResult()];
    tile.kind = Tile::Kind::Global;
    tile.type = op.getType();
    tile.view = *part;
    return success();
  }
  auto source = tiles.find(op.getSource());
  if (source == tiles.end())
    return fail(op, "takes a part of what is no tile");
  Tile tile = source->second;
  auto isZero = [](OpFoldResult x) { return isConstantIntValue(x, 0); };
  auto isOne = [](OpFoldResult x) { return isConstantIntValue(x, 1); };
  if (!llvm::all_of(op.getMixedOffsets(), isZero) ||
      !llvm::all_of(op.getMixedStrides(), isOne) ||
      op.getType().getRank() != tile.rank() ||
      (tile.rank() == 2 && op.getType().getDimSize(1) != tile.columns()))
    return fail(op, "takes another part of a tile than its first rows");
  OpFoldResult rows = op.getMixedSizes()[0];
  if (!isConstantIntValue(rows, tile.rows()))
    tile.rowCount = valueOf(rows);
  tiles[op.getResult()] = tile;
  return success();
}

bool FragmentEmitter::isGlobal(Value x) const {
  auto found = tiles.find(x);
  return views.contains(x) ||
         (found != tiles.end() && found->second.kind == Tile::Kind::Global);
}

void FragmentEmitter::alias(Value from, Value to) {
  View view = views.lookup(from);
  views[to] = view;
  Tile tile = tiles.lookup(from);
  tile.kind = Tile::Kind::Global;
  tile.type = cast<RankedTensorType>(to.getType());
  tile.view = view;
  tiles[to] = tile;
}

void FragmentEmitter::finishStores() {
  if (stored)
    barrier();
  stored = false;
}

/// One thread writes an element to global memory.
LogicalResult FragmentEmitter::emitInsert(tensor::InsertOp op) {
  if (!isGlobal(op.getDest()))
    return fail(op, "writes an element of a tile");
  View view = views.lookup(op.getDest());
  SmallVector<Value> at;
  for (Value index : op.getIndices())
    at.push_back(lookup(index));
  Value first =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, thread, constant(0));
  auto guard = scf::IfOp::create(b, first, /*withElse=*/false);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPoint(guard.thenYield());
    store(view, at, lookup(op.getScalar()));
  }
  stored = true;
  alias(op.getDest(), op.getResult());
  return success();
}

LogicalResult FragmentEmitter::emitInsertSlice(tensor::InsertSliceOp op) {
  if (!isGlobal(op.getDest()))
    return fail(op, "writes a part of a tile");
  if (!llvm::all_of(op.getMixedStrides(),
                    [](OpFoldResult x) { return isConstantIntValue(x, 1); }))
    return fail(op, "writes a part with steps other than 1");
  View view = views.lookup(op.getDest()), part;
  part.buffer = view.buffer;
  part.offsets = view.offsets;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, offset] : llvm::enumerate(op.getMixedOffsets())) {
    int64_t dim = view.dims[i];
    part.offsets[dim] = add(part.offsets[dim], valueOf(offset));
    if (dropped.test(i))
      continue;
    part.dims.push_back(dim);
    part.sizes.push_back(valueOf(op.getMixedSizes()[i]));
  }
  alias(op.getDest(), op.getResult());
  if (isGlobal(op.getSource())) {
    if (views.lookup(op.getSource()).buffer == view.buffer)
      return success();
    return fail(op, "copies a part of a tensor in global memory");
  }
  stored = true;
  return storeResult(op.getSource(), part, op);
}

/// Whether the body reads its element of the result.
static bool readsOut(linalg::GenericOp op) {
  return !op.getBody()->getArguments().back().use_empty();
}

/// A tile that is only read from global memory.
static bool isLoad(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 0 || op.getNumResults() != 1 || readsOut(op) ||
      op.getNumReductionLoops() != 0 || op.getNumLoops() != 2)
    return false;
  return llvm::any_of(op.getResult(0).getUsers(), [](Operation *user) {
    auto generic = dyn_cast<linalg::GenericOp>(user);
    return generic && generic.getNumReductionLoops() == 1 &&
           generic.getNumLoops() == 3;
  });
}

LogicalResult FragmentEmitter::emitGeneric(linalg::GenericOp op) {
  if (op.getNumResults() != 1 || !op.hasPureTensorSemantics())
    return fail(op, "has more than one result");
  if (isLoad(op)) {
    Tile &tile = tiles[op.getResult(0)];
    if (tile.kind == Tile::Kind::Load && tile.shared)
      return success(); // runs ahead
    tile = Tile();
    tile.kind = Tile::Kind::Load;
    tile.type = cast<RankedTensorType>(op.getResult(0).getType());
    tile.load = op;
    if (!tile.type.hasStaticShape())
      return fail(op, "loads a tile of a size that is not static");
    // What loops read is there before them.
    SharedTile to =
        allocate(tile.rows(), tile.columns(), tile.type.getElementType());
    beforeWrite();
    if (failed(copyLoad(op, to)))
      return failure();
    commit();
    pending = true;
    tiles[op.getResult(0)].shared = std::make_shared<SharedTile>(to);
    return success();
  }
  if (auto product = matchContraction(op)) {
    auto start = tiles.find(op.getDpsInitOperand(0)->get());
    if (start == tiles.end())
      return fail(op, "adds to what is no tile");
    FailureOr<Tile> first = inRegisters(start->second, op);
    if (failed(first))
      return failure();
    FailureOr<Tile> result = contract(*product, *first);
    if (failed(result))
      return failure();
    tiles[op.getResult(0)] = *result;
    return success();
  }
  if (op.getNumReductionLoops() == 1)
    return emitRowReduction(op);
  if (op.getNumReductionLoops() == 0)
    return emitElementwise(op);
  return fail(op, "is neither elementwise, nor a reduction of rows, nor a "
                  "product of two tiles");
}

FailureOr<Value> FragmentEmitter::emitExtract(tensor::ExtractOp op) {
  SmallVector<Value> at;
  for (Value index : op.getIndices())
    at.push_back(lookup(index));
  auto view = views.find(op.getTensor());
  if (view != views.end()) {
    if (!view->second.buffer->readOnly)
      finishStores();
    return load(view->second, at);
  }
  auto tile = tiles.find(op.getTensor());
  if (tile == tiles.end())
    return fail(op, "reads what is no tile");
  return elementAt(tile->second, at, op);
}

Value FragmentEmitter::emitIndex(linalg::IndexOp op) {
  return op.getDim() < bodyIndices.size() ? bodyIndices[op.getDim()] : Value();
}

FailureOr<Value> FragmentEmitter::emitBody(linalg::GenericOp op,
                                           ArrayRef<Value> arguments,
                                           ArrayRef<Value> indices) {
  SmallVector<Value> before(indices);
  std::swap(bodyIndices, before);
  Block &body = *op.getBody();
  for (auto [argument, value] : llvm::zip(body.getArguments(), arguments))
    scalars[argument] = value;
  LogicalResult result = emitBlock(body);
  std::swap(bodyIndices, before);
  if (failed(result))
    return failure();
  Value yielded = lookup(body.getTerminator()->getOperand(0));
  if (!yielded)
    return fail(op, "yields a value that has no scalar form");
  return yielded;
}

/// Writes a tile to global memory.
LogicalResult FragmentEmitter::storeResult(Value source, const View &view,
                                           Operation *op) {
  auto found = tiles.find(source);
  if (found == tiles.end())
    return fail(op, "stores what is no tile");
  if (found->second.kind == Tile::Kind::Global)
    return fail(op, "copies a part of a tensor in global memory");
  FailureOr<Tile> tile = inRegisters(found->second, op);
  if (failed(tile))
    return failure();
  if (static_cast<int64_t>(view.dims.size()) != tile->rank())
    return fail(op, "stores a tile of another rank");
  Layout layout = layoutOf(tile->type);
  int64_t rows = layout.rows;
  Value limit = tile->rowCount ? tile->rowCount : constant(rows);
  bool padded = tile->rowCount || rows % (16 * warps);
  auto guarded = [&](Value condition, llvm::function_ref<void()> body) {
    if (!condition)
      return body();
    auto choice = scf::IfOp::create(b, condition, /*withElse=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(choice.thenYield());
    body();
  };
  for (int64_t r = 0; r < layout.rowElements(); ++r) {
    Value row = add(add(mul(warp, 16), divide(lane, 4)),
                    r / 2 * 16 * warps + r % 2 * 8);
    Value exists = padded ? less(row, limit) : Value();
    if (tile->rank() == 1) {
      // One thread of the four that have the row.
      Value first = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                          modulo(lane, 4), constant(0));
      guarded(both(exists, first),
              [&] { store(view, {row}, tile->elements[r]); });
      continue;
    }
    guarded(exists, [&] {
      Value column0 = mul(modulo(lane, 4), 2);
      const Buffer &buffer = *view.buffer;
      int64_t last = buffer.type.getRank() - 1;
      Type element = buffer.type.getElementType();
      bool pairs = layout.columns % 8 == 0 && view.dims.back() == last &&
                   buffer.type.getDimSize(last) % 2 == 0 &&
                   matchPattern(view.offsets[last], m_Zero()) &&
                   element.isIntOrFloat() &&
                   element.getIntOrFloatBitWidth() >= 16;
      for (int64_t n = 0; n < layout.columnBlocks(); ++n) {
        Value column = add(column0, n * 8);
        Value x = tile->elements[layout.at(r / 2, n, r % 2, 0)];
        Value y = tile->elements[layout.at(r / 2, n, r % 2, 1)];
        if (pairs) {
          Type vector = VectorType::get({2}, element);
          Value pair = LLVM::PoisonOp::create(b, vector);
          pair = LLVM::InsertElementOp::create(b, pair, x, constant(0));
          pair = LLVM::InsertElementOp::create(b, pair, y, constant(1));
          LLVM::StoreOp::create(b, pair, address(view, {row, column}),
                                element.getIntOrFloatBitWidth() / 4);
          continue;
        }
        Value z[] = {x, y};
        for (int64_t i = 0; i < 2; ++i) {
          Value own = add(column, i);
          Value inside = layout.columns % 8
                             ? less(own, constant(layout.columns))
                             : Value();
          guarded(inside, [&] { store(view, {row, own}, z[i]); });
        }
      }
    });
  }
  return success();
}
