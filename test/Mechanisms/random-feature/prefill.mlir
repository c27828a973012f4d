// A layer of ReLU attention with frozen random matrices (arXiv:2307.11353):
// f = sum_m 1 / N sum_i relu(x0 . W_m x_i) (v_m . x_i), 16 heads, vectors of 6
// entries of which the last is 1. A score region makes relu of a softmax.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// Scores live only within a tile.
// EXPLAIN: score region
// CHECK-LABEL: func.func @main
// CHECK-NOT: tensor<?x16x?xf32>
// CHECK: scf.forall
// CHECK: math.log
// CHECK-NOT: tensor<?x16x?xf32>
// CHECK: return
func.func @main(%x0: tensor<?x6xf32> {attn.name = "x0"},
                %x: tensor<?x?x6xf32> {attn.name = "x"},
                %w: tensor<16x6x6xf32> {attn.name = "w"},
                %v: tensor<16x6xf32> {attn.name = "v"})
    -> (tensor<?xf32> {attn.name = "f"}, tensor<?x16x6xf32> {attn.name = "features"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %x, %c0 : tensor<?x?x6xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x6xf32>
  %ni = arith.index_cast %n : index to i64
  %count = arith.sitofp %ni : i64 to f32
  %empty = tensor.empty(%batch) : tensor<?x16x6xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x16x6xf32>) -> tensor<?x16x6xf32>
  // The query of each head.
  %u = linalg.generic {
      indexing_maps = [affine_map<(b, m, d, e) -> (b, e)>, affine_map<(b, m, d, e) -> (m, e, d)>,
                       affine_map<(b, m, d, e) -> (b, m, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x0, %w : tensor<?x6xf32>, tensor<16x6x6xf32>) outs(%zeros : tensor<?x16x6xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %ab = arith.mulf %a, %b : f32
    %more = arith.addf %sum, %ab : f32
    linalg.yield %more : f32
  } -> tensor<?x16x6xf32>
  // Softmax of log(relu(s)) has the weights relu(s), and its denominator is
  // their sum, 0 without any.
  %query = tensor.expand_shape %u [[0], [1], [2, 3]] output_shape [%batch, 16, 1, 6]
    : tensor<?x16x6xf32> into tensor<?x16x1x6xf32>
  %key = tensor.expand_shape %x [[0], [1, 2], [3]] output_shape [%batch, 1, %n, 6]
    : tensor<?x?x6xf32> into tensor<?x1x?x6xf32>
  %means, %lse = attn.attention %query, %key, %key
    score(%s: f32, %b: index, %m: index, %row: index, %position: index, %i: index) {
      %weight = arith.maximumf %s, %zero : f32
      %t = math.log %weight : f32
      attn.yield %t : f32
    } {softmax_scale = 1.0}
    : tensor<?x16x1x6xf32>, tensor<?x1x?x6xf32>, tensor<?x1x?x6xf32>
    -> tensor<?x16x1x6xf32>, tensor<?x16x1xf32>
  %flat = tensor.collapse_shape %means [[0], [1, 2], [3]] : tensor<?x16x1x6xf32> into tensor<?x16x6xf32>
  %logs = tensor.collapse_shape %lse [[0], [1, 2]] : tensor<?x16x1xf32> into tensor<?x16xf32>
  // Features: means of the keys, weighted by relu of their scores.
  %features = linalg.generic {
      indexing_maps = [affine_map<(b, m, d) -> (b, m, d)>, affine_map<(b, m, d) -> (b, m)>,
                       affine_map<(b, m, d) -> (b, m, d)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%flat, %logs : tensor<?x16x6xf32>, tensor<?x16xf32>) outs(%empty : tensor<?x16x6xf32>) {
  ^bb0(%mean: f32, %log: f32, %old: f32):
    %sum = math.exp %log : f32
    %part = arith.divf %sum, %count : f32
    %feature = arith.mulf %mean, %part : f32
    linalg.yield %feature : f32
  } -> tensor<?x16x6xf32>
  %fe = tensor.empty(%batch) : tensor<?xf32>
  %fz = linalg.fill ins(%zero : f32) outs(%fe : tensor<?xf32>) -> tensor<?xf32>
  %f = linalg.generic {
      indexing_maps = [affine_map<(b, m, d) -> (b, m, d)>, affine_map<(b, m, d) -> (m, d)>,
                       affine_map<(b, m, d) -> (b)>],
      iterator_types = ["parallel", "reduction", "reduction"]}
      ins(%features, %v : tensor<?x16x6xf32>, tensor<16x6xf32>) outs(%fz : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %ab = arith.mulf %a, %b : f32
    %more = arith.addf %sum, %ab : f32
    linalg.yield %more : f32
  } -> tensor<?xf32>
  return %f, %features : tensor<?xf32>, tensor<?x16x6xf32>
}
