// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s

// Only generics, an own loop order, a decomposed softmax with a reciprocal,
// and keys as [B, T, Hkv, D]: no frontend of this project writes this.
#id4 = affine_map<(b, h, i, j) -> (b, h, i, j)>
#row = affine_map<(b, h, i, j) -> (b, h, i)>
// CHECK-LABEL: func.func @generics
//  CHECK-SAME:   (%[[Q:.*]]: tensor<2x4x16x32xf32>, %[[K:.*]]: tensor<2x24x4x32xf32>, %[[V:.*]]: tensor<2x4x24x8xf32>)
//       CHECK:   %[[KT:.*]] = linalg.transpose ins(%[[K]] : {{.*}} permutation = [0, 2, 1, 3]
//       CHECK:   %[[O:.*]] = attn.attention %[[Q]], %[[KT]], %[[V]] mask(#attn.causal)
//  CHECK-SAME:     softmax_scale = 1.250000e-01
//       CHECK:   %[[OT:.*]] = linalg.transpose ins(%[[O]] : {{.*}} permutation = [0, 2, 1, 3]
//   CHECK-NOT:   linalg.generic
//       CHECK:   return %[[OT]]
func.func @generics(%q: tensor<2x4x16x32xf32>, %k: tensor<2x24x4x32xf32>, %v: tensor<2x4x24x8xf32>) -> tensor<2x16x4x8xf32> {
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %one = arith.constant 1.0 : f32
  %scale = arith.constant 0.125 : f32
  %se = tensor.empty() : tensor<2x4x16x24xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x16x24xf32>) -> tensor<2x4x16x24xf32>
  // Loop order: feature, key, batch, query, head.
  %s = linalg.generic {indexing_maps = [
      affine_map<(d, j, b, i, h) -> (b, h, i, d)>,
      affine_map<(d, j, b, i, h) -> (b, j, h, d)>,
      affine_map<(d, j, b, i, h) -> (b, h, i, j)>],
      iterator_types = ["reduction", "parallel", "parallel", "parallel", "parallel"]}
      ins(%q, %k : tensor<2x4x16x32xf32>, tensor<2x24x4x32xf32>) outs(%s0 : tensor<2x4x16x24xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %n = arith.addf %c, %m : f32
    linalg.yield %n : f32
  } -> tensor<2x4x16x24xf32>
  // Scale and causal mask in one body.
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<2x4x16x24xf32>) outs(%se : tensor<2x4x16x24xf32>) {
  ^bb0(%a: f32, %c: f32):
    %m = arith.mulf %a, %scale : f32
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %keep = arith.cmpi uge, %i, %j : index
    %r = arith.select %keep, %m, %lowest : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16x24xf32>
  %re = tensor.empty() : tensor<2x4x16xf32>
  %m0 = linalg.fill ins(%lowest : f32) outs(%re : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %mx = linalg.generic {indexing_maps = [#id4, #row], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x : tensor<2x4x16x24xf32>) outs(%m0 : tensor<2x4x16xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = arith.maximumf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16xf32>
  %e = linalg.generic {indexing_maps = [#id4, #row, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x, %mx : tensor<2x4x16x24xf32>, tensor<2x4x16xf32>) outs(%se : tensor<2x4x16x24xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.subf %a, %b : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16x24xf32>
  %l0 = linalg.fill ins(%zero : f32) outs(%re : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %l = linalg.generic {indexing_maps = [#id4, #row], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%e : tensor<2x4x16x24xf32>) outs(%l0 : tensor<2x4x16xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16xf32>
  %inv = linalg.generic {indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>, affine_map<(b, h, i) -> (b, h, i)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%l : tensor<2x4x16xf32>) outs(%re : tensor<2x4x16xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = arith.divf %one, %a : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16xf32>
  %oe = tensor.empty() : tensor<2x16x4x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x16x4x8xf32>) -> tensor<2x16x4x8xf32>
  // Normalised probabilities, then a product with its own order of the result.
  %p = linalg.generic {indexing_maps = [#row, #id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%inv, %e : tensor<2x4x16xf32>, tensor<2x4x16x24xf32>) outs(%se : tensor<2x4x16x24xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %b, %a : f32
    linalg.yield %r : f32
  } -> tensor<2x4x16x24xf32>
  %o = linalg.generic {indexing_maps = [
      affine_map<(b, i, h, e, j) -> (b, h, j, e)>,
      affine_map<(b, i, h, e, j) -> (b, h, i, j)>,
      affine_map<(b, i, h, e, j) -> (b, i, h, e)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%v, %p : tensor<2x4x24x8xf32>, tensor<2x4x16x24xf32>) outs(%o0 : tensor<2x16x4x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %n = arith.addf %m, %c : f32
    linalg.yield %n : f32
  } -> tensor<2x16x4x8xf32>
  return %o : tensor<2x16x4x8xf32>
}

// Batch and heads in one dimension, softmax as a named operation; scores and
// product as linalg.batch_matmul; the scale on the queries.
// CHECK-LABEL: func.func @merged_heads
//  CHECK-SAME:   (%[[Q:[a-z0-9]+]]: tensor<?x8x10x64xf32>, %[[K:[a-z0-9]+]]: tensor<?x8x12x64xf32>, %[[V:[a-z0-9]+]]: tensor<?x8x12x64xf32>
//  CHECK-NEXT:   %[[O:.*]] = attn.attention %[[Q]], %[[K]], %[[V]] {
//  CHECK-SAME:     softmax_scale = 1.250000e-01
//  CHECK-NEXT:   tensor.collapse_shape %[[O]] {{\[\[}}0, 1], [2], [3]]
func.func @merged_heads(%q: tensor<?x8x10x64xf32>, %k: tensor<?x8x12x64xf32>, %v: tensor<?x8x12x64xf32>, %n: index) -> tensor<?x10x64xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant dense<0.125> : tensor<1xf32>
  %qe = tensor.empty(%n) : tensor<?x10x64xf32>
  %qm = tensor.collapse_shape %q [[0, 1], [2], [3]] : tensor<?x8x10x64xf32> into tensor<?x10x64xf32>
  %qs = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (0)>, affine_map<(a, b, c) -> (a, b, c)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%qm, %scale : tensor<?x10x64xf32>, tensor<1xf32>) outs(%qe : tensor<?x10x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x10x64xf32>
  %km = tensor.collapse_shape %k [[0, 1], [2], [3]] : tensor<?x8x12x64xf32> into tensor<?x12x64xf32>
  %vm = tensor.collapse_shape %v [[0, 1], [2], [3]] : tensor<?x8x12x64xf32> into tensor<?x12x64xf32>
  %te = tensor.empty(%n) : tensor<?x64x12xf32>
  %kt = linalg.transpose ins(%km : tensor<?x12x64xf32>) outs(%te : tensor<?x64x12xf32>) permutation = [0, 2, 1]
  %se = tensor.empty(%n) : tensor<?x10x12xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x10x12xf32>) -> tensor<?x10x12xf32>
  %s = linalg.batch_matmul ins(%qs, %kt : tensor<?x10x64xf32>, tensor<?x64x12xf32>) outs(%s0 : tensor<?x10x12xf32>) -> tensor<?x10x12xf32>
  %p = linalg.softmax dimension(2) ins(%s : tensor<?x10x12xf32>) outs(%se : tensor<?x10x12xf32>) -> tensor<?x10x12xf32>
  %oe = tensor.empty(%n) : tensor<?x10x64xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x10x64xf32>) -> tensor<?x10x64xf32>
  %o = linalg.batch_matmul ins(%p, %vm : tensor<?x10x12xf32>, tensor<?x12x64xf32>) outs(%o0 : tensor<?x10x64xf32>) -> tensor<?x10x64xf32>
  return %o : tensor<?x10x64xf32>
}

// One head, rank 2.
// CHECK-LABEL: func.func @matrices
//       CHECK:   attn.attention {{.*}} : tensor<1x1x10x64xf32>, tensor<1x1x12x64xf32>, tensor<1x1x12x32xf32>
func.func @matrices(%q: tensor<10x64xf32>, %kt: tensor<64x12xf32>, %v: tensor<12x32xf32>) -> tensor<10x32xf32> {
  %zero = arith.constant 0.0 : f32
  %se = tensor.empty() : tensor<10x12xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<10x12xf32>) -> tensor<10x12xf32>
  %s = linalg.matmul ins(%q, %kt : tensor<10x64xf32>, tensor<64x12xf32>) outs(%s0 : tensor<10x12xf32>) -> tensor<10x12xf32>
  %p = linalg.softmax dimension(1) ins(%s : tensor<10x12xf32>) outs(%se : tensor<10x12xf32>) -> tensor<10x12xf32>
  %oe = tensor.empty() : tensor<10x32xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<10x32xf32>) -> tensor<10x32xf32>
  %o = linalg.matmul ins(%p, %v : tensor<10x12xf32>, tensor<12x32xf32>) outs(%o0 : tensor<10x32xf32>) -> tensor<10x32xf32>
  return %o : tensor<10x32xf32>
}

// Groups of query heads as an own dimension: key heads are not repeated.
// CHECK-LABEL: func.func @grouped
//  CHECK-SAME:   (%[[Q:.*]]: tensor<2x2x3x10x64xf32>, %[[K:.*]]: tensor<2x2x12x64xf32>, %[[V:.*]]: tensor<2x2x12x64xf32>)
//       CHECK:   %[[QM:.*]] = tensor.collapse_shape %[[Q]]
//       CHECK:   attn.attention %[[QM]], %[[K]], %[[V]] {attn.origin = "softmax; mask: none; 3 query heads for each key head"
func.func @grouped(%q: tensor<2x2x3x10x64xf32>, %k: tensor<2x2x12x64xf32>, %v: tensor<2x2x12x64xf32>) -> tensor<2x2x3x10x64xf32> {
  %zero = arith.constant 0.0 : f32
  %se = tensor.empty() : tensor<2x2x3x10x12xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x2x3x10x12xf32>) -> tensor<2x2x3x10x12xf32>
  %s = linalg.contract indexing_maps = [affine_map<(b, g, r, i, j, d) -> (b, g, r, i, d)>, affine_map<(b, g, r, i, j, d) -> (b, g, j, d)>, affine_map<(b, g, r, i, j, d) -> (b, g, r, i, j)>]
      ins(%q, %k : tensor<2x2x3x10x64xf32>, tensor<2x2x12x64xf32>) outs(%s0 : tensor<2x2x3x10x12xf32>) -> tensor<2x2x3x10x12xf32>
  %p = linalg.softmax dimension(4) ins(%s : tensor<2x2x3x10x12xf32>) outs(%se : tensor<2x2x3x10x12xf32>) -> tensor<2x2x3x10x12xf32>
  %oe = tensor.empty() : tensor<2x2x3x10x64xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x2x3x10x64xf32>) -> tensor<2x2x3x10x64xf32>
  %o = linalg.contract indexing_maps = [affine_map<(b, g, r, i, e, j) -> (b, g, r, i, j)>, affine_map<(b, g, r, i, e, j) -> (b, g, j, e)>, affine_map<(b, g, r, i, e, j) -> (b, g, r, i, e)>]
      ins(%p, %v : tensor<2x2x3x10x12xf32>, tensor<2x2x12x64xf32>) outs(%o0 : tensor<2x2x3x10x64xf32>) -> tensor<2x2x3x10x64xf32>
  return %o : tensor<2x2x3x10x64xf32>
}
