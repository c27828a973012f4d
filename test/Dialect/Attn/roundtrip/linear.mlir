// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @plain
// CHECK: attn.linear_attention %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x4x?x8xf16>, tensor<2x2x?x8xf16>, tensor<2x2x?x6xf16> -> tensor<2x4x?x6xf16>, tensor<2x2x8x6xf32>
func.func @plain(%q: tensor<2x4x?x8xf16>, %k: tensor<2x2x?x8xf16>,
                 %v: tensor<2x2x?x6xf16>) -> tensor<2x4x?x6xf16> {
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<2x4x?x8xf16>, tensor<2x2x?x8xf16>, tensor<2x2x?x6xf16>
    -> tensor<2x4x?x6xf16>, tensor<2x2x8x6xf32>
  return %o : tensor<2x4x?x6xf16>
}

// CHECK-LABEL: func.func @gated_delta
// CHECK: decay({{.*}}) beta({{.*}}) state({{.*}}) writes({{.*}}) {chunk_size = 32 : i64, decay_unwritten, scale = 5.000000e-01 : f64}
func.func @gated_delta(%q: tensor<1x2x64x8xf32>, %g: tensor<1x2x64x8xf32>,
                       %b: tensor<1x1x64xf32>, %s: tensor<1x2x8x8xf32>,
                       %w: tensor<1x2x2xi1>) -> tensor<1x2x8x8xf32> {
  %o, %r = attn.linear_attention %q, %q, %q beta(%b : tensor<1x1x64xf32>)
    state(%s : tensor<1x2x8x8xf32>) decay(%g : tensor<1x2x64x8xf32>)
    writes(%w : tensor<1x2x2xi1>)
    {scale = 0.5, decay_unwritten, chunk_size = 32}
    : tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>
    -> tensor<1x2x64x8xf32>, tensor<1x2x8x8xf32>
  return %r : tensor<1x2x8x8xf32>
}

// CHECK-LABEL: func.func @normalised
// CHECK: normalizer({{.*}}) {log_decay = array<f64: -1.000000e-01, -5.000000e-01>}
// CHECK-SAME: -> tensor<1x2x64x8xf32>, tensor<1x2x8x8xf32>, tensor<1x2x8xf32>
func.func @normalised(%q: tensor<1x2x64x8xf32>, %n: tensor<1x2x8xf32>)
    -> tensor<1x2x8xf32> {
  %o, %s, %r = attn.linear_attention %q, %q, %q
    normalizer(%n : tensor<1x2x8xf32>) {log_decay = array<f64: -0.1, -0.5>}
    : tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>
    -> tensor<1x2x64x8xf32>, tensor<1x2x8x8xf32>, tensor<1x2x8xf32>
  return %r : tensor<1x2x8xf32>
}

// CHECK-LABEL: func.func @local_linear
// CHECK: attn.local_linear_attention {{.*}} {absolute, feature_block = 4 : i64, iterations = 16 : i64, ridge = 1.000000e-01 : f64} :
func.func @local_linear(%q: tensor<1x8x?x8xf32>, %k: tensor<1x2x?x8xf32>) -> tensor<1x8x?x8xf32> {
  %o = attn.local_linear_attention %q, %k, %k
    {ridge = 0.1, absolute, iterations = 16, feature_block = 4}
    : tensor<1x8x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32> -> tensor<1x8x?x8xf32>
  return %o : tensor<1x8x?x8xf32>
}

// CHECK-LABEL: func.func @monotonic
// CHECK: attn.monotonic_align %{{.*}} previous(%{{.*}} : tensor<1x2x?xf32>) : tensor<1x2x?x?xf16>
func.func @monotonic(%p: tensor<1x2x?x?xf16>, %r: tensor<1x2x?xf32>) -> tensor<1x2x?x?xf16> {
  %a = attn.monotonic_align %p previous(%r : tensor<1x2x?xf32>) : tensor<1x2x?x?xf16>
  return %a : tensor<1x2x?x?xf16>
}
