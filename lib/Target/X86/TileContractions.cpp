//===- TileContractions.cpp - Products of tiles in registers --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileUtils.h"
#include "attn/Target/X86/Tile.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERTILECONTRACTIONSPASS
#include "attn/Target/X86/TilePasses.h.inc"

namespace {

/// How a contraction's right operand lies in memory.
enum class Form {
  Panels,      ///< A[i,k]   B[jo,k,ji]    C[i,jo,ji]
  PairPanels,  ///< A[i,k,p] B[jo,k,ji,p]  C[i,jo,ji]
  Columns,     ///< A[i,k]   B[k,j]        C[i,j]
  PairColumns, ///< A[i,k,p] B[k,j,p]      C[i,j]
  Rows,        ///< A[i,k]   B[j,k]        C[i,j]
};

struct Pattern {
  Form form;
  unsigned loops;
  SmallVector<unsigned> a, b, c;
};

struct Contraction {
  Form form;
  bool skipZeros; ///< where A is 0, nothing is added, not even NaN
};

std::optional<Contraction> classify(linalg::GenericOp op) {
  static const Pattern patterns[] = {
      {Form::Panels, 4, {0, 3}, {1, 3, 2}, {0, 1, 2}},
      {Form::PairPanels, 5, {0, 3, 4}, {1, 3, 2, 4}, {0, 1, 2}},
      {Form::Columns, 3, {0, 2}, {2, 1}, {0, 1}},
      {Form::PairColumns, 4, {0, 2, 3}, {2, 1, 3}, {0, 1}},
      {Form::Rows, 3, {0, 2}, {1, 2}, {0, 1}}};
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !op.hasPureBufferSemantics())
    return std::nullopt;
  // sum += a * b, with widening of a and b.
  auto sum = op.getBody()
                 ->getTerminator()
                 ->getOperand(0)
                 .getDefiningOp<arith::AddFOp>();
  if (!sum || sum.getLhs() != op.getRegionOutputArgs()[0])
    return std::nullopt;
  Value addend = sum.getRhs();
  auto skip = addend.getDefiningOp<arith::SelectOp>();
  if (skip)
    addend = skip.getFalseValue();
  auto product = addend.getDefiningOp<arith::MulFOp>();
  auto isInput = [&](Value x, unsigned number) {
    if (auto wide = x.getDefiningOp<arith::ExtFOp>())
      x = wide.getIn();
    return x == op.getRegionInputArgs()[number];
  };
  if (!product || !isInput(product.getLhs(), 0) ||
      !isInput(product.getRhs(), 1))
    return std::nullopt;
  if (skip) {
    auto isZero = skip.getCondition().getDefiningOp<arith::CmpFOp>();
    if (!isZero || isZero.getPredicate() != arith::CmpFPredicate::OEQ ||
        !isInput(isZero.getLhs(), 0) ||
        !matchPattern(isZero.getRhs(), m_AnyZeroFloat()) ||
        !matchPattern(skip.getTrueValue(), m_AnyZeroFloat()))
      return std::nullopt;
  }
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (const Pattern &pattern : patterns) {
    auto mapOf = [&](ArrayRef<unsigned> loops) {
      return AffineMap::getMultiDimMapWithTargets(pattern.loops, loops,
                                                  op.getContext());
    };
    if (op.getNumLoops() == pattern.loops && maps[0] == mapOf(pattern.a) &&
        maps[1] == mapOf(pattern.b) && maps[2] == mapOf(pattern.c))
      return Contraction{pattern.form, skip != nullptr};
  }
  return std::nullopt;
}

/// Lowers one contraction.
class ContractionLowering {
public:
  ContractionLowering(linalg::GenericOp op, Contraction kind, int64_t lanes,
                      int64_t rowBlock)
      : b(op.getLoc(), op), op(op), form(kind.form), skipZeros(kind.skipZeros),
        lanes(lanes), rowBlock(rowBlock), left(op.getDpsInputs()[0]),
        right(op.getDpsInputs()[1]), result(op.getDpsInits()[0]),
        vectorType(VectorType::get({lanes}, b.getF32Type())) {}

