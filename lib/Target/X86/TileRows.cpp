//===- TileRows.cpp - Row operations of tiles, fused ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileBody.h"
#include "attn/Target/X86/Tile.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERTILEROWSPASS
#include "attn/Target/X86/TilePasses.h.inc"

namespace {

bool isRowMap(AffineMap map) {
  return map.getNumResults() == 1 &&
         map.getResult(0) == getAffineDimExpr(0, map.getContext());
}

/// Elementwise over (row) or (row, column), or a reduction of the columns.
bool isRowOp(Operation *candidate) {
  auto op = dyn_cast<linalg::LinalgOp>(candidate);
  if (!op || !isa<linalg::GenericOp, linalg::FillOp>(candidate) ||
      !op.hasPureBufferSemantics() || op.getNumDpsInits() != 1)
    return false;
  unsigned loops = op.getNumLoops();
  auto iterators = op.getIteratorTypesArray();
  if (loops < 1 || loops > 2 || iterators[0] != utils::IteratorType::parallel)
    return false;
  if (loops == 2 && ShapedType::isDynamic(op.getStaticLoopRanges()[1]))
    return false;
  bool reduces = loops == 2 && iterators[1] == utils::IteratorType::reduction;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!isRowMap(map) && !map.isIdentity())
      return false;
    if (type.getRank() == 2 && !hasUnitStride(operand.get()))
      return false;
  }
  if (!reduces)
    return isa<linalg::FillOp>(candidate) ||
           op.getBlock()->getOperations().size() < 200;
  // A reduction combines one input with the result so far.
  Operation *yielded =
      op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  return op.getNumDpsInputs() == 1 &&
         op.getBlock()->getOperations().size() == 2 && yielded &&
         isa<arith::AddFOp, arith::MaxNumFOp, arith::MaximumFOp>(yielded);
}

/// Copies of rows become elementwise operations, which join a group.
void generalizeCopies(Block &block) {
  for (auto copy : llvm::make_early_inc_range(block.getOps<memref::CopyOp>())) {
    auto type = cast<MemRefType>(copy.getTarget().getType());
    int64_t rank = type.getRank();
    if (rank < 1 || rank > 2)
      continue;
    ImplicitLocOpBuilder b(copy.getLoc(), copy);
    AffineMap map = b.getMultiDimIdentityMap(rank);
    linalg::GenericOp::create(
        b, copy.getSource(), copy.getTarget(), SmallVector<AffineMap>{map, map},
        SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
        [](OpBuilder &inner, Location loc, ValueRange x) {
          linalg::YieldOp::create(inner, loc, x[0]);
        });
    copy.erase();
  }
}

/// Whether `op` moves what it loads, and reads nothing else.
static bool onlyMoves(linalg::GenericOp op) {
  return op.getNumLoops() == 2 && op.getNumDpsInputs() == 0 &&
         llvm::all_of(op.getBody()->getArguments(),
                      [](BlockArgument x) { return x.use_empty(); });
}

/// The only load of `op`, if it runs along the rows in its last index, where
/// neighbours in memory are: transposed while loading.
memref::LoadOp transposingLoad(linalg::GenericOp op) {
  if (!onlyMoves(op))
    return {};
  memref::LoadOp found;
  for (Operation &inner : *op.getBody())
    if (auto load = dyn_cast<memref::LoadOp>(inner)) {
      if (found)
        return {};
      found = load;
    }
  if (!found || !hasUnitStride(found.getMemRef()) ||
      !found.getMemRefType().getElementType().isIntOrFloat())
    return {};
  auto last = found.getIndices().back().getDefiningOp<linalg::IndexOp>();
  if (!last || last.getDim() != 0 ||
      ShapedType::isDynamic(op.getStaticLoopRanges()[0]))
    return {};
  return found;
}

/// How pairs of 16-bit elements along the columns come from memory.
enum class PairLoad {
  None,
  Features, ///< element (i, 2 j + p) is neighbour 2 i + p of row j
  Rows,     ///< element (i, 2 j + p) is neighbour j of row p
};

