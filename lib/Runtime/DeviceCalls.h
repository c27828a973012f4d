//===- DeviceCalls.h - What host code of GPU modules calls ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DEVICECALLS_H
#define ATTN_LIB_RUNTIME_DEVICECALLS_H

#include <cstdint>

/// All of it is queued on the stream of the run, in order, except where a
/// function says that it waits. Failures end the run as attn_rt_fail does.
extern "C" {
/// Memory of the run on its GPU, at least 256-byte aligned.
void *attn_gpu_alloc(int64_t bytes);
void attn_gpu_free(void *block);
/// `kind` is a CopyKind.
void attn_gpu_copy(void *to, const void *from, int64_t bytes, int32_t kind);
/// Between arrays on the GPU; strides are in elements.
void attn_gpu_copy_strided(void *to, const int64_t *to_strides,
                           const void *from, const int64_t *from_strides,
                           const int64_t *sizes, int32_t rank,
                           int64_t element_bytes);
/// `address`, if the array there has no gaps; else a dense copy of it. Ends by
/// the other function, which copies back what a kernel wrote if it is told to.
void *attn_gpu_make_dense(void *address, const int64_t *strides,
                          const int64_t *sizes, int32_t rank,
                          int64_t element_bytes);
void attn_gpu_end_dense(void *dense, void *address, const int64_t *strides,
                        const int64_t *sizes, int32_t rank,
                        int64_t element_bytes, int32_t copy_back);
/// A few bytes of GPU memory for the host; waits.
void attn_gpu_read(void *to, const void *from, int64_t bytes);
/// A few bytes of host memory for the GPU.
void attn_gpu_write(void *to, const void *from, int64_t bytes);
/// Weight `index`, or `bytes` of constant host memory, on the GPU: copied once.
void *attn_gpu_weight(int64_t index);
void *attn_gpu_constant(const void *host, int64_t bytes);
/// How many thread blocks can surely run at the same time.
int64_t attn_gpu_multiprocessors(void);
/// Kernel number `kernel` of the metadata's list. `params` points to each of
/// the `count` parameters; a grid with a zero launches nothing.
void attn_gpu_launch(int32_t kernel, int64_t grid_x, int64_t grid_y,
                     int64_t grid_z, int64_t threads, int64_t shared_bytes,
                     void **params, int32_t count);
/// Fills the 128 bytes at `map`, which are 64-byte aligned. The innermost
/// dimension comes first; `byte_strides` has `rank` - 1 entries, beginning with
/// dimension 1. `dtype` is an ONNX code. A tensor with a size of 0 gets a map
/// of zeros, which must not be used.
void attn_gpu_tensor_map(void *map, void *address, int32_t dtype, int32_t rank,
                         const int64_t *sizes, const int64_t *byte_strides,
                         const int32_t *box, int32_t swizzle_bytes);
}

#endif // ATTN_LIB_RUNTIME_DEVICECALLS_H