  LogicalResult lower() {
    auto type = cast<MemRefType>(result.getType());
    if (!type.getElementType().isF32() || !hasUnitStride(left) ||
        !hasUnitStride(right) || !hasUnitStride(result))
      return failure();
    for (Value operand : {left, right})
      if (!isa<FloatType>(cast<MemRefType>(operand.getType()).getElementType()))
        return failure();
    if (form == Form::Rows)
      return skipZeros ? failure() : lowerRows();
    pairs = form == Form::PairPanels || form == Form::PairColumns;
    panels = form == Form::Panels || form == Form::PairPanels;
    if (type.getShape().drop_front().back() == ShapedType::kDynamic ||
        (panels && type.isDynamicDim(1)))
      return failure();
    if (pairs && lanes != 16)
      return failure();
    lowerBlocks();
    op.erase();
    return success();
  }

private:
  void lowerBlocks();
  void rowLoop(Value column, int64_t width);
  void block(Value firstRow, int64_t rows, Value column, int64_t width);
  LogicalResult lowerRows();
  /// Which lanes of `x` are neither 0 nor -0.
  Value isNonZero(Value x);
  void findStart();
  /// Asks for row `row` + `prefetchRows` of `right`, but for none past `last`.
  void prefetch(Value row, Value column, Value last);
  Value idx(int64_t value) { return indexConstant(b, value); }
  Value add(Value x, int64_t y) {
    return y ? Value(arith::AddIOp::create(b, x, idx(y))) : x;
  }
  void loop(Value end, int64_t step, llvm::function_ref<void(Value)> body);

  ImplicitLocOpBuilder b;
  linalg::GenericOp op;
  Form form;
  bool skipZeros;
  int64_t lanes, rowBlock;
  Value left, right, result;
  VectorType vectorType;
  bool pairs = false, panels = false, fewRows = false;
  Value panel;           ///< number of the panel, if panels
  bool fromZero = false; ///< accumulators start at 0
  Value rowScale;        ///< accumulators start at the tile times this
};

/// The buffer behind other groupings of its columns.
Value stripReshapes(Value buffer) {
  while (true) {
    if (auto expand = buffer.getDefiningOp<memref::ExpandShapeOp>())
      buffer = expand.getSrc();
    else if (auto collapse = buffer.getDefiningOp<memref::CollapseShapeOp>())
      buffer = collapse.getSrc();
    else
      return buffer;
  }
}

/// Takes a zero fill or a row scaling just before into the accumulators.
void ContractionLowering::findStart() {
  Value tile = stripReshapes(result);
  for (Operation *before = op->getPrevNode(); before;
       before = before->getPrevNode()) {
    auto user = dyn_cast<linalg::LinalgOp>(before);
    if (!user) {
      if (isMemoryEffectFree(before) || isa<memref::AllocOp>(before))
        continue;
      return;
    }
    if (stripReshapes(user.getDpsInits()[0]) != tile) {
      if (llvm::any_of(user->getOperands(), [&](Value x) {
            return isa<MemRefType>(x.getType()) && rootOf(x) == rootOf(result);
          }))
        return;
      continue;
    }
    if (auto fill = dyn_cast<linalg::FillOp>(before)) {
      if (matchPattern(fill.getInputs()[0], m_AnyZeroFloat())) {
        fromZero = true;
        fill.erase();
      }
      return;
    }
    auto scaling = dyn_cast<linalg::GenericOp>(before);
    if (!scaling || scaling.getNumDpsInputs() != 1 ||
        scaling.getNumLoops() != 2)
      return;
    auto product = scaling.getBody()
                       ->getTerminator()
                       ->getOperand(0)
                       .getDefiningOp<arith::MulFOp>();
    AffineMap rowMap =
        AffineMap::getMultiDimMapWithTargets(2, {0u}, op.getContext());
    if (!product || product.getLhs() != scaling.getRegionOutputArgs()[0] ||
        product.getRhs() != scaling.getRegionInputArgs()[0] ||
        scaling.getIndexingMapsArray()[0] != rowMap ||
        !scaling.getIndexingMapsArray()[1].isIdentity())
      return;
    // Nothing in between may change the factors: all of it is in this block
    // and writes other tiles, or the scaling's own input was written before.
    for (Operation *between = scaling->getNextNode(); between != op;
         between = between->getNextNode())
      if (auto writer = dyn_cast<linalg::LinalgOp>(between))
        if (rootOf(writer.getDpsInits()[0]) ==
            rootOf(scaling.getDpsInputs()[0]))
          return;
    rowScale = scaling.getDpsInputs()[0];
    scaling.erase();
    return;
  }
}

