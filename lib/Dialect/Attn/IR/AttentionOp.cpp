//===- AttentionOp.cpp - Scaled dot product attention ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace mlir::attn;

double AttentionOp::getEffectiveScale() {
  if (auto scale = getSoftmaxScale())
    return scale->convertToDouble();
  int64_t headDim = cast<RankedTensorType>(getQuery().getType()).getDimSize(3);
  return 1.0 / std::sqrt(static_cast<double>(headDim));
}

FloatType AttentionOp::getComputeType() {
  if (auto type = getSoftmaxPrecision())
    return cast<FloatType>(*type);
  auto element = cast<FloatType>(
      cast<RankedTensorType>(getQuery().getType()).getElementType());
  return element.isF64() ? element : Float32Type::get(getContext());
}

std::optional<int64_t> AttentionOp::getGroupSize() {
  int64_t heads = cast<RankedTensorType>(getQuery().getType()).getDimSize(1);
  int64_t kvHeads = cast<RankedTensorType>(getKey().getType()).getDimSize(1);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads) ||
      kvHeads == 0)
    return std::nullopt;
  if (!hasHeadMaps())
    return heads / kvHeads;
  // Where a map changes from one head to the next, a group ends.
  int64_t valueHeads =
      cast<RankedTensorType>(getValue().getType()).getDimSize(1);
  int64_t group = heads;
  for (auto [map, own] :
       {std::pair(getKeyHeadMap(), kvHeads), {getValueHeadMap(), valueHeads}}) {
    if (!map && !ShapedType::isDynamic(own) && own != 0)
      group = std::gcd(group, heads / own);
    for (size_t head = 1; map && head < map->size(); ++head)
      if ((*map)[head] != (*map)[head - 1])
        group = std::gcd(group, static_cast<int64_t>(head));
  }
  return group;
}

int64_t AttentionOp::getPageSize() {
  return getPageTable()
             ? cast<RankedTensorType>(getKey().getType()).getDimSize(2)
             : 0;
}

int64_t AttentionOp::getStaticKeys() {
  int64_t size = cast<RankedTensorType>(getKey().getType()).getDimSize(2);
  if (!getPageTable())
    return size;
  int64_t pages =
      cast<RankedTensorType>(getPageTable().getType()).getDimSize(1);
  return ShapedType::isDynamic(pages) ? pages : pages * size;
}

OpFoldResult AttentionOp::getKeys(OpBuilder &builder) {
  IndexMath math(builder, getLoc());
  auto size = [&](Value tensor, int64_t dim) {
    return tensor::getMixedSize(builder, getLoc(), tensor, dim);
  };
  if (!getPageTable())
    return size(getKey(), 2);
  return math.mul(size(getPageTable(), 1), math.constant(getPageSize()));
}

std::pair<Value, int64_t> AttentionOp::getResultRows() {
  return {getRows() ? getRows() : getQuery(), 2};
}

bool AttentionOp::readsPositions() {
  constexpr unsigned position = 4;
  return getMask() ||
         (hasScore() && !getScore().getArgument(position).use_empty());
}

Value AttentionOp::buildScore(OpBuilder &builder, const MaskPoint &point,
                              Value score) {
  Block &body = getScore().front();
  OpFoldResult indices[] = {point.batch, point.head, point.queryRow,
                            point.query, point.key};
  IRMapping map;
  map.map(body.getArgument(0), score);
  for (auto [argument, index] :
       llvm::zip(body.getArguments().drop_front(), indices))
    if (!argument.use_empty())
      map.map(argument,
              getValueOrCreateConstantIndexOp(builder, getLoc(), index));
  for (Operation &inner : body.without_terminator())
    builder.clone(inner, map);
  return map.lookupOrDefault(cast<YieldOp>(body.back()).getScore());
}

