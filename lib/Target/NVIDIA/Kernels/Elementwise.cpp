//===- Elementwise.cpp - Elementwise operations and reductions of rows ----===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

Layout FragmentEmitter::layoutOf(RankedTensorType type) const {
  return {warps, type.getDimSize(0),
          type.getRank() > 1 ? type.getDimSize(1) : 1};
}

/// The tile's row of an element of a vector of rows; a row that does not exist
/// is the last one.
Value FragmentEmitter::rowIndex(const Layout &layout, Value rowCount,
                                int64_t rowElement) {
  Value row = add(add(mul(warp, 16), divide(lane, 4)),
                  rowElement / 2 * 16 * warps + rowElement % 2 * 8);
  if (rowCount)
    return minimum(row, sub(rowCount, constant(1)));
  if (layout.rows % (16 * warps))
    return minimum(row, constant(layout.rows - 1));
  return row;
}

Value FragmentEmitter::columnIndex(const Layout &layout, int64_t element) {
  int64_t block = element / 4 % layout.columnBlocks();
  Value column = add(mul(modulo(lane, 4), 2), block * 8 + element % 2);
  if (layout.columns % 8 && block == layout.columnBlocks() - 1)
    return minimum(column, constant(layout.columns - 1));
  return column;
}

FailureOr<Value> FragmentEmitter::elementAt(const Tile &tile,
                                            ArrayRef<Value> at, Operation *op) {
  switch (tile.kind) {
  case Tile::Kind::Uniform:
    return tile.elements[0];
  case Tile::Kind::Global:
    return load(tile.view, at);
  case Tile::Kind::Load:
    return emitBody(tile.load, ArrayRef<Value>(), at);
  case Tile::Kind::Rows:
  case Tile::Kind::Block:
    if (tile.shared)
      return loadShared(*tile.shared, at[0],
                        at.size() > 1 ? at[1] : constant(0));
    return fail(op, "reads an element of a tile that another thread has");
  case Tile::Kind::Empty:
    return ub::PoisonOp::create(b, convert(tile.type.getElementType()))
        .getResult();
  }
  llvm_unreachable("all kinds are covered");
}

FailureOr<Tile> FragmentEmitter::inRegisters(const Tile &tile, Operation *op) {
  if (tile.kind == Tile::Kind::Rows || tile.kind == Tile::Kind::Block)
    return tile;
  if (tile.rank() == 0 || tile.rank() > 2)
    return fail(op, "a tile has neither one nor two dimensions");
  if (ShapedType::isDynamic(tile.rows()) ||
      ShapedType::isDynamic(tile.columns()))
    return fail(op, "a tile has a size that is not static");
  Tile result;
  result.type = tile.type;
  result.rowCount = tile.rowCount;
  Layout layout = layoutOf(tile.type);
  bool isRows = tile.rank() == 1;
  result.kind = isRows ? Tile::Kind::Rows : Tile::Kind::Block;
  int64_t count = isRows ? layout.rowElements() : layout.tileElements();
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> at = {
        rowIndex(layout, tile.rowCount, isRows ? i : layout.rowOf(i))};
    if (!isRows)
      at.push_back(columnIndex(layout, i));
    FailureOr<Value> x = elementAt(tile, at, op);
    if (failed(x))
      return failure();
    result.elements.push_back(*x);
  }
  return result;
}