/// The only load of `op`, if it makes pairs.
std::pair<PairLoad, memref::LoadOp> pairLoad(linalg::GenericOp op,
                                             int64_t lanes) {
  if (!onlyMoves(op))
    return {};
  memref::LoadOp load;
  for (Operation &inner : *op.getBody())
    if (auto found = dyn_cast<memref::LoadOp>(inner)) {
      if (load)
        return {};
      load = found;
    }
  auto ranges = op.getStaticLoopRanges();
  if (!load || !hasUnitStride(load.getMemRef()) ||
      !load.getMemRefType().getElementType().isBF16() ||
      ShapedType::isDynamic(ranges[0]) || ranges[1] % 2)
    return {};
  ImplicitLocOpBuilder b(op.getLoc(), op);
  TileBody body(b, op, Value(), lanes, /*scalef=*/false);
  AffineExpr last = body.asAffine(load.getIndices().back());
  if (!last)
    return {};
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
  auto at = [&](int64_t column) {
    AffineExpr fixed = last.replace(d1, b.getAffineConstantExpr(column));
    return simplifyAffineExpr(fixed, 2, 0);
  };
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  if (at(0) == d0 * 2 && at(1) == d0 * 2 + 1 && at(2) == d0 * 2 &&
      yielded == load.getResult())
    return {PairLoad::Features, load};
  if (simplifyAffineExpr(last, 2, 0) == d1.floorDiv(2))
    return {PairLoad::Rows, load};
  return {};
}

class RowLowering {
public:
  RowLowering(int64_t lanes, bool scalef) : lanes(lanes), scalef(scalef) {}

  void runOnBlock(Block &block);

private:
  void emitGroup();
  void emitRows(ArrayRef<linalg::LinalgOp> part);
  void emitRowNumbers(ArrayRef<linalg::LinalgOp> part);
  void emitOp(linalg::LinalgOp op, Value row);
  void emitTransposing(linalg::GenericOp op, memref::LoadOp load);
  void emitPairsOfFeatures(linalg::GenericOp op, memref::LoadOp load);
  void emitPairsOfRows(linalg::GenericOp op, memref::LoadOp load);
  bool joins(linalg::LinalgOp op);
  bool isReadLater(Value buffer, Operation *last);
  SmallVector<Value> &valuesOf(Value buffer, Value row);
  int64_t chunksOf(int64_t columns) { return llvm::divideCeil(columns, lanes); }

  int64_t lanes;
  bool scalef;
  SmallVector<linalg::LinalgOp> group;
  OpFoldResult rows;
  ImplicitLocOpBuilder *b = nullptr;
  /// Contents of the current row of each buffer: one scalar, or vectors.
  DenseMap<Value, SmallVector<Value>> values;
  llvm::SetVector<Value> written;
};

SmallVector<Value> &RowLowering::valuesOf(Value buffer, Value row) {
  SmallVector<Value> &result = values[buffer];
  if (!result.empty())
    return result;
  auto type = cast<MemRefType>(buffer.getType());
  if (type.getRank() == 1) {
    result.push_back(memref::LoadOp::create(*b, buffer, row));
    return result;
  }
  auto vector = VectorType::get({lanes}, type.getElementType());
  int64_t columns = type.getDimSize(1);
  for (int64_t chunk = 0; chunk < chunksOf(columns); ++chunk)
    result.push_back(loadLanes(*b, vector, buffer,
                               {row, indexConstant(*b, chunk * lanes)},
                               columns - chunk * lanes));
  return result;
}