LogicalResult AttentionOp::verifyRegions() {
  if (!hasScore())
    return success();
  Block &body = getScore().front();
  SmallVector<Type> expected = {getComputeType()};
  expected.append(5, IndexType::get(getContext()));
  if (!llvm::equal(body.getArgumentTypes(), expected))
    return emitOpError("expects 'score' to have the arguments (")
           << expected.front()
           << ", index, index, index, index, index): score, batch entry, head, "
              "row, position and key, but they are ("
           << body.getArgumentTypes() << ")";
  auto yield = dyn_cast_or_null<YieldOp>(body.empty() ? nullptr : &body.back());
  if (!yield)
    return emitOpError("expects 'score' to end with attn.yield");
  if (yield.getScore().getType() != expected.front())
    return emitOpError("expects 'score' to yield ")
           << expected.front() << ", but it yields "
           << yield.getScore().getType();
  for (Operation &inner : body.without_terminator()) {
    auto isScalar = [](Type type) { return type.isIntOrIndexOrFloat(); };
    StringRef fault = inner.getNumRegions() != 0    ? "it has regions"
                      : !isMemoryEffectFree(&inner) ? "it may have effects"
                      : !llvm::all_of(inner.getResultTypes(), isScalar)
                          ? "its result is no scalar"
                          : "";
    if (fault.empty())
      continue;
    InFlightDiagnostic error = emitOpError("expects 'score' to be code of "
                                           "scalars, but it has '")
                               << inner.getName() << "'";
    error.attachNote(inner.getLoc()) << fault;
    return error;
  }
  return success();
}

/// Dimension `i` of `a` and dimension `j` of `b` are both known and differ.
static bool differ(RankedTensorType a, unsigned i, RankedTensorType b,
                   unsigned j) {
  int64_t x = a.getDimSize(i), y = b.getDimSize(j);
  return !ShapedType::isDynamic(x) && !ShapedType::isDynamic(y) && x != y;
}

/// The heads of keys or values that the query heads read exist.
static LogicalResult verifyHeads(AttentionOp op,
                                 std::optional<ArrayRef<int64_t>> map,
                                 RankedTensorType own, StringRef name) {
  int64_t heads = cast<RankedTensorType>(op.getQuery().getType()).getDimSize(1);
  int64_t kvHeads = own.getDimSize(1);
  if (!map) {
    if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads) ||
        (kvHeads != 0 && heads % kvHeads == 0))
      return success();
    return op.emitOpError("expects kv_heads to divide heads, but dimension 1 "
                          "of '")
           << name << "' is " << kvHeads << " and dimension 1 of 'query' is "
           << heads << "; repeat or regroup the " << name << " heads";
  }
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads))
    return op.emitOpError("expects static numbers of heads with '")
           << name << "_head_map', but dimension 1 of 'query' is "
           << (ShapedType::isDynamic(heads) ? "dynamic" : "static")
           << " and dimension 1 of '" << name << "' is "
           << (ShapedType::isDynamic(kvHeads) ? "dynamic" : "static")
           << "; cast the operands";
  if (static_cast<int64_t>(map->size()) != heads)
    return op.emitOpError("expects one entry of '")
           << name << "_head_map' for each of the " << heads
           << " query heads, but it has " << map->size();
  for (auto [head, read] : llvm::enumerate(*map))
    if (read < 0 || read >= kvHeads)
      return op.emitOpError("expects '")
             << name << "_head_map' to name heads of '" << name
             << "' from 0 to " << kvHeads - 1 << ", but query head " << head
             << " reads head " << read;
  return success();
}

