//===- OpenMP.h - What we use of libgomp ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_OPENMP_H
#define ATTN_LIB_RUNTIME_OPENMP_H

#ifdef ATTN_LEAN
// Host code of GPU modules has no parallel loops.
inline int omp_get_max_threads() { return 1; }
inline void omp_set_num_threads(int) {}
#else
// Declared by hand, since clang's own header and -fopenmp mean another
// library than the one that oneDNN uses.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
/// Calls `body(data)` on `threads` threads and waits for all of them.
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads,
                   unsigned flags);
}
#endif

#endif // ATTN_LIB_RUNTIME_OPENMP_H
