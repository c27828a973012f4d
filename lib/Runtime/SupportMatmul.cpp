//===- SupportMatmul.cpp - Matrix products over oneDNN --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SupportMatmul.h"
#include "Context.h"
#include "OpenMP.h"
#include "attn/Runtime/attn_runtime.h"
#include <algorithm>
#include <cstdio>
#include <new>

using namespace attn::rt;
using dnnl::memory;

namespace {
/// One matrix, or a batch of them.
struct Operand {
  memory::data_type type;
  void *address;
  memory::dims sizes, strides;

  memory::desc describe() const { return {sizes, type, strides}; }
};
} // namespace

namespace attn::rt {
/// A call, decoded.
struct MatmulProblem {
  explicit MatmulProblem(const int64_t *words);

  int64_t flags, activation;
  Operand a, b, c;
  void *bias;

  bool isEmpty() const;
  /// Everything that a primitive depends on.
  std::vector<int64_t> key() const;
  dnnl::matmul::primitive_desc describe(const memory::desc &aDesc,
                                        const memory::desc &bDesc,
                                        const memory::desc &cDesc) const;
};
} // namespace attn::rt

static dnnl::engine &cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

static memory::data_type convertType(int64_t type) {
  switch (type) {
  case ATTN_RT_FLOAT32:
    return memory::data_type::f32;
  case ATTN_RT_BFLOAT16:
    return memory::data_type::bf16;
  case ATTN_RT_INT8:
    return memory::data_type::s8;
  case ATTN_RT_UINT8:
    return memory::data_type::u8;
  case ATTN_RT_INT32:
    return memory::data_type::s32;
  default:
    return memory::data_type::undef;
  }
}

MatmulProblem::MatmulProblem(const int64_t *words) {
  flags = *words++;
  activation = *words++;
  int64_t rank = *words++;
  for (Operand *operand : {&a, &b, &c}) {
    operand->type = convertType(*words++);
    operand->address = reinterpret_cast<void *>(*words++);
    operand->sizes.assign(words, words + rank);
    words += rank;
    operand->strides.assign(words, words + rank);
    words += rank;
    // A stride of a size 1 has no meaning; one form of it finds primitives
    // again and satisfies oneDNN's checks.
    int64_t dense = 1;
    for (int64_t i = rank; i-- > 0;) {
      if (operand->sizes[i] == 1)
        operand->strides[i] = dense;
      dense = std::max(dense, operand->strides[i] * operand->sizes[i]);
    }
  }
  bias = reinterpret_cast<void *>(*words);
}

bool MatmulProblem::isEmpty() const {
  return std::count(c.sizes.begin(), c.sizes.end(), 0) > 0;
}

std::vector<int64_t> MatmulProblem::key() const {
  std::vector<int64_t> key = {flags, activation, bias != nullptr,
                              omp_get_max_threads(),
                              static_cast<int64_t>(c.sizes.size())};
  for (const Operand *operand : {&a, &b, &c}) {
    key.push_back(static_cast<int64_t>(operand->type));
    key.insert(key.end(), operand->sizes.begin(), operand->sizes.end());
    key.insert(key.end(), operand->strides.begin(), operand->strides.end());
  }
  return key;
}

dnnl::matmul::primitive_desc
MatmulProblem::describe(const memory::desc &aDesc, const memory::desc &bDesc,
                        const memory::desc &cDesc) const {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  if (flags & MatmulCall::Accumulates)
    after.append_sum(1.0f);
  switch (activation) {
  case MatmulCall::Relu:
    after.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0, 0);
    break;
  case MatmulCall::GeluErf:
    after.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0, 0);
    break;
  case MatmulCall::GeluTanh:
    after.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_tanh, 0, 0);
    break;
  case MatmulCall::Silu:
    after.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1, 0);
    break;
  case MatmulCall::Tanh:
    after.append_eltwise(1.0f, dnnl::algorithm::eltwise_tanh, 0, 0);
    break;
  default:
    break;
  }
  attributes.set_post_ops(after);
  if (!bias)
    return {dnnl::matmul::desc(aDesc, bDesc, cDesc), attributes, cpu()};
  memory::dims sizes(c.sizes.size(), 1), strides(c.sizes.size(), 1);
  sizes.back() = c.sizes.back();
  std::fill(strides.begin(), strides.end() - 1, sizes.back());
  memory::desc biasDesc(sizes, memory::data_type::f32, strides);
  return {dnnl::matmul::desc(aDesc, bDesc, biasDesc, cDesc), attributes, cpu()};
}

