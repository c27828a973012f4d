//===- ContribAttention.cpp - Attention operators of ONNX Runtime ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Domain com.microsoft: Attention, MultiHeadAttention, GroupQueryAttention and
// RotaryEmbedding, by what ONNX Runtime's CPU kernels compute.
//
//===----------------------------------------------------------------------===//
#include "AttentionParts.h"
#include "Scalars.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static TensorValue add(Emitter &emit, const TensorValue &x,
                       const TensorValue &y) {
  std::optional<Shape> shape = emit.broadcastShapes(x.shape, y.shape);
  return emit.elementwise({x, y}, *shape, x.dataType,
                          [&](OpBuilder &b, Location l, ValueRange v) {
                            return Scalars{b, l, x.dataType}.add(v[0], v[1]);
                          });
}

/// Part `index` of `x` along `axis`, which is then removed.
static TensorValue part(Emitter &emit, const TensorValue &x, int64_t axis,
                        int64_t index) {
  return emit.squeeze(emit.sliceAlong(x, axis, index, 1), axis);
}

/// Inputs that this importer does not read must be absent.
static LogicalResult refuseInputs(NodeImporter &n, ArrayRef<size_t> which,
                                  ArrayRef<StringRef> names) {
  for (auto [i, name] : llvm::zip(which, names))
    if (n.hasInput(i))
      return n.unsupported("input " + name);
  return success();
}

/// A mask added to the scores, checked and in rank 4.
static LogicalResult addBias(NodeImporter &n, Attention &a,
                             const TensorValue &bias) {
  Emitter &emit = n.emit;
  if (bias.rank() != 4 || bias.dataType != a.query.dataType)
    return n.invalid("attention_bias must have rank 4 and the query's type");
  const Shape scores = {a.query.shape[0], a.query.shape[1], a.query.shape[2],
                        a.key.shape[2]};
  Shape wanted = bias.shape;
  for (size_t i = 0; i < 4; ++i) {
    if (!emit.broadcastDim(bias.shape[i], scores[i]))
      return n.invalid("attention_bias does not broadcast to the scores");
    if (!bias.shape[i].is(1))
      wanted[i] = scores[i];
  }
  TensorValue whole = emit.broadcastTo(bias, wanted);
  a.bias = a.hasBias ? add(emit, a.bias, whole) : whole;
  a.hasBias = true;
  return success();
}

/// The padding mask of Attention and MultiHeadAttention. ONNX Runtime adds
/// `mask_filter_value` to hidden scores, so a row without any key in sight
/// attends to hidden ones.
static LogicalResult addPadding(NodeImporter &n, Attention &a,
                                TensorValue mask) {
  Emitter &emit = n.emit;
  if (mask.dataType != Int32)
    return n.invalid("its mask is " + dataTypeName(mask.dataType) +
                     ", not int32");
  const Dim &batch = a.query.shape[0], &keys = a.key.shape[2];
  double hidden = n.floatAttr("mask_filter_value", -10000);
  if (mask.rank() == 1) {
    if (mask.shape[0].isConstant() && batch.isConstant() &&
        mask.shape[0] != batch)
      return n.unsupported("a mask of rank 1 that is not one length for each "
                           "batch entry");
    emit.requireEqual(mask.shape[0], batch);
    // As a mask of 0 and 1.
    TensorValue column = emit.reshape(mask, {batch, 1});
    mask = emit.indexed(
        column, {batch, keys}, Int32,
        [&](OpBuilder &b, Location l, ValueRange v) -> Value {
          Value at = arith::IndexCastOp::create(b, l, b.getI32Type(), v[2]);
          Value isKept =
              arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt, at, v[0]);
          return arith::ExtUIOp::create(b, l, b.getI32Type(), isKept);
        });
  }
  if (mask.rank() != 2 && mask.rank() != 3)
    return n.unsupported("a mask of rank " + Twine(mask.rank()));
  emit.requireEqual(mask.shape[0], batch);
  emit.requireEqual(mask.shape[mask.rank() - 1], keys);
  if (mask.rank() == 3)
    emit.requireEqual(mask.shape[1], a.query.shape[2]);
  mask = mask.rank() == 2 ? emit.unsqueeze(mask, {1, 2})
                          : emit.unsqueeze(mask, {1});
  Value zero = emit.scalarConstant(emit.elementType(Int32), 0);
  TensorValue keep = emit.map(
      mask, Bool, [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::CmpIOp::create(b, l, arith::CmpIPredicate::sgt, v[0],
                                     zero);
      });
  Type element = emit.elementType(a.query.dataType);
  Value off = emit.scalarConstant(element, hidden);
  Value on = emit.scalarConstant(element, 0);
  auto choose = [&](OpBuilder &b, Location l, ValueRange v) -> Value {
    return arith::SelectOp::create(b, l, v[0], on, off);
  };
  // Beside a causal limit a row may see hidden keys only, where others of its
  // batch entry see more: then the sum itself decides. The same where the
  // value is too small to hide a key for certain.
  if (a.isCausal || mask.shape[2] != Dim(1) || hidden > -5000)
    return addBias(n, a, emit.map(keep, a.query.dataType, choose));
  Value none = emit.scalarConstant(emit.elementType(Bool), 0);
  TensorValue any = emit.reduce(
      keep, 3, true, none, [](OpBuilder &b, Location l, ValueRange v) -> Value {
        return arith::OrIOp::create(b, l, v[0], v[1]);
      });
  Value yes = emit.scalarConstant(emit.elementType(Bool), 1);
  a.keep =
      emit.elementwise({keep, any}, keep.shape, Bool,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         Value isLost = arith::XOrIOp::create(b, l, v[1], yes);
                         return arith::OrIOp::create(b, l, v[0], isLost);
                       });
  a.hasKeep = true;
  // A value that large leaves nothing of the scores.
  if (hidden < -1e6)
    return addBias(n, a, emit.map(any, a.query.dataType, choose));
  return success();
}

