//===- Cost.h - What it costs to follow lists of keys -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_CONVERSION_ATTNTOTILES_COST_H
#define ATTN_LIB_CONVERSION_ATTNTOTILES_COST_H

#include <cstdint>

namespace mlir::attn {

/// How the entries of a list of keys are visited.
struct ListVisitKind {
  int64_t granule; ///< keys of an entry
  bool gathers;    ///< entries are smaller than a step, keys are collected
  bool decodes;    ///< few query rows: memory is what costs
};

/// Time for a key that a list holds, in units of a key of a dense tile that
/// needs no test. A whole step is a tile like any other; a gathered key is
/// copied first, which few rows do not outweigh.
double costOfListed(const ListVisitKind &kind);

/// Time for a key when all keys around the list are tested, in the same units.
double costOfTested(const ListVisitKind &kind);

/// The share of the keys around a list up to which following it is faster than
/// testing all of them; 1 if it always is.
double listLimit(const ListVisitKind &kind);

} // namespace mlir::attn

#endif // ATTN_LIB_CONVERSION_ATTNTOTILES_COST_H