void ContractionLowering::loop(Value end, int64_t step,
                               llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, idx(0), end, idx(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

void ContractionLowering::prefetch(Value row, Value column, Value last) {
  // Far enough to cover the latency of memory: some kilobytes.
  constexpr int64_t prefetchRows = 16;
  Value ahead = arith::MinSIOp::create(b, add(row, prefetchRows), last);
  memref::PrefetchOp::create(b, right, ValueRange{ahead, column},
                             /*isWrite=*/false, /*localityHint=*/3,
                             /*isDataCache=*/true);
}

Value ContractionLowering::isNonZero(Value x) {
  auto type = cast<VectorType>(x.getType());
  if (!pairs)
    return arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, x,
                                 splat(b, type, 0));
  // Not all processors compare bf16. Its numbers without their sign:
  auto bits = VectorType::get(type.getShape(), b.getI16Type());
  Value one = arith::ConstantOp::create(
      b, DenseElementsAttr::get(bits, b.getI16IntegerAttr(1)));
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(bits));
  x = arith::ShLIOp::create(b, vector::BitCastOp::create(b, bits, x), one);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, x, zero);
}

void ContractionLowering::lowerBlocks() {
  findStart();
  if (pairs) {
    // Pairs lie side by side: one dimension of twice the width.
    auto join = [&](Value x) -> Value {
      int64_t rank = cast<MemRefType>(x.getType()).getRank();
      SmallVector<ReassociationIndices> groups;
      for (int64_t i = 0; i + 2 < rank; ++i)
        groups.push_back({i});
      groups.push_back({rank - 2, rank - 1});
      return memref::CollapseShapeOp::create(b, x, groups);
    };
    left = join(left);
    right = join(right);
  }
  auto type = cast<MemRefType>(result.getType());
  int64_t width = type.getShape().back(), blockWidth = 2 * lanes;
  // Few rows: wider blocks, so that memory is read in long runs.
  fewRows = !type.isDynamicDim(0) && type.getDimSize(0) < rowBlock;
  if (fewRows)
    blockWidth =
        lanes * std::clamp<int64_t>(2 * rowBlock / type.getDimSize(0), 2, 8);
  int64_t whole = width / blockWidth * blockWidth;
  auto columnLoop = [&] {
    if (whole == blockWidth)
      rowLoop(idx(0), blockWidth);
    else if (whole)
      loop(idx(whole), blockWidth,
           [&](Value column) { rowLoop(column, blockWidth); });
    if (whole != width)
      rowLoop(idx(whole), width - whole);
  };
  if (!panels)
    return columnLoop();
  loop(idx(type.getDimSize(1)), 1, [&](Value number) {
    panel = number;
    columnLoop();
  });
}

void ContractionLowering::rowLoop(Value column, int64_t width) {
  OpFoldResult rows = numRows(b, result);
  auto known = getConstantIntValue(rows);
  if (known) {
    int64_t whole = *known / rowBlock * rowBlock;
    if (whole)
      loop(idx(whole), rowBlock,
           [&](Value row) { block(row, rowBlock, column, width); });
    if (whole != *known)
      block(idx(whole), *known - whole, column, width);
    return;
  }
  Value end = cast<Value>(rows);
  if (isMultipleOf(rows, rowBlock)) {
    loop(end, rowBlock,
         [&](Value row) { block(row, rowBlock, column, width); });
    return;
  }
  loop(end, 1, [&](Value row) { block(row, 1, column, width); });
}

