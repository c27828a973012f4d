//===- RaiseAttention.cpp - linalg that computes attention becomes an op --===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RaiseAttention.h"
#include "Rope.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNRAISEPASS
#include "attn/Dialect/Attn/Transforms/Passes.h.inc"
} // namespace mlir::attn

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

std::optional<ValueProduct> mlir::attn::raise::matchValueProduct(
    linalg::LinalgOp op, unsigned probabilityOperand, std::string &failure) {
  ValueProduct product;
  product.op = op;
  product.probabilityOperand = probabilityOperand;
  auto dims = linalg::inferContractionDims(op);
  if (failed(dims) || dims->k.size() != 1) {
    failure = "the values are contracted over more than one loop";
    return std::nullopt;
  }
  product.keyLoop = dims->k.front();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineMap probabilities = maps[probabilityOperand];
  AffineMap values = maps[1 - probabilityOperand];
  auto reads = [](AffineMap map, unsigned loop) {
    return map.isFunctionOfDim(loop);
  };
  std::optional<unsigned> query;
  for (AffineExpr expr : probabilities.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim) {
      failure = "the probabilities are not read in plain order";
      return std::nullopt;
    }
    if (dim.getPosition() != product.keyLoop)
      product.leading.push_back(dim.getPosition());
  }
  if (!product.leading.empty() && !reads(values, product.leading.back())) {
    query = product.leading.back();
    product.leading.pop_back();
  }
  if (!query || product.leading.size() > 3) {
    failure = "the product with the values has no query rows or more than "
              "three batch dimensions";
    return std::nullopt;
  }
  product.queryLoop = *query;
  std::optional<unsigned> feature;
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
    if (!reads(probabilities, loop)) {
      if (feature) {
        failure = "the values have more than one feature dimension";
        return std::nullopt;
      }
      feature = loop;
    }
  if (!feature) {
    failure = "the values have no feature dimension";
    return std::nullopt;
  }
  product.valueLoop = *feature;
  return product;
}

namespace {

class Raiser {
public:
  Raiser(func::FuncOp function)
      : function(function), builder(function.getContext()),
        equalities(function) {}

  void run();

  unsigned getNumRaised() const { return numRaised; }
  unsigned getNumRotations() const { return numRotations; }
  unsigned getNumRefined() const { return numRefined; }

private:
  bool tryProduct(linalg::LinalgOp op, unsigned probabilityOperand);
  std::optional<int64_t> headsIn(Scope &scope, ValueProduct &product,
                                 const Probability &probability);
  SmallVector<AffineExpr> loopExprs(ValueProduct &product);
  Scope &scopeOf(ValueProduct &product);
  Scope &
  scopeWith(llvm::function_ref<SmallVector<AffineExpr>(ExprArena &)> sizes);
  void decline(Operation *softmax, StringRef kind, const Twine &reason,
               StringRef suggestion);
  std::string usedElsewhere(Operation *softmax, Operation *product);
  void emitRemarks();

