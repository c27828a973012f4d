// RUN: not attn-opt %s 2>&1 | FileCheck %s

// The list of indices is not empty, neither in text nor as built by a pass.
// CHECK: per-head-empty.mlir:[[#@LINE+1]]:{{.*}}error:
func.func private @empty() attributes {m = #attn.per_head<[#attn.causal], []>}
