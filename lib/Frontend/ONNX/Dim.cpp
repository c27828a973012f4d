//===- Dim.cpp - Polynomial arithmetic ------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Dim.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

// Coefficients wrap around: a file may hold any numbers.
static int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) +
                              static_cast<uint64_t>(b));
}
static int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) *
                              static_cast<uint64_t>(b));
}

/// The order of terms; compatible with multiplication, which the exact
/// division relies on.
static bool precedes(const Dim::Monomial &a, const Dim::Monomial &b) {
  if (a.size() != b.size())
    return a.size() > b.size();
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

static Dim::Monomial multiply(const Dim::Monomial &a, const Dim::Monomial &b) {
  Dim::Monomial result(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), result.begin());
  return result;
}

void Dim::add(const Monomial &monomial, int64_t coefficient) {
  auto *it = llvm::find_if(terms, [&](const Term &term) {
    return !precedes(term.monomial, monomial);
  });
  if (it != terms.end() && it->monomial == monomial) {
    it->coefficient = wrapAdd(it->coefficient, coefficient);
    if (it->coefficient == 0)
      terms.erase(it);
  } else if (coefficient != 0) {
    terms.insert(it, {monomial, coefficient});
  }
}

std::optional<unsigned> Dim::asSymbol() const {
  if (terms.size() == 1 && terms.front().coefficient == 1 &&
      terms.front().monomial.size() == 1)
    return terms.front().monomial.front();
  return std::nullopt;
}

Dim Dim::operator+(const Dim &other) const {
  Dim result = *this;
  for (const Term &term : other.terms)
    result.add(term.monomial, term.coefficient);
  return result;
}

Dim Dim::operator*(const Dim &other) const {
  Dim result;
  for (const Term &a : terms)
    for (const Term &b : other.terms)
      result.add(multiply(a.monomial, b.monomial),
                 wrapMul(a.coefficient, b.coefficient));
  return result;
}

std::optional<Dim> Dim::dividedBy(const Dim &divisor) const {
  if (divisor.terms.empty())
    return std::nullopt;
  const Term &lead = divisor.terms.front();
  Dim quotient, rest = *this;
  // Each step removes the leading term, so the number of steps is bounded by
  // the number of monomials below it; polynomials here are tiny.
  for (int step = 0; step < 64; ++step) {
    if (rest.terms.empty())
      return quotient;
    const Term &top = rest.terms.front();
    if (!std::includes(top.monomial.begin(), top.monomial.end(),
                       lead.monomial.begin(), lead.monomial.end()) ||
        lead.coefficient == -1 || top.coefficient % lead.coefficient != 0)
      return std::nullopt;
    Monomial monomial;
    std::set_difference(top.monomial.begin(), top.monomial.end(),
                        lead.monomial.begin(), lead.monomial.end(),
                        std::back_inserter(monomial));
    Dim part;
    part.terms.push_back({monomial, top.coefficient / lead.coefficient});
    quotient = quotient + part;
    rest = rest - part * divisor;
  }
  return std::nullopt;
}

std::string Dim::key() const {
  std::string text;
  for (const Term &term : terms) {
    text += std::to_string(term.coefficient);
    for (unsigned symbol : term.monomial)
      text += "s" + std::to_string(symbol);
    text += "+";
  }
  return text;
}

Dim onnx::product(ArrayRef<Dim> dims) {
  Dim result = 1;
  for (const Dim &dim : dims)
    result = result * dim;
  return result;
}