const MatmulCache::Primitive &MatmulCache::find(const MatmulProblem &problem,
                                                const memory::desc &weights) {
  // Models with growing shapes would fill memory.
  constexpr size_t maxPrimitives = 512;
  Key key = problem.key();
  auto found = primitives.find(key);
  if (found != primitives.end())
    return found->second;
  if (primitives.size() >= maxPrimitives)
    primitives.clear();
  auto description =
      problem.describe(problem.a.describe(), weights, problem.c.describe());
  return primitives
      .emplace(std::move(key),
               Primitive{description, dnnl::matmul(description)})
      .first->second;
}

const memory &MatmulCache::pack(const MatmulProblem &problem) {
  const Operand &b = problem.b;
  Key key = {reinterpret_cast<int64_t>(b.address),
             static_cast<int64_t>(problem.a.type)};
  key.insert(key.end(), b.sizes.begin(), b.sizes.end());
  key.insert(key.end(), b.strides.begin(), b.strides.end());
  auto found = packed.find(key);
  if (found != packed.end())
    return found->second;
  // One layout serves all numbers of rows; it is asked for by a product that
  // is large enough to care.
  constexpr int64_t manyRows = 128;
  memory::dims aSizes = problem.a.sizes, cSizes = problem.c.sizes;
  size_t rows = aSizes.size() - 2;
  aSizes[rows] = cSizes[rows] = std::max(manyRows, aSizes[rows]);
  auto dense = [](const memory::dims &sizes, memory::data_type type) {
    memory::dims strides(sizes.size(), 1);
    for (size_t i = sizes.size() - 1; i-- > 0;)
      strides[i] = strides[i + 1] * sizes[i + 1];
    return memory::desc(sizes, type, strides);
  };
  auto wanted =
      problem
          .describe(dense(aSizes, problem.a.type),
                    memory::desc(b.sizes, b.type, memory::format_tag::any),
                    dense(cSizes, problem.c.type))
          .weights_desc();
  memory source(b.describe(), cpu(), b.address);
  memory target(wanted, cpu());
  dnnl::stream stream(cpu());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
  return packed.emplace(std::move(key), target).first->second;
}

void MatmulCache::run(const int64_t *words) {
  MatmulProblem problem(words);
  if (problem.isEmpty())
    return;
  memory b;
  if (problem.flags & MatmulCall::BIsConstant)
    b = pack(problem);
  else
    b = memory(problem.b.describe(), cpu(), problem.b.address);
  const Primitive &found = find(problem, b.get_desc());
  memory::desc scratchDesc = found.description.scratchpad_desc();
  void *scratch = nullptr;
  if (scratchDesc.get_size()) {
    scratch = currentContext()->allocator.allocate(
        static_cast<int64_t>(scratchDesc.get_size()));
    if (!scratch)
      throw std::bad_alloc();
  }
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, memory(problem.a.describe(), cpu(), problem.a.address)},
      {DNNL_ARG_WEIGHTS, b},
      {DNNL_ARG_DST, memory(problem.c.describe(), cpu(), problem.c.address)},
      {DNNL_ARG_SCRATCHPAD, memory(scratchDesc, cpu(), scratch)}};
  if (problem.bias)
    arguments.emplace(DNNL_ARG_BIAS, memory(found.description.bias_desc(),
                                            cpu(), problem.bias));
  static thread_local dnnl::stream stream(cpu());
  found.primitive.execute(stream, arguments);
  stream.wait();
  attn_rt_free(scratch);
}

void attn_rt_matmul(const int64_t *words) {
  static thread_local char message[160];
  bool failed = false;
  try {
    Context *context = currentContext();
    if (!context->matmuls)
      context->matmuls = std::make_unique<MatmulCache>();
    context->matmuls->run(words);
  } catch (const std::exception &error) {
    std::snprintf(message, sizeof(message), "a matrix product failed: %s",
                  error.what());
    failed = true;
  }
  // Not inside the handler: the jump must not skip destructors.
  if (failed)
    attn_rt_fail(message);
}
