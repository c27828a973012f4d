// LycheeDecode (arXiv:2602.04541), a decoding step of three layers of 2 key heads:
// a retrieval head reads all keys and names 24 for the head of its number in the
// next layer, a sparse head reads those that were named and passes them on.
// Roles: both retrieve; the first retrieves; none retrieves.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: blocks<q_block = 1, kv_block = 1>

// A token is named for its greatest weight in the group.
// CHECK-LABEL: func.func private @retrieve(
// CHECK: attn.top_k
func.func private @retrieve(%q: tensor<1x2x1x16xf32>, %k: tensor<1x1x?x16xf32>, %v: tensor<1x1x?x16xf32>)
    -> (tensor<1x2x1x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>) {
  %o, %lse = attn.attention %q, %k, %v
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>, tensor<1x2x1xf32>
  %weights = attn.key_importance max, max %q, %k, %lse
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x2x1xf32> -> tensor<1x1x?xf32>
  %c2 = arith.constant 2 : index
  %length = tensor.dim %weights, %c2 : tensor<1x1x?xf32>
  %rows = tensor.expand_shape %weights [[0], [1], [2, 3]] output_shape [1, 1, 1, %length]
    : tensor<1x1x?xf32> into tensor<1x1x1x?xf32>
  %named, %counts = attn.top_k %rows : tensor<1x1x1x?xf32> -> tensor<1x1x1x24xi32>, tensor<1x1x1xi32>
  return %o, %named, %counts : tensor<1x2x1x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>
}

// A sparse head's loop runs over what is named, not over the cache.
// CHECK-LABEL: func.func private @sparse(
// CHECK-NOT: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{.*}}xi32>, index)
func.func private @sparse(%q: tensor<1x2x1x16xf32>, %k: tensor<1x1x?x16xf32>, %v: tensor<1x1x?x16xf32>, %named: tensor<1x1x1x24xi32>, %counts: tensor<1x1x1xi32>)
    -> tensor<1x2x1x16xf32> {
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 1>, %named, %counts : tensor<1x1x1x24xi32>, tensor<1x1x1xi32>)
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>
  return %o : tensor<1x2x1x16xf32>
}

// CHECK-LABEL: func.func @main
// CHECK-COUNT-3: call @retrieve
// CHECK-NOT: call @retrieve
// CHECK-COUNT-3: call @sparse
func.func @main(
    %q0: tensor<1x4x1x16xf32> {attn.name = "q0"}, %k0: tensor<1x2x?x16xf32> {attn.name = "k0"},
    %v0: tensor<1x2x?x16xf32> {attn.name = "v0"},
    %q1: tensor<1x4x1x16xf32> {attn.name = "q1"}, %k1: tensor<1x2x?x16xf32> {attn.name = "k1"},
    %v1: tensor<1x2x?x16xf32> {attn.name = "v1"},
    %q2: tensor<1x4x1x16xf32> {attn.name = "q2"}, %k2: tensor<1x2x?x16xf32> {attn.name = "k2"},
    %v2: tensor<1x2x?x16xf32> {attn.name = "v2"})
    -> (tensor<1x4x1x16xf32> {attn.name = "o0"},
        tensor<1x4x1x16xf32> {attn.name = "o1"},
        tensor<1x4x1x16xf32> {attn.name = "o2"},
        tensor<1x2x1x24xi32> {attn.name = "named0"},
        tensor<1x2x1x24xi32> {attn.name = "named1"}) {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k0, %c2 : tensor<1x2x?x16xf32>
  %q00 = tensor.extract_slice %q0[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k00 = tensor.extract_slice %k0[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v00 = tensor.extract_slice %v0[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %q01 = tensor.extract_slice %q0[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k01 = tensor.extract_slice %k0[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v01 = tensor.extract_slice %v0[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %q10 = tensor.extract_slice %q1[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k10 = tensor.extract_slice %k1[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v10 = tensor.extract_slice %v1[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %q11 = tensor.extract_slice %q1[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k11 = tensor.extract_slice %k1[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v11 = tensor.extract_slice %v1[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %q20 = tensor.extract_slice %q2[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k20 = tensor.extract_slice %k2[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v20 = tensor.extract_slice %v2[0, 0, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %q21 = tensor.extract_slice %q2[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %k21 = tensor.extract_slice %k2[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %v21 = tensor.extract_slice %v2[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %o00, %s00, %n00 = func.call @retrieve(%q00, %k00, %v00)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> (tensor<1x2x1x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>)
  %o01, %s01, %n01 = func.call @retrieve(%q01, %k01, %v01)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> (tensor<1x2x1x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>)
  %o10, %s10, %n10 = func.call @retrieve(%q10, %k10, %v10)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> (tensor<1x2x1x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>)
  %o11 = func.call @sparse(%q11, %k11, %v11, %s01, %n01)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>) -> tensor<1x2x1x16xf32>
  %o20 = func.call @sparse(%q20, %k20, %v20, %s10, %n10)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>) -> tensor<1x2x1x16xf32>
  %o21 = func.call @sparse(%q21, %k21, %v21, %s01, %n01)
    : (tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x1x24xi32>, tensor<1x1x1xi32>) -> tensor<1x2x1x16xf32>
  %o0 = tensor.concat dim(1) %o00, %o01 : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  %o1 = tensor.concat dim(1) %o10, %o11 : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  %o2 = tensor.concat dim(1) %o20, %o21 : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  %named0 = tensor.concat dim(1) %s00, %s01 : (tensor<1x1x1x24xi32>, tensor<1x1x1x24xi32>) -> tensor<1x2x1x24xi32>
  %named1 = tensor.concat dim(1) %s10, %s01 : (tensor<1x1x1x24xi32>, tensor<1x1x1x24xi32>) -> tensor<1x2x1x24xi32>
  return %o0, %o1, %o2, %named0, %named1 : tensor<1x4x1x16xf32>, tensor<1x4x1x16xf32>, tensor<1x4x1x16xf32>,
    tensor<1x2x1x24xi32>, tensor<1x2x1x24xi32>
}
