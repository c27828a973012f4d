//===- Distance.cpp - Biases that depend on distances ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exporters write relative positions as a tensor of all pairs. Where an element
// is a function of the distance of key and row (and of the head), that function
// is evaluated once for each distance, by the same operations, so that nothing
// changes in the numbers.
//
#include "RaiseAttention.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::raise;

/// Whether the operations of `expr` are defined for every distance, also for
/// those that no pair has.
static bool isDefinedEverywhere(const Expr *expr) {
  for (StringRef name :
       {"arith.divsi", "arith.divui", "arith.remsi", "arith.remui",
        "arith.floordivsi", "arith.ceildivsi", "arith.ceildivui"})
    if (expr->isOp(name) && intConstant(expr->operands[1]).value_or(0) <= 0)
      return false;
  return llvm::all_of(expr->operands, isDefinedEverywhere);
}

namespace {

constexpr unsigned pairAxes = axisBit(QueryAxis) | axisBit(KeyAxis);

/// The parts of an element that are read from tensors with fewer elements than
/// there are pairs.
struct Parts {
  struct Part {
    const Expr *part;    ///< of the element
    const Expr *element; ///< of the tensor: the part, or over distances
  };
  SmallVector<Part> parts;
  unsigned numDistances = 0, numOperations = 0;
};

} // namespace

/// Splits `expr` into parts and operations on them; false where a part takes a
/// number for each pair.
static bool split(ExprArena &arena, const Expr *expr, AffineExpr key,
                  llvm::DenseSet<const Expr *> &seen, Parts &result) {
  if (!seen.insert(expr).second || expr->kind == ExprKind::Constant ||
      expr->kind == ExprKind::Scalar)
    return true;
  if ((expr->axes & pairAxes) != pairAxes) {
    result.parts.push_back({expr, expr});
    return true;
  }
  if (expr->kind == ExprKind::Load || expr->kind == ExprKind::Operation) {
    const Expr *moved = arena.replaceAxis(expr, KeyAxis, key);
    if (!(moved->axes & axisBit(QueryAxis)) && isDefinedEverywhere(moved)) {
      result.parts.push_back({expr, moved});
      result.numDistances += (moved->axes & axisBit(DistanceAxis)) != 0;
      return true;
    }
    if (expr->kind == ExprKind::Load || expr->value)
      return false;
  }
  ++result.numOperations;
  return llvm::all_of(expr->operands, [&](const Expr *operand) {
    return split(arena, operand, key, seen, result);
  });
}

bool mlir::attn::raise::shareDistances(AttentionOp op, Scope &scope,
                                       OpBuilder &builder) {
  Value bias = op.getBias();
  if (!bias || op.hasScore() || op.getRows() ||
      (op.getSoftcap() && op.getBiasOrder() == BiasOrder::BeforeSoftcap))
    return false;
  auto type = cast<RankedTensorType>(bias.getType());
  if (type.getDimSize(QueryAxis) == 1 || type.getDimSize(KeyAxis) == 1)
    return false;
  ExprArena &arena = scope.arena;
  // Other rewrites take what reads at computed indices as a whole.
  Tracer tracer(arena);
  tracer.followGathers();
  const Expr *element = scoreElement(tracer, bias);
  if (!element)
    return false;
  // The key at a distance from a row: the smallest distance is that of the
  // first key from the last row.
  AffineExpr rows = arena.getAxisSize(QueryAxis);
  arena.setAxisSize(DistanceAxis,
                    arena.simplify(rows + arena.getAxisSize(KeyAxis)));
  AffineExpr key = arena.simplify(arena.axis(QueryAxis) +
                                  arena.axis(DistanceAxis) - rows + 1);
  // More than a few reads and operations for each pair cost more than one read
  // of a bias.
  constexpr unsigned maxReads = 4, maxOperations = 8;
  Parts parts;
  llvm::DenseSet<const Expr *> seen;
  if (!split(arena, element, key, seen, parts) || parts.numDistances == 0 ||
      parts.parts.size() > maxReads || parts.numOperations > maxOperations)
    return false;

  builder.setInsertionPoint(op);
  Location loc = op.getLoc();
  scope.emitter.setLocation(loc);
  SmallVector<Value> tensors;
  for (const Parts::Part &part : parts.parts)
    tensors.push_back(scope.emitter.tensorOf(
        part.element, Emitter::axesIn(part.element->axes)));
  Value last = getValueOrCreateConstantIndexOp(
      builder, loc, scope.emitter.indexValue(arena.simplify(rows - 1)));
  FloatType compute = op.getComputeType();
  SmallVector<Type> types(6, builder.getIndexType());
  types.front() = compute;
  Block *body = builder.createBlock(&op.getScore(), {}, types,
                                    SmallVector<Location>(6, loc));
  auto axisValue = [&](unsigned a) -> Value {
    if (a == DistanceAxis) {
      Value apart = arith::SubIOp::create(builder, loc, body->getArgument(5),
                                          body->getArgument(3));
      return arith::AddIOp::create(builder, loc, apart, last);
    }
    return body->getArgument(a == KeyAxis ? 5 : 1 + a);
  };
  llvm::DenseMap<const Expr *, Value> known;
  for (auto [part, tensor] : llvm::zip(parts.parts, tensors)) {
    SmallVector<Value> at;
    for (unsigned a : Emitter::axesIn(part.element->axes))
      at.push_back(axisValue(a));
    known[part.part] = tensor::ExtractOp::create(builder, loc, tensor, at);
  }
  Value number = scope.emitter.scalarOf(element, builder, axisValue, known);
  if (type.getElementTypeBitWidth() < compute.getWidth())
    number = arith::ExtFOp::create(builder, loc, compute, number);
  else if (type.getElementType() != compute)
    number = arith::TruncFOp::create(builder, loc, compute, number);
  Value score =
      arith::AddFOp::create(builder, loc, body->getArgument(0), number);
  YieldOp::create(builder, loc, score);
  op.getBiasMutable().clear();
  StringRef origin = "attention";
  if (auto attr = op->getAttrOfType<StringAttr>("attn.origin"))
    origin = attr.getValue();
  op->setAttr("attn.origin",
              builder.getStringAttr(origin + "; bias of distances"));
  return true;
}