LogicalResult AttentionOp::verify() {
  auto query = cast<RankedTensorType>(getQuery().getType());
  auto key = cast<RankedTensorType>(getKey().getType());
  auto value = cast<RankedTensorType>(getValue().getType());
  auto output = cast<RankedTensorType>(getOutput().getType());

  // Rules between two tensors: the dimensions `i` of `a` and `j` of `b` agree.
  auto agree = [&](RankedTensorType a, StringRef aName, unsigned i,
                   RankedTensorType b, StringRef bName,
                   unsigned j) -> LogicalResult {
    if (!differ(a, i, b, j))
      return success();
    return emitOpError("expects dimension ")
           << i << " of '" << aName << "' and dimension " << j << " of '"
           << bName << "' to be equal, but they are " << a.getDimSize(i)
           << " and " << b.getDimSize(j);
  };
  auto sameElement = [&](RankedTensorType a, StringRef name) -> LogicalResult {
    if (a.getElementType() == query.getElementType())
      return success();
    return emitOpError("expects '")
           << name << "' to have the element type of 'query', but they are "
           << a.getElementType() << " and " << query.getElementType();
  };
  if (failed(sameElement(key, "key")) || failed(sameElement(value, "value")) ||
      failed(sameElement(output, "output")))
    return failure();
  if (query.getDimSize(3) == 0)
    return emitOpError("expects a head dimension of at least 1, but dimension "
                       "3 of 'query' is 0");
  if (query.isDynamicDim(3))
    return emitOpError("expects a static head dimension, but dimension 3 of "
                       "'query' is dynamic; cast the operands");
  if (value.isDynamicDim(3))
    return emitOpError("expects a static value dimension, but dimension 3 of "
                       "'value' is dynamic; cast the operands");
  // A pool of pages belongs to no batch entry.
  auto entries =
      getPageTable() ? cast<RankedTensorType>(getPageTable().getType()) : key;
  StringRef entriesName = getPageTable() ? "page_table" : "key";
  if (getPageTable() && key.isDynamicDim(2))
    return emitOpError("expects a static page size, but dimension 2 of 'key' "
                       "is dynamic; cast the pool of pages");
  if (getPageTable() && key.getDimSize(2) == 0)
    return emitOpError("expects a page size of at least 1, but dimension 2 of "
                       "'key' is 0");
  if (failed(agree(entries, entriesName, 0, query, "query", 0)) ||
      failed(agree(value, "value", 0, key, "key", 0)) ||
      (!hasHeadMaps() && failed(agree(value, "value", 1, key, "key", 1))) ||
      failed(agree(value, "value", 2, key, "key", 2)) ||
      failed(agree(key, "key", 3, query, "query", 3)) ||
      failed(agree(output, "output", 0, query, "query", 0)) ||
      failed(agree(output, "output", 1, query, "query", 1)) ||
      failed(agree(output, "output", 3, value, "value", 3)))
    return failure();

  int64_t heads = query.getDimSize(1);
  if (failed(verifyHeads(*this, getKeyHeadMap(), key, "key")) ||
      failed(verifyHeads(*this, getValueHeadMap(), value, "value")))
    return failure();

  if (!getRows() != !getRowCounts())
    return emitOpError("expects 'rows' and 'row_counts' together");
  auto results = cast<RankedTensorType>(getResultRows().first.getType());
  StringRef resultsName = getRows() ? "rows" : "query";
  if (failed(agree(output, "output", 2, results, resultsName, 2)))
    return failure();
  if (getRows()) {
    auto counts = cast<RankedTensorType>(getRowCounts().getType());
    int64_t ofRows = results.getDimSize(1);
    if (failed(agree(results, "rows", 0, query, "query", 0)) ||
        failed(agree(counts, "row_counts", 0, query, "query", 0)) ||
        failed(agree(counts, "row_counts", 1, results, "rows", 1)))
      return failure();
    if (ofRows != 1 && failed(agree(results, "rows", 1, query, "query", 1)))
      return failure();
  }

  // Tensors that broadcast to the scores.
  int64_t scores[] = {query.getDimSize(0), heads, query.getDimSize(2),
                      getStaticKeys()};
  auto broadcasts = [&](Value tensor, StringRef name) -> LogicalResult {
    if (!tensor)
      return success();
    auto type = cast<RankedTensorType>(tensor.getType());
    for (unsigned i = 0; i < 4; ++i) {
      int64_t size = type.getDimSize(i);
      if (ShapedType::isDynamic(size) || ShapedType::isDynamic(scores[i]) ||
          size == 1 || size == scores[i])
        continue;
      return emitOpError("expects '")
             << name << "' to broadcast to the scores, but its dimension " << i
             << " is " << size << " and that of the scores is " << scores[i]
             << "; expected " << scores[i] << " or 1";
    }
    return success();
  };
  if (failed(broadcasts(getBias(), "bias")) ||
      failed(broadcasts(getKeep(), "keep")))
    return failure();

  auto listsBatch = [&](Value tensor, StringRef name) -> LogicalResult {
    auto type = tensor ? dyn_cast<RankedTensorType>(tensor.getType())
                       : RankedTensorType();
    return type ? agree(type, name, 0, query, "query", 0) : success();
  };
  if (failed(listsBatch(getKvLengths(), "kv_lengths")) ||
      failed(listsBatch(getQueryOffset(), "query_offset")))
    return failure();
  if (getKvLengths()) {
    auto lengths = cast<RankedTensorType>(getKvLengths().getType());
    int64_t own = lengths.getRank() == 2 ? lengths.getDimSize(1) : 1;
    if (!ShapedType::isDynamic(own) && !ShapedType::isDynamic(heads) &&
        (own == 0 || heads % own != 0))
      return emitOpError("expects dimension 1 of 'kv_lengths' to divide the ")
             << heads << " query heads, but it is " << own
             << "; give one length for each head, or for consecutive heads";
  }
  if (getSinkLogits() &&
      failed(agree(cast<RankedTensorType>(getSinkLogits().getType()),
                   "sink_logits", 0, query, "query", 1)))
    return failure();

  if (auto cap = getSoftcap())
    if (!(cap->convertToDouble() > 0) || cap->isInfinity())
      return emitOpError("expects 'softcap' to be positive and finite, but it "
                         "is ")
             << cap->convertToDouble() << "; leave it out for no cap";
  if (auto scale = getSoftmaxScale())
    if (!scale->isFinite())
      return emitOpError("expects 'softmax_scale' to be finite, but it is ")
             << scale->convertToDouble();
  if (auto type = getSoftmaxPrecision())
    if (!isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(*type))
      return emitOpError("expects 'softmax_precision' to be f16, bf16, f32 or "
                         "f64, but it is ")
             << *type;

  if (Value lse = getLse()) {
    auto type = cast<RankedTensorType>(lse.getType());
    for (unsigned i = 0; i < 3; ++i) {
      bool isRow = i == 2;
      if (failed(agree(type, "lse", i, isRow ? results : query,
                       isRow ? resultsName : "query", i)))
        return failure();
    }
    Type expected = query.getElementType().isF64()
                        ? query.getElementType()
                        : Float32Type::get(getContext());
    if (type.getElementType() != expected)
      return emitOpError("expects 'lse' to be of ")
             << expected << ", but its element type is "
             << type.getElementType();
  }

  unsigned wanted = getMask() ? getMaskAttr().getNumMaskOperands() : 0;
  if (wanted != getMaskOperands().size())
    return emitOpError("expects ")
           << wanted << " mask operand" << (wanted == 1 ? "" : "s")
           << " for its mask, but it has " << getMaskOperands().size();
  if (auto mask = getMaskAttr()) {
    MaskUse use{query.getDimSize(0),   heads,
                query.getDimSize(2),   getStaticKeys(),
                results.getDimSize(2), getMaskOperands().getTypes()};
    if (failed(mask.verifyMask(use, [&] { return emitOpError(); })))
      return failure();
  }
  return success();
}