  func::FuncOp function;
  OpBuilder builder;
  DimEqualities equalities;
  SmallVector<std::unique_ptr<Scope>> scopes;
  llvm::MapVector<Operation *, Decline> declines;
  llvm::DenseSet<Operation *> raisedSoftmaxes;
  unsigned numRaised = 0, numRotations = 0, numRefined = 0;
};

/// Batch, head, query and key in terms of the canonical axes.
SmallVector<AffineExpr> Raiser::loopExprs(ValueProduct &product) {
  MLIRContext *context = builder.getContext();
  auto axis = [&](unsigned a) { return getAffineDimExpr(a, context); };
  SmallVector<AffineExpr> loops(product.op.getNumLoops());
  loops[product.queryLoop] = axis(QueryAxis);
  loops[product.keyLoop] = axis(KeyAxis);
  loops[product.valueLoop] = axis(ValueAxis);
  switch (product.leading.size()) {
  case 0:
    break;
  case 1:
    // Batch and heads in one dimension.
    loops[product.leading[0]] =
        product.split == 1 ? axis(BatchAxis)
                           : axis(BatchAxis) * product.split + axis(HeadAxis);
    break;
  case 2:
    loops[product.leading[0]] = axis(BatchAxis);
    loops[product.leading[1]] = axis(HeadAxis);
    break;
  default:
    // Groups of heads that share a key head.
    loops[product.leading[0]] = axis(BatchAxis);
    loops[product.leading[1]] = axis(HeadAxis).floorDiv(product.split);
    loops[product.leading[2]] = axis(HeadAxis) % product.split;
  }
  return loops;
}

/// The scope for the extents of `product`.
Scope &Raiser::scopeOf(ValueProduct &product) {
  Value probabilities = product.op->getOperand(product.probabilityOperand);
  AffineMap map = product.op.getMatchingIndexingMap(
      &product.op->getOpOperand(product.probabilityOperand));
  auto sizes = [&](ExprArena &arena) {
    MLIRContext *context = builder.getContext();
    AffineExpr one = getAffineConstantExpr(1, context);
    auto extent = [&](unsigned loop) {
      for (auto [dim, expr] : llvm::enumerate(map.getResults()))
        if (cast<AffineDimExpr>(expr).getPosition() == loop)
          return arena.dimOf(probabilities, dim);
      return one;
    };
    SmallVector<AffineExpr> result = {one, one, extent(product.queryLoop),
                                      extent(product.keyLoop)};
    switch (product.leading.size()) {
    case 0:
      break;
    case 1:
      result[0] = extent(product.leading[0]);
      if (product.split != 1) {
        result[0] = arena.simplify(result[0].floorDiv(product.split));
        result[1] = getAffineConstantExpr(product.split, context);
      }
      break;
    case 2:
      result[0] = extent(product.leading[0]);
      result[1] = extent(product.leading[1]);
      break;
    default:
      result[0] = extent(product.leading[0]);
      result[1] = arena.simplify(extent(product.leading[1]) * product.split);
    }
    return result;
  };
  return scopeWith(sizes);
}

/// The scope in which the extents of batch, head, query and key are `sizes`.
Scope &Raiser::scopeWith(
    llvm::function_ref<SmallVector<AffineExpr>(ExprArena &)> sizes) {
  for (auto &scope : scopes) {
    SmallVector<AffineExpr> wanted = sizes(scope->arena);
    bool equal = true;
    for (unsigned a = 0; a < 4; ++a)
      equal &= scope->arena.getAxisSize(a) == wanted[a];
    if (equal)
      return *scope;
  }
  scopes.push_back(std::make_unique<Scope>(builder.getContext(), equalities,
                                           builder, function.getLoc()));
  Scope &scope = *scopes.back();
  SmallVector<AffineExpr> extents = sizes(scope.arena);
  for (unsigned a = 0; a < 4; ++a)
    scope.arena.setAxisSize(a, extents[a]);
  return scope;
}

void Raiser::decline(Operation *softmax, StringRef kind, const Twine &reason,
                     StringRef suggestion) {
  declines.try_emplace(
      softmax, Decline{softmax, kind.str(), reason.str(), suggestion.str()});
}

/// The number of heads in a dimension that holds batch and heads, if the
/// program shows it: where keys, values or queries come from rank 4.
std::optional<int64_t> Raiser::headsIn(Scope &scope, ValueProduct &product,
                                       const Probability &probability) {
  ExprArena &arena = scope.arena;
  std::optional<int64_t> heads;
  auto look = [&](ArrayRef<Source> sources) {
    for (const Source &source : sources)
      for (AffineExpr index : source.indices)
        index.walk([&](AffineExpr e) {
          auto binary = dyn_cast<AffineBinaryOpExpr>(e);
          auto divisor = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                                : AffineConstantExpr();
          if (!heads && divisor &&
              binary.getKind() == AffineExprKind::FloorDiv &&
              binary.getLHS() == arena.axis(BatchAxis))
            heads = divisor.getValue();
        });
  };
  SmallVector<AffineExpr> loops = loopExprs(product);
  OpOperand &values = product.op->getOpOperand(1 - product.probabilityOperand);
  SmallVector<AffineExpr> indices;
  for (AffineExpr e : product.op.getMatchingIndexingMap(&values).getResults())
    indices.push_back(e.replaceDims(loops));
  look(sourcesOf(arena, values.get(), indices));
  if (heads || !probability.score)
    return heads;
  // The masks know it as well: they are broadcast over the heads.
  auto visit = [&](auto &&self, const Expr *e) -> void {
    if (e->kind == ExprKind::Load)
      look(Source{e->value, SmallVector<AffineExpr>(e->indices), 1.0});
    for (const Expr *operand : e->operands)
      self(self, operand);
  };
  visit(visit, probability.score);
  return heads;
}

/// Describes a use of the probabilities other than in `product`; empty when
/// there is none.
std::string Raiser::usedElsewhere(Operation *softmax, Operation *product) {
  SmallVector<Operation *> work = {softmax};
  llvm::DenseSet<Operation *> seen;
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    if (!seen.insert(op).second)
      continue;
    for (Operation *user : op->getUsers()) {
      if (user == product || isa<tensor::DimOp>(user) ||
          isOpTriviallyDead(user))
        continue;
      auto structured = dyn_cast<linalg::LinalgOp>(user);
      bool elementwise = structured && structured.getNumParallelLoops() ==
                                           structured.getNumLoops();
      if (elementwise ||
          isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp>(
              user)) {
        work.push_back(user);
        continue;
      }
      return user->getName().getStringRef().str();
    }
  }
  return {};
}

