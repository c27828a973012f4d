//===- Module.cpp - Runs generated code on checked tensors ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Module.h"
#include "DataType.h"
#include "Descriptor.h"
#include "Error.h"
#include <algorithm>
#include <cstring>

using namespace attn::rt;

attn_rt_module::attn_rt_module(std::unique_ptr<CodeHandle> handle,
                               void (*entry)(void **), void (*init)(void **),
                               std::string text,
                               const std::vector<std::string> &folders,
                               const DeviceCode &deviceCode, Device *emulator)
    : code(std::move(handle)), entry(entry), metadataText(std::move(text)),
      metadata(parseMetadata(metadataText)), files(metadata, folders) {
  for (size_t i = 0; i < metadata.weights.size(); ++i) {
    Weight weight;
    weight.address = files.address(i);
    weight.bytes = metadata.weights[i].bytes;
    weight.alignment = dataTypeSize(metadata.weights[i].dtype);
    context.weights.push_back(weight);
  }
  if (!metadata.gpu.chip.empty())
    gpu = std::make_unique<DeviceModule>(metadata.gpu, deviceCode, emulator);
  if (!metadata.prepared.empty())
    prepare(init);
}

attn_rt_module::~attn_rt_module() {
  for (Weight &weight : context.weights)
    std::free(weight.copy);
}

/// Copies a strided array to a dense one.
static void copyStrided(char *to, const char *from, const int64_t *sizes,
                        const int64_t *strides, int32_t rank,
                        int64_t elementSize) {
  if (rank == 0) {
    std::memcpy(to, from, elementSize);
    return;
  }
  int64_t inner = elementSize;
  for (int32_t i = 1; i < rank; ++i)
    inner *= sizes[i];
  for (int64_t i = 0; i < sizes[0]; ++i)
    copyStrided(to + i * inner, from + i * strides[0] * elementSize, sizes + 1,
                strides + 1, rank - 1, elementSize);
}

/// Takes over the result in `descriptor`, or copies what generated code does
/// not own alone: an input, a weight, or a view.
static void takeResult(Context &context, const TensorSpec &spec,
                       Descriptor descriptor, attn_rt_tensor &output) {
  int64_t elementSize = dataTypeSize(spec.dtype);
  int32_t rank = spec.rank();
  std::optional<int64_t> count =
      numElements(descriptor.sizes(), rank, elementSize);
  if (!count)
    fail("output '", spec.name, "' has the impossible shape ",
         shapeText(descriptor.sizes(), rank));
  output.dtype = spec.dtype;
  output.rank = rank;
  std::copy_n(descriptor.sizes(), rank, output.shape);
  bool dense =
      isContiguous(descriptor.sizes(), descriptor.strides(rank), rank) ||
      *count == 0;
  if (dense && descriptor.offset() == 0 &&
      descriptor.aligned() == descriptor.allocated() &&
      context.allocator.owns(descriptor.allocated())) {
    context.allocator.disown(descriptor.allocated());
    output.data = descriptor.allocated();
    return;
  }
  void *copy = context.allocator.allocate(*count * elementSize);
  if (!copy)
    fail("out of memory: output '", spec.name, "' of shape ",
         shapeText(descriptor.sizes(), rank), " does not fit");
  context.allocator.disown(copy);
  output.data = copy;
  if (*count)
    copyStrided(static_cast<char *>(copy),
                descriptor.aligned() + descriptor.offset() * elementSize,
                descriptor.sizes(), descriptor.strides(rank), rank,
                elementSize);
}

// No object with a destructor may live in this frame or below, since
// attn_rt_fail jumps over it.
bool attn::rt::callEntry(void (*entry)(void **), void **arguments,
                         Context &context) {
  if (setjmp(context.failurePoint) != 0)
    return false;
  entry(arguments);
  return true;
}

PackedArguments::PackedArguments(const Metadata &metadata,
                                 const std::vector<attn_rt_tensor> &inputs) {
  size_t numWords = 1;
  for (const TensorSpec &spec : metadata.outputs) {
    results.push_back(numWords - 1);
    numWords += Descriptor::numWords(spec.rank());
  }
  size_t next = numWords;
  for (const attn_rt_tensor &tensor : inputs)
    numWords += Descriptor::numWords(tensor.rank);
  words.resize(numWords);
  pointers.push_back(words.data());
  for (const attn_rt_tensor &tensor : inputs) {
    Descriptor(&words[next]).fill(tensor);
    pointers.push_back(&words[next]);
    next += Descriptor::numWords(tensor.rank);
  }
}

