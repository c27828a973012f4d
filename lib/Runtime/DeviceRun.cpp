//===- DeviceRun.cpp - A run of a module on a GPU -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DataType.h"
#include "Error.h"
#include "Module.h"
#include <cstdint>

using namespace attn::rt;

namespace {
/// Whatever happens in its scope, the run's blocks go back.
struct EndDeviceRun {
  Context &context;
  DeviceState &state;
  ~EndDeviceRun() {
    state.endRun();
    context.device = nullptr;
    context.allocator.endRun();
  }
};
} // namespace

static int64_t countBytes(const attn_rt_tensor &tensor) {
  int64_t size = dataTypeSize(tensor.dtype);
  return *numElements(tensor.shape, tensor.rank, size) * size;
}

/// Kernels read rows by 16-byte loads.
static void checkInput(Device &device, const TensorSpec &spec,
                       const attn_rt_tensor &tensor) {
  if (countBytes(tensor) == 0)
    return;
  std::string what = "input '" + spec.name + "'";
  device.checkAddress(tensor.data, what);
  if (reinterpret_cast<uintptr_t>(tensor.data) % 16 != 0)
    fail(what, " begins at an address that is not a multiple of 16; copy it to "
               "a tensor of its own");
}

/// Takes over the result in `descriptor`, or copies what the run does not own
/// alone, or what the caller wants on the host.
static void takeResult(attn_rt_module &module, DeviceState &state,
                       const TensorSpec &spec, Descriptor descriptor,
                       attn_rt_tensor &output, bool stays) {
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
  if (stays && descriptor.offset() == 0 &&
      descriptor.aligned() == descriptor.allocated() &&
      (isContiguous(descriptor.sizes(), descriptor.strides(rank), rank) ||
       *count == 0) &&
      state.owns(descriptor.allocated())) {
    state.disown(descriptor.allocated());
    output.data = descriptor.allocated();
    return;
  }
  int64_t bytes = *count * elementSize;
  if (stays) {
    output.data = state.allocate(bytes);
    state.disown(output.data);
  } else {
    output.data = module.context.allocator.allocate(bytes);
    if (!output.data)
      fail("out of memory: output '", spec.name, "' of shape ",
           shapeText(descriptor.sizes(), rank), " does not fit");
    module.context.allocator.disown(output.data);
  }
  if (*count == 0)
    return;
  std::vector<int64_t> dense(rank);
  int64_t stride = 1;
  for (int32_t i = rank; i-- > 0;) {
    dense[i] = stride;
    stride *= descriptor.sizes()[i];
  }
  copyStrided(state.device, output.data, dense.data(),
              descriptor.aligned() + descriptor.offset() * elementSize,
              descriptor.strides(rank), descriptor.sizes(), rank, elementSize,
              stays ? CopyKind::DeviceToDevice : CopyKind::DeviceToHost,
              state.stream);
}

void attn_rt_module::runOnDevice(const std::vector<attn_rt_tensor> &inputs,
                                 attn_rt_tensor *outputs,
                                 const attn_rt_run_options &options) {
  Device &device = gpu->device(options.device);
  if (gpu->isEmulated() && (options.on_device || options.stream))
    fail("an emulated module has no device memory and no streams; pass host "
         "arrays");
  DeviceScope current(device);
  DeviceState &state = gpu->state(device);
  ContextScope scope(context);
  context.failure.clear();
  context.device = &state;
  state.beginRun(options.stream);
  EndDeviceRun end{context, state};

  std::vector<attn_rt_tensor> placed = inputs;
  for (size_t i = 0; i < placed.size(); ++i) {
    attn_rt_tensor &tensor = placed[i];
    if (options.on_device) {
      checkInput(device, metadata.inputs[i], tensor);
      continue;
    }
    int64_t bytes = countBytes(tensor);
    void *block = state.allocate(bytes);
    device.copyRows(block, bytes, tensor.data, bytes, bytes, 1,
                    CopyKind::HostToDevice, state.stream);
    tensor.data = block;
  }
  PackedArguments arguments(metadata, placed);
  if (!callEntry(entry, arguments.data(), context))
    throw Error(context.failure);
  bool stays = options.on_device != 0;
  try {
    for (size_t i = 0; i < metadata.outputs.size(); ++i)
      takeResult(*this, state, metadata.outputs[i], arguments.result(i),
                 outputs[i], stays);
  } catch (...) {
    for (size_t i = 0; stays && i < metadata.outputs.size(); ++i) {
      device.release(outputs[i].data, state.stream);
      outputs[i] = attn_rt_tensor();
    }
    throw;
  }
  // Results on the GPU are for later work of the same stream.
  if (!options.on_device)
    device.synchronize(state.stream);
}
