//===- SupportConv.cpp - Convolutions over oneDNN -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SupportConv.h"
#include "Context.h"
#include "LibraryCaches.h"
#include "OpenMP.h"
#include <algorithm>

using namespace attn::rt;
using dnnl::memory;

namespace attn::rt {
/// A call, decoded.
struct ConvProblem {
  explicit ConvProblem(const int64_t *words);

  int64_t flags, activation, groups;
  LibraryTensor x, w, y;
  void *bias;
  memory::dims strides, dilations, low, high;

  /// Everything that a primitive depends on.
  std::vector<int64_t> key() const;
  dnnl::convolution_forward::primitive_desc
  describe(memory::data_type type) const;
};
} // namespace attn::rt

ConvProblem::ConvProblem(const int64_t *words) {
  flags = *words++;
  activation = *words++;
  int64_t rank = *words++;
  groups = *words++;
  for (LibraryTensor *tensor : {&x, &w, &y})
    *tensor = readTensor(words, rank);
  bias = reinterpret_cast<void *>(*words++);
  for (memory::dims *list : {&strides, &dilations, &low, &high}) {
    list->assign(words, words + rank - 2);
    words += rank - 2;
  }
  // oneDNN counts the elements that a dilation skips.
  for (int64_t &dilation : dilations)
    --dilation;
  if (groups > 1) { // [M, C / g, ..] is [g, M / g, C / g, ..]
    w.sizes[0] /= groups;
    w.sizes.insert(w.sizes.begin(), groups);
    w.strides.insert(w.strides.begin(), w.strides[0] * w.sizes[1]);
  }
}

std::vector<int64_t> ConvProblem::key() const {
  std::vector<int64_t> key = {flags,
                              activation,
                              bias != nullptr,
                              groups,
                              omp_get_max_threads(),
                              static_cast<int64_t>(y.sizes.size())};
  for (const LibraryTensor *tensor : {&x, &w, &y})
    tensor->appendTo(key);
  for (const memory::dims *list : {&strides, &dilations, &low, &high})
    key.insert(key.end(), list->begin(), list->end());
  return key;
}

dnnl::convolution_forward::primitive_desc
ConvProblem::describe(memory::data_type type) const {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  appendActivation(after, activation);
  attributes.set_post_ops(after);
  auto any = [](const LibraryTensor &tensor, memory::data_type element) {
    return memory::desc(tensor.sizes, element, memory::format_tag::any);
  };
  auto kind = dnnl::prop_kind::forward_inference;
  auto algorithm = dnnl::algorithm::convolution_direct;
  using Desc = dnnl::convolution_forward::desc;
  memory::desc xDesc = any(x, type), wDesc = any(w, type),
               yDesc = any(y, y.type);
  if (!bias)
    return {Desc(kind, algorithm, xDesc, wDesc, yDesc, strides, dilations, low,
                 high),
            attributes, cpuEngine()};
  memory::desc biasDesc({y.sizes[1]}, memory::data_type::f32,
                        memory::format_tag::a);
  return {Desc(kind, algorithm, xDesc, wDesc, biasDesc, yDesc, strides,
               dilations, low, high),
          attributes, cpuEngine()};
}

const ConvCache::Primitive &ConvCache::find(const ConvProblem &problem) {
  // Models with growing shapes would fill memory.
  constexpr size_t maxPrimitives = 512;
  Key key = problem.key();
  auto found = primitives.find(key);
  if (found != primitives.end())
    return found->second;
  if (primitives.size() >= maxPrimitives)
    primitives.clear();
  dnnl::convolution_forward::primitive_desc description;
  try {
    description = problem.describe(problem.x.type);
  } catch (const dnnl::error &error) {
    // Processors without bf16 instructions compute in f32.
    if (error.status != dnnl_unimplemented ||
        problem.x.type == memory::data_type::f32)
      throw;
    description = problem.describe(memory::data_type::f32);
  }
  return primitives
      .emplace(std::move(key),
               Primitive{description, dnnl::convolution_forward(description)})
      .first->second;
}

static void reorder(memory from, memory to) {
  dnnl::reorder(from, to).execute(cpuStream(), from, to);
}

void ConvCache::run(const int64_t *words, PackedWeights &packed) {
  ConvProblem problem(words);
  if (problem.y.isEmpty())
    return;
  const Primitive &found = find(problem);
  auto wanted = [](bool isWanted, const memory::desc &desc) {
    return isWanted ? desc : memory::desc();
  };
  const auto &description = found.description;
  memory x(problem.x.describe(), cpuEngine(), problem.x.address);
  memory w(problem.w.describe(), cpuEngine(), problem.w.address);
  memory y(problem.y.describe(), cpuEngine(), problem.y.address);

  bool movesX = description.src_desc() != x.get_desc();
  bool movesY = description.dst_desc() != y.get_desc();
  bool movesW = description.weights_desc() != w.get_desc();
  bool packs = movesW && (problem.flags & ConvCall::WIsConstant);
  Scratch xMoved(wanted(movesX, description.src_desc()));
  Scratch wMoved(wanted(movesW && !packs, description.weights_desc()));
  Scratch yMoved(wanted(movesY, description.dst_desc()));
  Scratch scratch(description.scratchpad_desc());
  if (movesX)
    reorder(x, xMoved.get());
  memory weights = w;
  if (packs) {
    PackedWeights::Key key = {reinterpret_cast<int64_t>(problem.w.address)};
    problem.w.appendTo(key);
    weights = packed.get(key, w, description.weights_desc());
  } else if (movesW) {
    reorder(w, wMoved.get());
    weights = wMoved.get();
  }
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, movesX ? xMoved.get() : x},
      {DNNL_ARG_WEIGHTS, weights},
      {DNNL_ARG_DST, movesY ? yMoved.get() : y},
      {DNNL_ARG_SCRATCHPAD, scratch.get()}};
  if (problem.bias)
    arguments.emplace(DNNL_ARG_BIAS, memory(description.bias_desc(),
                                            cpuEngine(), problem.bias));
  found.primitive.execute(cpuStream(), arguments);
  if (movesY)
    reorder(yMoved.get(), y);
  cpuStream().wait();
}

void attn_rt_conv(const int64_t *words) {
  guardLibraryCall(
      "a convolution",
      [](const int64_t *call) {
        LibraryCaches &caches = currentContext()->libraryCaches();
        caches.convolutions.run(call, caches.packed);
      },
      words);
}