namespace {
/// Whatever happens in its scope, the run's blocks go back.
struct EndRun {
  Allocator &allocator;
  ~EndRun() { allocator.endRun(); }
};
} // namespace

void attn_rt_module::prepare(void (*init)(void **)) {
  if (!init)
    fail("the module has prepared tensors but no function 'attn_packed_init'; "
         "compile it again");
  size_t numWords = 0;
  for (const PreparedSpec &spec : metadata.prepared)
    numWords += Descriptor::numWords(static_cast<int32_t>(spec.shape.size()));
  std::vector<int64_t> words(numWords);
  void *arguments[] = {words.data()};
  ContextScope scope(context);
  EndRun endRun{context.allocator};
  if (!callEntry(init, arguments, context))
    throw Error(context.failure);
  int64_t *next = words.data();
  std::vector<Weight> prepared;
  for (const PreparedSpec &spec : metadata.prepared) {
    Descriptor descriptor(next);
    auto rank = static_cast<int32_t>(spec.shape.size());
    next += Descriptor::numWords(rank);
    Weight weight;
    weight.bytes = spec.bytes;
    void *block = descriptor.allocated();
    if (descriptor.offset() == 0 && descriptor.aligned() == block &&
        isContiguous(spec.shape.data(), descriptor.strides(rank), rank) &&
        context.allocator.owns(block)) {
      context.allocator.keep(block);
    } else { // a view, or the block of another result
      int64_t elementSize = dataTypeSize(spec.dtype);
      block = context.allocator.allocatePersistent(spec.bytes);
      if (!block)
        fail("out of memory: a prepared tensor of ", spec.bytes,
             " bytes does not fit");
      if (spec.bytes)
        copyStrided(static_cast<char *>(block),
                    descriptor.aligned() + descriptor.offset() * elementSize,
                    spec.shape.data(), descriptor.strides(rank), rank,
                    elementSize);
    }
    weight.address = static_cast<const char *>(block);
    prepared.push_back(weight);
  }
  context.weights.insert(context.weights.end(), prepared.begin(),
                         prepared.end());
}

/// Generated code may rely on the alignment of elements, and on bools of 0 or
/// 1. Copies tensors where that does not hold.
static void normalizeInput(attn_rt_tensor &tensor,
                           std::vector<std::vector<int64_t>> &copies) {
  int64_t elementSize = dataTypeSize(tensor.dtype);
  int64_t bytes =
      *numElements(tensor.shape, tensor.rank, elementSize) * elementSize;
  auto *data = static_cast<const unsigned char *>(tensor.data);
  bool isFit = bytes > 0 &&
               reinterpret_cast<uintptr_t>(data) % elementSize == 0 &&
               (tensor.dtype != ATTN_RT_BOOL ||
                std::all_of(data, data + bytes,
                            [](unsigned char value) { return value <= 1; }));
  if (isFit)
    return;
  std::vector<int64_t> &copy = copies.emplace_back(bytes / 8 + 1);
  if (bytes > 0)
    std::memcpy(copy.data(), data, bytes);
  if (tensor.dtype == ATTN_RT_BOOL) {
    auto *values = reinterpret_cast<unsigned char *>(copy.data());
    std::transform(values, values + bytes, values,
                   [](unsigned char value) { return value != 0; });
  }
  tensor.data = copy.data();
}

void attn_rt_module::run(const char *const *names, const attn_rt_tensor *inputs,
                         int32_t numInputs, attn_rt_tensor *outputs,
                         const attn_rt_run_options &options) {
  std::vector<attn_rt_tensor> bound =
      bindInputs(metadata.inputs, names, inputs, numInputs);
  std::vector<std::vector<int64_t>> copies;
  if (!options.on_device)
    for (attn_rt_tensor &tensor : bound)
      normalizeInput(tensor, copies);
  std::lock_guard<std::mutex> lock(runMutex);
  if (gpu)
    return runOnDevice(bound, outputs, options);
  if (options.on_device || options.stream)
    fail("the module was compiled for a CPU but its tensors are said to lie on "
         "a GPU; compile it with --target sm_80 or sm_90a");
  PackedArguments arguments(metadata, bound);
  ContextScope scope(context);
  context.failure.clear();
  EndRun endRun{context.allocator};
  if (!callEntry(entry, arguments.data(), context))
    throw Error(context.failure);
  for (size_t i = 0; i < metadata.outputs.size(); ++i)
    takeResult(context, metadata.outputs[i], arguments.result(i), outputs[i]);
}
