//===- StubCuda.h - A CUDA driver without a GPU, for tests ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TEST_STUBCUDA_H
#define ATTN_TEST_STUBCUDA_H

/// A library with the driver's entry points. GPU memory is the heap; a launch
/// is written down, and calls a function if the test gave one.
///
/// Settings, also from the environment variable ATTN_STUB_CUDA as
/// "name=value,name=value":
///   devices, capability (90), version (13000), shared (bytes), pools, memory
///   (bytes that can be held), and the name of any entry point: the result
///   that it returns instead of doing its work.
extern "C" {
void stub_set(const char *name, long value);
/// Forgets all settings and the log.
void stub_reset(void);
/// Calls so far, one a line: name and what matters of the arguments.
const char *stub_log(void);
void stub_kernel(const char *name, void (*body)(unsigned x, unsigned y,
                                                unsigned z, void **params));
/// Number of blocks that are allocated.
long stub_live(void);
}

#endif // ATTN_TEST_STUBCUDA_H
