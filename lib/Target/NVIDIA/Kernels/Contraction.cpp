//===- Contraction.cpp - Products of two tiles ----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FragmentEmitter.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

/// `x` without a widening of its type.
static Value narrow(Value x) {
  auto wide = x.getDefiningOp<arith::ExtFOp>();
  return wide ? wide.getIn() : x;
}

std::optional<Contraction>
FragmentEmitter::matchContraction(linalg::GenericOp op) {
  if (op.getNumLoops() != 3 || op.getNumReductionLoops() != 1 ||
      op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getIteratorTypesArray()[2] != utils::IteratorType::reduction)
    return std::nullopt;
  for (Value operand : op->getOperands())
    if (auto type = dyn_cast<RankedTensorType>(operand.getType());
        !type || !type.hasStaticShape() || type.getRank() != 2)
      return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  auto reads = [&](int64_t i, ArrayRef<unsigned> dims) {
    return maps[i] ==
           AffineMap::getMultiDimMapWithTargets(3, dims, op.getContext());
  };
  Contraction product;
  product.op = op;
  product.leftAcross = reads(0, {2, 0});
  product.rightAcross = reads(1, {2, 1});
  if ((!product.leftAcross && !reads(0, {0, 2})) ||
      (!product.rightAcross && !reads(1, {1, 2})) || !reads(2, {0, 1}))
    return std::nullopt;
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  product.rows = sizes[0];
  product.columns = sizes[1];
  product.depth = sizes[2];
  Block &body = *op.getBody();
  auto add = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  product.plain = false;
  if (!add)
    return product;
  Value sum = body.getArgument(2);
  Value term = add.getLhs() == sum ? add.getRhs() : add.getLhs();
  auto times = term.getDefiningOp<arith::MulFOp>();
  product.plain = times && (add.getLhs() == sum || add.getRhs() == sum) &&
                  narrow(times.getLhs()) == body.getArgument(0) &&
                  narrow(times.getRhs()) == body.getArgument(1);
  return product;
}

FailureOr<Tile> FragmentEmitter::contract(const Contraction &product,
                                          Tile start) {
  linalg::GenericOp op = product.op;
  auto element = [&](int64_t i) {
    return cast<RankedTensorType>(op.getDpsInputOperand(i)->get().getType())
        .getElementType();
  };
  bool halves = element(0) == element(1) &&
                (element(0).isF16() || element(0).isBF16()) &&
                start.type.getElementType().isF32();
  if (product.plain && halves && !product.leftAcross)
    return multiplyMma(product, start);
  return multiplyScalars(product, start);
}

/// 16 x 16 elements of the left operand from a tile in registers: the results
/// of two blocks of 8 columns are the operand of one step.
SmallVector<Value> FragmentEmitter::leftFragment(const Tile &tile,
                                                 const Layout &layout,
                                                 int64_t rowBlock, int64_t step,
                                                 Type element) {
  SmallVector<Value> fragment;
  Type pairType = VectorType::get({2}, element);
  for (int64_t block = 2 * step; block < 2 * step + 2; ++block)
    for (int64_t half = 0; half < 2; ++half) {
      Value pair = LLVM::PoisonOp::create(b, pairType);
      for (int64_t i = 0; i < 2; ++i) {
        Value x;
        if (block < layout.columnBlocks())
          x = tile.elements[layout.at(rowBlock, block, half, i)];
        bool mayExceed =
            layout.columns % 8 && block == layout.columnBlocks() - 1;
        if (!x || mayExceed) {
          Value zero = arith::ConstantOp::create(b, b.getFloatAttr(element, 0));
          if (x) {
            Value column = add(mul(modulo(lane, 4), 2), block * 8 + i);
            x = arith::SelectOp::create(
                b, less(column, constant(layout.columns)), x, zero);
          } else {
            x = zero;
          }
        }
        pair = LLVM::InsertElementOp::create(b, pair, x, constant(i));
      }
      fragment.push_back(LLVM::BitcastOp::create(b, b.getI32Type(), pair));
    }
  return fragment;
}

