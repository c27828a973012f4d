//===- Generate.cpp - Tensors made from a short text ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Generate.h"
#include "../DataType.h"
#include "../Error.h"
#include <cmath>
#include <functional>
#include <numbers>
#include <sstream>

using namespace attn::rt;

namespace {
/// SplitMix64 (Steele et al. 2014): the same numbers with every standard
/// library, unlike <random>'s distributions.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) *
           std::cos(2 * std::numbers::pi * uniform());
  }

private:
  uint64_t state;
};

/// "random(0,1000)" in parts.
struct Filling {
  std::string name;
  std::vector<double> arguments;
};
} // namespace

static std::optional<int32_t> parseShortType(const std::string &name) {
  static const std::pair<const char *, int32_t> shortNames[] = {
      {"f32", ATTN_RT_FLOAT32}, {"f64", ATTN_RT_FLOAT64},
      {"f16", ATTN_RT_FLOAT16}, {"bf16", ATTN_RT_BFLOAT16},
      {"i8", ATTN_RT_INT8},     {"i16", ATTN_RT_INT16},
      {"i32", ATTN_RT_INT32},   {"i64", ATTN_RT_INT64},
      {"u8", ATTN_RT_UINT8},    {"u16", ATTN_RT_UINT16},
      {"u32", ATTN_RT_UINT32},  {"u64", ATTN_RT_UINT64},
      {"i1", ATTN_RT_BOOL},
  };
  for (const auto &[shortName, code] : shortNames)
    if (name == shortName)
      return code;
  return parseDataType(name);
}

static bool isNumber(const std::string &text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

static double parseNumber(const std::string &text, const std::string &whole) {
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end)
    fail("'", text, "' in '", whole, "' is not a number");
  return value;
}

static Filling parseFilling(const std::string &text, const std::string &whole) {
  Filling filling;
  size_t open = text.find('(');
  filling.name = text.substr(0, open);
  if (open == std::string::npos)
    return filling;
  if (text.back() != ')')
    fail("'", whole, "' lacks a ')' at its end");
  std::istringstream list(text.substr(open + 1, text.size() - open - 2));
  for (std::string item; std::getline(list, item, ',');)
    filling.arguments.push_back(parseNumber(item, whole));
  return filling;
}

/// Calls `next` for the value of each element in turn.
static void fill(Tensor &tensor, const Filling &filling,
                 const std::string &whole, uint64_t seed) {
  const std::vector<double> &arguments = filling.arguments;
  auto expectArguments = [&](std::initializer_list<size_t> counts) {
    for (size_t count : counts)
      if (arguments.size() == count)
        return;
    fail("'", filling.name, "' in '", whole, "' has ", arguments.size(),
         " arguments; expected ",
         filling.name == "random"   ? "random(LOW,HIGH)"
         : filling.name == "full"   ? "full(VALUE)"
         : filling.name == "normal" ? "normal or normal(MEAN,DEVIATION)"
                                    : "none");
  };
  Random random(seed);
  std::function<double(int64_t)> next;
  if (filling.name == "zeros" || filling.name == "ones" ||
      filling.name == "iota") {
    expectArguments({0});
    next = [&](int64_t index) {
      return filling.name == "iota" ? static_cast<double>(index)
                                    : filling.name == "ones";
    };
  } else if (filling.name == "full") {
    expectArguments({1});
    next = [&](int64_t) { return arguments[0]; };
  } else if (filling.name == "normal") {
    expectArguments({0, 2});
    double mean = arguments.empty() ? 0 : arguments[0];
    double deviation = arguments.empty() ? 1 : arguments[1];
    next = [&, mean, deviation](int64_t) {
      return mean + deviation * random.normal();
    };
  } else if (filling.name == "random") {
    // A float has a natural default range, an index has not.
    if (tensor.isFloat() || tensor.dtype() == ATTN_RT_BOOL)
      expectArguments({0, 2});
    else
      expectArguments({2});
    double low = arguments.empty() ? 0 : arguments[0];
    double high = arguments.empty() ? (tensor.isFloat() ? 1 : 2) : arguments[1];
    if (!(low < high))
      fail("'", whole, "' has an empty range: ", low, " is not below ", high);
    bool isFloat = tensor.isFloat();
    next = [&random, low, high, isFloat](int64_t) {
      double value = low + (high - low) * random.uniform();
      return isFloat ? value : std::floor(value);
    };
  } else {
    fail("unknown filling '", filling.name, "' in '", whole,
         "'; expected zeros, ones, iota, full(V), random(LOW,HIGH) or normal");
  }
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.set(i, next(i));
}

std::optional<Tensor> attn::rt::generateTensor(const std::string &text,
                                               uint64_t seed) {
  size_t colon = text.find(':');
  if (colon == std::string::npos)
    return std::nullopt;
  // "2x128xi64": a size, 'x', ..., and a type, which may hold an 'x' itself.
  std::string rest = text.substr(0, colon);
  std::vector<int64_t> shape;
  for (size_t x = rest.find('x'); x != std::string::npos; x = rest.find('x')) {
    std::string size = rest.substr(0, x);
    if (!isNumber(size))
      break;
    if (size.size() > 18)
      fail("size ", size, " in '", text, "' is too large");
    shape.push_back(std::stoll(size));
    rest = rest.substr(x + 1);
  }
  std::optional<int32_t> dtype = parseShortType(rest);
  if (!dtype) {
    if (shape.empty())
      return std::nullopt;
    fail("unknown element type '", rest, "' in '", text,
         "'; expected f32, f16, bf16, f64, i64, i32, i8, u8 or i1");
  }
  Tensor tensor(*dtype, shape);
  fill(tensor, parseFilling(text.substr(colon + 1), text), text, seed);
  return tensor;
}

uint64_t attn::rt::mixSeed(uint64_t seed, const std::string &name) {
  // FNV-1a.
  uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (unsigned char c : name)
    hash = (hash ^ c) * 0x100000001b3;
  return hash;
}
