//===- Calls.h - What generated code calls ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pass 'attn-emulate' emits calls of these functions; the two files must
// agree. Pointers into shared memory are numbers from sharedStart on.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_EMULATOR_CALLS_H
#define ATTN_LIB_EMULATOR_CALLS_H

#include "Machine.h"

using attn::emu::Site;

extern "C" {

// Memory.cpp.
enum AccessFlags { AccessWrite = 1, AccessAtomic = 2, AccessShared = 16 };
/// Checks an access and returns the host address of its bytes.
void *attn_emu_access(const Site *, void *pointer, int64_t bytes,
                      int64_t alignment, int32_t flags);
void *attn_emu_to_generic(void *shared);
void *attn_emu_to_shared(void *generic);
void *attn_emu_dynamic_shared(int64_t alignment);
/// A variable of the module in global or constant memory.
void *attn_emu_global(void *address, int64_t bytes, int32_t writable);

// Registers.cpp.
int32_t attn_emu_sreg(int32_t which);
float attn_emu_exp2(float);
float attn_emu_log2(float);
float attn_emu_tanh(float);
float attn_emu_rcp(float);
void attn_emu_setmaxreg(const Site *, int32_t count, int32_t increase);
void attn_emu_fence(const Site *);
void attn_emu_fence_proxy(const Site *);
void attn_emu_nanosleep(const Site *);
int64_t attn_emu_clock(void);
void attn_emu_trap(const Site *);
int32_t attn_emu_prmt(int32_t a, int32_t b, int32_t selector, int32_t mode);

// Collective.cpp.
void attn_emu_warp_sync(const Site *, int32_t mask);
int32_t attn_emu_shfl(const Site *, int32_t mask, int32_t value, int32_t lane,
                      int32_t clamp, int32_t mode, int32_t *inRange);
int32_t attn_emu_vote(const Site *, int32_t mask, int32_t predicate,
                      int32_t kind);
int32_t attn_emu_elect(const Site *, int32_t mask);
int32_t attn_emu_redux(const Site *, int32_t mask, int32_t value, int32_t kind);
int32_t attn_emu_match(const Site *, int32_t mask, int64_t value, int32_t all);

// Barrier.cpp.
int32_t attn_emu_barrier(const Site *, int32_t id, int32_t threads,
                         int32_t reduction, int32_t predicate);
void attn_emu_barrier_arrive(const Site *, int32_t id, int32_t threads);
void attn_emu_mbarrier_init(const Site *, void *, int32_t count);
void attn_emu_mbarrier_inval(const Site *, void *);
int64_t attn_emu_mbarrier_arrive(const Site *, void *, int32_t count,
                                 int32_t predicate, int32_t drop);
int64_t attn_emu_mbarrier_expect(const Site *, void *, int32_t bytes,
                                 int32_t arrive);
void attn_emu_mbarrier_complete(const Site *, void *, int32_t bytes);
/// `state` is a parity or what an arrival returned.
int32_t attn_emu_mbarrier_test(const Site *, void *, int64_t state,
                               int32_t parity, int32_t blocking);

// Matrix.cpp.
void attn_emu_ldmatrix(const Site *, void *, int32_t count, int32_t transposed,
                       int32_t *result);
void attn_emu_stmatrix(const Site *, void *, int32_t count, int32_t transposed,
                       const int32_t *source);
/// Types: 0 f16, 1 bf16, 2 tf32; accumulators: 0 f16, 1 f32.
void attn_emu_mma(const Site *, int32_t k, int32_t type, int32_t accumulator,
                  const int32_t *a, const int32_t *b, const int32_t *c,
                  int32_t *d);

// Wgmma.cpp.
void attn_emu_wgmma_fence(const Site *);
void attn_emu_wgmma_commit(const Site *);
void attn_emu_wgmma(const Site *, int32_t type, int32_t n, int64_t a,
                    const int32_t *registers, int64_t b, int32_t transA,
                    int32_t transB, const float *accumulator, float *result);
void attn_emu_wgmma_wait(const Site *, int32_t pending);
void attn_emu_wgmma_collect(const Site *, int32_t n, const float *value,
                            float *result);

// Async.cpp.
void attn_emu_cp_async(const Site *, void *to, void *from, int32_t bytes,
                       int32_t fromBytes);
void attn_emu_cp_async_commit(const Site *);
void attn_emu_cp_async_wait(const Site *, int32_t pending);
void attn_emu_cp_async_arrive(const Site *, void *barrier, int32_t noIncrement);
void attn_emu_bulk_load(const Site *, void *to, void *from, int32_t bytes,
                        void *barrier);
void attn_emu_bulk_store(const Site *, void *to, void *from, int32_t bytes);
void attn_emu_tma_load(const Site *, void *to, const void *map, void *barrier,
                       int32_t rank, const int32_t *at);
void attn_emu_tma_store(const Site *, const void *map, void *from, int32_t rank,
                        const int32_t *at);
void attn_emu_bulk_commit(const Site *);
void attn_emu_bulk_wait(const Site *, int32_t pending);
}

#endif // ATTN_LIB_EMULATOR_CALLS_H