/// Four 8 x 8 matrices of 16-bit elements. A lane gives the address of a row:
/// its own part, which is below 16 rows and 32 bytes, plus a constant part.
SmallVector<Value> FragmentEmitter::loadMatrices(const SharedTile &tile,
                                                 Value lanesRow, int64_t row,
                                                 Value lanesColumn,
                                                 int64_t columnBytes,
                                                 bool transposed) {
  int64_t panel = tile.panelBytes();
  int64_t first = columnBytes / panel * panel * tile.paddedRows() + row * panel;
  Value column = add(lanesColumn, columnBytes % panel);
  // The swizzle: bits of the row in the order of 128 bytes.
  Value bits = modulo(divide(mul(lanesRow, panel), 128), panel / 16);
  column = arith::XOrIOp::create(b, column, mul(bits, 16));
  Value at = add(add(mul(lanesRow, panel), column), first);
  Value pointer = sharedPointer(add(tile.base, at));
  Type word = b.getI32Type();
  Type result = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                                 {word, word, word, word});
  auto shape = NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8);
  auto loaded = NVVM::LdMatrixOp::create(b, result, pointer, 4,
                                         transposed ? NVVM::MMALayout::col
                                                    : NVVM::MMALayout::row,
                                         shape, NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> words;
  for (int64_t i = 0; i < 4; ++i)
    words.push_back(LLVM::ExtractValueOp::create(b, loaded, i));
  return words;
}

Value FragmentEmitter::multiplyStep(ArrayRef<Value> left, ArrayRef<Value> right,
                                    ArrayRef<Value> sum, Type element) {
  auto types = element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  SmallVector<Value> a(left), c(right);
  if (element.isF16()) {
    Type pair = VectorType::get({2}, element);
    for (Value &x : a)
      x = LLVM::BitcastOp::create(b, pair, x);
    for (Value &x : c)
      x = LLVM::BitcastOp::create(b, pair, x);
  }
  Type f32 = b.getF32Type();
  Type result =
      LLVM::LLVMStructType::getLiteral(b.getContext(), {f32, f32, f32, f32});
  return NVVM::MmaOp::create(b, result, a, c, sum, ArrayRef<int64_t>{16, 8, 16},
                             std::nullopt, std::nullopt,
                             std::array<NVVM::MMATypes, 2>{types, types},
                             std::array<NVVM::MMALayout, 2>{
                                 NVVM::MMALayout::row, NVVM::MMALayout::col});
}

