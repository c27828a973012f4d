// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s

// Attentions that a frontend made: their mask tensors and repeated heads.
#id4 = affine_map<(b, h, i, j) -> (b, h, i, j)>

// A boolean tensor that is causal and padding.
// CHECK-LABEL: func.func @keep_tensor
//       CHECK:   attn.attention {{.*}} mask(#attn.causal) keep({{.*}} : tensor<2x1x1x8xi1>)
func.func @keep_tensor(%q: tensor<2x4x8x16xf32>, %pad: tensor<2x8xi1>) -> tensor<2x4x8x16xf32> {
  %e = tensor.empty() : tensor<2x1x8x8xi1>
  %keep = linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (b, j)>, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%pad : tensor<2x8xi1>) outs(%e : tensor<2x1x8x8xi1>) {
  ^bb0(%p: i1, %out: i1):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %c = arith.cmpi sle, %j, %i : index
    %r = arith.andi %c, %p : i1
    linalg.yield %r : i1
  } -> tensor<2x1x8x8xi1>
  %o = attn.attention %q, %q, %q keep(%keep : tensor<2x1x8x8xi1>)
    : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32> -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// A constant bias of 0 and minus infinity.
// CHECK-LABEL: func.func @bias_table
//       CHECK:   attn.attention {{.*}} mask(#attn.causal) {
//   CHECK-NOT:   bias(
func.func @bias_table(%q: tensor<2x4x2x16xf32>) -> tensor<2x4x2x16xf32> {
  %bias = arith.constant dense<[[[[0.0, 0xFF800000], [0.0, 0.0]]]]> : tensor<1x1x2x2xf32>
  %o = attn.attention %q, %q, %q bias(%bias : tensor<1x1x2x2xf32>)
    : tensor<2x4x2x16xf32>, tensor<2x4x2x16xf32>, tensor<2x4x2x16xf32> -> tensor<2x4x2x16xf32>
  return %o : tensor<2x4x2x16xf32>
}

// A bias that arrives at run time stays.
// CHECK-LABEL: func.func @bias_argument
//       CHECK:   attn.attention {{.*}} bias({{.*}} : tensor<1x1x2x2xf32>)
//   CHECK-NOT:   mask(
func.func @bias_argument(%q: tensor<2x4x2x16xf32>, %bias: tensor<1x1x2x2xf32>) -> tensor<2x4x2x16xf32> {
  %o = attn.attention %q, %q, %q bias(%bias : tensor<1x1x2x2xf32>)
    : tensor<2x4x2x16xf32>, tensor<2x4x2x16xf32>, tensor<2x4x2x16xf32> -> tensor<2x4x2x16xf32>
  return %o : tensor<2x4x2x16xf32>
}

// Keys and values that were repeated for pairs of query heads.
// CHECK-LABEL: func.func @repeated_heads
//  CHECK-SAME:   (%[[Q:[a-z0-9]+]]: {{.*}}, %[[K:[a-z0-9]+]]: tensor<2x2x8x16xf32>
//   CHECK-NOT:   linalg.generic
//       CHECK:   attn.attention %[[Q]], %[[K]], %[[K]]
func.func @repeated_heads(%q: tensor<2x4x8x16xf32>, %k: tensor<2x2x8x16xf32>) -> tensor<2x4x8x16xf32> {
  %e = tensor.empty() : tensor<2x2x2x8x16xf32>
  %r = linalg.broadcast ins(%k : tensor<2x2x8x16xf32>) outs(%e : tensor<2x2x2x8x16xf32>) dimensions = [2]
  %kk = tensor.collapse_shape %r [[0], [1, 2], [3], [4]] : tensor<2x2x2x8x16xf32> into tensor<2x4x8x16xf32>
  %o = attn.attention %q, %kk, %kk
    : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32> -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}
