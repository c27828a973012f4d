// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s

// Rotations of queries and keys, read off their elements: how a program slices
// and joins the halves does not matter.
#id = affine_map<(a, b, c, d) -> (a, b, c, d)>
#tab = affine_map<(a, b, c, d) -> (c, d)>
#q = affine_map<(b, h, i, j, d) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d) -> (b, h, j, d)>
#s = affine_map<(b, h, i, j, d) -> (b, h, i, j)>

// Llama: x cos + rotate_half(x) sin with tables of two equal halves.
// CHECK-LABEL: func.func @halves
//  CHECK-SAME:   (%[[Q:[a-z0-9]+]]: tensor<2x4x8x16xf32>, %[[K:[a-z0-9]+]]: {{.*}}, %[[V:[a-z0-9]+]]: {{.*}}, %[[F:[a-z0-9]+]]: tensor<8x8xf32>
//       CHECK:   %[[COS:.*]] = linalg.generic {{.*}} ins(%[[F]] : tensor<8x8xf32>)
//       CHECK:     math.cos
//       CHECK:   %[[SIN:.*]] = linalg.generic {{.*}} ins(%[[F]] : tensor<8x8xf32>)
//       CHECK:     math.sin
//       CHECK:   %[[RQ:.*]] = attn.rope %[[Q]], %[[COS]], %[[SIN]] : tensor<2x4x8x16xf32>, tensor<8x8xf32>
//       CHECK:   attn.attention %[[RQ]], %[[K]], %[[V]]
//   CHECK-NOT:   tensor.insert_slice
func.func @halves(%x: tensor<2x4x8x16xf32>, %key: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>, %f: tensor<8x8xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x8x16xf32>
  %te = tensor.empty() : tensor<8x16xf32>
  %ff = tensor.concat dim(1) %f, %f : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x16xf32>
  %cos = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]} ins(%ff : tensor<8x16xf32>) outs(%te : tensor<8x16xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = math.cos %a : f32
    linalg.yield %r : f32
  } -> tensor<8x16xf32>
  %sin = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]} ins(%ff : tensor<8x16xf32>) outs(%te : tensor<8x16xf32>) {
  ^bb0(%a: f32, %c: f32):
    %r = math.sin %a : f32
    linalg.yield %r : f32
  } -> tensor<8x16xf32>
  %lo = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %hi = tensor.extract_slice %x[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %he = tensor.empty() : tensor<2x4x8x8xf32>
  %neg = linalg.negf ins(%hi : tensor<2x4x8x8xf32>) outs(%he : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %i0 = tensor.insert_slice %neg into %e[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %rot = tensor.insert_slice %lo into %i0[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %xc = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x, %cos : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %xs = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%rot, %sin : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %rx = linalg.add ins(%xc, %xs : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%rx, %key : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// Tables whose halves are not known to agree prove nothing.
// CHECK-LABEL: func.func @unproven_halves
//   CHECK-NOT:   attn.rope
//       CHECK:   attn.attention
func.func @unproven_halves(%x: tensor<2x4x8x16xf32>, %key: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>, %cos: tensor<8x16xf32>, %sin: tensor<8x16xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x8x16xf32>
  %lo = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %hi = tensor.extract_slice %x[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %he = tensor.empty() : tensor<2x4x8x8xf32>
  %neg = linalg.negf ins(%hi : tensor<2x4x8x8xf32>) outs(%he : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %i0 = tensor.insert_slice %neg into %e[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %rot = tensor.insert_slice %lo into %i0[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %xc = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x, %cos : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %xs = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%rot, %sin : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %rx = linalg.add ins(%xc, %xs : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%rx, %key : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// One generic with index arithmetic: neighbours 2f and 2f + 1 rotate, by
// tables for each batch entry.
// CHECK-LABEL: func.func @interleaved
//  CHECK-SAME:   (%[[Q:[a-z0-9]+]]: tensor<2x4x8x16xf32>, %{{.*}}: {{.*}}, %{{.*}}: {{.*}}, %[[COS:[a-z0-9]+]]: tensor<2x8x8xf32>, %[[SIN:[a-z0-9]+]]: tensor<2x8x8xf32>
//       CHECK:   attn.rope %[[Q]], %[[COS]], %[[SIN]] interleaved
func.func @interleaved(%x: tensor<2x4x8x16xf32>, %key: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>, %cos: tensor<2x8x8xf32>, %sin: tensor<2x8x8xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x8x16xf32>
  %e5 = tensor.empty() : tensor<2x4x8x8x2xf32>
  %x5 = tensor.expand_shape %x [[0], [1], [2], [3, 4]] output_shape [2, 4, 8, 8, 2] : tensor<2x4x8x16xf32> into tensor<2x4x8x8x2xf32>
  %r5 = linalg.generic {indexing_maps = [affine_map<(a, b, c, d, p) -> (a, b, c, d, p)>, affine_map<(a, b, c, d, p) -> (a, c, d)>, affine_map<(a, b, c, d, p) -> (a, c, d)>, affine_map<(a, b, c, d, p) -> (a, b, c, d, p)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%x5, %cos, %sin : tensor<2x4x8x8x2xf32>, tensor<2x8x8xf32>, tensor<2x8x8xf32>) outs(%e5 : tensor<2x4x8x8x2xf32>) {
  ^bb0(%a: f32, %c: f32, %s: f32, %out: f32):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %i0 = linalg.index 0 : index
    %i1 = linalg.index 1 : index
    %i2 = linalg.index 2 : index
    %i3 = linalg.index 3 : index
    %i4 = linalg.index 4 : index
    %other = arith.subi %c1, %i4 : index
    %b = tensor.extract %x5[%i0, %i1, %i2, %i3, %other] : tensor<2x4x8x8x2xf32>
    %first = arith.cmpi eq, %i4, %c0 : index
    %bn = arith.negf %b : f32
    %bs = arith.select %first, %bn, %b : f32
    %ac = arith.mulf %a, %c : f32
    %m = arith.mulf %bs, %s : f32
    %r = arith.addf %ac, %m : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x8x2xf32>
  %rx = tensor.collapse_shape %r5 [[0], [1], [2], [3, 4]] : tensor<2x4x8x8x2xf32> into tensor<2x4x8x16xf32>
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%rx, %key : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// Only the first 8 of 16 features rotate; the halves are built on their own.
// CHECK-LABEL: func.func @partial
//  CHECK-SAME:   (%[[Q:[a-z0-9]+]]: tensor<2x4x8x16xf32>, %{{.*}}: {{.*}}, %{{.*}}: {{.*}}, %[[COS:[a-z0-9]+]]: tensor<8x4xf32>, %[[SIN:[a-z0-9]+]]: tensor<8x4xf32>
//       CHECK:   attn.rope %[[Q]], %[[COS]], %[[SIN]] : tensor<2x4x8x16xf32>, tensor<8x4xf32>
func.func @partial(%x: tensor<2x4x8x16xf32>, %key: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>, %cos: tensor<8x4xf32>, %sin: tensor<8x4xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x8x16xf32>
  %he = tensor.empty() : tensor<2x4x8x4xf32>
  %a0 = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 4] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x4xf32>
  %a1 = tensor.extract_slice %x[0, 0, 0, 4] [2, 4, 8, 4] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x4xf32>
  %rest = tensor.extract_slice %x[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %r0 = linalg.generic {indexing_maps = [#id, #id, #tab, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%a0, %a1, %cos, %sin : tensor<2x4x8x4xf32>, tensor<2x4x8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%he : tensor<2x4x8x4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %s: f32, %out: f32):
    %m = arith.mulf %a, %c : f32
    %n = arith.mulf %s, %b : f32
    %r = arith.subf %m, %n : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x4xf32>
  %r1 = linalg.generic {indexing_maps = [#id, #id, #tab, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%a0, %a1, %cos, %sin : tensor<2x4x8x4xf32>, tensor<2x4x8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) outs(%he : tensor<2x4x8x4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %s: f32, %out: f32):
    %m = arith.mulf %a, %s : f32
    %n = arith.mulf %b, %c : f32
    %r = arith.addf %m, %n : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x4xf32>
  %rx = tensor.concat dim(3) %r0, %r1, %rest : (tensor<2x4x8x4xf32>, tensor<2x4x8x4xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x16xf32>
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%rx, %key : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}

// A minus sign in the wrong place: not a rotation.
// CHECK-LABEL: func.func @reflection
//   CHECK-NOT:   attn.rope
//       CHECK:   attn.attention
func.func @reflection(%x: tensor<2x4x8x16xf32>, %key: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>, %f: tensor<8x8xf32>) -> tensor<2x4x8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4x8x16xf32>
  %cos = tensor.concat dim(1) %f, %f : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x16xf32>
  %sin = tensor.concat dim(1) %f, %f : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x16xf32>
  %lo = tensor.extract_slice %x[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %hi = tensor.extract_slice %x[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x16xf32> to tensor<2x4x8x8xf32>
  %he = tensor.empty() : tensor<2x4x8x8xf32>
  %neg = linalg.negf ins(%hi : tensor<2x4x8x8xf32>) outs(%he : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %i0 = tensor.insert_slice %neg into %e[0, 0, 0, 0] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %rot = tensor.insert_slice %lo into %i0[0, 0, 0, 8] [2, 4, 8, 8] [1, 1, 1, 1] : tensor<2x4x8x8xf32> into tensor<2x4x8x16xf32>
  %xc = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x, %cos : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %xs = linalg.generic {indexing_maps = [#id, #tab, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%rot, %sin : tensor<2x4x8x16xf32>, tensor<8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x16xf32>
  %rx = linalg.sub ins(%xc, %xs : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%rx, %key : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o : tensor<2x4x8x16xf32>
}