FailureOr<Tile> FragmentEmitter::multiplyMma(const Contraction &product,
                                             Tile start) {
  linalg::GenericOp op = product.op;
  Value left = op.getDpsInputOperand(0)->get();
  Value right = op.getDpsInputOperand(1)->get();
  Type element = cast<RankedTensorType>(left.getType()).getElementType();
  auto found = tiles.find(left);
  if (found == tiles.end())
    return fail(op, "reads what is no tile");
  Tile leftTile = found->second;
  bool fromRegisters = leftTile.kind == Tile::Kind::Block;
  SharedTile leftShared;
  if (!fromRegisters) {
    FailureOr<SharedTile> shared = inShared(left, op);
    if (failed(shared))
      return failure();
    leftShared = *shared;
  }
  FailureOr<SharedTile> rightShared = inShared(right, op);
  if (failed(rightShared))
    return failure();

  Layout layout = layoutOf(start.type);
  Layout leftLayout = {warps, product.rows, product.depth};
  Tile result = start;
  int64_t steps = llvm::divideCeil(product.depth, 16);
  Value row16 = modulo(lane, 16);
  Value upper = mul(divide(lane, 16), 16); // bytes of 8 columns
  // Rows of the right operand: of 16 columns of the result, or of the depth.
  Value rightRow = row16, rightColumn = upper;
  if (!product.rightAcross) {
    rightRow = add(modulo(lane, 8), mul(divide(lane, 16), 8));
    rightColumn = mul(modulo(divide(lane, 8), 2), 16);
  }
  for (int64_t step = 0; step < steps; ++step) {
    SmallVector<SmallVector<Value>> leftWords;
    for (int64_t m = 0; m < layout.rowBlocks(); ++m) {
      if (fromRegisters) {
        leftWords.push_back(
            leftFragment(leftTile, leftLayout, m, step, element));
        continue;
      }
      // Rows that do not exist are those of the first block.
      Value row = row16;
      Value block = add(warp, m * warps);
      int64_t blocks = llvm::divideCeil(product.rows, 16);
      if (blocks % warps && m == layout.rowBlocks() - 1)
        block = minimum(block, constant(blocks - 1));
      SharedTile own = leftShared;
      own.base = add(own.base, mul(block, 16 * own.panelBytes()));
      leftWords.push_back(
          loadMatrices(own, row, 0, upper, step * 32, /*transposed=*/false));
    }
    for (int64_t n = 0; n < layout.columnBlocks(); n += 2) {
      SmallVector<Value> words =
          product.rightAcross
              ? loadMatrices(*rightShared, rightRow, step * 16, rightColumn,
                             n * 16, /*transposed=*/true)
              : loadMatrices(*rightShared, rightRow, n * 8, rightColumn,
                             step * 32, /*transposed=*/false);
      for (int64_t i = 0; i < 2 && n + i < layout.columnBlocks(); ++i)
        for (int64_t m = 0; m < layout.rowBlocks(); ++m) {
          int64_t first = layout.at(m, n + i, 0, 0);
          ArrayRef<Value> sum =
              ArrayRef<Value>(result.elements).slice(first, 4);
          Value next =
              multiplyStep(leftWords[m], ArrayRef<Value>(words).slice(2 * i, 2),
                           sum, element);
          for (int64_t k = 0; k < 4; ++k)
            result.elements[first + k] =
                LLVM::ExtractValueOp::create(b, next, k);
        }
    }
  }
  return result;
}

/// Any body, by one multiplication after the other.
FailureOr<Tile> FragmentEmitter::multiplyScalars(const Contraction &product,
                                                 Tile start) {
  linalg::GenericOp op = product.op;
  FailureOr<SharedTile> left = inShared(op.getDpsInputOperand(0)->get(), op);
  if (failed(left))
    return failure();
  FailureOr<SharedTile> right = inShared(op.getDpsInputOperand(1)->get(), op);
  if (failed(right))
    return failure();
  finishCopies();
  Layout layout = layoutOf(start.type);
  auto loop = scf::ForOp::create(b, constant(0), constant(product.depth),
                                 constant(1), start.elements);
  Tile result = start;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value k = loop.getInductionVar();
    SmallVector<Value> rows, columns;
    for (int64_t r = 0; r < layout.rowElements(); ++r) {
      Value row = rowIndex(layout, Value(), r);
      rows.push_back(product.leftAcross ? loadShared(*left, k, row)
                                        : loadShared(*left, row, k));
    }
    for (int64_t n = 0; n < layout.columnBlocks() * 2; ++n) {
      Value column = columnIndex(layout, n / 2 * 4 + n % 2);
      columns.push_back(product.rightAcross ? loadShared(*right, k, column)
                                            : loadShared(*right, column, k));
    }
    SmallVector<Value> sums;
    for (int64_t i = 0; i < layout.tileElements(); ++i) {
      int64_t block = i / 4 % layout.columnBlocks();
      Value arguments[] = {rows[layout.rowOf(i)], columns[block * 2 + i % 2],
                           loop.getRegionIterArgs()[i]};
      FailureOr<Value> sum = emitBody(op, arguments, {});
      if (failed(sum))
        return failure();
      sums.push_back(*sum);
    }
    scf::YieldOp::create(b, sums);
  }
  result.elements = llvm::to_vector_of<Value>(loop.getResults());
  return result;
}
