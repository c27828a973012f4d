// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s

// One skeleton, one score function for each case.
#id4 = affine_map<(b, h, i, j) -> (b, h, i, j)>
#none = affine_map<(b, h, i, j) -> ()>
#bj = affine_map<(b, h, i, j) -> (b, j)>
#ij = affine_map<(b, h, i, j) -> (i, j)>
#hij = affine_map<(b, h, i, j) -> (h, i, j)>
#q = affine_map<(b, h, i, j, d) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d) -> (b, h, j, d)>
#s = affine_map<(b, h, i, j, d) -> (b, h, i, j)>

// SDPA with a boolean mask: 0 or -inf is added, and NaN becomes 0. Rows without
// keys are zeros by definition: nothing else is needed.
// CHECK-LABEL: func.func @boolean_padding_guarded
//  CHECK-SAME:   %[[M:[a-z0-9]+]]: tensor<?x?xi1>)
//   CHECK-NOT:   linalg.generic
//       CHECK:   %[[KEEP:.*]] = tensor.expand_shape %[[M]]
//  CHECK-SAME:     into tensor<?x1x1x?xi1>
//       CHECK:   attn.attention {{.*}} keep(%[[KEEP]] : tensor<?x1x1x?xi1>)
//   CHECK-NOT:   linalg.generic
func.func @boolean_padding_guarded(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi1>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %inf = arith.constant 0xFF800000 : f32
    %z = arith.select %m0, %zero, %inf : f32
    %r = arith.addf %a, %z : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %p1 = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%p0 : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %nan = arith.cmpf uno, %a, %a : f32
    %g = arith.select %nan, %zero, %a : f32
    linalg.yield %g : f32
  } -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p1, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The least number swallows the scores of a row that keeps no key: there the