/// Checks what the parts must have in common, and sets scale and softcap.
static LogicalResult finish(NodeImporter &n, Attention &a) {
  Emitter &emit = n.emit;
  int32_t type = a.query.dataType;
  if (!isFloat(type) || a.key.dataType != type || a.value.dataType != type)
    return n.invalid("expects floats of one element type");
  if (!a.query.shape[3].isConstant() || !a.value.shape[3].isConstant())
    return n.unsupported("a dynamic head dimension");
  emit.requireEqual(a.key.shape[0], a.query.shape[0]);
  emit.requireEqual(a.value.shape[0], a.query.shape[0]);
  emit.requireEqual(a.value.shape[1], a.key.shape[1]);
  emit.requireEqual(a.value.shape[2], a.key.shape[2]);
  if (a.key.shape[3] != a.query.shape[3])
    return n.invalid("query and key have heads of different size");
  a.scale = n.floatAttr("scale", 0);
  a.softcap = n.floatAttr("softcap", 0);
  if (!std::isfinite(a.scale) || !std::isfinite(a.softcap))
    return n.invalid("scale or softcap is not finite");
  return success();
}

/// Checks a cache of rank 4 against the heads that join it.
static LogicalResult checkPast(NodeImporter &n, const TensorValue &past,
                               const TensorValue &update) {
  if (past.rank() != 4 || past.dataType != update.dataType)
    return n.invalid("a past of keys or values must have rank 4 and the type "
                     "of what joins it");
  for (size_t i : {0, 1, 3})
    n.emit.requireEqual(past.shape[i], update.shape[i]);
  return success();
}

static TensorValue attend(Emitter &emit, const Attention &a) {
  Shape shape = a.query.shape;
  shape[3] = a.value.shape[3];
  Value value = buildAttention(emit, a);
  return joinHeads(emit, emit.fromValue(value, a.query.dataType, shape));
}

//===----------------------------------------------------------------------===//
// Attention and MultiHeadAttention
//===----------------------------------------------------------------------===//