/// The name of the node that an operation came from.
static std::string nameOf(Location loc) {
  std::string name;
  loc->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner)) {
      name = named.getName().str();
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return name;
}

bool Raiser::tryProduct(linalg::LinalgOp op, unsigned probabilityOperand) {
  std::string failure;
  auto product = matchValueProduct(op, probabilityOperand, failure);
  if (!product)
    return false; // no softmax is known yet
  OpOperand &probabilities = op->getOpOperand(probabilityOperand);
  AffineMap probabilityMap = op.getMatchingIndexingMap(&probabilities);
  if (product->leading.size() == 3) {
    auto type = cast<RankedTensorType>(probabilities.get().getType());
    for (auto [dim, e] : llvm::enumerate(probabilityMap.getResults()))
      if (cast<AffineDimExpr>(e).getPosition() == product->leading[2])
        product->split = type.getDimSize(dim);
    if (ShapedType::isDynamic(product->split) || product->split <= 0)
      return false;
  }

  auto matchProbabilities = [&](Scope &scope) {
    SmallVector<AffineExpr> loops = loopExprs(*product), indices;
    for (AffineExpr e : probabilityMap.getResults())
      indices.push_back(scope.arena.simplify(e.replaceDims(loops)));
    return matchProbability(
        scope.tracer, scope.tracer.elementOf(probabilities.get(), indices));
  };
  Scope *scope = &scopeOf(*product);
  Probability probability = matchProbabilities(*scope);
  if (!probability.softmax)
    return false;
  if (!isPlainContraction(scope->tracer, op))
    return false;
  Operation *softmax = probability.softmax;
  if (product->leading.size() == 1) {
    if (auto heads = headsIn(*scope, *product, probability)) {
      product->split = *heads;
      scope = &scopeOf(*product);
      probability = matchProbabilities(*scope);
    }
  }
  if (!probability.score) {
    decline(softmax, "other-axis", probability.failure,
            "normalise over the last axis of the scores");
    return false;
  }
  if (std::string user = usedElsewhere(softmax, op); !user.empty()) {
    decline(softmax, "probabilities-used",
            "the probabilities are also used by '" + user + "'",
            "leave the attention weights out of the model's outputs");
    return false;
  }

  ExprArena &arena = scope->arena;
  builder.setInsertionPoint(op);
  Location loc = op->getLoc();
  scope->emitter.setLocation(loc);

  // Values.
  SmallVector<AffineExpr> loops = loopExprs(*product), valueIndices;
  OpOperand &values = op->getOpOperand(1 - probabilityOperand);
  AffineMap valueMap = op.getMatchingIndexingMap(&values);
  for (auto [dim, e] : llvm::enumerate(valueMap.getResults())) {
    if (cast<AffineDimExpr>(e).getPosition() == product->valueLoop)
      arena.setAxisSize(ValueAxis, arena.dimOf(values.get(), dim));
    valueIndices.push_back(arena.simplify(e.replaceDims(loops)));
  }
  SmallVector<Source> valueSources =
      sourcesOf(arena, values.get(), valueIndices);
  SmallVector<Source> keySources;
  auto value = OperandLayout::find(arena, valueSources, KeyAxis, ValueAxis,
                                   /*grouped=*/true);

  SmallVector<const Expr *> candidates =
      dotCandidates(scope->tracer, probability.score);
  if (candidates.empty()) {
    decline(softmax, "no-score-product",
            "no product of queries and keys was found behind the scores",
            "none, when this is no attention");
    return false;
  }
  std::optional<ScoreForm> form;
  std::optional<MaskPlan> plan;
  std::optional<OperandLayout> query, key;
  std::string reason;
  for (const Expr *dot : candidates) {
    form = matchScore(scope->tracer, probability.score, dot, reason);
    if (!form)
      continue;
    auto dotOp = cast<linalg::LinalgOp>(dot->value.getDefiningOp());
    auto dims = linalg::inferContractionDims(dotOp);
    if (failed(dims) || dims->k.size() != 1) {
      reason = "queries and keys are contracted over more than one loop";
      continue;
    }
    SmallVector<AffineExpr> dotLoops(dotOp.getNumLoops());
    dotLoops[dims->k.front()] = arena.axis(FeatureAxis);
    AffineMap outMap = dotOp.getIndexingMapMatchingResult(dotOp->getResult(0));
    for (auto [dim, e] : llvm::enumerate(outMap.getResults()))
      dotLoops[cast<AffineDimExpr>(e).getPosition()] = dot->indices[dim];
    // A unit dimension of the result may stand for an axis of one element.
    for (AffineExpr &e : dotLoops)
      if (!e)
        e = getAffineConstantExpr(0, builder.getContext());
    std::optional<unsigned> queryOperand;
    SmallVector<AffineExpr> indices[2];
    for (unsigned i : {0u, 1u}) {
      unsigned axes = 0;
      AffineMap map = dotOp.getMatchingIndexingMap(&dotOp->getOpOperand(i));
      for (auto [dim, e] : llvm::enumerate(map.getResults())) {
        unsigned loop = cast<AffineDimExpr>(e).getPosition();
        if (loop == dims->k.front())
          arena.setAxisSize(FeatureAxis,
                            arena.dimOf(dotOp->getOperand(i), dim));
        indices[i].push_back(arena.simplify(e.replaceDims(dotLoops)));
        for (unsigned a = 0; a < NumAxes; ++a)
          if (indices[i].back().isFunctionOfDim(a))
            axes |= axisBit(a);
      }
      if (!(axes & axisBit(KeyAxis)) && !queryOperand)
        queryOperand = i;
      else if (axes & axisBit(QueryAxis))
        queryOperand = 2; // depends on rows and keys: no operand
    }
    if (!queryOperand || *queryOperand > 1) {
      reason = "the score product does not contract rows with keys";
      continue;
    }
    unsigned q = *queryOperand;
    query = OperandLayout::find(
        arena, sourcesOf(arena, dotOp->getOperand(q), indices[q]), QueryAxis,
        FeatureAxis, /*grouped=*/false);
    keySources = sourcesOf(arena, dotOp->getOperand(1 - q), indices[1 - q]);
    key = OperandLayout::find(arena, keySources, KeyAxis, FeatureAxis,
                              /*grouped=*/true);
    if (!query || !key) {
      reason = std::string("the layout of the ") +
               (query ? "keys" : "queries") + " is not understood";
      continue;
    }
    plan = MaskPlan::make(arena, *form, probability, reason);
    if (plan)
      break;
  }
  if (!plan) {
    decline(softmax, "score-function", reason,
            "compute scores as mask(softcap(scale * q k^T) + bias)");
    return false;
  }
  if (!value) {
    decline(softmax, "value-layout",
            "the layout of the values is not "
            "understood",
            "give the values the shape [batch, heads, keys, features]");
    return false;
  }
  auto headDim = dyn_cast<AffineConstantExpr>(arena.getAxisSize(FeatureAxis));
  auto valueDim = dyn_cast<AffineConstantExpr>(arena.getAxisSize(ValueAxis));
  if (!headDim || !valueDim) {
    decline(softmax, "dynamic-head-dim",
            "the head dimension is not known at compile time",
            "export the model with a static head dimension");
    return false;
  }
  // Keys and values must group their heads alike: else both are repeated, as
  // the program does it.
  if (key->getGroup() != value->getGroup()) {
    key = OperandLayout::find(arena, keySources, KeyAxis, FeatureAxis,
                              /*grouped=*/false);
    value = OperandLayout::find(arena, valueSources, KeyAxis, ValueAxis,
                                /*grouped=*/false);
  }
  if (!key || !value) {
    decline(softmax, "group-mismatch",
            "keys and values share heads differently",
            "repeat both by the same factor");
    return false;
  }

  Value queryTensor = query->materialize(builder, loc);
  Value keyTensor = key->materialize(builder, loc);
  Value valueTensor = value->materialize(builder, loc);
  auto queryType = cast<RankedTensorType>(queryTensor.getType());
  auto keyType = cast<RankedTensorType>(keyTensor.getType());
  auto valueType = cast<RankedTensorType>(valueTensor.getType());
  Type element = queryType.getElementType();
  auto fixType = [&](Value tensor, unsigned feature, int64_t size) -> Value {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.isDynamicDim(feature))
      return tensor;
    SmallVector<int64_t> shape(type.getShape());
    shape[feature] = size;
    return tensor::CastOp::create(
        builder, loc, RankedTensorType::get(shape, type.getElementType()),
        tensor);
  };
  queryTensor = fixType(queryTensor, 3, headDim.getValue());
  keyTensor = fixType(keyTensor, 3, headDim.getValue());
  valueTensor = fixType(valueTensor, 3, valueDim.getValue());
  queryType = cast<RankedTensorType>(queryTensor.getType());
  keyType = cast<RankedTensorType>(keyTensor.getType());
  valueType = cast<RankedTensorType>(valueTensor.getType());
  // Products of narrow operands into wide results: when only the rounded
  // result is used, the operands stay narrow, else they are widened.
  auto resultType = cast<RankedTensorType>(op->getResult(0).getType());
  Type wide = resultType.getElementType();
  SmallVector<Operation *> roundings;
  if (keyType.getElementType() != element ||
      valueType.getElementType() != element ||
      wide.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth()) {
    decline(softmax, "element-types",
            "queries, keys and values have different types",
            "use one element type for all of them");
    return false;
  }
  if (wide != element && !onlyRounded(op->getResult(0), element, roundings)) {
    queryTensor = widen(builder, loc, queryTensor, wide);
    keyTensor = widen(builder, loc, keyTensor, wide);
    valueTensor = widen(builder, loc, valueTensor, wide);
    element = wide;
    queryType = cast<RankedTensorType>(queryTensor.getType());
    valueType = cast<RankedTensorType>(valueTensor.getType());
  }

  MaskPlan::Operands mask = plan->build(arena, scope->emitter, builder, loc);
  double scale = form->scale * query->getScale() * key->getScale();
  // A factor of the values is one of the result.
  if (value->getScale() != 1.0) {
    decline(softmax, "scaled-values", "the values are scaled",
            "move the factor behind the attention");
    return false;
  }

  SmallVector<int64_t> outputShape(queryType.getShape());
  outputShape[3] = valueType.getDimSize(3);
  TypeAttr precision;
  if (probability.type.isF64() && !element.isF64())
    precision = TypeAttr::get(probability.type);
  std::string origin = nameOf(softmax->getLoc());
  origin = origin.empty() ? "softmax" : "softmax at '" + origin + "'";
  origin += "; mask: " + plan->describe();
  if (key->getGroup() != 1)
    origin += "; " + std::to_string(key->getGroup()) +
              " query heads for each key head";
  if (form->softcap)
    origin += "; softcap";
  auto attention = AttentionOp::create(
      builder, loc, RankedTensorType::get(outputShape, element),
      /*lse=*/Type(), queryTensor, keyTensor, valueTensor, mask.bias, mask.keep,
      /*kv_lengths=*/Value(), mask.queryOffset,
      /*sink_logits=*/Value(), /*rows=*/Value(), /*row_counts=*/Value(),
      /*page_table=*/Value(), /*mask_operands=*/ValueRange(), mask.mask,
      builder.getF64FloatAttr(scale),
      form->softcap ? builder.getF64FloatAttr(*form->softcap) : FloatAttr(),
      BiasOrderAttr::get(builder.getContext(), mask.order), precision,
      /*key_head_map=*/DenseI64ArrayAttr(),
      /*value_head_map=*/DenseI64ArrayAttr());
  attention->setAttr("attn.origin", builder.getStringAttr(origin));
  Value output = attention.getOutput();
  if (mask.allRowsKeep) {
    // A transpose that follows goes between the attention and the repair, so
    // that the attention can write in that order.
    linalg::TransposeOp follow;
    AffineMap outMap = op.getIndexingMapMatchingResult(op->getResult(0));
    SmallVector<unsigned> natural(product->leading);
    natural.append({product->queryLoop, product->valueLoop});
    bool inOrder = natural.size() == 4 && roundings.empty();
    for (unsigned k = 0; inOrder && k < 4; ++k)
      inOrder = outMap.getDimPosition(k) == natural[k];
    if (inOrder && op->getResult(0).hasOneUse())
      follow = dyn_cast<linalg::TransposeOp>(*op->getResult(0).user_begin());
    Value repaired = repairRows(builder, loc, attention, mask, follow);
    if (follow) {
      follow->getResult(0).replaceAllUsesWith(repaired);
    } else {
      output = repaired;
    }
  }
  Value restored = restoreLayout(builder, loc, output, *product);
  if (roundings.empty())
    op->getResult(0).replaceAllUsesWith(restored);
  for (Operation *rounding : roundings)
    rounding->getResult(0).replaceAllUsesWith(restored);
  raisedSoftmaxes.insert(softmax);
  ++numRaised;
  remark::passed(loc, remark::RemarkOpts::name("raised")
                          .category("attn-raise")
                          .function(function.getName()))
      << remark::add("{0}", origin);
  return true;
}

