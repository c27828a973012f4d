//===- SupportTest.cpp - What generated code calls ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Context.h"
#include "MatmulCall.h"
#include "SupportMatmul.h"
#include "attn/Runtime/attn_runtime.h"
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <utility>

using namespace attn::rt;

namespace {

struct Matrix {
  std::vector<int64_t> sizes, strides;
  std::vector<float> values;

  explicit Matrix(std::vector<int64_t> shape, float seed = 0)
      : sizes(shape), strides(shape.size(), 1) {
    for (size_t i = shape.size() - 1; i-- > 0;)
      strides[i] = strides[i + 1] * shape[i + 1];
    values.resize(strides[0] * shape[0]);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = std::sin(seed + 0.7f * static_cast<float>(i));
  }

  /// The same elements with the last two dimensions exchanged.
  Matrix transposed() const {
    Matrix result = *this;
    size_t last = sizes.size() - 1;
    std::swap(result.sizes[last], result.sizes[last - 1]);
    std::swap(result.strides[last], result.strides[last - 1]);
    return result;
  }
};

struct Call {
  int64_t flags = 0, activation = 0;
  const float *bias = nullptr;

  void operator()(Matrix &a, Matrix &b, Matrix &c) const {
    std::vector<int64_t> words = {flags, activation,
                                  static_cast<int64_t>(c.sizes.size())};
    for (Matrix *matrix : {&a, &b, &c}) {
      words.push_back(ATTN_RT_FLOAT32);
      words.push_back(reinterpret_cast<int64_t>(matrix->values.data()));
      words.insert(words.end(), matrix->sizes.begin(), matrix->sizes.end());
      words.insert(words.end(), matrix->strides.begin(), matrix->strides.end());
    }
    words.push_back(reinterpret_cast<int64_t>(bias));
    ASSERT_EQ(static_cast<int64_t>(words.size()),
              MatmulCall::numWords(static_cast<int64_t>(c.sizes.size())));
    attn_rt_matmul(words.data());
  }
};

/// Element (m, n) of the product of the matrices that begin at the offsets.
double product(const Matrix &a, const Matrix &b, int64_t aOffset,
               int64_t bOffset, int64_t m, int64_t n) {
  size_t last = a.sizes.size() - 1;
  double sum = 0;
  for (int64_t k = 0; k < a.sizes[last]; ++k)
    sum +=
        double(
            a.values[aOffset + m * a.strides[last - 1] + k * a.strides[last]]) *
        double(
            b.values[bOffset + k * b.strides[last - 1] + n * b.strides[last]]);
  return sum;
}

/// Rounding of k additions of values of size 1 in f32, with room for the
/// order of the sum.
double tolerance(int64_t k) { return 4e-7 * std::sqrt(double(k)) * 8; }

class Support : public testing::Test {
protected:
  Context context;
  ContextScope scope{context};
};

TEST_F(Support, ProductOfMatrices) {
  for (auto [m, n, k] : {std::array<int64_t, 3>{1, 5, 7}, {33, 48, 65}})
    for (bool isConstant : {false, true}) {
      Matrix a({m, k}, 1), b({k, n}, 2), c({m, n});
      Call{isConstant ? MatmulCall::BIsConstant : 0}(a, b, c);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j)
          ASSERT_NEAR(c.values[i * n + j], product(a, b, 0, 0, i, j),
                      tolerance(k))
              << m << 'x' << n << 'x' << k << " at " << i << ", " << j;
    }
}

TEST_F(Support, PackedConstantServesOtherNumbersOfRows) {
  Matrix b({64, 96}, 2);
  for (int64_t m : {1, 2, 17, 200}) {
    Matrix a({m, 64}, float(m)), c({m, 96});
    Call{MatmulCall::BIsConstant}(a, b, c);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < 96; ++j)
        ASSERT_NEAR(c.values[i * 96 + j], product(a, b, 0, 0, i, j),
                    tolerance(64));
  }
}

TEST_F(Support, TransposedRightSide) {
  for (bool isConstant : {false, true}) {
    Matrix a({9, 20}, 1), b = Matrix({31, 20}, 2).transposed(), c({9, 31});
    Call{isConstant ? MatmulCall::BIsConstant : 0}(a, b, c);
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t j = 0; j < 31; ++j)
        ASSERT_NEAR(c.values[i * 31 + j], product(a, b, 0, 0, i, j),
                    tolerance(20));
  }
}

TEST_F(Support, BatchesAndBroadcastBatches) {
  Matrix a({2, 3, 4, 5}, 1), b({1, 3, 5, 6}, 2), c({2, 3, 4, 6});
  Call{}(a, b, c);
  for (int64_t x = 0; x < 2; ++x)
    for (int64_t y = 0; y < 3; ++y)
      for (int64_t i = 0; i < 4; ++i)
        for (int64_t j = 0; j < 6; ++j)
          ASSERT_NEAR(c.values[((x * 3 + y) * 4 + i) * 6 + j],
                      product(a, b, (x * 3 + y) * 20, y * 30, i, j),
                      tolerance(5));
}

