// A layer of ReLU attention with frozen random matrices (arXiv:2307.11353):
// f = sum_m 1 / N sum_i relu(x0 . W_m x_i) (v_m . x_i), 16 heads, vectors of 6
// entries of which the last is 1. No softmax: parts over keys simply add up.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// There is no softmax to recognise, and scores live only within one loop.
// EXPLAIN: 0 attentions recognised, 0 softmaxes left
// CHECK-LABEL: func.func @main
// CHECK-NOT: math.exp
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
  // Features: means of the keys, weighted by relu of their scores.
  %sums = linalg.generic {
      indexing_maps = [affine_map<(b, m, i, d) -> (b, i, d)>,
                       affine_map<(b, m, i, d) -> (b, m, d)>],
      iterator_types = ["parallel", "parallel", "reduction", "parallel"]}
      ins(%x : tensor<?x?x6xf32>) outs(%zeros : tensor<?x16x6xf32>) {
  ^bb0(%key: f32, %sum: f32):
    %b = linalg.index 0 : index
    %m = linalg.index 1 : index
    %i = linalg.index 2 : index
    %c6 = arith.constant 6 : index
    %score = scf.for %e = %c0 to %c6 step %c1 iter_args(%part = %zero) -> f32 {
      %q = tensor.extract %u[%b, %m, %e] : tensor<?x16x6xf32>
      %k = tensor.extract %x[%b, %i, %e] : tensor<?x?x6xf32>
      %qk = arith.mulf %q, %k : f32
      %next = arith.addf %part, %qk : f32
      scf.yield %next : f32
    }
    %weight = arith.maximumf %score, %zero : f32
    %wk = arith.mulf %weight, %key : f32
    %more = arith.addf %sum, %wk : f32
    linalg.yield %more : f32
  } -> tensor<?x16x6xf32>
  %features = linalg.map ins(%sums : tensor<?x16x6xf32>) outs(%empty : tensor<?x16x6xf32>)
    (%s: f32, %old: f32) {
      %mean = arith.divf %s, %count : f32
      linalg.yield %mean : f32
    }
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