LogicalResult
AttentionOp::reifyResultShapes(OpBuilder &builder,
                               ReifiedRankedShapedTypeDims &reifiedShapes) {
  auto dim = [&](Value tensor, int64_t i) {
    return tensor::getMixedSize(builder, getLoc(), tensor, i);
  };
  SmallVector<OpFoldResult> rows = {dim(getQuery(), 0), dim(getQuery(), 1),
                                    dim(getResultRows().first, 2)};
  SmallVector<OpFoldResult> output = rows;
  output.push_back(dim(getValue(), 3));
  reifiedShapes.push_back(output);
  if (getLse())
    reifiedShapes.push_back(rows);
  return success();
}

namespace {

/// The mask in its simplest form; none at all when it keeps every pair.
struct SimplifyMask : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    auto mask = op.getMaskAttr();
    if (!mask)
      return rewriter.notifyMatchFailure(op, "no mask");
    // Equal tensors have the number of the first of them.
    SmallVector<Value> tensors(op.getMaskOperands());
    SmallVector<unsigned> numbers;
    for (Value tensor : tensors)
      numbers.push_back(llvm::find(tensors, tensor) - tensors.begin());
    MaskAttrInterface simple = simplifyMask(mask, numbers);
    if (simple == mask)
      return rewriter.notifyMatchFailure(op, "mask is in simplest form");
    SmallVector<Value> read;
    for (unsigned number : numbers)
      read.push_back(tensors[number]);
    rewriter.modifyOpInPlace(op, [&] {
      op.getMaskOperandsMutable().assign(read);
      if (simple)
        op.setMaskAttr(simple);
      else
        op.removeMaskAttr();
    });
    return success();
  }
};