void RowLowering::emitOp(linalg::LinalgOp op, Value row) {
  Value init = op.getDpsInits()[0];
  int64_t columns = op.getNumLoops() == 2 ? op.getStaticLoopRanges()[1] : 0;
  SmallVector<Value> results;
  if (auto fill = dyn_cast<linalg::FillOp>(op.getOperation())) {
    Value number = fill.getInputs()[0];
    if (columns)
      number = vector::BroadcastOp::create(
          *b, VectorType::get({lanes}, number.getType()), number);
    results.assign(columns ? chunksOf(columns) : 1, number);
  } else if (columns &&
             op.getIteratorTypesArray()[1] == utils::IteratorType::reduction) {
    Operation *combiner =
        op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
    bool adds = isa<arith::AddFOp>(combiner);
    auto flags = adds ? sumFlags : maxFlags;
    SmallVector<Value> parts = valuesOf(op.getDpsInputs()[0], row);
    auto vector = cast<VectorType>(parts[0].getType());
    if (columns % lanes) {
      double neutral = adds ? 0.0 : -std::numeric_limits<double>::infinity();
      parts.back() =
          arith::SelectOp::create(*b, prefixMask(*b, lanes, columns % lanes),
                                  parts.back(), splat(*b, vector, neutral));
    }
    while (parts.size() > 1) {
      SmallVector<Value> next;
      for (size_t i = 0; i + 1 < parts.size(); i += 2)
        next.push_back(
            adds ? arith::AddFOp::create(*b, parts[i], parts[i + 1], flags)
                       .getResult()
                 : buildMaximum(*b, parts[i], parts[i + 1]));
      if (parts.size() % 2)
        next.push_back(parts.back());
      parts = next;
    }
    Value start = valuesOf(init, row)[0];
    results.push_back(vector::ReductionOp::create(
        *b, adds ? vector::CombiningKind::ADD : vector::CombiningKind::MAXNUMF,
        parts[0], start, flags));
  } else {
    auto generic = cast<linalg::GenericOp>(op.getOperation());
    TileBody body(*b, generic, row, lanes, scalef);
    Value yielded = generic.getBody()->getTerminator()->getOperand(0);
    int64_t chunks = columns ? chunksOf(columns) : 1;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      auto argument = [&](BlockArgument x) -> Value {
        Value operand = op->getOperand(x.getArgNumber());
        if (!isa<MemRefType>(operand.getType()))
          return operand;
        SmallVector<Value> &own = valuesOf(operand, row);
        return own.size() > 1 ? own[chunk] : own[0];
      };
      Value result = body.evaluate(yielded, chunk, argument);
      results.push_back(columns ? body.widen(result) : result);
    }
  }
  values[init] = results;
  written.insert(init);
}

bool RowLowering::isReadLater(Value buffer, Operation *last) {
  Value root = rootOf(buffer);
  auto alloc = root.getDefiningOp<memref::AllocOp>();
  if (!alloc || alloc->getBlock() != last->getBlock())
    return true;
  SmallVector<Value> views = {root};
  while (!views.empty()) {
    Value view = views.pop_back_val();
    for (Operation *user : view.getUsers()) {
      if (auto next = dyn_cast<ViewLikeOpInterface>(user)) {
        views.push_back(user->getResult(0));
        continue;
      }
      if (isa<memref::DeallocOp>(user))
        continue;
      Operation *here = last->getBlock()->findAncestorOpInBlock(*user);
      if (!here || last->isBeforeInBlock(here))
        return true;
    }
  }
  return false;
}

/// Whether `op` may run in one loop with the group: the same rows, and no
/// access to other rows of what the group writes.
bool RowLowering::joins(linalg::LinalgOp op) {
  if (group.empty())
    return true;
  ImplicitLocOpBuilder builder(op.getLoc(), op);
  if (numRows(builder, op.getDpsInits()[0]) != rows)
    return false;
  bool conflict = false;
  auto touches = [&](linalg::LinalgOp reader, linalg::LinalgOp writer) {
    Value target = rootOf(writer.getDpsInits()[0]);
    reader->walk([&](memref::LoadOp load) {
      conflict |= rootOf(load.getMemRef()) == target;
    });
    // Views of one allocation must be the same view.
    for (Value operand : reader->getOperands())
      if (isa<MemRefType>(operand.getType()) && rootOf(operand) == target)
        conflict |= operand != writer.getDpsInits()[0];
  };
  for (linalg::LinalgOp member : group) {
    touches(op, member);
    touches(member, op);
  }
  return !conflict;
}

