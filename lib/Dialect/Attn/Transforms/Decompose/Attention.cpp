//===- Attention.cpp - The linalg meaning of attn.attention ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Builders.h"
#include "attn/Dialect/Attn/Transforms/Decompose.h"
#include "attn/Dialect/Attn/Utils/ListReads.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// Builds one attention. Its loops over rows are (batch, kv head, row), or
/// (batch, kv head, group, row) where query heads share a key/value head, so
/// that keys and values are not repeated (they are when the number of heads is
/// dynamic, or maps say which heads are read). A loop over keys or features
/// follows.
class AttentionBuilder {
public:
  AttentionBuilder(OpBuilder &builder, AttentionOp op)
      : b(op.getLoc(), builder), math(b, op.getLoc()), op(op),
        compute(op.getComputeType()) {}

  SmallVector<Value> build();

private:
  /// A tensor that broadcasts to the scores: mapped where its extents are
  /// known, else read element by element.
  struct ScoreOperand {
    MappedTensor mapped;
    Value read;
    SmallVector<OpFoldResult> sizes;
  };

  void setUpShape();
  /// Keys or values of each batch entry, [B, H, Skv, D]: out of their pages,
  /// with one head for each query head where heads do not form groups.
  Value readKeys(Value tensor, std::optional<ArrayRef<int64_t>> headMap);
  /// A tensor of elements read from another one of which `length` is a size,
  /// or zeros if there is nothing to read.
  Value readWhereAny(OpFoldResult length, ArrayRef<OpFoldResult> shape,
                     FloatType element, ArrayRef<MappedTensor> inputs,
                     ElementBody body);
  /// Splits dimension `dim` of `tensor`, the heads, in kv heads and group.
  Value splitHeads(Value tensor, int64_t dim);
  /// The reverse for a result of the operation, as `type`.
  Value joinHeads(Value tensor, Type type);
  ScoreOperand prepare(Value tensor);
  /// The listed rows of the query, one after the other.
  Value gatherRows();
  ListedRow listedRow(ImplicitLocOpBuilder &b, Value batch, Value head,
                      Value entry) {
    return readListedRow(b, b.getLoc(), op.getRows(), op.getRowCounts(), batch,
                         head, entry,
                         tensor::getMixedSize(b, b.getLoc(), op.getQuery(), 2));
  }
  /// Batch, head and entry of the row at hand, inside a `linalg.generic` over
  /// the rows.
  std::array<Value, 3> rowIndices(ImplicitLocOpBuilder &b);
  /// The sink logit of each row; the operation has sinks.
  MappedTensor sinkLogits();

  struct MappedShape {
    ArrayRef<OpFoldResult> sizes;
    AffineMap map;
  };
  /// The sum over the last loop of `lhs` times `rhs`. With `skipZeros` a zero
  /// in `lhs` makes zero even of NaN and infinity.
  Value buildProduct(MappedTensor lhs, MappedTensor rhs, MappedShape result,
                     bool skipZeros);

  /// Reduces the last dimension of `scores` into `start`.
  Value reduceKeys(Value scores, Value start, ElementBody body) {
    return buildGeneric(b, {{scores, rowMap(1, {0})}}, {start, rowMap(1)},
                        /*reductions=*/1, body);
  }

  Value buildScores();
  Value buildRowMaximum(Value scores);
  /// exp of scores (or sink logits) minus the row's maximum.
  Value buildWeights(MappedTensor scores, Value maximum,
                     ArrayRef<OpFoldResult> shape);
  Value buildRowSum(Value weights, Value maximum);
  Value buildOutput(Value weights, Value sum);
  Value buildLse(Value maximum, Value sum);

