//===- SupportMatmul.cpp - Matrix products over oneDNN --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SupportMatmul.h"
#include "Context.h"
#include "LibraryCaches.h"
#include "OpenMP.h"
#include <algorithm>

using namespace attn::rt;
using dnnl::memory;

namespace attn::rt {
/// A call, decoded.
struct MatmulProblem {
  explicit MatmulProblem(const int64_t *words);

  int64_t flags, activation;
  LibraryTensor a, b, c;
  void *bias;

  /// Everything that a primitive depends on.
  std::vector<int64_t> key() const;
  dnnl::matmul::primitive_desc describe(const memory::desc &aDesc,
                                        const memory::desc &bDesc,
                                        const memory::desc &cDesc) const;
};
} // namespace attn::rt

MatmulProblem::MatmulProblem(const int64_t *words) {
  flags = *words++;
  activation = *words++;
  int64_t rank = *words++;
  for (LibraryTensor *tensor : {&a, &b, &c})
    *tensor = readTensor(words, rank);
  bias = reinterpret_cast<void *>(*words);
}

std::vector<int64_t> MatmulProblem::key() const {
  std::vector<int64_t> key = {flags, activation, bias != nullptr,
                              omp_get_max_threads(),
                              static_cast<int64_t>(c.sizes.size())};
  for (const LibraryTensor *tensor : {&a, &b, &c})
    tensor->appendTo(key);
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
  appendActivation(after, activation);
  attributes.set_post_ops(after);
  if (!bias)
    return {dnnl::matmul::desc(aDesc, bDesc, cDesc), attributes, cpuEngine()};
  memory::dims sizes(c.sizes.size(), 1), strides(c.sizes.size(), 1);
  sizes.back() = c.sizes.back();
  std::fill(strides.begin(), strides.end() - 1, sizes.back());
  memory::desc biasDesc(sizes, memory::data_type::f32, strides);
  return {dnnl::matmul::desc(aDesc, bDesc, biasDesc, cDesc), attributes,
          cpuEngine()};
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

const memory &MatmulCache::pack(const MatmulProblem &problem,
                                PackedWeights &packed) {
  const LibraryTensor &b = problem.b;
  Key key = {reinterpret_cast<int64_t>(b.address),
             static_cast<int64_t>(problem.a.type)};
  b.appendTo(key);
  if (const memory *found = packed.findAny(key))
    return *found;
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
  return packed.get(key, memory(b.describe(), cpuEngine(), b.address), wanted);
}

void MatmulCache::run(const int64_t *words, PackedWeights &packed) {
  MatmulProblem problem(words);
  if (problem.c.isEmpty())
    return;
  memory b;
  if (problem.flags & MatmulCall::BIsConstant)
    b = pack(problem, packed);
  else
    b = memory(problem.b.describe(), cpuEngine(), problem.b.address);
  const Primitive &found = find(problem, b.get_desc());
  Scratch scratch(found.description.scratchpad_desc());
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC,
       memory(problem.a.describe(), cpuEngine(), problem.a.address)},
      {DNNL_ARG_WEIGHTS, b},
      {DNNL_ARG_DST,
       memory(problem.c.describe(), cpuEngine(), problem.c.address)},
      {DNNL_ARG_SCRATCHPAD, scratch.get()}};
  if (problem.bias)
    arguments.emplace(DNNL_ARG_BIAS, memory(found.description.bias_desc(),
                                            cpuEngine(), problem.bias));
  found.primitive.execute(cpuStream(), arguments);
  cpuStream().wait();
}

void attn_rt_matmul(const int64_t *words) {
  guardLibraryCall(
      "a matrix product",
      [](const int64_t *call) {
        LibraryCaches &caches = currentContext()->libraryCaches();
        caches.matmuls.run(call, caches.packed);
      },
      words);
}