/// The projections are part of the operator.
static LogicalResult importAttention(NodeImporter &n) {
  if (failed(n.require(2)) ||
      failed(refuseInputs(n, {6}, {"past_sequence_length"})))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0);
  const TensorValue &weights = n.input(1);
  int64_t heads = n.intAttr("num_heads", 0);
  if (x.rank() != 3 || weights.rank() != 2 || heads < 1 ||
      x.dataType != weights.dataType || !isFloat(x.dataType))
    return n.invalid("expects floats: an input of rank 3, weights of rank 2, "
                     "and num_heads");
  if (n.intAttr("do_rotary", 0) || n.intAttr("past_present_share_buffer", 0))
    return n.unsupported("do_rotary or past_present_share_buffer");
  std::optional<int64_t> width = weights.shape[1].constant();
  if (!width)
    return n.unsupported("weights of dynamic shape");
  SmallVector<int64_t> sizes(3, *width / 3);
  if (auto given = n.intsAttr("qkv_hidden_sizes"); given && !given->empty())
    sizes = *given;
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != *width ||
      llvm::any_of(sizes, [&](int64_t size) {
        return size < heads || size % heads != 0;
      }))
    return n.invalid("its weights do not divide into heads of query, key and "
                     "value");
  TensorValue all = emit.matmul(x, weights, x.dataType);
  if (!all.value)
    return n.invalid("input and weights do not fit");
  if (n.hasInput(2)) {
    const TensorValue &bias = n.input(2);
    if (bias.rank() != 1 || bias.shape[0] != Dim(*width) ||
        bias.dataType != x.dataType)
      return n.invalid("its bias does not fit its weights");
    all = add(emit, all, bias);
  }
  Attention a;
  int64_t from = 0;
  TensorValue *parts[] = {&a.query, &a.key, &a.value};
  for (auto [to, size] : llvm::zip(parts, sizes)) {
    auto split = splitHeads(n, emit.sliceAlong(all, 2, from, size), heads);
    if (failed(split))
      return failure();
    *to = *split;
    from += size;
  }
  a.isCausal = n.intAttr("unidirectional", 0) != 0;
  if (n.hasInput(4)) {
    const TensorValue &past = n.input(4);
    if (past.rank() != 5 || !past.shape[0].is(2))
      return n.invalid("past must have the shape [2, B, N, P, D]");
    TensorValue keys = part(emit, past, 0, 0), values = part(emit, past, 0, 1);
    if (failed(checkPast(n, keys, a.key)) ||
        failed(checkPast(n, values, a.value)))
      return failure();
    a.offset = past.shape[3];
    a.key = appendRows(emit, keys, a.key);
    a.value = appendRows(emit, values, a.value);
  }
  if (n.hasOutput(1))
    n.setOutput(
        1, emit.concat(
               {emit.unsqueeze(a.key, {0}), emit.unsqueeze(a.value, {0})}, 0));
  if (failed(finish(n, a)) ||
      (n.hasInput(3) && failed(addPadding(n, a, n.input(3)))) ||
      (n.hasInput(5) && failed(addBias(n, a, n.input(5)))))
    return failure();
  return n.result(attend(emit, a));
}

/// Query, key and value of MultiHeadAttention as heads.
static LogicalResult readHeads(NodeImporter &n, Attention &a, int64_t heads) {
  Emitter &emit = n.emit;
  TensorValue parts[3];
  bool areHeads = false;
  if (n.input(0).rank() == 5) {
    for (int64_t i = 0; i < 3; ++i)
      parts[i] = part(emit, n.input(0), 3, i);
  } else {
    if (!n.hasInput(1))
      return n.invalid("a query of rank 3 needs a key");
    parts[0] = n.input(0);
    if (n.input(1).rank() == 5) {
      parts[1] = part(emit, n.input(1), 3, 0);
      parts[2] = part(emit, n.input(1), 3, 1);
    } else {
      if (!n.hasInput(2) || n.input(1).rank() != n.input(2).rank())
        return n.invalid("key and value must have one rank");
      parts[1] = n.input(1);
      parts[2] = n.input(2);
      areHeads = n.input(1).rank() == 4;
    }
  }
  if (n.hasInput(3)) {
    const TensorValue &bias = n.input(3);
    if (n.input(0).rank() != 3 || bias.rank() != 1)
      return n.unsupported("a bias for packed inputs");
    Dim from = 0;
    for (size_t i = 0; i < (areHeads ? 1 : 3); ++i) {
      if (parts[i].rank() != 3 || !parts[i].shape[2].isConstant() ||
          parts[i].dataType != bias.dataType)
        return n.unsupported("a bias for packed inputs");
      const Dim size = parts[i].shape[2];
      parts[i] = add(emit, parts[i], emit.sliceAlong(bias, 0, from, size));
      from = from + size;
    }
    if (!areHeads)
      emit.requireEqual(from, bias.shape[0]);
    else if (bias.shape[0].isConstant() && bias.shape[0] != from)
      return n.unsupported("a bias for keys of rank 4");
  }
  TensorValue *to[] = {&a.query, &a.key, &a.value};
  for (size_t i = 0; i < 3; ++i) {
    if (parts[i].rank() == 4 && i > 0 && areHeads) {
      *to[i] = parts[i];
      continue;
    }
    // [B, S, N, D] of a packed input.
    if (parts[i].rank() == 4) {
      *to[i] = emit.transpose(parts[i], {0, 2, 1, 3});
      continue;
    }
    if (parts[i].rank() != 3)
      return n.invalid("input " + Twine(i) + " has rank " +
                       Twine(parts[i].rank()));
    auto split = splitHeads(n, parts[i], heads);
    if (failed(split))
      return failure();
    *to[i] = *split;
  }
  return success();
}

