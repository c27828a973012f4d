//===- Attention.cpp - Attention, rotary embedding, cache writes ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The standard operators of versions 23 and 24, by the text of ONNX 1.23 for
// both: softcap before the mask, the causal limit counted from the end of an
// external cache, rows without any key give zeros.
//
//===----------------------------------------------------------------------===//
#include "AttentionParts.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

/// The mask in rank 4 with the number of keys in its last dimension, or 1.
static FailureOr<TensorValue> alignMask(NodeImporter &n, TensorValue mask,
                                        const Attention &a) {
  Emitter &emit = n.emit;
  if (mask.dataType != Bool && !isFloat(mask.dataType))
    return n.invalid("its mask is " + dataTypeName(mask.dataType));
  if (mask.rank() < 1 || mask.rank() > 4)
    return n.invalid("its mask has rank " + Twine(mask.rank()));
  Shape shape(static_cast<size_t>(4 - mask.rank()), Dim(1));
  shape.append(mask.shape.begin(), mask.shape.end());
  mask = emit.reshape(mask, shape);
  const Shape scores = {a.query.shape[0], a.query.shape[1], a.query.shape[2],
                        a.key.shape[2]};
  const Dim &keys = scores[3];
  // A mask that is too short hides the keys behind its end.
  bool mayBeShort = n.version() >= 24 && shape[3] != keys;
  if (mayBeShort) {
    Dim missing = emit.maxDim(keys - shape[3], 0);
    Type element = emit.elementType(mask.dataType);
    double hidden =
        mask.dataType == Bool ? 0 : -std::numeric_limits<double>::infinity();
    mask = emit.pad(mask, {0, 0, 0, 0}, {0, 0, 0, missing},
                    emit.scalarConstant(element, hidden));
    shape = mask.shape;
  }
  Shape wanted = shape;
  for (size_t i = 0; i < 4; ++i) {
    if (!emit.broadcastDim(shape[i], scores[i]))
      return n.invalid("its mask does not broadcast to the scores");
    if (!shape[i].is(1) && shape[i] != scores[i])
      wanted[i] = scores[i];
  }
  return emit.broadcastTo(mask, wanted);
}

/// The scores as the fourth output gives them, after the step that `mode`
/// names: 0 scaled product, 1 softcap, 2 mask, 3 softmax.
static TensorValue buildScores(Emitter &emit, const Attention &a,
                               int64_t mode) {
  int32_t type = a.query.dataType;
  int32_t compute = type == Float64 ? int32_t(Float64) : int32_t(Float32);
  Type element = emit.elementType(compute);
  std::optional<Dim> group = a.query.shape[1].dividedBy(a.key.shape[1]);
  const Shape &q = a.query.shape;
  const Dim &keys = a.key.shape[2];
  TensorValue query = emit.cast(a.query, compute);
  TensorValue key = emit.transpose(emit.cast(a.key, compute), {0, 1, 3, 2});
  TensorValue scores;
  if (group && !group->is(1)) {
    query = emit.reshape(query, {q[0], a.key.shape[1], *group, q[2], q[3]});
    key = emit.unsqueeze(key, {2});
    scores = emit.reshape(emit.matmul(query, key, compute),
                          {q[0], q[1], q[2], keys});
  } else {
    scores = emit.matmul(query, key, compute);
  }
  double scale = a.scale;
  if (scale == 0)
    scale = 1 / std::sqrt(static_cast<double>(*q[3].constant()));
  Value factor = emit.scalarConstant(element, scale);
  Value cap = emit.scalarConstant(element, a.softcap);
  bool withCap = a.softcap > 0 && mode >= 1;
  scores = emit.map(scores, compute,
                    [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                      Value s = arith::MulFOp::create(b, l, v[0], factor);
                      if (!withCap)
                        return s;
                      s = arith::DivFOp::create(b, l, s, cap);
                      s = math::TanhOp::create(b, l, s);
                      return arith::MulFOp::create(b, l, s, cap);
                    });
  if (mode >= 2) {
    Value hidden =
        emit.scalarConstant(element, -std::numeric_limits<double>::infinity());
    TensorValues operands{scores};
    auto add = [&](bool has, const TensorValue &x) -> size_t {
      if (has)
        operands.push_back(x);
      return has ? operands.size() - 1 : 0;
    };
    size_t bias =
        add(a.hasBias, a.hasBias ? emit.cast(a.bias, compute) : a.bias);
    size_t keep = add(a.hasKeep, a.keep);
    bool perBatch = a.offsets.dataType != Undefined;
    auto column = [&](const TensorValue &x) {
      return emit.reshape(emit.cast(x, Int64), {x.shape[0], 1, 1, 1});
    };
    size_t lengths =
        add(a.hasLengths, a.hasLengths ? column(a.lengths) : a.lengths);
    size_t offsets =
        add(a.isCausal && perBatch, perBatch ? column(a.offsets) : a.offsets);
    Value shared = a.isCausal ? emit.indexValue(a.offset) : Value();
    scores = emit.indexed(
        operands, scores.shape, compute,
        [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          Value s = v[0];
          ValueRange at = v.take_back(4);
          auto require = [&](Value condition) {
            s = arith::SelectOp::create(b, l, condition, s, hidden);
          };
          auto asIndex = [&](Value number) -> Value {
            return arith::IndexCastOp::create(b, l, b.getIndexType(), number);
          };
          if (bias)
            s = arith::AddFOp::create(b, l, s, v[bias]);
          if (keep)
            require(v[keep]);
          if (lengths)
            require(arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt,
                                          at[3], asIndex(v[lengths])));
          if (a.isCausal) {
            Value position = arith::AddIOp::create(
                b, l, at[2], offsets ? asIndex(v[offsets]) : shared);
            require(arith::CmpIOp::create(b, l, arith::CmpIPredicate::sle,
                                          at[3], position));
          }
          return s;
        });
  }
  if (mode >= 3) {
    // A row without any key is zero; a NaN from the inputs stays.
    Value zero = emit.scalarConstant(element, 0);
    Value lowest =
        emit.scalarConstant(element, -std::numeric_limits<double>::infinity());
    TensorValue top =
        emit.reduce(scores, 3, true, lowest,
                    [](OpBuilder &b, Location l, ValueRange v) -> Value {
                      return arith::MaximumFOp::create(b, l, v[0], v[1]);
                    });
    scores = emit.elementwise(
        {emit.softmax(scores, 3), top}, scores.shape, compute,
        [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          Value isHidden = arith::CmpFOp::create(
              b, l, arith::CmpFPredicate::OEQ, v[1], lowest);
          return arith::SelectOp::create(b, l, isHidden, zero, v[0]);
        });
  }
  return emit.cast(scores, type);
}

