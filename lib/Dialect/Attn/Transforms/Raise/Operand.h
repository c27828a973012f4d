//===- Operand.h - Queries, keys and values behind a contraction -*- C++
//-*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_OPERAND_H
#define ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_OPERAND_H

#include "Trace.h"

namespace mlir::attn::raise {

/// The element of an operand is `scale * value[indices]`.
struct Source {
  Value value;
  SmallVector<AffineExpr> indices;
  double scale = 1.0;
};

/// Everything that `value[indices]` is a multiple of: itself first, then what
/// lies behind transposes, broadcasts, reshapes and constant factors.
SmallVector<Source> sourcesOf(ExprArena &arena, Value value,
                              ArrayRef<AffineExpr> indices);

/// How a source becomes a rank-4 operand.
class OperandLayout {
public:
  /// Finds the source that gives [batch, head, `row`, `feature`] with the
  /// least work. With `grouped`, one head may serve several query heads.
  static std::optional<OperandLayout> find(ExprArena &arena,
                                           ArrayRef<Source> sources, Axis row,
                                           Axis feature, bool grouped);

  Value materialize(OpBuilder &builder, Location loc) const;

  double getScale() const { return source.scale; }
  const Source &getSource() const { return source; }
  /// Query heads for each head of this operand.
  int64_t getGroup() const { return group; }

private:
  struct Part {
    int64_t dim;   ///< of the source
    unsigned slot; ///< 0..3 in the result, or 4: a unit dimension to drop
    int64_t size;  ///< static, or dynamic for the whole dimension
  };
  static bool describe(ExprArena &arena, const Source &source, Axis row,
                       Axis feature, bool grouped, bool allowSplit,
                       OperandLayout &layout);

  Source source;
  SmallVector<Part> parts; ///< in the order of the (merged) source
  int64_t group = 1;
  int64_t merged = -1; ///< this dimension and the next are one to begin with
};

} // namespace mlir::attn::raise

#endif // ATTN_LIB_DIALECT_ATTN_TRANSFORMS_RAISE_OPERAND_H