void RowLowering::emitRows(ArrayRef<linalg::LinalgOp> part) {
  if (part.empty())
    return;
  Operation *last = part.back();
  ImplicitLocOpBuilder builder(last->getLoc(), last->getContext());
  builder.setInsertionPointAfter(last);
  b = &builder;
  Value end = rows.dyn_cast<Value>()
                  ? cast<Value>(rows)
                  : indexConstant(builder, *getConstantIntValue(rows));
  auto loop = scf::ForOp::create(builder, indexConstant(builder, 0), end,
                                 indexConstant(builder, 1));
  builder.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar();
  for (linalg::LinalgOp op : part)
    emitOp(op, row);
  for (Value buffer : written) {
    if (!isReadLater(buffer, last))
      continue;
    auto type = cast<MemRefType>(buffer.getType());
    if (type.getRank() == 1) {
      memref::StoreOp::create(builder, values[buffer][0], buffer, row);
      continue;
    }
    for (auto [chunk, vector] : llvm::enumerate(values[buffer]))
      storeLanes(builder, vector, buffer,
                 {row, indexConstant(builder, chunk * lanes)},
                 type.getDimSize(1) - chunk * lanes);
  }
  values.clear();
  written.clear();
}

/// Whether `op` computes a number for each row from numbers of that row.
static bool isRowNumber(linalg::LinalgOp op) {
  auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
  return generic && generic.getNumLoops() == 1 &&
         llvm::all_of(generic->getOperands(),
                      [](Value x) {
                        return isa<MemRefType>(x.getType()) && hasUnitStride(x);
                      }) &&
         !generic.getBody()
              ->walk([](Operation *inner) {
                return isa<linalg::IndexOp, memref::LoadOp>(inner)
                           ? WalkResult::interrupt()
                           : WalkResult::advance();
              })
              .wasInterrupted();
}

/// Numbers of rows, `lanes` rows at a time.
void RowLowering::emitRowNumbers(ArrayRef<linalg::LinalgOp> part) {
  Operation *last = part.back();
  ImplicitLocOpBuilder builder(last->getLoc(), last->getContext());
  builder.setInsertionPointAfter(last);
  auto known = getConstantIntValue(rows);
  Value count = known ? indexConstant(builder, *known) : cast<Value>(rows);
  auto loop = scf::ForOp::create(builder, indexConstant(builder, 0), count,
                                 indexConstant(builder, lanes));
  builder.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar();
  Value mask;
  if (!isMultipleOf(rows, lanes))
    mask =
        prefixMask(builder, lanes, arith::SubIOp::create(builder, count, row));
  llvm::MapVector<Value, Value> results;
  for (linalg::LinalgOp op : part) {
    auto generic = cast<linalg::GenericOp>(op.getOperation());
    TileBody body(builder, generic, row, lanes, scalef);
    auto argument = [&](BlockArgument x) -> Value {
      Value operand = op->getOperand(x.getArgNumber());
      if (Value known = results.lookup(operand))
        return known;
      Type element = cast<MemRefType>(operand.getType()).getElementType();
      auto type = VectorType::get({lanes}, element);
      if (!mask)
        return vector::LoadOp::create(builder, type, operand, row);
      Value zero =
          arith::ConstantOp::create(builder, builder.getZeroAttr(type));
      return vector::MaskedLoadOp::create(builder, type, operand, row, mask,
                                          zero);
    };
    Value yielded = generic.getBody()->getTerminator()->getOperand(0);
    results[op.getDpsInits()[0]] =
        body.widen(body.evaluate(yielded, 0, argument));
  }
  for (auto [buffer, numbers] : results) {
    if (!isReadLater(buffer, last))
      continue;
    if (mask)
      vector::MaskedStoreOp::create(builder, buffer, row, mask, numbers);
    else
      vector::StoreOp::create(builder, numbers, buffer, row);
  }
}

/// The first run of numbers of rows with an exponential among them.
static std::pair<size_t, size_t>
findExponentials(ArrayRef<linalg::LinalgOp> ops) {
  for (size_t begin = 0, end; begin < ops.size(); begin = end + 1) {
    bool exponential = false;
    for (end = begin; end < ops.size() && isRowNumber(ops[end]); ++end)
      exponential |= !ops[end]->getRegion(0).getOps<math::Exp2Op>().empty();
    if (exponential)
      return {begin, end};
  }
  return {ops.size(), ops.size()};
}

