// RUN: attn-opt %s --attn-hoist-weights --canonicalize --split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#column = affine_map<(d0, d1) -> (d1)>

// The run reads what was computed at load, and the product may pack it.
// CHECK-LABEL: module attributes {attn.prepared = [tensor<64x32xf32>]}
// CHECK-LABEL: func.func @main
//   CHECK-NOT:   attn_rt.weight
//   CHECK-NOT:   sitofp
//       CHECK:   %[[W:.*]] = attn_rt.prepared 0 : tensor<64x32xf32>
//       CHECK:   attn_rt.matmul none ins(%{{.*}}, %[[W]] :
//  CHECK-SAME:     {constant_b}
//   CHECK-NOT:   sitofp
// CHECK-LABEL: func.func @attn_init() -> tensor<64x32xf32>
//  CHECK-SAME:     attributes {llvm.emit_c_interface}
//       CHECK:   attn_rt.weight "w"
//       CHECK:   attn_rt.weight "scale"
//       CHECK:   %[[D:.*]] = linalg.generic
//       CHECK:     arith.sitofp
//       CHECK:   return %[[D]]
func.func @main(%x: tensor<?x64xf32>, %o: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %w = attn_rt.weight "w" from "w.bin" at 0 : tensor<64x32xi8>
  %s = attn_rt.weight "scale" from "w.bin" at 2048 : tensor<32xf32>
  %e = tensor.empty() : tensor<64x32xf32>
  %wide = linalg.broadcast ins(%s : tensor<32xf32>) outs(%e : tensor<64x32xf32>) dimensions = [0]
  %d = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w, %wide : tensor<64x32xi8>, tensor<64x32xf32>) outs(%e : tensor<64x32xf32>) {
  ^bb0(%a: i8, %b: f32, %c: f32):
    %f = arith.sitofp %a : i8 to f32
    %g = arith.mulf %f, %b : f32
    linalg.yield %g : f32
  } -> tensor<64x32xf32>
  %y = attn_rt.matmul none ins(%x, %d : tensor<?x64xf32>, tensor<64x32xf32>) outs(%o : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Views, repetition and small tensors stay where they are used; a view of
// computed weights is made of what was computed.
// CHECK-LABEL: func.func @light
//       CHECK:   %[[P:.*]] = attn_rt.prepared 0 : tensor<8x64xf32>
//       CHECK:   attn_rt.weight "b"
//       CHECK:   linalg.broadcast
//       CHECK:   tensor.expand_shape %[[P]]
// CHECK-LABEL: func.func @attn_init() -> tensor<8x64xf32>
//       CHECK:   linalg.transpose
func.func @light() -> (tensor<4x64xf32>, tensor<8x8x8xf32>, tensor<2xf32>) {
  %b = attn_rt.weight "b" from "w.bin" at 0 : tensor<64xf32>
  %w = attn_rt.weight "w" from "w.bin" at 256 : tensor<64x8xf32>
  %c = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %e = tensor.empty() : tensor<4x64xf32>
  %wide = linalg.broadcast ins(%b : tensor<64xf32>) outs(%e : tensor<4x64xf32>) dimensions = [0]
  %t = tensor.empty() : tensor<8x64xf32>
  %turned = linalg.transpose ins(%w : tensor<64x8xf32>) outs(%t : tensor<8x64xf32>) permutation = [1, 0]
  %v = tensor.expand_shape %turned [[0], [1, 2]] output_shape [8, 8, 8] : tensor<8x64xf32> into tensor<8x8x8xf32>
  %se = tensor.empty() : tensor<2xf32>
  %small = linalg.exp ins(%c : tensor<2xf32>) outs(%se : tensor<2xf32>) -> tensor<2xf32>
  return %wide, %v, %small : tensor<4x64xf32>, tensor<8x8x8xf32>, tensor<2xf32>
}

// -----

// CHECK-LABEL: func.func @nothing
//   CHECK-NOT: attn_init
func.func @nothing(%x: tensor<64xf32>) -> tensor<64xf32> {
  %y = linalg.exp ins(%x : tensor<64xf32>) outs(%x : tensor<64xf32>) -> tensor<64xf32>
  return %y : tensor<64xf32>
}
