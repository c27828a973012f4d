// RUN: attn-opt %s --attn-form-matmuls --split-input-file | FileCheck %s

#row = affine_map<(d0, d1) -> (d1)>
#id = affine_map<(d0, d1) -> (d0, d1)>

// A constant right side, its bias and the activation become one call.
// CHECK-LABEL: func.func @dense_gelu
//  CHECK-SAME:   (%[[A:.*]]: tensor<?x8xf32>
//   CHECK-DAG:   %[[B:.*]] = attn_rt.weight "b"
//   CHECK-DAG:   %[[BIAS:.*]] = attn_rt.weight "bias"
//       CHECK:   %[[Y:.*]] = attn_rt.matmul gelu_erf ins(%[[A]], %[[B]], %[[BIAS]] :
//  CHECK-SAME:     {constant_b}
//   CHECK-NOT:   linalg
//       CHECK:   return %[[Y]]
func.func @dense_gelu(%a: tensor<?x8xf32>, %n: index) -> tensor<?x4xf32> {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %one = arith.constant 1.0 : f32
  %root = arith.constant 1.41421354 : f32
  %b = attn_rt.weight "b" from "w.bin" at 0 : tensor<8x4xf32>
  %bias = attn_rt.weight "bias" from "w.bin" at 128 : tensor<4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %p = linalg.matmul ins(%a, %b : tensor<?x8xf32>, tensor<8x4xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  %g = linalg.generic {indexing_maps = [#row, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%bias, %p : tensor<4xf32>, tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%c: f32, %x: f32, %o: f32):
    %s = arith.addf %c, %x : f32
    %q = arith.divf %s, %root : f32
    %r = math.erf %q : f32
    %t = arith.addf %r, %one : f32
    %u = arith.mulf %s, %t : f32
    %v = arith.mulf %u, %half : f32
    linalg.yield %v : f32
  } -> tensor<?x4xf32>
  return %g : tensor<?x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Clipped at 6: no activation that the library has.
// CHECK-LABEL: func.func @relu6_stays
//       CHECK:   attn_rt.matmul none
//       CHECK:   linalg.generic
func.func @relu6_stays(%a: tensor<2x8xf32>, %b: tensor<8x4xf32>, %o: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %zero = arith.constant 0.0 : f32
  %six = arith.constant 6.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%o : tensor<2x4xf32>) -> tensor<2x4xf32>
  %p = linalg.matmul ins(%a, %b : tensor<2x8xf32>, tensor<8x4xf32>) outs(%f : tensor<2x4xf32>) -> tensor<2x4xf32>
  %g = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%p : tensor<2x4xf32>) outs(%o : tensor<2x4xf32>) {
  ^bb0(%x: f32, %y: f32):
    %s = arith.maximumf %x, %zero : f32
    %t = arith.minimumf %s, %six : f32
    linalg.yield %t : f32
  } -> tensor<2x4xf32>
  return %g : tensor<2x4xf32>
}

// -----

#q = affine_map<(b, h, m, n, k) -> (b, h, m, k)>
#k = affine_map<(b, h, m, n, k) -> (b, h, n, k)>
#s = affine_map<(b, h, m, n, k) -> (b, h, m, n)>

// CHECK-LABEL: func.func @batches_transposed
//       CHECK:   attn_rt.matmul none
//  CHECK-SAME:     {accumulate, transpose_b}
func.func @batches_transposed(%a: tensor<2x3x4x8xf32>, %b: tensor<2x3x5x8xf32>, %c: tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> {
  %p = linalg.contract indexing_maps = [#q, #k, #s] ins(%a, %b : tensor<2x3x4x8xf32>, tensor<2x3x5x8xf32>)
      outs(%c : tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32>
  return %p : tensor<2x3x4x5xf32>
}

// -----

// Integers stay loops.
// CHECK-LABEL: func.func @integers
//       CHECK:   linalg.matmul
func.func @integers(%a: tensor<2x8xi32>, %b: tensor<8x4xi32>, %c: tensor<2x4xi32>) -> tensor<2x4xi32> {
  %p = linalg.matmul ins(%a, %b : tensor<2x8xi32>, tensor<8x4xi32>) outs(%c : tensor<2x4xi32>) -> tensor<2x4xi32>
  return %p : tensor<2x4xi32>
}

// -----

#a = affine_map<(b, s, m, n, k) -> (b, s, m, k)>
#w = affine_map<(b, s, m, n, k) -> (k, n)>
#o = affine_map<(b, s, m, n, k) -> (b, s, m, n)>

// One matrix for all batches: their rows are those of one large product.
// CHECK-LABEL: func.func @one_right_side
//  CHECK-SAME:   (%[[A:.*]]: tensor<?x3x4x8xf32>, %[[B:.*]]: tensor<8x5xf32>
//       CHECK:   %[[FLAT:.*]] = tensor.collapse_shape %[[A]] {{\[\[}}0, 1, 2], [3]]
//       CHECK:   %[[P:.*]] = attn_rt.matmul none ins(%[[FLAT]], %[[B]] :
//       CHECK:   tensor.expand_shape %[[P]] {{\[\[}}0, 1, 2], [3]]
func.func @one_right_side(%a: tensor<?x3x4x8xf32>, %b: tensor<8x5xf32>, %c: tensor<?x3x4x5xf32>) -> tensor<?x3x4x5xf32> {
  %p = linalg.contract indexing_maps = [#a, #w, #o] ins(%a, %b : tensor<?x3x4x8xf32>, tensor<8x5xf32>)
      outs(%c : tensor<?x3x4x5xf32>) -> tensor<?x3x4x5xf32>
  return %p : tensor<?x3x4x5xf32>
}

// -----

#a = affine_map<(b, h, m, n, k) -> (b, h, m, k)>
#w = affine_map<(b, h, m, n, k) -> (h, k, n)>
#o = affine_map<(b, h, m, n, k) -> (b, h, m, n)>

// A batch dimension that one side lacks has size 1 there.
// CHECK-LABEL: func.func @batch_of_one_side
//  CHECK-SAME:   (%[[A:.*]]: tensor<?x3x4x8xf32>, %[[B:.*]]: tensor<3x8x5xf32>
//       CHECK:   %[[WIDE:.*]] = tensor.expand_shape %[[B]] {{\[\[}}0, 1], [2], [3]] output_shape [1, 3, 8, 5]
//       CHECK:   attn_rt.matmul none ins(%[[A]], %[[WIDE]] :
func.func @batch_of_one_side(%a: tensor<?x3x4x8xf32>, %b: tensor<3x8x5xf32>, %c: tensor<?x3x4x5xf32>) -> tensor<?x3x4x5xf32> {
  %p = linalg.contract indexing_maps = [#a, #w, #o] ins(%a, %b : tensor<?x3x4x8xf32>, tensor<3x8x5xf32>)
      outs(%c : tensor<?x3x4x5xf32>) -> tensor<?x3x4x5xf32>
  return %p : tensor<?x3x4x5xf32>
}
