//===- Cost.cpp - What it costs to follow lists of keys -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Cost.h"
#include <algorithm>

// The numbers are ratios of times in one run on one core of a Zen 5: heads of
// 128, 2048 rows and keys under a causal mask, or one row and 65536 keys.

double mlir::attn::costOfListed(const ListVisitKind &kind) {
  if (!kind.gathers)
    return 1.05;
  return kind.decodes ? 2.0 : 1.15;
}

double mlir::attn::costOfTested(const ListVisitKind &kind) {
  if (kind.decodes)
    return 1.03;
  // Neighbouring keys of one token each are tested by one load.
  return kind.granule == 1 ? 1.07 : kind.gathers ? 1.28 : 1.12;
}

double mlir::attn::listLimit(const ListVisitKind &kind) {
  return std::min(1.0, costOfTested(kind) / costOfListed(kind));
}