TEST_F(Support, BiasAndActivation) {
  using Function = double (*)(double);
  std::pair<MatmulCall::Activation, Function> functions[] = {
      {MatmulCall::None, [](double x) { return x; }},
      {MatmulCall::Relu, [](double x) { return std::max(x, 0.0); }},
      {MatmulCall::GeluErf,
       [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
      {MatmulCall::GeluTanh,
       [](double x) {
         return x / 2 *
                (1 +
                 std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {MatmulCall::Silu, [](double x) { return x / (1 + std::exp(-x)); }},
      {MatmulCall::Tanh, [](double x) { return std::tanh(x); }}};
  Matrix bias({40}, 3);
  for (float &value : bias.values)
    value *= 6;
  for (auto [activation, function] : functions) {
    Matrix a({30, 16}, 1), b({16, 40}, 2), c({30, 40});
    Call{MatmulCall::BIsConstant, activation, bias.values.data()}(a, b, c);
    for (int64_t i = 0; i < 30; ++i)
      for (int64_t j = 0; j < 40; ++j)
        // The polynomials of oneDNN are good to about 1e-6 of the argument.
        ASSERT_NEAR(c.values[i * 40 + j],
                    function(product(a, b, 0, 0, i, j) + bias.values[j]),
                    tolerance(16) + 8e-6)
            << "activation " << activation;
  }
}

TEST_F(Support, Accumulates) {
  Matrix a({8, 8}, 1), b({8, 8}, 2), c({8, 8}, 3);
  Matrix before = c;
  Call{MatmulCall::Accumulates}(a, b, c);
  for (int64_t i = 0; i < 64; ++i)
    ASSERT_NEAR(c.values[i],
                before.values[i] + product(a, b, 0, 0, i / 8, i % 8),
                tolerance(9));
}

TEST_F(Support, EmptyProduct) {
  Matrix a({0, 8}), b({8, 4}, 2), c({0, 4});
  Call{MatmulCall::BIsConstant}(a, b, c);
}

TEST_F(Support, ParallelLoopVisitsEachIterationOnce) {
  for (int32_t threads : {1, 2, 5}) {
    context.threads = threads;
    ContextScope inner(context);
    std::vector<int> visits(1000);
    attn_rt_parallel_for(
        [](int64_t begin, int64_t end, void *data) {
          for (int64_t i = begin; i < end; ++i)
            ++static_cast<int *>(data)[i];
        },
        1000, visits.data());
    EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), 1000)
        << threads << " threads";
  }
}

TEST_F(Support, BodyOfParallelLoopHasMemory) {
  context.threads = 3;
  ContextScope inner(context);
  std::vector<void *> blocks(64);
  attn_rt_parallel_for(
      [](int64_t begin, int64_t end, void *data) {
        for (int64_t i = begin; i < end; ++i)
          static_cast<void **>(data)[i] = attn_rt_alloc(100);
      },
      64, blocks.data());
  for (void *block : blocks)
    EXPECT_TRUE(context.allocator.owns(block));
}

TEST_F(Support, FailureInsideParallelLoopEndsTheRun) {
  context.threads = 3;
  ContextScope inner(context);
  if (setjmp(context.failurePoint) == 0) {
    attn_rt_parallel_for(
        [](int64_t begin, int64_t, void *) {
          if (begin >= 10)
            attn_rt_fail("iteration too dear");
        },
        20, nullptr);
    FAIL() << "the loop returned";
  }
  EXPECT_EQ(context.failure, "iteration too dear");
}

} // namespace

extern "C" __bf16 __truncsfbf2(float x);
extern "C" __bf16 __truncdfbf2(double x);

TEST(BFloat16, RoundsToNearestEven) {
  // Steps are 2^-7 between 1 and 2: on a tie the even one of both wins.
  const std::pair<double, double> cases[] = {
      {1.0, 1.0},
      {1.0 + 0.5 / 128, 1.0},
      {1.0 + 1.5 / 128, 1.0 + 2.0 / 128},
      {1.0 + 0.5 / 128 + 1e-6, 1.0 + 1.0 / 128},
      {-1.0 - 0.5 / 128, -1.0},
      {3.4e38, std::numeric_limits<double>::infinity()},
      {0.0, 0.0}};
  for (auto [x, expected] : cases) {
    EXPECT_EQ(static_cast<float>(__truncsfbf2(static_cast<float>(x))),
              static_cast<float>(expected));
    EXPECT_EQ(static_cast<float>(__truncdfbf2(x)),
              static_cast<float>(expected));
  }
  // Rounded to f32 first, this would look like a tie.
  double aboveTie = 1.0 + 0.5 / 128 + 1e-12;
  EXPECT_EQ(static_cast<float>(__truncdfbf2(aboveTie)), 1.0f + 1.0f / 128);
  EXPECT_TRUE(std::isnan(static_cast<float>(
      __truncsfbf2(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Allocator, ReturnedResultServesTheNextRun) {
  constexpr int64_t bytes = int64_t(3) << 20;
  Allocator allocator;
  void *result = allocator.allocate(bytes);
  ASSERT_NE(result, nullptr);
  allocator.disown(result);
  void *other = allocator.allocate(bytes);
  EXPECT_NE(other, result);
  // The owner of the result is done with it, maybe after the module's end.
  Allocator::release(result);
  Allocator later;
  EXPECT_EQ(later.allocate(bytes), result);
  EXPECT_NE(later.allocate(bytes), result);
}

TEST(Allocator, KeepsFewReturnedResults) {
  constexpr int64_t bytes = int64_t(5) << 20;
  Allocator allocator;
  void *results[4];
  for (void *&result : results) {
    result = allocator.allocate(bytes);
    allocator.disown(result);
  }
  for (void *result : results)
    Allocator::release(result);
  // The two that came last.
  void *first = allocator.allocate(bytes), *second = allocator.allocate(bytes);
  EXPECT_TRUE(first == results[2] || first == results[3]);
  EXPECT_TRUE(second == results[2] || second == results[3]);
}
