//===- Dim.h - Dimensions as polynomials over symbols -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A dimension, or an element of a shape tensor, is a polynomial with integer
// coefficients over numbered symbols. Equality of two of them is then plain
// comparison, and `-1` in a Reshape an exact division.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_DIM_H
#define ATTN_LIB_FRONTEND_ONNX_DIM_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>
#include <string>

namespace mlir::attn::frontend::onnx {

class Dim {
public:
  /// Symbols in ascending order, repeated as often as their exponent.
  using Monomial = SmallVector<unsigned, 2>;
  struct Term {
    Monomial monomial;
    int64_t coefficient;
    bool operator==(const Term &) const = default;
  };

  Dim(int64_t constant = 0) {
    if (constant)
      terms.push_back({{}, constant});
  }
  static Dim symbol(unsigned id) {
    Dim dim;
    dim.terms.push_back({{id}, 1});
    return dim;
  }

  std::optional<int64_t> constant() const {
    if (terms.empty())
      return 0;
    if (terms.size() == 1 && terms.front().monomial.empty())
      return terms.front().coefficient;
    return std::nullopt;
  }
  bool is(int64_t value) const { return constant() == value; }
  bool isConstant() const { return constant().has_value(); }
  /// The symbol, when this is one symbol and nothing else.
  std::optional<unsigned> asSymbol() const;

  bool operator==(const Dim &) const = default;
  Dim operator+(const Dim &other) const;
  Dim operator-(const Dim &other) const { return *this + other * Dim(-1); }
  Dim operator*(const Dim &other) const;

  /// The quotient, when it is a polynomial with integer coefficients.
  std::optional<Dim> dividedBy(const Dim &divisor) const;

  /// Terms in descending order: by degree, then by symbols.
  ArrayRef<Term> getTerms() const { return terms; }
  /// Text that is equal exactly for equal polynomials.
  std::string key() const;

private:
  void add(const Monomial &monomial, int64_t coefficient);
  SmallVector<Term, 1> terms;
};

using Shape = SmallVector<Dim, 4>;

Dim product(ArrayRef<Dim> dims);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_DIM_H