static LogicalResult importAttention(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  int64_t rank = n.input(0).rank();
  if ((rank != 3 && rank != 4) || n.input(1).rank() != rank ||
      n.input(2).rank() != rank)
    return n.invalid("expects query, key and value of rank 3 or 4 alike");
  int32_t type = n.input(0).dataType;
  if (!isFloat(type) || !isFloat(n.input(2).dataType) ||
      n.input(1).dataType != type)
    return n.unsupported("element types " + dataTypeName(type) + ", " +
                         dataTypeName(n.input(1).dataType) + " and " +
                         dataTypeName(n.input(2).dataType));
  int64_t heads = n.intAttr("q_num_heads", 0);
  int64_t kvHeads = n.intAttr("kv_num_heads", 0);
  if (n.attribute("left_window_size") || n.attribute("right_window_size"))
    return n.unsupported("a window");
  auto query = splitHeads(n, n.input(0), heads);
  auto key = splitHeads(n, n.input(1), kvHeads);
  auto value = splitHeads(n, n.input(2), kvHeads);
  if (failed(query) || failed(key) || failed(value))
    return failure();
  Attention a;
  a.query = *query;
  a.key = *key;
  a.value = *value;
  bool hasPast = n.hasInput(4);
  if (hasPast != n.hasInput(5))
    return n.invalid("only one of past_key and past_value is given");
  if (hasPast) {
    if (n.input(4).rank() != 4 || n.input(5).rank() != 4 ||
        n.input(4).dataType != type || n.input(5).dataType != a.value.dataType)
      return n.invalid("past_key or past_value does not fit");
    a.offset = n.input(4).shape[2];
    a.key = appendRows(emit, n.input(4), a.key);
    a.value = appendRows(emit, n.input(5), a.value);
  }
  n.setOutput(1, a.key);
  n.setOutput(2, a.value);
  a.value = emit.cast(a.value, type);
  if (!a.query.shape[3].isConstant() || !a.value.shape[3].isConstant())
    return n.unsupported("a dynamic head dimension");

  const Dim &batch = a.query.shape[0];
  emit.requireEqual(a.key.shape[0], batch);
  emit.requireEqual(a.value.shape[0], batch);
  emit.requireEqual(a.value.shape[1], a.key.shape[1]);
  emit.requireEqual(a.value.shape[2], a.key.shape[2]);

  a.isCausal = n.intAttr("is_causal", 0) != 0;
  a.scale = n.floatAttr("scale", 0);
  a.softcap = n.floatAttr("softcap", 0);
  if (!std::isfinite(a.scale) || !std::isfinite(a.softcap))
    return n.invalid("scale or softcap is not finite");
  if (n.attribute("softmax_precision")) {
    a.precision = static_cast<int32_t>(n.intAttr("softmax_precision", 0));
    if (!isFloat(a.precision))
      return n.unsupported("softmax_precision " + dataTypeName(a.precision));
  }
  if (n.hasInput(3)) {
    FailureOr<TensorValue> mask = alignMask(n, n.input(3), a);
    if (failed(mask))
      return failure();
    a.hasKeep = mask->dataType == Bool;
    a.hasBias = !a.hasKeep;
    (a.hasKeep ? a.keep : a.bias) = *mask;
  }
  if (n.hasInput(6)) {
    const TensorValue &lengths = n.input(6);
    if (hasPast || lengths.rank() != 1 || lengths.dataType != Int64)
      return n.invalid("nonpad_kv_seqlen must be int64 of rank 1, and excludes "
                       "past_key");
    emit.requireEqual(lengths.shape[0], batch);
    a.lengths = lengths;
    a.hasLengths = true;
    if (a.isCausal) {
      TensorValue rows = emit.fromElements(a.query.shape[2], true);
      a.offsets =
          emit.elementwise({lengths, rows}, lengths.shape, Int64,
                           [](OpBuilder &b, Location l, ValueRange v) -> Value {
                             return arith::SubIOp::create(b, l, v[0], v[1]);
                           });
    }
  }
  Shape shape = a.query.shape;
  shape[3] = a.value.shape[3];
  TensorValue output = emit.fromValue(buildAttention(emit, a), type, shape);
  n.setOutput(0, rank == 3 ? joinHeads(emit, output) : output);
  if (n.hasOutput(3)) {
    int64_t mode = n.intAttr("qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3)
      return n.invalid("qk_matmul_output_mode " + Twine(mode));
    n.setOutput(3, buildScores(emit, a, mode));
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

static LogicalResult importRotaryEmbedding(NodeImporter &n) {
  if (failed(n.require(3)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &x = n.input(0);
  if ((x.rank() != 3 && x.rank() != 4) || !isFloat(x.dataType))
    return n.invalid("expects a float input of rank 3 or 4");
  auto heads = splitHeads(n, x, n.intAttr("num_heads", 0));
  if (failed(heads))
    return failure();
  TensorValue tables[] = {n.input(1), n.input(2)};
  for (TensorValue &table : tables) {
    if (n.hasInput(3)) {
      const TensorValue &positions = n.input(3);
      if (table.rank() != 2 || positions.rank() != 2)
        return n.invalid("with position_ids, caches and positions have rank 2");
      if (failed(n.requireElements(&table - tables + 1, 0, positions.shape)))
        return failure();
      table = emit.gather(table, positions, 0);
    }
    if (table.rank() != 3)
      return n.invalid("its caches must have rank 3 without position_ids");
  }
  auto result =
      rotate(n, *heads, tables[0], tables[1],
             n.intAttr("rotary_embedding_dim", 0), n.intAttr("interleaved", 0));
  if (failed(result))
    return failure();
  return n.result(x.rank() == 3 ? joinHeads(emit, *result) : *result);
}

//===----------------------------------------------------------------------===//
// TensorScatter
//===----------------------------------------------------------------------===//

static LogicalResult importTensorScatter(NodeImporter &n) {
  if (failed(n.require(2)))
    return failure();
  Emitter &emit = n.emit;
  const TensorValue &cache = n.input(0), &update = n.input(1);
  if (cache.rank() != update.rank() || cache.dataType != update.dataType)
    return n.invalid("its update has another rank or element type");
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -2), cache.rank());
  if (failed(axis))
    return failure();
  std::string mode = n.stringAttr("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return n.invalid("mode '" + mode + "'");
  if (!isFloat(cache.dataType) || *axis < 1)
    return n.unsupported("element type " + dataTypeName(cache.dataType) +
                         " or axis 0");
  // [B, before, positions, after]
  auto fold = [&](const TensorValue &x) {
    ArrayRef<Dim> s = x.shape;
    return emit.reshape(x, {s[0], product(s.slice(1, *axis - 1)), s[*axis],
                            product(s.drop_front(*axis + 1))});
  };
  TensorValue at;
  if (n.hasInput(2)) {
    at = n.input(2);
    if (at.rank() != 1 || (at.dataType != Int64 && at.dataType != Int32))
      return n.invalid("write_indices must be integers of rank 1");
  } else {
    at = emit.broadcastTo(emit.fromElements(Dim(0), true), cache.shape[0]);
  }
  for (int64_t i = 0; i < cache.rank(); ++i)
    if (i != *axis)
      emit.requireEqual(update.shape[i], cache.shape[i]);
  emit.requireEqual(at.shape[0], cache.shape[0]);
  TensorValue flat = fold(cache), rows = fold(update);
  Value value = attn::KVAppendOp::create(
      emit.getBuilder(), emit.getLoc(),
      emit.tensorType(flat.shape, cache.dataType), emit.materialize(flat),
      emit.materialize(rows), emit.materialize(at), /*page_table=*/Value(),
      mode == "circular" ? attn::CacheMode::Circular : attn::CacheMode::Linear);
  return n.result(emit.reshape(
      emit.fromValue(value, cache.dataType, flat.shape), cache.shape));
}

void onnx::registerAttentionOps(OpRegistry &registry) {
  registry.add("Attention", 23, importAttention);
  registry.add("RotaryEmbedding", 23, importRotaryEmbedding);
  registry.add("TensorScatter", 24, importTensorScatter);
}
