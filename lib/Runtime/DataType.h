//===- DataType.h - Element types and shapes in words -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DATATYPE_H
#define ATTN_LIB_RUNTIME_DATATYPE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::rt {

/// The ONNX code of a type by NumPy's name ("float32").
std::optional<int32_t> parseDataType(std::string_view name);

/// NumPy's name of a type; "type N" for a code without one.
std::string dataTypeName(int32_t code);

/// Bytes of an element; 0 for an unknown code.
int64_t dataTypeSize(int32_t code);

/// Number of elements of `shape`; nothing when a size is negative or the
/// number of bytes would pass 2^62.
std::optional<int64_t> numElements(const int64_t *shape, int32_t rank,
                                   int64_t elementSize);

/// "[1, 384]"; a size of -1 is written as its symbol or '?'.
std::string shapeText(const int64_t *shape, int32_t rank,
                      const std::vector<std::string> *dims = nullptr);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_DATATYPE_H
