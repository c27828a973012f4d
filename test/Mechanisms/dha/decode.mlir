// One token over a cache of 2 key heads and 3 value heads, in a cache of rows and
// in pages.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Keys and values are read where they lie and never repeated.
// CHECK-LABEL: func.func @main
// CHECK-NOT: tensor<?x6x?x8xf32>
// CHECK: scf.forall
// CHECK: tensor.extract_slice %{{.*}} [1, 1, %{{.*}}, 8] [1, 1, 1, 1] : tensor<?x2x?x8xf32>
// CHECK: tensor.extract_slice %{{.*}} [1, 1, %{{.*}}, 8] [1, 1, 1, 1] : tensor<?x3x?x8xf32>
// CHECK-NOT: tensor<?x6x?x8xf32>
// CHECK-LABEL: func.func @paged
// CHECK: scf.forall
// CHECK: tensor.extract %arg{{[0-9]+}}[%{{.*}}] : tensor<?x?xi32>
// CHECK: tensor.extract_slice %{{.*}} : tensor<?x2x16x8xf32>
// CHECK: tensor.extract_slice %{{.*}} : tensor<?x3x16x8xf32>
func.func @main(%q: tensor<?x6x1x8xf32> {attn.name = "q"},
                %past_k: tensor<?x2x?x8xf32> {attn.name = "past_k"},
                %past_v: tensor<?x3x?x8xf32> {attn.name = "past_v"},
                %k: tensor<?x2x1x8xf32> {attn.name = "k"},
                %v: tensor<?x3x1x8xf32> {attn.name = "v"},
                %cos: tensor<1x4xf32> {attn.name = "cos"},
                %sin: tensor<1x4xf32> {attn.name = "sin"})
    -> (tensor<?x6x1x8xf32> {attn.name = "o"},
        tensor<?x2x?x8xf32> {attn.name = "keys"},
        tensor<?x3x?x8xf32> {attn.name = "values"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %qr = attn.rope %q, %cos, %sin : tensor<?x6x1x8xf32>, tensor<1x4xf32>
  %kr = attn.rope %k, %cos, %sin : tensor<?x2x1x8xf32>, tensor<1x4xf32>
  %keys = attn.kv_append %past_k, %kr
    : tensor<?x2x?x8xf32>, tensor<?x2x1x8xf32> -> tensor<?x2x?x8xf32>
  %values = attn.kv_append %past_v, %v
    : tensor<?x3x?x8xf32>, tensor<?x3x1x8xf32> -> tensor<?x3x?x8xf32>
  %o = attn.attention %qr, %keys, %values
    {key_head_map = array<i64: 0, 0, 0, 1, 1, 1>, value_head_map = array<i64: 0, 0, 1, 1, 2, 2>}
    : tensor<?x6x1x8xf32>, tensor<?x2x?x8xf32>, tensor<?x3x?x8xf32> -> tensor<?x6x1x8xf32>
  return %o, %keys, %values
    : tensor<?x6x1x8xf32>, tensor<?x2x?x8xf32>, tensor<?x3x?x8xf32>
}

func.func @paged(%q: tensor<?x6x1x8xf32> {attn.name = "q"},
                 %past_k: tensor<?x2x16x8xf32> {attn.name = "past_k"},
                 %past_v: tensor<?x3x16x8xf32> {attn.name = "past_v"},
                 %k: tensor<?x2x1x8xf32> {attn.name = "k"},
                 %v: tensor<?x3x1x8xf32> {attn.name = "v"},
                 %table: tensor<?x?xi32> {attn.name = "table"},
                 %past: tensor<?xi32> {attn.name = "past"},
                 %lengths: tensor<?xi32> {attn.name = "lengths"})
    -> (tensor<?x6x1x8xf32> {attn.name = "o"},
        tensor<?x2x16x8xf32> {attn.name = "keys"},
        tensor<?x3x16x8xf32> {attn.name = "values"}) {
  %keys = attn.kv_append %past_k, %k at(%past : tensor<?xi32>) pages(%table : tensor<?x?xi32>)
    : tensor<?x2x16x8xf32>, tensor<?x2x1x8xf32> -> tensor<?x2x16x8xf32>
  %values = attn.kv_append %past_v, %v at(%past : tensor<?xi32>) pages(%table : tensor<?x?xi32>)
    : tensor<?x3x16x8xf32>, tensor<?x3x1x8xf32> -> tensor<?x3x16x8xf32>
  %o = attn.attention %q, %keys, %values pages(%table : tensor<?x?xi32>) kv_lengths(%lengths : tensor<?xi32>)
    {key_head_map = array<i64: 0, 0, 0, 1, 1, 1>, value_head_map = array<i64: 0, 0, 1, 1, 2, 2>}
    : tensor<?x6x1x8xf32>, tensor<?x2x16x8xf32>, tensor<?x3x16x8xf32> -> tensor<?x6x1x8xf32>
  return %o, %keys, %values : tensor<?x6x1x8xf32>, tensor<?x2x16x8xf32>, tensor<?x3x16x8xf32>
}