  /// Loops over the rows, then `extra` more.
  AffineMap mapOf(unsigned extra, ArrayRef<unsigned> loops) {
    SmallVector<AffineExpr> exprs;
    for (unsigned loop : loops)
      exprs.push_back(b.getAffineDimExpr(loop));
    return AffineMap::get(rows + extra, 0, exprs, b.getContext());
  }
  /// All row loops, then the listed ones of the `extra` that follow.
  AffineMap rowMap(unsigned extra, ArrayRef<unsigned> more = {}) {
    auto loops = llvm::to_vector<8>(llvm::seq<unsigned>(0, rows));
    for (unsigned loop : more)
      loops.push_back(rows + loop);
    return mapOf(extra, loops);
  }
  SmallVector<OpFoldResult> rowShapeWith(OpFoldResult last) {
    SmallVector<OpFoldResult> shape = rowShape;
    shape.push_back(last);
    return shape;
  }
  /// 0 where `maximum` is minus infinity, so that nothing is subtracted from
  /// the scores of a row without keys.
  Value finiteMaximum(ImplicitLocOpBuilder &b, Value maximum) {
    Value none = arith::CmpFOp::create(
        b, arith::CmpFPredicate::OEQ, maximum,
        buildFloat(b, compute, -std::numeric_limits<double>::infinity()));
    return arith::SelectOp::create(b, none, buildFloat(b, compute, 0), maximum);
  }

  ImplicitLocOpBuilder b;
  IndexMath math;
  AttentionOp op;
  FloatType compute;
  bool grouped = false;
  unsigned rows = 3; ///< number of loops over rows
  OpFoldResult heads, kvHeads, kvLen;
  int64_t group = 1; ///< query heads per key/value head
  Value queries, keys, values;
  SmallVector<OpFoldResult> rowShape;
  MaskAttrInterface mask; ///< prepared
  SmallVector<Value> maskOperands;
};

void AttentionBuilder::setUpShape() {
  Location loc = op.getLoc();
  OpFoldResult batch = tensor::getMixedSize(b, loc, op.getQuery(), 0);
  auto [resultRows, dim] = op.getResultRows();
  OpFoldResult queryLen = tensor::getMixedSize(b, loc, resultRows, dim);
  heads = tensor::getMixedSize(b, loc, op.getQuery(), 1);
  kvHeads = tensor::getMixedSize(b, loc, op.getKey(), 1);
  kvLen = op.getKeys(b);
  maskOperands = op.getMaskOperands();
  if (auto whole = op.getMaskAttr())
    mask = prepareMask(b, loc, whole, {batch, heads, queryLen, kvLen},
                       maskOperands);
  keys = readKeys(op.getKey(), op.getKeyHeadMap());
  values = readKeys(op.getValue(), op.getValueHeadMap());
  if (auto size = op.getGroupSize(); size && !op.hasHeadMaps()) {
    grouped = *size != 1;
    group = *size;
  }
  queries = op.getQuery();
  rowShape = {batch, heads, queryLen};
  if (op.getRows()) {
    queries = gatherRows();
  }
  if (grouped) {
    rows = 4;
    rowShape = {batch, kvHeads, math.constant(group), queryLen};
  }
}

std::array<Value, 3> AttentionBuilder::rowIndices(ImplicitLocOpBuilder &b) {
  IndexMath math(b, b.getLoc());
  auto index = [&](unsigned loop) -> Value {
    return linalg::IndexOp::create(b, loop);
  };
  Value head = index(1);
  if (grouped)
    head = math.materialize(
        math.add(math.mul(head, math.constant(group)), index(2)));
  return {index(0), head, index(rows - 1)};
}

Value AttentionBuilder::gatherRows() {
  SmallVector<OpFoldResult> shape = rowShape;
  shape.push_back(tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 3));
  OpFoldResult length = tensor::getMixedSize(b, op.getLoc(), op.getQuery(), 2);
  auto body = [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
    SmallVector<Value> at;
    for (unsigned loop = 0; loop < 4; ++loop)
      at.push_back(linalg::IndexOp::create(b, loop));
    at[2] = IndexMath(b, b.getLoc())
                .materialize(readListedRow(b, b.getLoc(), op.getRows(), at[0],
                                           at[1], at[2], length));
    return tensor::ExtractOp::create(b, op.getQuery(), at);
  };
  return readWhereAny(length, shape, elementTypeOf(op.getQuery()), {}, body);
}