void Raiser::emitRemarks() {
  auto report = [&](Operation *op, const Decline &decline) {
    remark::missed(op->getLoc(), remark::RemarkOpts::name(decline.kind)
                                     .category("attn-raise")
                                     .function(function.getName()))
        << remark::reason("{0}", decline.reason)
        << remark::suggest("{0}", decline.suggestion);
  };
  for (auto &[op, decline] : declines)
    if (!raisedSoftmaxes.contains(op))
      report(op, decline);
  function.walk([&](linalg::SoftmaxOp op) {
    if (!raisedSoftmaxes.contains(op) && !declines.contains(op))
      report(op, {op, "no-value-product",
                  "the probabilities are not contracted with values",
                  "none, when this is no attention"});
  });
}

void Raiser::run() {
  SmallVector<linalg::LinalgOp> products;
  function.walk([&](linalg::LinalgOp op) {
    if (op.getNumReductionLoops() == 1 && op.getNumDpsInputs() == 2 &&
        op.hasPureTensorSemantics() && linalg::isaContractionOpInterface(op))
      products.push_back(op);
  });
  for (linalg::LinalgOp op : products)
    if (!tryProduct(op, 0))
      tryProduct(op, 1);
  // Rotations: behind the queries and keys of each attention.
  SmallVector<AttentionOp> attentions;
  function.walk([&](AttentionOp op) { attentions.push_back(op); });
  for (AttentionOp op : attentions) {
    numRotations += raiseRopeBehind(op.getQuery());
    numRotations += raiseRopeBehind(op.getKey());
    Scope &scope = scopeWith([&](ExprArena &arena) {
      return SmallVector<AffineExpr>{
          arena.dimOf(op.getQuery(), 0), arena.dimOf(op.getQuery(), 1),
          arena.dimOf(op.getQuery(), 2), arena.dimOf(op.getKey(), 2)};
    });
    bool refined = shareKeyHeads(op, scope, builder);
    refined |= refineMask(op, scope, builder);
    refined |= shareDistances(op, scope, builder);
    numRefined += refined;
  }
  emitRemarks();
}

struct AttnRaisePass final : attn::impl::AttnRaisePassBase<AttnRaisePass> {
  using AttnRaisePassBase::AttnRaisePassBase;
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    Raiser raiser(function);
    raiser.run();
    numRaised += raiser.getNumRaised();
    numRotations += raiser.getNumRotations();
    numRefined += raiser.getNumRefined();
    if (raiser.getNumRaised() + raiser.getNumRotations() +
            raiser.getNumRefined() ==
        0)
      return;
    // Sizes of tensors that are no longer computed come from their inputs.
    RewritePatternSet patterns(&getContext());
    memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
    if (failed(applyPatternsGreedily(function, std::move(patterns))))
      return signalPassFailure();
    IRRewriter rewriter(&getContext());
    (void)runRegionDCE(rewriter, function.getBody());
  }
};

} // namespace