LogicalResult FragmentEmitter::emitElementwise(linalg::GenericOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!maps.back().isIdentity())
    return fail(op, "permutes what it writes");
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  bool usesOut = !op.getBody()->getArguments().back().use_empty();
  SmallVector<const Tile *> operands;
  Value rowCount;
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    auto found = tiles.find(operand);
    if (found == tiles.end()) {
      if (isa<RankedTensorType>(operand.getType()))
        return fail(op, "reads what is no tile");
      return fail(op, "reads a scalar operand");
    }
    operands.push_back(&found->second);
    const Tile &tile = found->second;
    bool counts = i + 1 < op->getNumOperands() || usesOut;
    if (tile.rowCount)
      rowCount = tile.rowCount;
    // A part of a result has the layout of what is written there.
    if (counts && !type.hasStaticShape() &&
        (tile.kind == Tile::Kind::Rows || tile.kind == Tile::Kind::Block) &&
        maps[i].isIdentity())
      type = RankedTensorType::get(tile.type.getShape(), type.getElementType());
  }
  if (!type.hasStaticShape() || type.getRank() == 0 || type.getRank() > 2)
    return fail(op, "has a size that is not static");
  bool isRows = type.getRank() == 1;
  Layout layout = layoutOf(type);
  Tile result;
  result.kind = isRows ? Tile::Kind::Rows : Tile::Kind::Block;
  result.type = type;
  result.rowCount = rowCount;
  // Tiles may move while bodies are emitted.
  std::vector<Tile> inputs;
  for (const Tile *tile : operands)
    inputs.push_back(*tile);
  int64_t count = isRows ? layout.rowElements() : layout.tileElements();
  for (int64_t i = 0; i < count; ++i) {
    int64_t rowElement = isRows ? i : layout.rowOf(i);
    SmallVector<Value> at = {rowIndex(layout, rowCount, rowElement)};
    if (!isRows)
      at.push_back(columnIndex(layout, i));
    SmallVector<Value> arguments;
    for (auto [n, tile] : llvm::enumerate(inputs)) {
      if (n + 1 == inputs.size() && !usesOut) {
        arguments.push_back({});
        continue;
      }
      AffineMap map = maps[n];
      bool own =
          tile.kind == Tile::Kind::Rows || tile.kind == Tile::Kind::Block;
      bool sameRows =
          !own || layoutOf(tile.type).rowBlocks() == layout.rowBlocks();
      if (own && map.isIdentity() && sameRows &&
          (isRows || tile.columns() == layout.columns)) {
        arguments.push_back(tile.elements[i]);
        continue;
      }
      if (own && tile.rank() == 1 && map.getNumResults() == 1 && sameRows &&
          map.getResult(0) == b.getAffineDimExpr(0)) {
        arguments.push_back(tile.elements[rowElement]);
        continue;
      }
      SmallVector<Value> place;
      for (AffineExpr expr : map.getResults()) {
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          place.push_back(at[dim.getPosition()]);
        else if (auto fixed = dyn_cast<AffineConstantExpr>(expr))
          place.push_back(constant(fixed.getValue()));
        else
          return fail(op, "reads a tile at computed places");
      }
      FailureOr<Value> x = elementAt(tile, place, op);
      if (failed(x))
        return failure();
      arguments.push_back(*x);
    }
    FailureOr<Value> x = emitBody(op, arguments, at);
    if (failed(x))
      return failure();
    result.elements.push_back(*x);
  }
  tiles[op.getResult(0)] = result;
  bool isRead = llvm::any_of(op.getResult(0).getUsers(), [](Operation *user) {
    return isa<tensor::ExtractOp>(user);
  });
  if (isRead) {
    FailureOr<SharedTile> copy = spill(result, op);
    if (failed(copy))
      return failure();
    tiles[op.getResult(0)].shared = std::make_shared<SharedTile>(*copy);
  }
  return success();
}

Value FragmentEmitter::shuffle(Value x, int64_t mask) {
  Type type = x.getType();
  Value bits = x;
  bool narrow = type.getIntOrFloatBitWidth() < 32;
  if (narrow && isa<FloatType>(type))
    bits = arith::ExtFOp::create(b, b.getF32Type(), x);
  else if (narrow)
    bits = arith::ExtUIOp::create(b, b.getI32Type(), x);
  Value other = NVVM::ShflOp::create(b, bits.getType(), constant(-1), bits,
                                     constant(mask), constant(31),
                                     NVVM::ShflKind::bfly, UnitAttr());
  if (narrow && isa<FloatType>(type))
    return arith::TruncFOp::create(b, type, other);
  if (narrow)
    return arith::TruncIOp::create(b, type, other);
  return other;
}

/// Combines with what `combiner`, an operation of a body, does.
static Value combine(ImplicitLocOpBuilder &b, Operation *combiner, Value x,
                     Value y, Type type) {
  OperationState state(b.getLoc(), combiner->getName());
  state.addOperands({x, y});
  state.addTypes(type);
  state.propertiesAttr = combiner->getPropertiesAsAttribute();
  return b.create(state)->getResult(0);
}