Value AttentionBuilder::readWhereAny(OpFoldResult length,
                                     ArrayRef<OpFoldResult> shape,
                                     FloatType element,
                                     ArrayRef<MappedTensor> inputs,
                                     ElementBody body) {
  if (constantOf(length).value_or(0) > 0)
    return buildElementwise(b, inputs, shape, element, body);
  Value none = buildFilled(b, shape, element, 0);
  if (constantOf(length) == 0)
    return none;
  Value any = math.materialize(
      math.compare(arith::CmpIPredicate::sgt, length, math.constant(0)));
  auto branch = [&](bool read) {
    return [&, read](OpBuilder &nested, Location loc) {
      ImplicitLocOpBuilder inner(loc, nested);
      scf::YieldOp::create(
          inner,
          read ? buildElementwise(inner, inputs, shape, element, body) : none);
    };
  };
  return scf::IfOp::create(b, any, branch(true), branch(false)).getResult(0);
}

Value AttentionBuilder::readKeys(Value tensor,
                                 std::optional<ArrayRef<int64_t>> headMap) {
  Location loc = op.getLoc();
  bool picksHeads = op.hasHeadMaps() || !op.getGroupSize();
  if (!picksHeads && !op.getPageTable())
    return tensor;
  OpFoldResult ownHeads = tensor::getMixedSize(b, loc, tensor, 1);
  OpFoldResult batch = tensor::getMixedSize(b, loc, op.getQuery(), 0);
  SmallVector<OpFoldResult> shape = {batch, picksHeads ? heads : ownHeads,
                                     kvLen,
                                     tensor::getMixedSize(b, loc, tensor, 3)};
  Value repeats;
  SmallVector<MappedTensor> inputs;
  if (headMap) {
    Value map = arith::ConstantOp::create(b, b.getI64TensorAttr(*headMap));
    inputs.push_back({map, AffineMap::get(4, 0, b.getAffineDimExpr(1))});
  } else if (picksHeads) {
    repeats = arith::DivUIOp::create(b, math.materialize(heads),
                                     math.materialize(ownHeads));
  }
  OpFoldResult pages = tensor::getMixedSize(b, loc, tensor, 0);
  auto body = [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
    IndexMath math(b, b.getLoc());
    SmallVector<Value> at;
    for (unsigned loop = 0; loop < 4; ++loop)
      at.push_back(linalg::IndexOp::create(b, loop));
    if (headMap)
      at[1] = convertToIndex(b, elements[0]);
    else if (repeats)
      at[1] = arith::DivUIOp::create(b, at[1], repeats);
    if (int64_t size = op.getPageSize()) {
      Page page = readPage(b, b.getLoc(), op.getPageTable(), at[0],
                           math.floorDiv(at[2], size), pages);
      at[0] = math.materialize(page.place);
      at[2] = math.materialize(math.mod(at[2], size));
    }
    return tensor::ExtractOp::create(b, tensor, at);
  };
  return readWhereAny(op.getPageTable() ? pages : math.constant(1), shape,
                      elementTypeOf(tensor), inputs, body);
}

Value AttentionBuilder::splitHeads(Value tensor, int64_t dim) {
  if (!grouped)
    return tensor;
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = *constantOf(heads);
  tensor = castTensor(b, tensor, type.clone(shape));
  shape[dim] /= group;
  shape.insert(shape.begin() + dim + 1, group);
  SmallVector<ReassociationIndices> reassociation;
  int64_t next = 0;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    reassociation.push_back({next++});
    if (i == dim)
      reassociation.back().push_back(next++);
  }
  return tensor::ExpandShapeOp::create(b, type.clone(shape), tensor,
                                       reassociation);
}

Value AttentionBuilder::joinHeads(Value tensor, Type type) {
  if (grouped) {
    SmallVector<ReassociationIndices> reassociation = {{0}, {1, 2}, {3}};
    if (cast<RankedTensorType>(tensor.getType()).getRank() == 5)
      reassociation.push_back({4});
    tensor = tensor::CollapseShapeOp::create(b, tensor, reassociation);
  }
  return castTensor(b, tensor, type);
}

