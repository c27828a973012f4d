//===- ConvTest.cpp - Convolutions of generated code ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Context.h"
#include "ConvCall.h"
#include "MatmulCall.h"
#include "attn/Runtime/attn_runtime.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace attn::rt;

namespace {

struct Array {
  std::vector<int64_t> sizes, strides;
  std::vector<float> values;

  explicit Array(std::vector<int64_t> shape, float seed = 0)
      : sizes(shape), strides(shape.size(), 1) {
    for (size_t i = shape.size() - 1; i-- > 0;)
      strides[i] = strides[i + 1] * shape[i + 1];
    values.resize(strides[0] * shape[0]);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = std::sin(seed + 0.7f * static_cast<float>(i));
  }
};

/// A convolution over two dimensions.
struct Conv {
  int64_t groups = 1, stride = 1, dilation = 1, low = 0, high = 0;
  int64_t flags = 0, activation = MatmulCall::None;
  const float *bias = nullptr;

  int64_t resultSize(int64_t size, int64_t kernel) const {
    return (size + low + high - (kernel - 1) * dilation - 1) / stride + 1;
  }

  void run(Array &x, Array &w, Array &y) const {
    std::vector<int64_t> words = {flags, activation, 4, groups};
    for (Array *array : {&x, &w, &y}) {
      words.push_back(ATTN_RT_FLOAT32);
      words.push_back(reinterpret_cast<int64_t>(array->values.data()));
      words.insert(words.end(), array->sizes.begin(), array->sizes.end());
      words.insert(words.end(), array->strides.begin(), array->strides.end());
    }
    words.push_back(reinterpret_cast<int64_t>(bias));
    for (int64_t value : {stride, dilation, low, high})
      words.insert(words.end(), 2, value);
    ASSERT_EQ(static_cast<int64_t>(words.size()), ConvCall::numWords(4));
    attn_rt_conv(words.data());
  }

  /// Element (n, m, i, j) by its definition.
  double element(const Array &x, const Array &w, int64_t n, int64_t m,
                 int64_t i, int64_t j) const {
    int64_t perGroup = w.sizes[1], group = m / (w.sizes[0] / groups);
    double sum = bias ? bias[m] : 0;
    for (int64_t c = 0; c < perGroup; ++c)
      for (int64_t p = 0; p < w.sizes[2]; ++p)
        for (int64_t q = 0; q < w.sizes[3]; ++q) {
          int64_t row = i * stride + p * dilation - low;
          int64_t column = j * stride + q * dilation - low;
          if (row < 0 || column < 0 || row >= x.sizes[2] ||
              column >= x.sizes[3])
            continue;
          sum += double(x.values[n * x.strides[0] +
                                 (group * perGroup + c) * x.strides[1] +
                                 row * x.strides[2] + column * x.strides[3]]) *
                 double(w.values[m * w.strides[0] + c * w.strides[1] +
                                 p * w.strides[2] + q * w.strides[3]]);
        }
    return sum;
  }

  void check(Array x, Array w) const {
    Array y({x.sizes[0], w.sizes[0], resultSize(x.sizes[2], w.sizes[2]),
             resultSize(x.sizes[3], w.sizes[3])});
    run(x, w, y);
    // Rounding of the sum's terms of size 1, with room for their order.
    double terms = double(w.sizes[1] * w.sizes[2] * w.sizes[3]);
    size_t at = 0;
    for (int64_t n = 0; n < y.sizes[0]; ++n)
      for (int64_t m = 0; m < y.sizes[1]; ++m)
        for (int64_t i = 0; i < y.sizes[2]; ++i)
          for (int64_t j = 0; j < y.sizes[3]; ++j, ++at) {
            double expected = element(x, w, n, m, i, j);
            if (activation == MatmulCall::Relu)
              expected = std::max(expected, 0.0);
            ASSERT_NEAR(y.values[at], expected, 4e-7 * std::sqrt(terms) * 8)
                << n << ", " << m << ", " << i << ", " << j;
          }
  }
};

class Convolution : public testing::Test {
protected:
  Context context;
  ContextScope scope{context};
};

TEST_F(Convolution, Geometries) {
  Conv{}.check(Array({2, 3, 7, 9}, 1), Array({5, 3, 3, 3}, 2));
  Conv{.stride = 2, .low = 1, .high = 1}.check(Array({1, 16, 8, 8}, 1),
                                               Array({32, 16, 3, 3}, 2));
  Conv{.dilation = 2, .low = 1, .high = 3}.check(Array({1, 4, 9, 9}, 1),
                                                 Array({4, 4, 3, 3}, 2));
  Conv{.groups = 2}.check(Array({1, 32, 6, 6}, 1), Array({32, 16, 3, 3}, 2));
  Conv{.groups = 3}.check(Array({2, 6, 6, 6}, 1), Array({9, 2, 1, 1}, 2));
  Conv{.groups = 20, .low = 1, .high = 1}.check(Array({1, 20, 6, 6}, 1),
                                                Array({20, 1, 3, 3}, 2));
}

TEST_F(Convolution, BiasActivationAndPackedWeights) {
  Array bias({24}, 3), w({24, 8, 3, 3}, 2);
  Conv conv{.low = 1,
            .high = 1,
            .flags = ConvCall::WIsConstant,
            .activation = MatmulCall::Relu,
            .bias = bias.values.data()};
  conv.check(Array({1, 8, 12, 12}, 1), w);
  int64_t y = 24 * 12 * 12;
  Array x({1, 8, 12, 12}, 1), first({1, 24, 12, 12}), second({1, 24, 12, 12});
  conv.run(x, w, first);
  int64_t peak = context.allocator.peakBytes();
  EXPECT_GE(peak, 24 * 8 * 9 * 4) << "packed weights are not counted";
  // Packed once: what lies at the address later does not matter.
  std::fill(w.values.begin(), w.values.end(), 0.0f);
  conv.run(x, w, second);
  for (int64_t i = 0; i < y; ++i)
    ASSERT_EQ(first.values[i], second.values[i]);
  EXPECT_EQ(context.allocator.peakBytes(), peak);
}

TEST_F(Convolution, EmptyBatch) {
  Array w({4, 2, 1, 1}, 2);
  Array x({0, 2, 3, 3}), y({0, 4, 3, 3});
  Conv{}.run(x, w, y);
}

TEST_F(Convolution, WrongGeometryEndsTheRun) {
  Array x({1, 2, 3, 3}), w({4, 2, 1, 1}), y({1, 4, 7, 7});
  if (setjmp(context.failurePoint) == 0) {
    Conv{}.run(x, w, y);
    FAIL() << "the convolution returned";
  }
  EXPECT_NE(context.failure.find("a convolution failed"), std::string::npos)
      << context.failure;
}

} // namespace
