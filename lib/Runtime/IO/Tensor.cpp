//===- Tensor.cpp - A tensor on the host and its elements -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Tensor.h"
#include "../DataType.h"
#include "../Error.h"
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

using namespace attn::rt;

Tensor::Tensor(int32_t dtype, std::vector<int64_t> shape)
    : type(dtype), sizes(std::move(shape)) {
  int32_t rank = static_cast<int32_t>(sizes.size());
  if (rank > ATTN_RT_MAX_RANK)
    fail("rank ", rank, " is above the limit of ", ATTN_RT_MAX_RANK);
  std::optional<int64_t> elements =
      numElements(sizes.data(), rank, dataTypeSize(dtype));
  if (!elements)
    fail("impossible shape ", shapeText(sizes.data(), rank));
  count = *elements;
  // calloc leaves untouched pages to the system, so a wrong huge shape in a
  // small file costs nothing before its data turns out to be missing.
  char *block = static_cast<char *>(std::calloc(bytes() + 1, 1));
  if (!block)
    fail("out of memory: a tensor of ", bytes(), " bytes does not fit");
  memory = std::shared_ptr<char[]>(block, std::free);
}

Tensor::Tensor(attn_rt_tensor tensor, void (*free)(attn_rt_tensor *))
    : type(tensor.dtype), sizes(tensor.shape, tensor.shape + tensor.rank),
      count(numElements(tensor.shape, tensor.rank, dataTypeSize(tensor.dtype))
                .value_or(0)),
      memory(static_cast<char *>(tensor.data), [tensor, free](char *) {
        attn_rt_tensor copy = tensor;
        free(&copy);
      }) {}

int64_t Tensor::bytes() const { return count * dataTypeSize(type); }

bool Tensor::isFloat() const {
  return type == ATTN_RT_FLOAT32 || type == ATTN_RT_FLOAT16 ||
         type == ATTN_RT_BFLOAT16 || type == ATTN_RT_FLOAT64;
}

attn_rt_tensor Tensor::view() const {
  attn_rt_tensor result = {};
  result.data = memory.get();
  result.dtype = type;
  result.rank = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), result.shape);
  return result;
}

std::string Tensor::text() const {
  return dataTypeName(type) + " " +
         shapeText(sizes.data(), static_cast<int32_t>(sizes.size()));
}

template <typename Type>
static Type load(const char *data, int64_t index) {
  Type value;
  std::memcpy(&value, data + index * sizeof(Type), sizeof(Type));
  return value;
}

template <typename Type>
static void store(char *data, int64_t index, Type value) {
  std::memcpy(data + index * sizeof(Type), &value, sizeof(Type));
}

static double halfToDouble(uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  int mantissa = bits & 1023;
  double value;
  if (exponent == 31)
    value = mantissa ? std::numeric_limits<double>::quiet_NaN()
                     : std::numeric_limits<double>::infinity();
  else if (exponent == 0)
    value = std::ldexp(mantissa, -24);
  else
    value = std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

/// Rounds to nearest, ties to even, for a type of `fraction` fraction bits and
/// a smallest normal exponent of `smallest`.
static double roundToFormat(double value, int fraction, int smallest) {
  if (value == 0 || !std::isfinite(value))
    return value;
  int exponent = std::max(std::ilogb(value), smallest);
  return std::ldexp(std::nearbyint(std::ldexp(value, fraction - exponent)),
                    exponent - fraction);
}

static uint16_t doubleToHalf(double value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value))
    return sign | 0x7e00;
  double magnitude = std::fabs(roundToFormat(value, 10, -14));
  if (magnitude > 65504)
    return sign | 0x7c00;
  if (magnitude < std::ldexp(1, -14))
    return sign | static_cast<uint16_t>(std::ldexp(magnitude, 24));
  int exponent = std::ilogb(magnitude);
  auto mantissa =
      static_cast<uint16_t>(std::ldexp(magnitude, 10 - exponent)) & 1023;
  return sign | static_cast<uint16_t>((exponent + 15) << 10) | mantissa;
}

static double bfloatToDouble(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

static uint16_t doubleToBfloat(double value) {
  if (std::isnan(value))
    return 0x7fc0;
  auto single = static_cast<float>(roundToFormat(value, 7, -126));
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

double Tensor::at(int64_t index) const {
  const char *base = data();
  switch (type) {
  case ATTN_RT_FLOAT32:
    return load<float>(base, index);
  case ATTN_RT_FLOAT64:
    return load<double>(base, index);
  case ATTN_RT_FLOAT16:
    return halfToDouble(load<uint16_t>(base, index));
  case ATTN_RT_BFLOAT16:
    return bfloatToDouble(load<uint16_t>(base, index));
  case ATTN_RT_UINT64:
    return static_cast<double>(load<uint64_t>(base, index));
  default:
    return static_cast<double>(intAt(index));
  }
}

int64_t Tensor::intAt(int64_t index) const {
  const char *base = data();
  switch (type) {
  case ATTN_RT_UINT8:
  case ATTN_RT_BOOL:
    return load<uint8_t>(base, index);
  case ATTN_RT_INT8:
    return load<int8_t>(base, index);
  case ATTN_RT_UINT16:
    return load<uint16_t>(base, index);
  case ATTN_RT_INT16:
    return load<int16_t>(base, index);
  case ATTN_RT_INT32:
    return load<int32_t>(base, index);
  case ATTN_RT_UINT32:
    return load<uint32_t>(base, index);
  case ATTN_RT_INT64:
  case ATTN_RT_UINT64:
    return load<int64_t>(base, index);
  default:
    return static_cast<int64_t>(at(index));
  }
}

void Tensor::set(int64_t index, double value) {
  switch (type) {
  case ATTN_RT_FLOAT32:
    return store(data(), index, static_cast<float>(value));
  case ATTN_RT_FLOAT64:
    return store(data(), index, value);
  case ATTN_RT_FLOAT16:
    return store(data(), index, doubleToHalf(value));
  case ATTN_RT_BFLOAT16:
    return store(data(), index, doubleToBfloat(value));
  default:
    // Outside of int64 a conversion is undefined.
    return setInt(index, std::fabs(value) < 9.2e18
                             ? static_cast<int64_t>(value)
                             : (value > 0 ? INT64_MAX : INT64_MIN));
  }
}

void Tensor::setInt(int64_t index, int64_t value) {
  if (type == ATTN_RT_BOOL)
    return store<uint8_t>(data(), index, value != 0);
  if (isFloat())
    return set(index, static_cast<double>(value));
  // Two's complement: the low bytes are the value in every narrower type.
  int64_t width = dataTypeSize(type);
  std::memcpy(data() + index * width, &value, width);
}

const Tensor *attn::rt::findTensor(const NamedTensors &tensors,
                                   const std::string &name) {
  for (const auto &[key, tensor] : tensors)
    if (key == name)
      return &tensor;
  return nullptr;
}

std::string attn::rt::positionText(int64_t index,
                                   const std::vector<int64_t> &shape) {
  std::vector<int64_t> position(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    position[i] = index % shape[i];
    index /= shape[i];
  }
  return shapeText(position.data(), static_cast<int32_t>(position.size()));
}