void ContractionLowering::block(Value firstRow, int64_t rows, Value column,
                                int64_t width) {
  int64_t vectors = llvm::divideCeil(width, lanes);
  SmallVector<Value> row;
  for (int64_t r = 0; r < rows; ++r)
    row.push_back(add(firstRow, r));
  auto count = [&](int64_t v) { return std::min(lanes, width - v * lanes); };
  auto resultAt = [&](int64_t r, int64_t v) -> SmallVector<Value> {
    if (panels)
      return {row[r], panel, add(column, v * lanes)};
    return {row[r], add(column, v * lanes)};
  };
  SmallVector<Value> start;
  for (int64_t r = 0; r < rows; ++r) {
    Value factor;
    if (rowScale)
      factor = vector::BroadcastOp::create(
          b, vectorType, memref::LoadOp::create(b, rowScale, row[r]));
    for (int64_t v = 0; v < vectors; ++v) {
      if (fromZero) {
        start.push_back(splat(b, vectorType, 0));
        continue;
      }
      Value tile = loadLanes(b, vectorType, result, resultAt(r, v), count(v));
      if (factor)
        tile = arith::MulFOp::create(b, tile, factor);
      start.push_back(tile);
    }
  }
  Type rightElement = cast<MemRefType>(right.getType()).getElementType();
  auto rightType = VectorType::get({pairs ? 2 * lanes : lanes}, rightElement);
  int64_t per = pairs ? 2 : 1;
  // The left operand's columns may be fewer than allocated: a key tail.
  Value depth = b.createOrFold<memref::DimOp>(right, panels ? 1 : 0);
  Value last = arith::SubIOp::create(b, depth, idx(1));
  auto addProducts = [&](Value k, ValueRange sums) {
    SmallVector<Value> columns, next;
    for (int64_t v = 0; v < vectors; ++v) {
      SmallVector<Value> at;
      Value first = add(column, v * lanes);
      if (pairs)
        first = arith::MulIOp::create(b, first, idx(2));
      at = {k, first};
      if (panels)
        at.insert(at.begin(), panel);
      if (fewRows && !panels && !pairs)
        prefetch(k, first, last);
      Value x = loadLanes(b, rightType, right, at, per * count(v));
      if (!pairs && !rightElement.isF32())
        x = arith::ExtFOp::create(b, vectorType, x);
      columns.push_back(x);
    }
    for (int64_t r = 0; r < rows; ++r) {
      Value x, keep;
      if (pairs) {
        Value at = arith::MulIOp::create(b, k, idx(2));
        Value pair =
            vector::LoadOp::create(b, VectorType::get({2}, rightElement), left,
                                   ValueRange{row[r], at});
        auto word = VectorType::get({1}, b.getI32Type());
        pair = vector::BitCastOp::create(b, word, pair);
        Value scalar = vector::ExtractOp::create(b, pair, ArrayRef<int64_t>{0});
        auto words = VectorType::get({lanes}, b.getI32Type());
        x = vector::BitCastOp::create(
            b, rightType, vector::BroadcastOp::create(b, words, scalar));
      } else {
        Value scalar = memref::LoadOp::create(b, left, ValueRange{row[r], k});
        if (!scalar.getType().isF32())
          scalar = arith::ExtFOp::create(b, b.getF32Type(), scalar);
        x = vector::BroadcastOp::create(b, vectorType, scalar);
      }
      if (skipZeros)
        keep = isNonZero(x);
      for (int64_t v = 0; v < vectors; ++v) {
        Value sum = sums[r * vectors + v], y = columns[v];
        if (skipZeros)
          y = arith::SelectOp::create(
              b, keep, y, splat(b, cast<VectorType>(y.getType()), 0));
        if (pairs)
          next.push_back(
              LLVM::CallIntrinsicOp::create(
                  b, vectorType,
                  b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                  ValueRange{sum, x, y})
                  .getResults());
        else
          next.push_back(math::FmaOp::create(b, x, y, sum));
      }
    }
    return next;
  };
  // Several steps at a time: fewer jumps, and the last one is foreseen.
  constexpr int64_t together = 4;
  bool unroll = !skipZeros && isMultipleOf(depth, together);
  auto products = scf::ForOp::create(
      b, idx(0), depth, idx(unroll ? together : 1), start,
      [&](OpBuilder &inner, Location, Value k, ValueRange args) {
        OpBuilder::InsertionGuard guard(b);
        b.restoreInsertionPoint(inner.saveInsertionPoint());
        SmallVector<Value> sums(args);
        for (int64_t i = 0; i < (unroll ? together : 1); ++i)
          sums = addProducts(add(k, i), sums);
        scf::YieldOp::create(b, sums);
      });
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      storeLanes(b, products.getResult(r * vectors + v), result, resultAt(r, v),
                 count(v));
}

