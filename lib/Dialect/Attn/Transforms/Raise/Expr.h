//===- Expr.h - One element of a tensor as an expression --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EXPR_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EXPR_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>

namespace mlir::attn::raise {

/// The axes over which elements are expressed: dimension `a` of every affine
/// expression is axis `a`.
enum Axis : unsigned {
  BatchAxis = 0,
  HeadAxis = 1,
  QueryAxis = 2,
  KeyAxis = 3,
  FeatureAxis = 4,  ///< of queries and keys
  ValueAxis = 5,    ///< feature of values
  DistanceAxis = 6, ///< of keys from rows, counted from the smallest
  NumAxes = 7
};
inline constexpr unsigned axisBit(unsigned axis) { return 1u << axis; }

enum class ExprKind {
  Constant,    ///< `constant`
  Index,       ///< an integer: `affine`
  NonNegative, ///< i1: `affine` >= 0
  IsZero,      ///< i1: `affine` == 0
  Load,        ///< element `indices` of the tensor `value`
  Scalar,      ///< the scalar `value`
  Operation    ///< a scalar operation of `arith` or `math` on `operands`, or
               ///< a read of the tensor `value` at them
};

/// An element of a tensor as a function of the axes. Expressions live in an
/// arena and are unique in it: equal expressions have equal addresses.
struct Expr {
  Expr(ExprKind kind, Type type) : kind(kind), type(type) {}

  ExprKind kind;
  Type type;
  Attribute constant;
  AffineExpr affine;
  Value value;
  SmallVector<AffineExpr> indices;
  std::optional<OperationName> name;
  DictionaryAttr attrs;
  SmallVector<const Expr *, 3> operands;
  unsigned axes = 0; ///< bit `a` is set when the element depends on axis `a`

  bool isOp(StringRef opName) const {
    return kind == ExprKind::Operation && name->getStringRef() == opName;
  }
};

/// The floating-point value of a constant, also of a boolean or integer.
std::optional<double> floatConstant(const Expr *expr);
/// The integer value of a constant or of a constant index.
std::optional<int64_t> intConstant(const Expr *expr);
/// A constant i1.
std::optional<bool> boolConstant(const Expr *expr);

/// Sizes that a function's own operations require to be equal.
class DimEqualities {
public:
  using Dim = std::pair<Value, int>; ///< as in `ExprArena::symbol`
  DimEqualities() = default;
  /// Collects what structured operations and named dimensions of arguments say.
  explicit DimEqualities(FunctionOpInterface function);
  /// The dimension that stands for all that are equal to `dim`.
  Dim find(Dim dim) const;

private:
  void unite(Dim a, Dim b);
  llvm::DenseMap<Dim, Dim> parents;
};

class ExprArena {
public:
  explicit ExprArena(MLIRContext *context,
                     const DimEqualities *equalities = nullptr);
  ~ExprArena();
  ExprArena(const ExprArena &) = delete;

  MLIRContext *getContext() const { return context; }

  /// States the extent of an axis: its values are [0, size).
  void setAxisSize(unsigned axis, AffineExpr size) { axisSizes[axis] = size; }
  AffineExpr getAxisSize(unsigned axis) const { return axisSizes[axis]; }
  AffineExpr axis(unsigned a) const { return getAffineDimExpr(a, context); }

  // Construction. All of these simplify.
  const Expr *constant(TypedAttr attr);
  const Expr *constantFloat(Type type, double value);
  const Expr *boolean(bool value);
  const Expr *index(AffineExpr affine, Type type);
  const Expr *nonNegative(AffineExpr affine);
  const Expr *isZero(AffineExpr affine);
  const Expr *load(Value tensor, ArrayRef<AffineExpr> indices);
  const Expr *scalar(Value value);
  /// The element of `tensor` at computed indices.
  const Expr *gather(Value tensor, ArrayRef<const Expr *> indices);
  const Expr *operation(OperationName name, DictionaryAttr attrs, Type type,
                        ArrayRef<const Expr *> operands);
  const Expr *operation(StringRef name, Type type,
                        ArrayRef<const Expr *> operands);
  const Expr *logicalNot(const Expr *a);
  const Expr *logicalAnd(const Expr *a, const Expr *b);
  const Expr *logicalOr(const Expr *a, const Expr *b);
  const Expr *select(const Expr *condition, const Expr *a, const Expr *b);

  /// `expr` with every occurrence of `from` replaced by `to`.
  const Expr *substitute(const Expr *expr, const Expr *from, const Expr *to);

  /// `expr` with `to` for every occurrence of axis `a`.
  const Expr *replaceAxis(const Expr *expr, unsigned a, AffineExpr to);

  // Index arithmetic.
  AffineExpr simplify(AffineExpr expr);
  /// `expr` >= 0 for all values of axes and symbols in their ranges.
  bool provablyNonNegative(AffineExpr expr);
  /// The symbol for an index value (`dim` = -1) or a dimension of a tensor.
  AffineExpr symbol(Value value, int dim);
  struct Symbol {
    Value value;
    int dim;
  };
  const Symbol &getSymbol(unsigned position) const { return symbols[position]; }
  unsigned getNumSymbols() const { return symbols.size(); }
  /// The size of a dimension, expressed by shapes of earlier values.
  AffineExpr dimOf(Value tensor, int64_t dim);
  AffineExpr indexOf(Value value);

private:
  const Expr *unique(Expr expr);
  const Expr *fold(OperationName name, DictionaryAttr attrs, Type type,
                   ArrayRef<const Expr *> operands);
  const Expr *simplifyInteger(StringRef name, Type type,
                              ArrayRef<const Expr *> operands);
  const Expr *compareIntegers(int64_t predicate, const Expr *a, const Expr *b);
  std::optional<int64_t> upperBound(AffineExpr expr);

  MLIRContext *context;
  const DimEqualities *equalities;
  SmallVector<AffineExpr> axisSizes;
  SmallVector<Symbol> symbols;
  llvm::DenseMap<std::pair<Value, int>, unsigned> symbolIds;
  llvm::DenseMap<unsigned, SmallVector<std::unique_ptr<Expr>, 1>> table;
  std::unique_ptr<Block> scratch; ///< operands of operations that are folded
};

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_EXPR_H