AttentionBuilder::ScoreOperand AttentionBuilder::prepare(Value tensor) {
  std::pair<Value, int64_t> whole[] = {
      {op.getQuery(), 0}, {op.getQuery(), 1}, {op.getQuery(), 2}, {keys, 2}};
  SmallVector<AffineExpr> exprs;
  unsigned loop = 0;
  bool known = true, allHeads = false;
  for (auto [i, dim] : llvm::enumerate(whole)) {
    DimExtent extent = classifyDim(tensor, i, dim.first, dim.second);
    known &= extent != DimExtent::OneOrWhole;
    unsigned loops = grouped && i == 1 ? 2 : 1;
    if (extent == DimExtent::One) {
      exprs.push_back(b.getAffineConstantExpr(0));
      loop += loops;
      continue;
    }
    allHeads |= i == 1;
    for (; loops; --loops)
      exprs.push_back(b.getAffineDimExpr(loop++));
  }
  // A listed row is not a loop's index.
  if (!known || op.getRows())
    return {{}, tensor, tensor::getMixedSizes(b, op.getLoc(), tensor)};
  if (allHeads)
    tensor = splitHeads(tensor, 1);
  return {{tensor, AffineMap::get(rows + 1, 0, exprs, b.getContext())}, {}, {}};
}

Value AttentionBuilder::buildProduct(MappedTensor lhs, MappedTensor rhs,
                                     MappedShape result, bool skipZeros) {
  Value start = buildFilled(b, result.sizes, compute, 0);
  // `linalg.contract` converts between types of different width only.
  auto converts = [&](Value tensor) {
    FloatType type = elementTypeOf(tensor);
    return type == compute || type.getWidth() != compute.getWidth();
  };
  if (!skipZeros && converts(lhs.tensor) && converts(rhs.tensor))
    return linalg::ContractOp::create(
               b, ValueRange{lhs.tensor, rhs.tensor}, ValueRange{start},
               b.getAffineMapArrayAttr({lhs.map, rhs.map, result.map}))
        .getResult(0);
  auto body = [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
    Value x = convertFloat(b, elements[0], compute);
    Value y = convertFloat(b, elements[1], compute);
    Value product = arith::MulFOp::create(b, x, y);
    if (skipZeros) {
      Value zero = buildFloat(b, compute, 0);
      Value isZero =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, zero);
      product = arith::SelectOp::create(b, isZero, zero, product);
    }
    return arith::AddFOp::create(b, elements[2], product);
  };
  return buildGeneric(b, {lhs, rhs}, {start, result.map}, /*reductions=*/1,
                      body);
}

