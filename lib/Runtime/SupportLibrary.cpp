//===- SupportLibrary.cpp - What calls of oneDNN share --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SupportLibrary.h"
#include "Context.h"
#include "MatmulCall.h"
#include "attn/Runtime/attn_runtime.h"
#include <algorithm>
#include <cstdio>
#include <new>

using namespace attn::rt;
using dnnl::memory;

bool LibraryTensor::isEmpty() const {
  return std::count(sizes.begin(), sizes.end(), 0) > 0;
}

void LibraryTensor::appendTo(std::vector<int64_t> &key) const {
  key.push_back(static_cast<int64_t>(type));
  key.insert(key.end(), sizes.begin(), sizes.end());
  key.insert(key.end(), strides.begin(), strides.end());
}

dnnl::engine &attn::rt::cpuEngine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream &attn::rt::cpuStream() {
  static thread_local dnnl::stream stream(cpuEngine());
  return stream;
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

LibraryTensor attn::rt::readTensor(const int64_t *&words, int64_t rank) {
  LibraryTensor tensor;
  tensor.type = convertType(*words++);
  tensor.address = reinterpret_cast<void *>(*words++);
  tensor.sizes.assign(words, words + rank);
  words += rank;
  tensor.strides.assign(words, words + rank);
  words += rank;
  // A stride of a size 1 has no meaning; one form of it finds primitives
  // again and satisfies oneDNN's checks.
  int64_t dense = 1;
  for (int64_t i = rank; i-- > 0;) {
    if (tensor.sizes[i] == 1)
      tensor.strides[i] = dense;
    dense = std::max(dense, tensor.strides[i] * tensor.sizes[i]);
  }
  return tensor;
}

void attn::rt::appendActivation(dnnl::post_ops &after, int64_t activation) {
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
}

Scratch::Scratch(const memory::desc &desc) {
  if (auto bytes = static_cast<int64_t>(desc.get_size())) {
    block = currentContext()->allocator.allocate(bytes);
    if (!block)
      throw std::bad_alloc();
  }
  memory = dnnl::memory(desc, cpuEngine(), block);
}

Scratch::~Scratch() { attn_rt_free(block); }

const memory *PackedWeights::findAny(const Key &key) const {
  auto found = packed.find(key);
  return found == packed.end() ? nullptr : &found->second.front();
}

const memory &PackedWeights::get(const Key &key, const memory &source,
                                 const memory::desc &wanted) {
  std::vector<memory> &list = packed[key];
  for (const memory &present : list)
    if (present.get_desc() == wanted)
      return present;
  void *block = currentContext()->allocator.allocatePersistent(
      static_cast<int64_t>(wanted.get_size()));
  if (!block)
    throw std::bad_alloc();
  memory target(wanted, cpuEngine(), block);
  memory from = source;
  dnnl::reorder(from, target).execute(cpuStream(), from, target);
  cpuStream().wait();
  return list.emplace_back(target);
}

void attn::rt::guardLibraryCall(const char *what, void (*call)(const int64_t *),
                                const int64_t *words) {
  static thread_local char message[160];
  bool failed = false;
  try {
    call(words);
  } catch (const std::exception &error) {
    std::snprintf(message, sizeof(message), "%s failed: %s", what,
                  error.what());
    failed = true;
  }
  // Not inside the handler: the jump must not skip destructors.
  if (failed)
    attn_rt_fail(message);
}