// program attends uniformly, and so does a bias of [B, 1, 1, 1].
// CHECK-LABEL: func.func @least_number_padding
//       CHECK:   attn.attention {{.*}} bias({{.*}} : tensor<?x1x1x1xf32>)
//  CHECK-SAME:     keep({{.*}} : tensor<?x1x1x?xi1>)
func.func @least_number_padding(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi1>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %min = arith.constant -3.40282347E+38 : f32
    %r = arith.select %m0, %a, %min : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// GPT-2: a slice of a constant triangle, rows from T - S on.
// Whether T - S is negative is not known here, so rows without keys count.
// CHECK-LABEL: func.func @constant_triangle
//       CHECK:   %[[OFFSET:.*]] = arith.{{.*}} : index
//       CHECK:   attn.attention {{.*}} mask(#attn.causal)
//  CHECK-SAME:     query_offset({{.*}} : index)
func.func @constant_triangle(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %tri = arith.constant dense<[[true, false, false, false], [true, true, false, false], [true, true, true, false], [true, true, true, true]]> : tensor<4x4xi1>
  %past = arith.subi %t, %s : index
  %slice = tensor.extract_slice %tri[%past, 0] [%s, %t] [1, 1] : tensor<4x4xi1> to tensor<?x?xi1>
  %x = linalg.generic {indexing_maps = [#id4, #ij, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %slice : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %low = arith.constant -10000.0 : f32
    %r = arith.select %m0, %a, %low : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// Past keys come first in a concatenation: the offset is their number, which is
// not negative, so every row keeps key 0.
// CHECK-LABEL: func.func @past_in_the_keys
//       CHECK:   %[[OFFSET:.*]] = tensor.dim
//       CHECK:   attn.attention {{.*}} mask(#attn.causal) query_offset(%[[OFFSET]] : index)
//   CHECK-NOT:   scf.if
func.func @past_in_the_keys(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %past: tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %n = arith.constant 2 : index
    %p = tensor.dim %past, %n : tensor<?x4x?x16xf32>
    %pos = arith.addi %i, %p : index
    %keep = arith.cmpi sle, %j, %pos : index
    %min = arith.constant -3.40282347E+38 : f32
    %r = arith.select %keep, %a, %min : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// Causal and padding with an infinite fill.
// CHECK-LABEL: func.func @causal_and_padding
//       CHECK:   attn.attention {{.*}} mask(#attn.causal) keep({{.*}} : tensor<?x1x1x?xi1>)
//   CHECK-NOT:   scf.if
func.func @causal_and_padding(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi64>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi64>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i64, %out: f32):
    %inf = arith.constant 0xFF800000 : f32
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %causal = arith.cmpi sge, %i, %j : index
    %c0 = arith.constant 0 : i64
    %pad = arith.cmpi ne, %m0, %c0 : i64
    %keep = arith.andi %causal, %pad : i1
    %r = arith.select %keep, %a, %inf : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %p1 = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%p0 : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %nan = arith.cmpf uno, %a, %a : f32
    %g = arith.select %nan, %zero, %a : f32
    linalg.yield %g : f32
  } -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p1, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The same with a finite fill: a row without keys is the mean of all values.
// CHECK-LABEL: func.func @causal_and_padding_finite
//       CHECK:   %[[ALL:.*]] = tensor.extract
//       CHECK:   %[[OUT:.*]] = attn.attention {{.*}} mask(#attn.causal) keep({{.*}} : tensor<?x1x1x?xi1>)
//       CHECK:   scf.if %[[ALL]]
//       CHECK:     scf.yield %[[OUT]]
//       CHECK:   } else {
//       CHECK:     arith.addf
//       CHECK:     arith.select
//       CHECK:   return
func.func @causal_and_padding_finite(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi1>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %min = arith.constant -3.40282347E+38 : f32
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %causal = arith.cmpi sge, %i, %j : index
    %keep = arith.andi %causal, %m0 : i1
    %bias = arith.select %keep, %zero, %min : f32
    %r = arith.addf %a, %bias : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// A sliding window of 4 keys.
// CHECK-LABEL: func.func @window
//       CHECK:   attn.attention {{.*}} mask(#attn.all_of<[#attn.causal, #attn.window<left = 3, right = -1>]>)
func.func @window(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %inf = arith.constant 0xFF800000 : f32
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %causal = arith.cmpi sle, %j, %i : index
    %d = arith.subi %i, %j : index
    %four = arith.constant 4 : index
    %near = arith.cmpi slt, %d, %four : index
    %keep = arith.andi %causal, %near : i1
    %r = arith.select %keep, %a, %inf : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x8xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %oe = tensor.empty() : tensor<2x4x8x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// Positions that arrive at run time prove nothing: the exact boolean mask stays.
// CHECK-LABEL: func.func @unproven_positions
//       CHECK:   attn.attention {{.*}} keep({{.*}} : tensor<1x1x?x?xi1>)
//   CHECK-NOT:   mask(
func.func @unproven_positions(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %pos: tensor<?xi64>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, affine_map<(b, h, i, j) -> (i)>, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %pos : tensor<?x4x?x?xf32>, tensor<?xi64>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i64, %out: f32):
    %inf = arith.constant 0xFF800000 : f32
    %j = linalg.index 3 : index
    %j64 = arith.index_cast %j : index to i64
    %keep = arith.cmpi sge, %m0, %j64 : i64
    %r = arith.select %keep, %a, %inf : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// T5: no scale, a bias of [1, H, S, T].
// CHECK-LABEL: func.func @bias_of_heads
//       CHECK:   attn.attention {{.*}} bias({{.*}} : tensor<1x4x?x?xf32>)
//  CHECK-SAME:     softmax_scale = 1.000000e+00
func.func @bias_of_heads(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<4x?x?xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #hij, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: f32, %out: f32):
    %r = arith.addf %a, %m0 : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// c tanh(x / c), scaled before, then a bias.
// CHECK-LABEL: func.func @softcap_then_bias
//       CHECK:   attn.attention {{.*}} bias({{.*}} : tensor<1x1x?x?xf32>)
//  CHECK-SAME:     softcap = 5.000000e+01
//  CHECK-SAME:     softmax_scale = 2.500000e-01
func.func @softcap_then_bias(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #ij, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: f32, %out: f32):
    %scale = arith.constant 0.25 : f32
    %cap = arith.constant 50.0 : f32
    %x0 = arith.mulf %a, %scale : f32
    %x1 = arith.divf %x0, %cap : f32
    %x2 = math.tanh %x1 : f32
    %x3 = arith.mulf %cap, %x2 : f32
    %r = arith.addf %x3, %m0 : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The bias under the cap keeps its place.
// CHECK-LABEL: func.func @bias_then_softcap
//       CHECK:   attn.attention {{.*}} bias_order = #attn.bias_order<before_softcap>
func.func @bias_then_softcap(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #ij, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: f32, %out: f32):
    %cap = arith.constant 50.0 : f32
    %x0 = arith.addf %a, %m0 : f32
    %x1 = arith.divf %x0, %cap : f32
    %x2 = math.tanh %x1 : f32
    %r = arith.mulf %cap, %x2 : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// (s + b) c is s c + b c.
// CHECK-LABEL: func.func @scale_after_bias
//       CHECK:   arith.mulf
//       CHECK:   attn.attention {{.*}} bias({{.*}} : tensor<1x1x?x?xf32>)
//  CHECK-SAME:     softmax_scale = 5.000000e-01
func.func @scale_after_bias(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #ij, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: f32, %out: f32):
    %half = arith.constant 0.5 : f32
    %x0 = arith.addf %a, %m0 : f32
    %r = arith.mulf %x0, %half : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
