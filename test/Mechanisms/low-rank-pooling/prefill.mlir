// Pooling by a low-rank bilinear affinity to one context vector (arXiv:1912.00835):
// scores tanh(h U) . (P * tanh(c V)), of 4 heads that share their keys of
// rank 8. It is attention of one query row for each head.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// One row for a head, so that keys are split instead of queries and no scores
// of words by words exist.
// EXPLAIN: 4/1 ? x 1 x ? x 8/24
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for
// CHECK-NOT: tensor<?x4x?x?xf32>
// CHECK: return
func.func @main(%h: tensor<?x?x24xf32> {attn.name = "h"},
                %c: tensor<?x24xf32> {attn.name = "c"},
                %u: tensor<24x8xf32> {attn.name = "u"},
                %v: tensor<24x8xf32> {attn.name = "v"},
                %p: tensor<8x4xf32> {attn.name = "p"},
                %lengths: tensor<?xi64> {attn.name = "lengths"})
    -> (tensor<?x4x1x24xf32> {attn.name = "m"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %h, %c0 : tensor<?x?x24xf32>
  %n = tensor.dim %h, %c1 : tensor<?x?x24xf32>
  %ke = tensor.empty(%batch, %n) : tensor<?x?x8xf32>
  %kz = linalg.fill ins(%zero : f32) outs(%ke : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %hu = linalg.generic {
      indexing_maps = [affine_map<(b, t, r, e) -> (b, t, e)>, affine_map<(b, t, r, e) -> (e, r)>,
                       affine_map<(b, t, r, e) -> (b, t, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%h, %u : tensor<?x?x24xf32>, tensor<24x8xf32>) outs(%kz : tensor<?x?x8xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<?x?x8xf32>
  %k = linalg.map { math.tanh } ins(%hu : tensor<?x?x8xf32>) outs(%ke : tensor<?x?x8xf32>)
  %ge = tensor.empty(%batch) : tensor<?x8xf32>
  %gz = linalg.fill ins(%zero : f32) outs(%ge : tensor<?x8xf32>) -> tensor<?x8xf32>
  %cv = linalg.matmul ins(%c, %v : tensor<?x24xf32>, tensor<24x8xf32>) outs(%gz : tensor<?x8xf32>)
    -> tensor<?x8xf32>
  %qe = tensor.empty(%batch) : tensor<?x4x8xf32>
  %q = linalg.generic {
      indexing_maps = [affine_map<(b, m, r) -> (b, r)>, affine_map<(b, m, r) -> (r, m)>,
                       affine_map<(b, m, r) -> (b, m, r)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%cv, %p : tensor<?x8xf32>, tensor<8x4xf32>) outs(%qe : tensor<?x4x8xf32>) {
  ^bb0(%x: f32, %w: f32, %old: f32):
    %t = math.tanh %x : f32
    %y = arith.mulf %t, %w : f32
    linalg.yield %y : f32
  } -> tensor<?x4x8xf32>
  %query = tensor.expand_shape %q [[0], [1, 2], [3]] output_shape [%batch, 4, 1, 8]
    : tensor<?x4x8xf32> into tensor<?x4x1x8xf32>
  %key = tensor.expand_shape %k [[0, 1], [2], [3]] output_shape [%batch, 1, %n, 8]
    : tensor<?x?x8xf32> into tensor<?x1x?x8xf32>
  %value = tensor.expand_shape %h [[0, 1], [2], [3]] output_shape [%batch, 1, %n, 24]
    : tensor<?x?x24xf32> into tensor<?x1x?x24xf32>
  %m = attn.attention %query, %key, %value kv_lengths(%lengths : tensor<?xi64>) {softmax_scale = 1.0}
    : tensor<?x4x1x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x24xf32> -> tensor<?x4x1x24xf32>
  return %m : tensor<?x4x1x24xf32>
}

// Without the nonlinearity the words themselves are the keys, and U diag(c V) P
// the queries: those of a learned context are constants.
// CHECK-LABEL: func.func @folded
func.func @folded(%h: tensor<?x1x?x24xf32> {attn.name = "h"},
                  %queries: tensor<1x4x1x24xf32> {attn.name = "queries"})
    -> (tensor<?x4x1x24xf32> {attn.name = "m"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %h, %c0 : tensor<?x1x?x24xf32>
  %empty = tensor.empty(%batch) : tensor<?x4x1x24xf32>
  %query = linalg.generic {
      indexing_maps = [affine_map<(b, m, i, e) -> (0, m, i, e)>,
                       affine_map<(b, m, i, e) -> (b, m, i, e)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%queries : tensor<1x4x1x24xf32>) outs(%empty : tensor<?x4x1x24xf32>) {
  ^bb0(%x: f32, %old: f32):
    linalg.yield %x : f32
  } -> tensor<?x4x1x24xf32>
  %m = attn.attention %query, %h, %h {softmax_scale = 1.0}
    : tensor<?x4x1x24xf32>, tensor<?x1x?x24xf32>, tensor<?x1x?x24xf32> -> tensor<?x4x1x24xf32>
  return %m : tensor<?x4x1x24xf32>
}