/// Exponentials of one number for each row are parts of their own, between
/// what the numbers come from and what they are for. Otherwise each row would
/// be one long chain of dependent steps, with a vector for a single number.
void RowLowering::emitGroup() {
  ArrayRef<linalg::LinalgOp> rest(group);
  while (!rest.empty()) {
    auto [begin, end] = findExponentials(rest);
    emitRows(rest.take_front(begin));
    if (begin != end)
      emitRowNumbers(rest.slice(begin, end - begin));
    rest = rest.drop_front(end);
  }
  for (linalg::LinalgOp op : group)
    op->erase();
  group.clear();
}

/// A loop over whole blocks of `lanes` rows, then the rest.
static void emitRowBlocks(
    ImplicitLocOpBuilder &builder, int64_t numRows, int64_t lanes,
    llvm::function_ref<void(Value firstRow, int64_t rows)> emitBlock) {
  int64_t whole = numRows / lanes * lanes;
  if (whole) {
    auto loop = scf::ForOp::create(builder, indexConstant(builder, 0),
                                   indexConstant(builder, whole),
                                   indexConstant(builder, lanes));
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    emitBlock(loop.getInductionVar(), lanes);
  }
  if (whole != numRows)
    emitBlock(indexConstant(builder, whole), numRows - whole);
}

void RowLowering::emitTransposing(linalg::GenericOp op, memref::LoadOp load) {
  ImplicitLocOpBuilder builder(op.getLoc(), op);
  b = &builder;
  int64_t numRows = op.getStaticLoopRanges()[0];
  int64_t columns = op.getStaticLoopRanges()[1];
  Value result = op.getDpsInits()[0];
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  auto vector = VectorType::get({lanes}, load.getMemRefType().getElementType());
  auto emitBlock = [&](Value firstRow, int64_t blockRows) {
    SmallVector<SmallVector<Value>> chunks;
    TileBody addresses(builder, op, firstRow, lanes, scalef);
    for (int64_t first = 0; first < columns; first += lanes) {
      SmallVector<Value> loaded;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        int64_t column = std::min(first + lane, columns - 1);
        SmallVector<Value> at;
        for (Value index : load.getIndices())
          at.push_back(addresses.evaluateAt(index, column));
        loaded.push_back(
            loadLanes(builder, vector, load.getMemRef(), at, blockRows));
      }
      chunks.push_back(transposeSquare(builder, loaded));
    }
    for (int64_t r = 0; r < blockRows; ++r) {
      Value row = firstRow;
      if (r)
        row =
            arith::AddIOp::create(builder, firstRow, indexConstant(builder, r));
      TileBody body(builder, op, row, lanes, scalef);
      SmallVector<Value> replacement;
      for (SmallVector<Value> &chunk : chunks)
        replacement.push_back(chunk[r]);
      body.replaceLoad(load, replacement);
      for (int64_t chunk = 0; chunk < chunksOf(columns); ++chunk) {
        Value x = body.evaluate(yielded, chunk,
                                [](BlockArgument x) -> Value { return x; });
        storeLanes(builder, body.widen(x), result,
                   {row, indexConstant(builder, chunk * lanes)},
                   columns - chunk * lanes);
      }
    }
  };
  emitRowBlocks(builder, numRows, lanes, emitBlock);
  op.erase();
}

/// Transposes of 32-bit words, each a pair.
void RowLowering::emitPairsOfFeatures(linalg::GenericOp op,
                                      memref::LoadOp load) {
  ImplicitLocOpBuilder builder(op.getLoc(), op);
  int64_t numRows = op.getStaticLoopRanges()[0];
  int64_t columns = op.getStaticLoopRanges()[1];
  Value result = op.getDpsInits()[0];
  Type element = load.getMemRefType().getElementType();
  auto pairs = VectorType::get({2 * lanes}, element);
  auto words = VectorType::get({lanes}, builder.getI32Type());
  auto emitBlock = [&](Value firstRow, int64_t blockRows) {
    TileBody addresses(builder, op, firstRow, lanes, scalef);
    for (int64_t first = 0; first < columns; first += 2 * lanes) {
      SmallVector<Value> loaded;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        int64_t column = std::min(first + 2 * lane, columns - 2);
        SmallVector<Value> at;
        for (Value index : load.getIndices())
          at.push_back(addresses.evaluateAt(index, column));
        Value row =
            loadLanes(builder, pairs, load.getMemRef(), at, 2 * blockRows);
        loaded.push_back(vector::BitCastOp::create(builder, words, row));
      }
      SmallVector<Value> turned = transposeSquare(builder, loaded);
      for (int64_t r = 0; r < blockRows; ++r) {
        Value row = firstRow;
        if (r)
          row = arith::AddIOp::create(builder, firstRow,
                                      indexConstant(builder, r));
        storeLanes(builder,
                   vector::BitCastOp::create(builder, pairs, turned[r]), result,
                   {row, indexConstant(builder, first)}, columns - first);
      }
    }
  };
  emitRowBlocks(builder, numRows, lanes, emitBlock);
  op.erase();
}

