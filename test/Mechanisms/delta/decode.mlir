// DELTA (arXiv:2510.09883), a decoding step of three layers: the first is full
// and selects pages of 16 tokens, the others read these alone.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: blocks<q_block = 1, kv_block = 16>

// 4 pages with the largest sums of each token's greatest probability over all
// heads, among them the last 2. Of equal pages the earlier one.
func.func private @select(%q: tensor<?x4x1x16xf32>, %k: tensor<?x2x?x16xf32>, %lse: tensor<?x4x1xf32>)
    -> (tensor<?x1x1x?xf32>, tensor<?x1x1x4xi32>, tensor<?x1x1xi32>) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %each = attn.key_importance max, max %q, %k, %lse
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x4x1xf32> -> tensor<?x2x?xf32>
  %batch = tensor.dim %k, %c0 : tensor<?x2x?x16xf32>
  %length = tensor.dim %k, %c2 : tensor<?x2x?x16xf32>
  %empty = tensor.empty(%batch, %length) : tensor<?x?xf32>
  %none = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %top = linalg.reduce { arith.maximumf } ins(%each : tensor<?x2x?xf32>) outs(%none : tensor<?x?xf32>)
    dimensions = [1]
  %rows = tensor.expand_shape %top [[0], [1, 2, 3]] output_shape [%batch, 1, %length, 1]
    : tensor<?x?xf32> into tensor<?x1x?x1xf32>
  %sums = attn.pool sum %rows {block = 16} : tensor<?x1x?x1xf32> -> tensor<?x1x?x1xf32>
  %pages = tensor.dim %sums, %c2 : tensor<?x1x?x1xf32>
  %flat = tensor.collapse_shape %sums [[0], [1, 2, 3]] : tensor<?x1x?x1xf32> into tensor<?x?xf32>
  %scores = tensor.expand_shape %flat [[0], [1, 2, 3]] output_shape [%batch, 1, 1, %pages]
    : tensor<?x?xf32> into tensor<?x1x1x?xf32>
  %chosen, %counts = attn.top_k %scores {forced_last = 2}
    : tensor<?x1x1x?xf32> -> tensor<?x1x1x4xi32>, tensor<?x1x1xi32>
  return %scores, %chosen, %counts : tensor<?x1x1x?xf32>, tensor<?x1x1x4xi32>, tensor<?x1x1xi32>
}

func.func private @reuse(%q: tensor<?x4x1x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>,
                         %chosen: tensor<?x1x1x4xi32>, %counts: tensor<?x1x1xi32>) -> tensor<?x4x1x16xf32> {
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 16>, %chosen, %counts : tensor<?x1x1x4xi32>, tensor<?x1x1xi32>)
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x1x16xf32>
  return %o : tensor<?x4x1x16xf32>
}

// One selection; a layer that reuses it has no scores of its own.
// CHECK-LABEL: func.func private @select
// CHECK: attn.top_k
// CHECK-LABEL: func.func private @reuse
// CHECK-NOT: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
// CHECK-LABEL: func.func @main
// CHECK: call @select
// CHECK-NOT: call @select
// CHECK: call @reuse
// CHECK: call @reuse
func.func @main(%q0: tensor<?x4x1x16xf32> {attn.name = "q0"},
                %k0: tensor<?x2x?x16xf32> {attn.name = "k0"},
                %v0: tensor<?x2x?x16xf32> {attn.name = "v0"},
                %q1: tensor<?x4x1x16xf32> {attn.name = "q1"},
                %k1: tensor<?x2x?x16xf32> {attn.name = "k1"},
                %v1: tensor<?x2x?x16xf32> {attn.name = "v1"},
                %q2: tensor<?x4x1x16xf32> {attn.name = "q2"},
                %k2: tensor<?x2x?x16xf32> {attn.name = "k2"},
                %v2: tensor<?x2x?x16xf32> {attn.name = "v2"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o0"}, tensor<?x4x1x16xf32> {attn.name = "o1"},
        tensor<?x4x1x16xf32> {attn.name = "o2"}, tensor<?x1x1x?xf32> {attn.name = "scores"},
        tensor<?x1x1x4xi32> {attn.name = "chosen"}) {
  %o0, %lse = attn.attention %q0, %k0, %v0
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>
    -> tensor<?x4x1x16xf32>, tensor<?x4x1xf32>
  %scores, %chosen, %counts = func.call @select(%q0, %k0, %lse)
    : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x4x1xf32>)
    -> (tensor<?x1x1x?xf32>, tensor<?x1x1x4xi32>, tensor<?x1x1xi32>)
  %o1 = func.call @reuse(%q1, %k1, %v1, %chosen, %counts)
    : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x1x1x4xi32>,
       tensor<?x1x1xi32>) -> tensor<?x4x1x16xf32>
  %o2 = func.call @reuse(%q2, %k2, %v2, %chosen, %counts)
    : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x1x1x4xi32>,
       tensor<?x1x1xi32>) -> tensor<?x4x1x16xf32>
  return %o0, %o1, %o2, %scores, %chosen : tensor<?x4x1x16xf32>, tensor<?x4x1x16xf32>,
    tensor<?x4x1x16xf32>, tensor<?x1x1x?xf32>, tensor<?x1x1x4xi32>
}

// A layer that reuses the selection, over a pool of pages: the numbers of the
// selection are places in the request's own table.
// CHECK-LABEL: func.func @paged
// CHECK-NOT: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
func.func @paged(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                 %k: tensor<?x2x16x16xf32> {attn.name = "k"}, %v: tensor<?x2x16x16xf32> {attn.name = "v"},
                 %chosen: tensor<?x1x1x4xi32> {attn.name = "chosen"}, %counts: tensor<?x1x1xi32> {attn.name = "counts"},
                 %table: tensor<?x?xi32> {attn.name = "table"}, %lengths: tensor<?xi64> {attn.name = "lengths"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<kv_block = 16>, %chosen, %counts : tensor<?x1x1x4xi32>, tensor<?x1x1xi32>)
    pages(%table : tensor<?x?xi32>) kv_lengths(%lengths : tensor<?xi64>)
    : tensor<?x4x1x16xf32>, tensor<?x2x16x16xf32>, tensor<?x2x16x16xf32> -> tensor<?x4x1x16xf32>
  return %o : tensor<?x4x1x16xf32>
}