LogicalResult FragmentEmitter::emitRowReduction(linalg::GenericOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineExpr row = b.getAffineDimExpr(0);
  if (op.getNumLoops() != 2 || maps.back().getNumResults() != 1 ||
      maps.back().getResult(0) != row)
    return fail(op, "reduces something else than rows");
  // The body combines its element with the result so far, in any order.
  Block &body = *op.getBody();
  Operation *combiner = body.getTerminator()->getOperand(0).getDefiningOp();
  BlockArgument out = body.getArguments().back();
  if (!isa_and_nonnull<arith::AddFOp, arith::AddIOp, arith::MulFOp,
                       arith::MaxNumFOp, arith::MinNumFOp, arith::MaximumFOp,
                       arith::MinimumFOp, arith::MaxSIOp, arith::MinSIOp,
                       arith::MaxUIOp, arith::MinUIOp, arith::AndIOp,
                       arith::OrIOp>(combiner) ||
      !out.hasOneUse() || *out.user_begin() != combiner)
    return fail(op, "reduces rows by an operation that has an order");
  unsigned other = combiner->getOperand(0) == out ? 1 : 0;
  Type type = convert(out.getType());
  if (type.getIntOrFloatBitWidth() > 32)
    return fail(op, "reduces elements of more than 32 bits");

  std::vector<Tile> inputs;
  std::optional<Layout> layout;
  Value rowCount;
  for (Value operand : op->getOperands()) {
    auto found = tiles.find(operand);
    if (found == tiles.end())
      return fail(op, "reads what is no tile");
    inputs.push_back(found->second);
    if (found->second.rowCount)
      rowCount = found->second.rowCount;
    if (found->second.rank() == 2 && found->second.type.hasStaticShape())
      layout = layoutOf(found->second.type);
  }
  if (!layout)
    return fail(op, "reduces a tile of a size that is not static");
  FailureOr<Tile> start = inRegisters(inputs.back(), op);
  if (failed(start))
    return failure();

  Tile result = *start;
  for (int64_t r = 0; r < layout->rowElements(); ++r) {
    // Two chains, of the even and the odd columns.
    Value sums[2];
    for (int64_t n = 0; n < layout->columnBlocks(); ++n)
      for (int64_t i = 0; i < 2; ++i) {
        int64_t element = layout->at(r / 2, n, r % 2, i);
        SmallVector<Value> at = {rowIndex(*layout, rowCount, r),
                                 columnIndex(*layout, element)};
        SmallVector<Value> arguments;
        for (auto [k, tile] :
             llvm::enumerate(ArrayRef<Tile>(inputs).drop_back())) {
          AffineMap map = maps[k];
          bool own =
              tile.kind == Tile::Kind::Rows || tile.kind == Tile::Kind::Block;
          if (own && map.isIdentity()) {
            arguments.push_back(tile.elements[element]);
          } else if (own && tile.rank() == 1 && map.getResult(0) == row) {
            arguments.push_back(tile.elements[r]);
          } else {
            SmallVector<Value> place;
            for (AffineExpr expr : map.getResults())
              if (auto dim = dyn_cast<AffineDimExpr>(expr))
                place.push_back(at[dim.getPosition()]);
              else
                return fail(op, "reads a tile at computed places");
            FailureOr<Value> x = elementAt(tile, place, op);
            if (failed(x))
              return failure();
            arguments.push_back(*x);
          }
        }
        arguments.push_back(start->elements[r]);
        if (failed(emitBody(op, arguments, at)))
          return failure();
        Value x = combiner->getOperand(other);
        x = lookup(x);
        bool mayExceed = layout->columns % 8 && n == layout->columnBlocks() - 1;
        if (mayExceed) {
          // A column that does not exist leaves everything as it was: the
          // chain keeps its value.
          Value column = add(mul(modulo(lane, 4), 2), n * 8 + i);
          Value inside = less(column, constant(layout->columns));
          if (!sums[i]) {
            Value none = arith::ConstantOp::create(
                b, *arith::getNeutralElement(combiner));
            sums[i] = arith::SelectOp::create(b, inside, x, none);
          } else {
            Value next = combine(b, combiner, sums[i], x, type);
            sums[i] = arith::SelectOp::create(b, inside, next, sums[i]);
          }
          continue;
        }
        sums[i] = sums[i] ? combine(b, combiner, sums[i], x, type) : x;
      }
    Value sum = combine(b, combiner, sums[0], sums[1], type);
    for (int64_t mask : {1, 2})
      if (sharesRows)
        sum = combine(b, combiner, sum, shuffle(sum, mask), type);
    result.elements[r] = combine(b, combiner, start->elements[r], sum, type);
  }
  result.rowCount = rowCount;
  tiles[op.getResult(0)] = result;
  bool isRead = llvm::any_of(op.getResult(0).getUsers(), [](Operation *user) {
    return isa<tensor::ExtractOp>(user);
  });
  if (isRead) {
    FailureOr<SharedTile> copy = spill(result, op);
    if (failed(copy))
      return failure();
    tiles[op.getResult(0)].shared = std::make_shared<SharedTile>(*copy);
  }
  return success();
}