/// Dot products of rows: few rows on the left, each row on the right is loaded
/// once for a block of them.
LogicalResult ContractionLowering::lowerRows() {
  auto type = cast<MemRefType>(result.getType());
  auto leftType = cast<MemRefType>(left.getType());
  if (type.isDynamicDim(0) || leftType.isDynamicDim(1))
    return failure();
  int64_t rows = type.getDimSize(0), depth = leftType.getDimSize(1);
  int64_t whole = depth / lanes * lanes;
  auto load = [&](Value buffer, Value row, Value k, int64_t count) -> Value {
    Type element = cast<MemRefType>(buffer.getType()).getElementType();
    Value x = loadLanes(b, VectorType::get({lanes}, element), buffer, {row, k},
                        count);
    return element.isF32()
               ? x
               : arith::ExtFOp::create(b, vectorType, x).getResult();
  };
  Value count = memref::DimOp::create(b, right, 0);
  Value last = arith::SubIOp::create(b, count, idx(1));
  auto block = [&](int64_t firstRow, int64_t blockRows, Value firstKey,
                   int64_t keys) {
    SmallVector<Value> sums(blockRows * keys, splat(b, vectorType, 0));
    auto accumulate = [&](ValueRange sums, Value k, int64_t valid) {
      SmallVector<Value> next, key;
      for (int64_t j = 0; j < keys; ++j) {
        Value row = add(firstKey, j);
        if (firstRow == 0)
          prefetch(row, k, last);
        key.push_back(load(right, row, k, valid));
      }
      for (int64_t r = 0; r < blockRows; ++r) {
        Value query = load(left, idx(firstRow + r), k, valid);
        for (int64_t j = 0; j < keys; ++j)
          next.push_back(
              math::FmaOp::create(b, query, key[j], sums[r * keys + j]));
      }
      return next;
    };
    if (whole) {
      auto products = scf::ForOp::create(
          b, idx(0), idx(whole), idx(lanes), sums,
          [&](OpBuilder &inner, Location, Value k, ValueRange args) {
            OpBuilder::InsertionGuard guard(b);
            b.restoreInsertionPoint(inner.saveInsertionPoint());
            scf::YieldOp::create(b, accumulate(args, k, lanes));
          });
      sums = llvm::to_vector(llvm::map_range(
          products.getResults(), [](OpResult x) -> Value { return x; }));
    }
    if (whole != depth)
      sums = accumulate(sums, idx(whole), depth - whole);
    for (int64_t r = 0; r < blockRows; ++r)
      for (int64_t j = 0; j < keys; ++j) {
        SmallVector<Value> at = {idx(firstRow + r), add(firstKey, j)};
        Value before = memref::LoadOp::create(b, result, at);
        Value sum =
            vector::ReductionOp::create(b, vector::CombiningKind::ADD,
                                        sums[r * keys + j], before, sumFlags);
        memref::StoreOp::create(b, sum, result, at);
      }
  };
  auto blocks = [&](Value firstKey, int64_t keys) {
    for (int64_t row = 0; row < rows; row += 4)
      block(row, std::min<int64_t>(4, rows - row), firstKey, keys);
  };
  constexpr int64_t keyBlock = 4;
  Value rest = arith::RemUIOp::create(b, count, idx(keyBlock));
  Value end = arith::SubIOp::create(b, count, rest);
  loop(end, keyBlock, [&](Value key) { blocks(key, keyBlock); });
  loop(rest, 1,
       [&](Value key) { blocks(arith::AddIOp::create(b, end, key), 1); });
  op.erase();
  return success();
}

struct LowerTileContractions final
    : impl::AttnLowerTileContractionsPassBase<LowerTileContractions> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<std::pair<linalg::GenericOp, Contraction>> contractions;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op->getParentOfType<scf::ForallOp>())
        if (auto kind = classify(op))
          contractions.push_back({op, *kind});
    });
    // What is not lowered here becomes plain loops later.
    for (auto [op, kind] : contractions)
      (void)ContractionLowering(op, kind, lanes, rowBlock).lower();
  }
};

} // namespace
} // namespace mlir::attn