static LogicalResult importMultiHeadAttention(NodeImporter &n) {
  if (failed(n.require(1)) ||
      failed(refuseInputs(n, {8, 9},
                          {"past_sequence_length", "cache_indirection"})))
    return failure();
  if (n.hasOutput(3))
    return n.unsupported("output qk");
  Emitter &emit = n.emit;
  int64_t heads = n.intAttr("num_heads", 0);
  if (heads < 1)
    return n.invalid("num_heads is missing");
  Attention a;
  if (failed(readHeads(n, a, heads)))
    return failure();
  a.isCausal = n.intAttr("unidirectional", 0) != 0;
  if (n.hasInput(6) != n.hasInput(7))
    return n.invalid("only one of past_key and past_value is given");
  if (n.hasInput(6)) {
    if (failed(checkPast(n, n.input(6), a.key)) ||
        failed(checkPast(n, n.input(7), a.value)))
      return failure();
    a.offset = n.input(6).shape[2];
    a.key = appendRows(emit, n.input(6), a.key);
    a.value = appendRows(emit, n.input(7), a.value);
  }
  n.setOutput(1, a.key);
  n.setOutput(2, a.value);
  if (failed(finish(n, a)) ||
      (n.hasInput(4) && failed(addPadding(n, a, n.input(4)))) ||
      (n.hasInput(5) && failed(addBias(n, a, n.input(5)))))
    return failure();
  return n.result(attend(emit, a));
}

//===----------------------------------------------------------------------===//
// Rotary embedding and GroupQueryAttention
//===----------------------------------------------------------------------===//

/// Positions [B, S]: `start` of each batch entry ([B] or [1]) and on.
static TensorValue positionsFrom(Emitter &emit, const TensorValue &start,
                                 const Dim &rows) {
  TensorValue column = emit.reshape(start, {start.shape[0], 1});
  return emit.indexed(column, {start.shape[0], rows}, Int64,
                      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                        Value row = arith::IndexCastOp::create(
                            b, l, b.getI64Type(), v[2]);
                        return arith::AddIOp::create(b, l, v[0], row);
                      });
}

static LogicalResult importRotaryEmbedding(NodeImporter &n) {
  if (failed(n.require(4)))
    return failure();
  Emitter &emit = n.emit;
  TensorValue x = n.input(0), positions = n.input(1);
  TensorValue cos = n.input(2), sin = n.input(3);
  if ((x.rank() != 3 && x.rank() != 4) || !isFloat(x.dataType))
    return n.invalid("expects a float input of rank 3 or 4");
  if (cos.rank() != 2 || sin.rank() != 2 || positions.dataType != Int64 ||
      positions.rank() < 1 || positions.rank() > 2)
    return n.invalid("expects caches of rank 2 and int64 positions of rank 1 "
                     "or 2");
  if (n.intAttr("is_packed_batching", 0) || n.floatAttr("scale", 1) != 1)
    return n.unsupported("is_packed_batching or a scale");
  int64_t rotated = n.intAttr("rotary_embedding_dim", 0);
  int64_t heads = n.intAttr("num_heads", 0);
  if (x.rank() == 3 && heads == 0) {
    std::optional<int64_t> half = cos.shape[1].constant();
    std::optional<int64_t> width = x.shape[2].constant();
    if (rotated || !half || !width || *half < 1)
      return n.invalid("num_heads is missing");
    heads = *width / (2 * *half);
  }
  auto split = splitHeads(n, x, heads);
  if (failed(split))
    return failure();
  if (positions.rank() == 1)
    positions = positionsFrom(emit, positions, split->shape[2]);
  auto result = rotate(n, *split, emit.gather(cos, positions, 0),
                       emit.gather(sin, positions, 0), rotated,
                       n.intAttr("interleaved", 0));
  if (failed(result))
    return failure();
  return n.result(x.rank() == 3 ? joinHeads(emit, *result) : *result);
}

