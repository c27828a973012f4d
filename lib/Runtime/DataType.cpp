//===- DataType.cpp - Element types and shapes in words -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DataType.h"
#include "attn/Runtime/attn_runtime.h"
#include <algorithm>

using namespace attn::rt;

namespace {
struct TypeRow {
  int32_t code;
  const char *name;
  int64_t size;
};
} // namespace

static constexpr TypeRow types[] = {
    {ATTN_RT_FLOAT32, "float32", 4},   {ATTN_RT_UINT8, "uint8", 1},
    {ATTN_RT_INT8, "int8", 1},         {ATTN_RT_UINT16, "uint16", 2},
    {ATTN_RT_INT16, "int16", 2},       {ATTN_RT_INT32, "int32", 4},
    {ATTN_RT_INT64, "int64", 8},       {ATTN_RT_BOOL, "bool", 1},
    {ATTN_RT_FLOAT16, "float16", 2},   {ATTN_RT_FLOAT64, "float64", 8},
    {ATTN_RT_UINT32, "uint32", 4},     {ATTN_RT_UINT64, "uint64", 8},
    {ATTN_RT_BFLOAT16, "bfloat16", 2},
};

std::optional<int32_t> attn::rt::parseDataType(std::string_view name) {
  for (const TypeRow &row : types)
    if (name == row.name)
      return row.code;
  return std::nullopt;
}

std::string attn::rt::dataTypeName(int32_t code) {
  for (const TypeRow &row : types)
    if (code == row.code)
      return row.name;
  return "type " + std::to_string(code);
}

int64_t attn::rt::dataTypeSize(int32_t code) {
  for (const TypeRow &row : types)
    if (code == row.code)
      return row.size;
  return 0;
}

std::optional<int64_t> attn::rt::numElements(const int64_t *shape, int32_t rank,
                                             int64_t elementSize) {
  // A zero anywhere makes the product zero, but the other sizes still have to
  // be sane, since strides are computed from them.
  int64_t width = std::max<int64_t>(elementSize, 1), bytes = width;
  bool isEmpty = false;
  for (int32_t i = 0; i < rank; ++i) {
    if (shape[i] < 0)
      return std::nullopt;
    isEmpty |= shape[i] == 0;
    if (shape[i] != 0 && (__builtin_mul_overflow(bytes, shape[i], &bytes) ||
                          bytes > (int64_t(1) << 62)))
      return std::nullopt;
  }
  return isEmpty ? 0 : bytes / width;
}

std::string attn::rt::shapeText(const int64_t *shape, int32_t rank,
                                const std::vector<std::string> *dims) {
  std::string text = "[";
  for (int32_t i = 0; i < rank; ++i) {
    if (i)
      text += ", ";
    if (shape[i] >= 0)
      text += std::to_string(shape[i]);
    else if (dims && i < static_cast<int32_t>(dims->size()) &&
             !(*dims)[i].empty())
      text += (*dims)[i];
    else
      text += "?";
  }
  return text + "]";
}