/// The softmax's arguments: scaled, capped and biased scores, minus infinity
/// where a pair is not kept.
Value AttentionBuilder::buildScores() {
  SmallVector<OpFoldResult> shape = rowShapeWith(kvLen);
  MappedTensor query{splitHeads(queries, 1), rowMap(2, {1})};
  MappedTensor key{keys, mapOf(2, {0, 1, rows, rows + 1})};
  Value products = buildProduct(query, key, {shape, rowMap(2, {0})},
                                /*skipZeros=*/false);

  // Inputs: the products, then what is present of bias, keep, kv_lengths and
  // a query_offset for each batch entry.
  SmallVector<MappedTensor> inputs = {{products, rowMap(1, {0})}};
  auto addScoreOperand = [&](Value tensor) -> ScoreOperand {
    if (!tensor)
      return {};
    ScoreOperand operand = prepare(tensor);
    if (!operand.read)
      inputs.push_back(operand.mapped);
    return operand;
  };
  ScoreOperand bias = addScoreOperand(op.getBias());
  ScoreOperand keep = addScoreOperand(op.getKeep());
  // Lengths for each head are read.
  Value lengths = op.getKvLengths();
  bool headLengths =
      lengths && cast<RankedTensorType>(lengths.getType()).getRank() == 2;
  if (lengths && !headLengths)
    inputs.push_back({lengths, mapOf(1, {0})});
  Value offset = op.readsPositions() ? op.getQueryOffset() : Value();
  if (offset && isa<RankedTensorType>(offset.getType()))
    inputs.push_back({offset, mapOf(1, {0})});

  auto body = [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
    auto next = elements.begin();
    Value score = *next++;
    IndexMath math(b, b.getLoc());
    Value batch, head, entry, row, key;
    OpFoldResult kept = math.boolean(true);
    if (op.getMask() || op.getKvLengths() || bias.read || keep.read ||
        op.getRows() || op.hasScore() || op.getPageTable()) {
      std::tie(batch, head, entry) = std::tuple_cat(rowIndices(b));
      row = entry;
      key = linalg::IndexOp::create(b, rows);
      if (op.getRows()) {
        ListedRow listed = listedRow(b, batch, head, entry);
        row = math.materialize(listed.row);
        kept = listed.exists;
      }
    }
    auto element = [&](Value whole, const ScoreOperand &operand) -> Value {
      if (!whole)
        return {};
      if (!operand.read)
        return *next++;
      return extractBroadcast(b, operand.read, operand.sizes,
                              {batch, head, row, key});
    };
    Value biasElement = element(op.getBias(), bias);
    Value keepElement = element(op.getKeep(), keep);

    if (op.getEffectiveScale() != 1)
      score = arith::MulFOp::create(
          b, score, buildFloat(b, compute, op.getEffectiveScale()));
    auto addBias = [&] {
      if (biasElement)
        score = arith::AddFOp::create(b, score,
                                      convertFloat(b, biasElement, compute));
    };
    if (op.getBiasOrder() == BiasOrder::BeforeSoftcap)
      addBias();
    if (auto softcap = op.getSoftcap()) {
      Value cap = buildFloat(b, compute, softcap->convertToDouble());
      Value ratio = arith::DivFOp::create(b, score, cap);
      score = arith::MulFOp::create(b, math::TanhOp::create(b, ratio), cap);
    }
    if (op.getBiasOrder() == BiasOrder::AfterSoftcap)
      addBias();

    Value length = lengths && !headLengths ? *next++ : Value();
    MaskPoint point;
    if (mask || op.hasScore()) {
      OpFoldResult position = row;
      if (offset)
        position = math.add(row, isa<RankedTensorType>(offset.getType())
                                     ? convertToIndex(b, *next++)
                                     : offset);
      point.batch = batch;
      point.head = head;
      point.heads = heads;
      point.kvLen = kvLen;
      point.entry = entry;
      point.queryRow = row;
      point.query = position;
      point.key = key;
      point.operands = maskOperands;
    }
    if (op.hasScore())
      score = op.buildScore(b, point, score);
    if (keepElement)
      kept = math.logicalAnd(kept, keepElement);
    if (lengths) {
      OpFoldResult own = headLengths ? readOfHead(b, b.getLoc(), lengths, batch,
                                                  head, heads, {})
                                     : convertToIndex(b, length);
      kept = math.logicalAnd(kept,
                             math.compare(arith::CmpIPredicate::slt, key, own));
    }
    if (int64_t size = op.getPageSize()) {
      OpFoldResult pages = tensor::getMixedSize(b, b.getLoc(), op.getKey(), 0);
      kept =
          math.logicalAnd(kept, readPage(b, b.getLoc(), op.getPageTable(),
                                         batch, math.floorDiv(key, size), pages)
                                    .exists);
    }
    if (mask)
      kept = math.logicalAnd(kept, mask.keep(b, b.getLoc(), point));
    if (constantOf(kept) != 1) {
      Value none =
          buildFloat(b, compute, -std::numeric_limits<double>::infinity());
      score = arith::SelectOp::create(b, math.materialize(kept), score, none);
    }
    return score;
  };
  return buildElementwise(b, inputs, shape, compute, body);
}

MappedTensor AttentionBuilder::sinkLogits() {
  SmallVector<unsigned> headLoops = {1};
  if (grouped)
    headLoops.push_back(2);
  return {splitHeads(op.getSinkLogits(), 0), mapOf(0, headLoops)};
}

