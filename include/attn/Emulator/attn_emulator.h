//===- attn_emulator.h - Run GPU kernels on the host ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C interface of the emulator. A kernel that the pass 'attn-emulate' has
// turned into a host function runs block by block, each CUDA thread as a
// fiber, and each access to memory is checked. No LLVM, no GPU.
//
// The library is used by one host thread at a time.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_EMULATOR_ATTN_EMULATOR_H
#define ATTN_EMULATOR_ATTN_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What the pass 'attn-emulate' emits as 'NAME__emu': takes pointers to the
/// arguments, in order; for a tensor map, a pointer to its 128 bytes.
typedef void (*attn_emu_entry)(void **params);

/// The pass emits one constant of this type for each kernel: 'NAME__emu_info'.
typedef struct attn_emu_kernel {
  attn_emu_entry entry;
  const char *name;
  /// Bytes of shared memory that the kernel's own variables take.
  int64_t static_shared_bytes;
  /// Threads a block must have (nvvm.reqntid), or 0.
  int64_t required_threads;
  /// Parameters that the entry takes.
  int64_t parameters;
} attn_emu_kernel;

typedef struct attn_emu_options {
  /// 0: asynchronous operations finish as late as the program allows, threads
  /// run in order. Other seeds: in a random order.
  uint64_t seed;
  /// 1: count bank conflicts and sectors (slower).
  int32_t statistics;
  /// 1: leave out the search for races and uninitialised reads (faster);
  /// bounds, alignment and deadlock are always checked.
  int32_t unchecked;
} attn_emu_options;

typedef struct attn_emu_statistics {
  int64_t blocks;
  int64_t instructions;      ///< instrumented operations of all threads
  int64_t global_requests;   ///< requests of warps to global memory
  int64_t global_sectors;    ///< 32-byte sectors that they touch
  int64_t global_bytes;      ///< bytes that their threads wanted
  int64_t shared_requests;   ///< requests of warps to shared memory
  int64_t shared_wavefronts; ///< passes over the banks that they take
  int64_t shared_ideal;      ///< passes without bank conflicts
  int64_t async_copies;      ///< cp.async and bulk copies
  int64_t async_bytes;
  int64_t mma;   ///< mma.sync instructions of warps
  int64_t wgmma; ///< wgmma instructions of warpgroups
} attn_emu_statistics;

/// Sets the options of later launches; null for the defaults. The variables
/// ATTN_EMU_SEED, ATTN_EMU_STATISTICS, ATTN_EMU_UNCHECKED set the defaults.
void attn_emu_set_options(const attn_emu_options *options);

/// Device memory: bounds of each access are checked against these pieces.
/// Returns null if there is no memory. The contents start as 0xff bytes (NaN).
void *attn_emu_alloc(int64_t bytes);
/// Returns null, or what is wrong ("not a device address").
const char *attn_emu_free(void *address);
/// Lets kernels use memory of the host, until attn_emu_unregister.
void attn_emu_register(const void *address, int64_t bytes, int32_t writable);
void attn_emu_unregister(const void *address);
/// 1 if the bytes lie inside one registered piece.
int32_t attn_emu_contains(const void *address, int64_t bytes);

/// Runs the kernel over a grid of grid[0] x grid[1] x grid[2] blocks. Returns
/// null, or the first error as one line (valid until the next launch).
const char *attn_emu_launch(const attn_emu_kernel *kernel,
                            const int64_t grid[3], const int64_t threads[3],
                            int64_t dynamic_shared_bytes, void **params);

/// The counts of the last launch.
void attn_emu_get_statistics(attn_emu_statistics *statistics);

/// Fills the 128 bytes of a tensor map, as cuTensorMapEncodeTiled does, with
/// element strides of 1, no interleave, and zero fill. 'dtype' is an ONNX
/// element type (FLOAT 1, UINT8 2, INT8 3, INT32 6, INT64 7, FLOAT16 10,
/// DOUBLE 11, UINT32 12, BFLOAT16 16, the eight-bit floats 17 to 20). 'sizes',
/// 'byte_strides' and 'box' start with the innermost dimension; byte_strides
/// holds rank - 1 entries, those of dimensions 1 and up. 'swizzle_bytes' is
/// 0, 32, 64 or 128. Returns null, or what is wrong.
const char *attn_emu_encode_tensor_map(void *map128, void *address,
                                       int32_t dtype, int32_t rank,
                                       const int64_t *sizes,
                                       const int64_t *byte_strides,
                                       const int32_t *box,
                                       int32_t swizzle_bytes);

#ifdef __cplusplus
}
#endif

#endif // ATTN_EMULATOR_ATTN_EMULATOR_H
