//===- DeviceCalls.cpp - What host code of GPU modules calls --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceCalls.h"
#include "Descriptor.h"
#include "DeviceState.h"
#include "Error.h"
#include <algorithm>
#include <cstring>
#include <vector>

using namespace attn::rt;

/// Runs `body` on the state of this run, and ends the run if it throws.
template <typename Body>
static auto onDevice(Body body) {
  static thread_local std::string message;
  try {
    Context *context = currentContext();
    if (!context || !context->device)
      fail("GPU code runs outside of a run");
    return body(*context->device, *context);
  } catch (const std::exception &error) {
    message = error.what();
  }
  // Not inside the handler: the jump must not skip destructors.
  attn_rt_fail(message.c_str());
}

void *attn_gpu_alloc(int64_t bytes) {
  return onDevice([&](DeviceState &state, Context &) {
    if (bytes < 0 || bytes > (int64_t(1) << 46))
      fail("out of memory: a tensor of ", bytes, " bytes does not fit");
    return state.allocate(bytes);
  });
}

void attn_gpu_free(void *block) {
  onDevice([&](DeviceState &state, Context &) { state.release(block); });
}

void attn_gpu_copy(void *to, const void *from, int64_t bytes, int32_t kind) {
  onDevice([&](DeviceState &state, Context &) {
    state.device.copyRows(to, bytes, from, bytes, bytes, 1,
                          static_cast<CopyKind>(kind), state.stream);
  });
}

void attn_gpu_copy_strided(void *to, const int64_t *to_strides,
                           const void *from, const int64_t *from_strides,
                           const int64_t *sizes, int32_t rank,
                           int64_t element_bytes) {
  onDevice([&](DeviceState &state, Context &) {
    copyStrided(state.device, to, to_strides, from, from_strides, sizes, rank,
                element_bytes, CopyKind::DeviceToDevice, state.stream);
  });
}

/// Row-major strides of an array without gaps.
static std::vector<int64_t> denseStrides(const int64_t *sizes, int32_t rank) {
  std::vector<int64_t> strides(rank);
  int64_t stride = 1;
  for (int32_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

void *attn_gpu_make_dense(void *address, const int64_t *strides,
                          const int64_t *sizes, int32_t rank,
                          int64_t element_bytes) {
  return onDevice([&](DeviceState &state, Context &) -> void * {
    int64_t count = 1;
    for (int32_t i = 0; i < rank; ++i)
      count *= sizes[i];
    // Kernels and tensor maps rely on the alignment of whole tensors too.
    if (count == 0 || (isContiguous(sizes, strides, rank) &&
                       reinterpret_cast<uintptr_t>(address) % 16 == 0))
      return address;
    void *dense = state.allocate(count * element_bytes);
    copyStrided(state.device, dense, denseStrides(sizes, rank).data(), address,
                strides, sizes, rank, element_bytes, CopyKind::DeviceToDevice,
                state.stream);
    return dense;
  });
}

void attn_gpu_end_dense(void *dense, void *address, const int64_t *strides,
                        const int64_t *sizes, int32_t rank,
                        int64_t element_bytes, int32_t copy_back) {
  onDevice([&](DeviceState &state, Context &) {
    if (dense == address)
      return;
    if (copy_back)
      copyStrided(state.device, address, strides, dense,
                  denseStrides(sizes, rank).data(), sizes, rank, element_bytes,
                  CopyKind::DeviceToDevice, state.stream);
    state.release(dense);
  });
}

void attn_gpu_read(void *to, const void *from, int64_t bytes) {
  onDevice([&](DeviceState &state, Context &) {
    state.device.copyRows(to, bytes, from, bytes, bytes, 1,
                          CopyKind::DeviceToHost, state.stream);
    state.device.synchronize(state.stream);
  });
}

void attn_gpu_write(void *to, const void *from, int64_t bytes) {
  attn_gpu_copy(to, from, bytes, static_cast<int32_t>(CopyKind::HostToDevice));
}

void *attn_gpu_weight(int64_t index) {
  return onDevice([&](DeviceState &state, Context &context) {
    // The file's mapping need not be aligned: bytes are all that is copied.
    const Weight &weight = context.weights.at(index);
    return state.constant(weight.address, weight.bytes);
  });
}

void *attn_gpu_constant(const void *host, int64_t bytes) {
  return onDevice([&](DeviceState &state, Context &) {
    return state.constant(host, bytes);
  });
}

int64_t attn_gpu_multiprocessors(void) {
  return onDevice([&](DeviceState &state, Context &) {
    return state.device.multiprocessors();
  });
}

void attn_gpu_launch(int32_t kernel, int64_t grid_x, int64_t grid_y,
                     int64_t grid_z, int64_t threads, int64_t shared_bytes,
                     void **params, int32_t count) {
  onDevice([&](DeviceState &state, Context &) {
    state.program->launch(kernel,
                          {{grid_x, grid_y, grid_z}, threads, shared_bytes},
                          params, state.stream);
  });
}

void attn_gpu_tensor_map(void *map, void *address, int32_t dtype, int32_t rank,
                         const int64_t *sizes, const int64_t *byte_strides,
                         const int32_t *box, int32_t swizzle_bytes) {
  onDevice([&](DeviceState &state, Context &) {
    if (std::count(sizes, sizes + std::max(rank, 0), 0) > 0) {
      std::memset(map, 0, 128);
      return;
    }
    state.device.encodeTensorMap(
        map, {address, dtype, rank, sizes, byte_strides, box, swizzle_bytes});
  });
}