/// Writes `update` into `past`, made `length` long, at row `at` of each batch
/// entry.
static TensorValue writeCache(Emitter &emit, const TensorValue &past,
                              const TensorValue &update, const Dim &length,
                              const TensorValue &at) {
  Dim missing = length - past.shape[2];
  Value zero = emit.scalarConstant(emit.elementType(past.dataType), 0);
  TensorValue cache = emit.pad(past, {0, 0, 0, 0}, {0, 0, missing, 0}, zero);
  Value value = attn::KVAppendOp::create(
      emit.getBuilder(), emit.getLoc(),
      emit.tensorType(cache.shape, cache.dataType), emit.materialize(cache),
      emit.materialize(update), emit.materialize(at),
      /*page_table=*/Value(), attn::CacheMode::Linear);
  return emit.fromValue(value, cache.dataType, cache.shape);
}

static LogicalResult importGroupQueryAttention(NodeImporter &n) {
  if (failed(n.require(1)) ||
      failed(refuseInputs(
          n, {12, 13, 14, 15},
          {"k_scale", "v_scale", "q_norm_weight", "k_norm_weight"})))
    return failure();
  if (!n.hasInput(5) || !n.hasInput(6))
    return n.invalid("seqlens_k or total_sequence_length is missing");
  if (n.hasOutput(3) || n.intAttr("sliding_window_cache", 0) ||
      n.stringAttr("k_quant_type", "NONE") != "NONE" ||
      n.stringAttr("v_quant_type", "NONE") != "NONE")
    return n.unsupported("a quantised or sliding cache, or output qk");
  Emitter &emit = n.emit;
  int64_t heads = n.intAttr("num_heads", 0);
  int64_t kvHeads = n.intAttr("kv_num_heads", 0);
  if (heads < 1 || kvHeads < 1 || heads % kvHeads != 0)
    return n.invalid("num_heads must be a multiple of kv_num_heads");
  TensorValue parts[3] = {n.input(0)};
  if (n.hasInput(1) != n.hasInput(2))
    return n.invalid("only one of key and value is given");
  if (n.hasInput(1)) {
    parts[1] = n.input(1);
    parts[2] = n.input(2);
  } else {
    const TensorValue packed = parts[0];
    std::optional<int64_t> width =
        packed.rank() == 3 ? packed.shape[2].constant() : std::nullopt;
    if (!width || *width % (heads + 2 * kvHeads) != 0)
      return n.invalid("its packed input does not divide into heads");
    int64_t size = *width / (heads + 2 * kvHeads);
    parts[0] = emit.sliceAlong(packed, 2, 0, heads * size);
    parts[1] = emit.sliceAlong(packed, 2, heads * size, kvHeads * size);
    parts[2] =
        emit.sliceAlong(packed, 2, (heads + kvHeads) * size, kvHeads * size);
  }
  Attention a;
  TensorValue *to[] = {&a.query, &a.key, &a.value};
  for (size_t i = 0; i < 3; ++i) {
    if (parts[i].rank() != 3 || !isFloat(parts[i].dataType))
      return n.invalid("query, key and value must be floats of rank 3");
    auto split = splitHeads(n, parts[i], i == 0 ? heads : kvHeads);
    if (failed(split))
      return failure();
    *to[i] = *split;
  }
  const Dim batch = a.query.shape[0], rows = a.query.shape[2];
  emit.requireEqual(a.key.shape[2], rows);

  // seqlens_k counts the valid keys of each batch entry, less one.
  TensorValue last = n.input(5), count = n.input(6);
  if (last.dataType != Int32 || last.rank() < 1 || last.rank() > 2)
    return n.invalid("seqlens_k must be int32 of rank 1");
  emit.requireEqual(product(last.shape), batch);
  last = emit.cast(emit.reshape(last, {batch}), Int64);
  auto total = emit.elementsOf(count);
  if (!total || total->size() != 1)
    return n.invalid("total_sequence_length must be one integer");
  Dim length = total->front();
  // A first prompt starts at row 0, also where padding follows it.
  TensorValue scalars[] = {emit.fromElements(length, true),
                           emit.fromElements(rows, true)};
  Value one = emit.scalarConstant(emit.elementType(Int64), 1);
  Value zero = emit.scalarConstant(emit.elementType(Int64), 0);
  TensorValue start = emit.elementwise(
      {last, scalars[0], scalars[1]}, batch, Int64,
      [&](OpBuilder &b, Location l, ValueRange v) -> Value {
        Value end = arith::AddIOp::create(b, l, v[0], one);
        Value before = arith::SubIOp::create(b, l, end, v[2]);
        Value isFirst =
            arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, v[1], v[2]);
        return arith::SelectOp::create(b, l, isFirst, zero, before);
      });
  a.lengths = emit.map(last, Int64,
                       [&](OpBuilder &b, Location l, ValueRange v) -> Value {
                         return arith::AddIOp::create(b, l, v[0], one);
                       });
  a.hasLengths = true;

  if (n.intAttr("do_rotary", 0)) {
    if (!n.hasInput(7) || !n.hasInput(8) || n.input(7).rank() != 2 ||
        n.input(8).rank() != 2)
      return n.invalid("do_rotary needs cos_cache and sin_cache of rank 2");
    TensorValue positions =
        n.hasInput(9) ? n.input(9) : positionsFrom(emit, start, rows);
    if (positions.rank() != 2)
      return n.invalid("position_ids must have rank 2");
    for (TensorValue *heads : {&a.query, &a.key}) {
      auto turned = rotate(n, *heads, emit.gather(n.input(7), positions, 0),
                           emit.gather(n.input(8), positions, 0),
                           n.input(7).shape[1].constant().value_or(0) * 2,
                           n.intAttr("rotary_interleaved", 0));
      if (failed(turned))
        return failure();
      *heads = *turned;
    }
  }

  if (n.hasInput(3) != n.hasInput(4))
    return n.invalid("only one of past_key and past_value is given");
  if (n.hasInput(3)) {
    if (failed(checkPast(n, n.input(3), a.key)) ||
        failed(checkPast(n, n.input(4), a.value)))
      return failure();
    emit.requireEqual(n.input(4).shape[2], n.input(3).shape[2]);
    length = emit.maxDim(length, n.input(3).shape[2]);
    a.key = writeCache(emit, n.input(3), a.key, length, start);
    a.value = writeCache(emit, n.input(4), a.value, length, start);
  }
  n.setOutput(1, a.key);
  n.setOutput(2, a.value);
  if (failed(finish(n, a)))
    return failure();
  a.isCausal = n.intAttr("causal", 1) != 0;
  if (a.isCausal)
    a.offsets = start;
  int64_t window = n.intAttr("local_window_size", -1);
  if (window > 0) {
    if (!a.isCausal)
      return n.unsupported("a window without a causal limit");
    a.window = window - 1;
  }
  if (n.hasInput(10) && failed(addBias(n, a, n.input(10))))
    return failure();
  if (n.hasInput(11)) {
    a.sinks = n.input(11);
    if (a.sinks.rank() != 1 || !isFloat(a.sinks.dataType))
      return n.invalid("head_sink must be floats of rank 1");
    emit.requireEqual(a.sinks.shape[0], heads);
    a.hasSinks = true;
  } else if (n.intAttr("smooth_softmax", 0) > 0) {
    // One more key with the score 0.
    a.sinks = emit.broadcastTo(emit.scalar(0, a.query.dataType), Dim(heads));
    a.hasSinks = true;
  }
  return n.result(attend(emit, a));
}

void onnx::registerContribAttentionOps(OpRegistry &registry) {
  constexpr StringRef domain = "com.microsoft";
  registry.add(domain, "Attention", 1, importAttention);
  registry.add(domain, "MultiHeadAttention", 1, importMultiHeadAttention);
  registry.add(domain, "GroupQueryAttention", 1, importGroupQueryAttention);
  registry.add(domain, "RotaryEmbedding", 1, importRotaryEmbedding);
}