Value AttentionBuilder::buildRowMaximum(Value scores) {
  // A sink takes part in every softmax of its head.
  Value start =
      op.getSinkLogits()
          ? buildElementwise(b, sinkLogits(), rowShape, compute,
                             [&](ImplicitLocOpBuilder &b, ValueRange elements) {
                               return convertFloat(b, elements[0], compute);
                             })
          : buildFilled(b, rowShape, compute,
                        -std::numeric_limits<double>::infinity());
  // `maximumf` hands a NaN on.
  return reduceKeys(
      scores, start, [](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        return arith::MaximumFOp::create(b, elements[0], elements[1]);
      });
}

Value AttentionBuilder::buildWeights(MappedTensor scores, Value maximum,
                                     ArrayRef<OpFoldResult> shape) {
  unsigned extra = shape.size() - rows;
  return buildElementwise(
      b, {scores, {maximum, rowMap(extra)}}, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        Value score = convertFloat(b, elements[0], compute);
        Value shift = finiteMaximum(b, elements[1]);
        return math::ExpOp::create(b, arith::SubFOp::create(b, score, shift));
      });
}

Value AttentionBuilder::buildRowSum(Value weights, Value maximum) {
  Value start = op.getSinkLogits()
                    ? buildWeights(sinkLogits(), maximum, rowShape)
                    : buildFilled(b, rowShape, compute, 0);
  return reduceKeys(weights, start,
                    [](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
                      return arith::AddFOp::create(b, elements[0], elements[1]);
                    });
}

/// The weighted sum of the values over the sum of the weights.
Value AttentionBuilder::buildOutput(Value weights, Value sum) {
  OpFoldResult valueDim =
      tensor::getMixedSize(b, op.getLoc(), op.getValue(), 3);
  SmallVector<OpFoldResult> shape = rowShapeWith(valueDim);
  // Zero times the garbage behind the last key could be NaN.
  bool removesPairs = op.getMask() || op.getKeep() || op.getKvLengths() ||
                      op.getRows() || op.getPageTable();
  Value total = buildProduct({weights, rowMap(2, {1})},
                             {values, mapOf(2, {0, 1, rows + 1, rows})},
                             {shape, rowMap(2, {0})},
                             /*skipZeros=*/removesPairs);
  FloatType element = elementTypeOf(op.getOutput());
  Value normalized = buildElementwise(
      b, {{total, rowMap(1, {0})}, {sum, rowMap(1)}}, shape, element,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        Value zero = buildFloat(b, compute, 0);
        Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                           elements[1], zero);
        Value mean = arith::DivFOp::create(b, elements[0], elements[1]);
        mean = arith::SelectOp::create(b, none, zero, mean);
        return convertFloat(b, mean, element);
      });
  return joinHeads(normalized, op.getOutput().getType());
}

Value AttentionBuilder::buildLse(Value maximum, Value sum) {
  FloatType element = elementTypeOf(op.getLse());
  // A row without keys: log 0 is minus infinity, and so is its maximum.
  Value lse = buildElementwise(
      b, {{maximum, rowMap(0)}, {sum, rowMap(0)}}, rowShape, element,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        Value log = math::LogOp::create(b, elements[1]);
        log = arith::AddFOp::create(b, log, elements[0]);
        if (op.getRows()) {
          // Not even a sink belongs to an entry without a row.
          auto [batch, head, entry] = rowIndices(b);
          Value none =
              buildFloat(b, compute, -std::numeric_limits<double>::infinity());
          Value exists =
              IndexMath(b, b.getLoc())
                  .materialize(listedRow(b, batch, head, entry).exists);
          log = arith::SelectOp::create(b, exists, log, none);
        }
        return convertFloat(b, log, element);
      });
  return joinHeads(lse, op.getLse().getType());
}

SmallVector<Value> AttentionBuilder::build() {
  setUpShape();
  Value scores = buildScores();
  Value maximum = buildRowMaximum(scores);
  Value weights =
      buildWeights({scores, rowMap(1, {0})}, maximum, rowShapeWith(kvLen));
  Value sum = buildRowSum(weights, maximum);
  SmallVector<Value> results = {buildOutput(weights, sum)};
  if (op.getLse())
    results.push_back(buildLse(maximum, sum));
  return results;
}

} // namespace

SmallVector<Value> mlir::attn::decompose(OpBuilder &builder, AttentionOp op) {
  return AttentionBuilder(builder, op).build();
}