/// With static lengths and offset, a mask that keeps the one box of all pairs
/// goes.
struct DropCoveringMask : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    auto mask = op.getMaskAttr();
    auto query = cast<RankedTensorType>(op.getQuery().getType());
    int64_t keys = op.getStaticKeys();
    if (!mask || mask.getNumMaskOperands() || query.isDynamicDim(1) ||
        query.isDynamicDim(2) || ShapedType::isDynamic(keys) ||
        query.getDimSize(2) == 0 || keys == 0)
      return rewriter.notifyMatchFailure(op, "no mask of static extent");
    int64_t offset = 0;
    if (Value value = op.getQueryOffset()) {
      IntegerAttr constant;
      if (!matchPattern(value, m_Constant(&constant)))
        return rewriter.notifyMatchFailure(op, "dynamic query offset");
      offset = constant.getValue().getSExtValue();
      if (offset < -kMaxMaskDistance || offset > kMaxMaskDistance)
        return rewriter.notifyMatchFailure(op, "offset out of range");
    }
    TileBox box{offset, offset + query.getDimSize(2), 0, keys};
    for (int64_t head = 0; head < query.getDimSize(1); ++head)
      if (classifyTile(mask, head, box) != TileState::Full)
        return rewriter.notifyMatchFailure(op, "mask removes pairs");
    rewriter.modifyOpInPlace(op, [&] { op.removeMaskAttr(); });
    return success();
  }
};

/// A constant query offset of zero is the default.
struct DropZeroOffset : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    Value offset = op.getQueryOffset();
    if (!offset || (op.readsPositions() && !matchPattern(offset, m_Zero())))
      return rewriter.notifyMatchFailure(op, "the offset has a meaning");
    rewriter.modifyOpInPlace(op, [&] { op.getQueryOffsetMutable().clear(); });
    return success();
  }
};

/// Maps that say what holds without them go.
struct DropDefaultHeadMaps : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasHeadMaps())
      return rewriter.notifyMatchFailure(op, "no head map");
    auto isDefault = [&](std::optional<ArrayRef<int64_t>> map, Value tensor) {
      int64_t own = cast<RankedTensorType>(tensor.getType()).getDimSize(1);
      if (!map || own == 0 || map->size() % own != 0)
        return !map;
      int64_t group = map->size() / own;
      for (auto [head, read] : llvm::enumerate(*map))
        if (read != static_cast<int64_t>(head) / group)
          return false;
      return true;
    };
    bool plainKeys = isDefault(op.getKeyHeadMap(), op.getKey());
    bool plainValues = isDefault(op.getValueHeadMap(), op.getValue());
    // The numbers of heads may differ only where there is a map.
    bool same = cast<RankedTensorType>(op.getKey().getType()).getDimSize(1) ==
                cast<RankedTensorType>(op.getValue().getType()).getDimSize(1);
    if (plainKeys && plainValues && !same)
      plainKeys = false;
    bool dropKeys = plainKeys && op.getKeyHeadMap();
    bool dropValues =
        plainValues && op.getValueHeadMap() && (same || op.getKeyHeadMap());
    if (!dropKeys && !dropValues)
      return rewriter.notifyMatchFailure(op, "the maps have a meaning");
    rewriter.modifyOpInPlace(op, [&] {
      if (dropKeys)
        op.removeKeyHeadMapAttr();
      if (dropValues)
        op.removeValueHeadMapAttr();
    });
    return success();
  }
};

/// A result `lse` that nobody reads is not computed.
struct DropUnusedLse : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getLse() || !op.getLse().use_empty())
      return rewriter.notifyMatchFailure(op, "lse is absent or read");
    auto plain = AttentionOp::create(rewriter, op.getLoc(),
                                     TypeRange{op.getOutput().getType()},
                                     op->getOperands(), op->getAttrs());
    plain.getScore().takeBody(op.getScore());
    rewriter.replaceAllUsesWith(op.getOutput(), plain.getOutput());
    rewriter.eraseOp(op);
    return success();
  }
};

/// A region that yields the score it gets has no meaning.
struct DropIdentityScore : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasScore())
      return rewriter.notifyMatchFailure(op, "no score region");
    Block &body = op.getScore().front();
    if (cast<YieldOp>(body.back()).getScore() != body.getArgument(0))
      return rewriter.notifyMatchFailure(op, "the region changes scores");
    rewriter.modifyOpInPlace(op, [&] { rewriter.eraseBlock(&body); });
    return success();
  }
};

} // namespace

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<SimplifyMask, DropCoveringMask, DropZeroOffset,
               DropDefaultHeadMaps, DropUnusedLse, DropIdentityScore>(context);
}
