//===- Generate.h - Tensors made from a short text --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_GENERATE_H
#define ATTN_LIB_RUNTIME_IO_GENERATE_H

#include "Tensor.h"
#include <optional>

namespace attn::rt {

/// Makes the tensor that a text such as "2x128xi64:random(0,1000)" describes:
/// sizes, element type (f32, i64, ... or NumPy's names), and a filling:
/// zeros, ones, iota, full(V), random(LOW,HIGH) (HIGH excluded), normal or
/// normal(MEAN,DEVIATION). The same text and seed give the same numbers.
/// Returns nothing when `text` has not that form at all, such as a file name;
/// throws Error when it has but something in it is wrong.
std::optional<Tensor> generateTensor(const std::string &text, uint64_t seed);

/// A seed that depends on `name` too, the same on every machine.
uint64_t mixSeed(uint64_t seed, const std::string &name);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_GENERATE_H