/// Two rows interleaved.
void RowLowering::emitPairsOfRows(linalg::GenericOp op, memref::LoadOp load) {
  ImplicitLocOpBuilder builder(op.getLoc(), op);
  int64_t columns = op.getStaticLoopRanges()[1];
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  auto vector = VectorType::get({lanes}, load.getMemRefType().getElementType());
  auto loop =
      scf::ForOp::create(builder, indexConstant(builder, 0),
                         indexConstant(builder, op.getStaticLoopRanges()[0]),
                         indexConstant(builder, 1));
  builder.setInsertionPointToStart(loop.getBody());
  Value row = loop.getInductionVar();
  for (int64_t first = 0; first < columns; first += 2 * lanes) {
    int64_t count = std::min(lanes, (columns - first) / 2);
    Value parts[2];
    for (int64_t part = 0; part < 2; ++part) {
      TileBody body(builder, op, row, lanes, scalef);
      SmallVector<Value> at;
      for (Value index : load.getIndices())
        at.push_back(body.evaluateAt(index, first + part));
      body.replaceLoad(load,
                       loadLanes(builder, vector, load.getMemRef(), at, count));
      parts[part] = body.evaluateMixed(yielded, first + part);
    }
    Value both = vector::InterleaveOp::create(builder, parts[0], parts[1]);
    storeLanes(builder, both, op.getDpsInits()[0],
               {row, indexConstant(builder, first)}, columns - first);
  }
  op.erase();
}

void RowLowering::runOnBlock(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (isRowOp(&op)) {
      auto generic = dyn_cast<linalg::GenericOp>(op);
      memref::LoadOp load =
          generic ? transposingLoad(generic) : memref::LoadOp();
      if (load) {
        emitGroup();
        emitTransposing(generic, load);
        continue;
      }
      if (generic) {
        auto [kind, pairs] = pairLoad(generic, lanes);
        if (kind != PairLoad::None) {
          emitGroup();
          if (kind == PairLoad::Features)
            emitPairsOfFeatures(generic, pairs);
          else
            emitPairsOfRows(generic, pairs);
          continue;
        }
      }
      auto linalgOp = cast<linalg::LinalgOp>(op);
      if (!joins(linalgOp))
        emitGroup();
      if (group.empty()) {
        ImplicitLocOpBuilder builder(op.getLoc(), &op);
        rows = numRows(builder, linalgOp.getDpsInits()[0]);
      }
      group.push_back(linalgOp);
      continue;
    }
    // Allocations and address arithmetic do not end a group.
    if (isMemoryEffectFree(&op) || isa<memref::AllocOp>(op))
      continue;
    emitGroup();
  }
  emitGroup();
}

struct LowerTileRows final : impl::AttnLowerTileRowsPassBase<LowerTileRows> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation().walk([&](Block *block) {
      Operation *parent = block->getParentOp();
      bool inside = isa<scf::ForallOp>(parent) ||
                    parent->getParentOfType<scf::ForallOp>();
      if (inside && !isa<linalg::LinalgOp>(parent))
        blocks.push_back(block);
    });
    for (Block *block : blocks) {
      generalizeCopies(*block);
      RowLowering(lanes, scalef).runOnBlock(*block);
    }
    if (blocks.empty())
      return;
    RewritePatternSet patterns(&getContext());
    populatePolynomialApproximateTanhPattern(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::attn
