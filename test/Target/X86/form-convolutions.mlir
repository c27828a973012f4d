// RUN: attn-opt %s --attn-form-convolutions --split-input-file | FileCheck %s

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d1, 0, 0)>

// Padding, bias and activation become part of the call.
// CHECK-LABEL: func.func @padded_bias_relu
//  CHECK-SAME:   (%[[X:.*]]: tensor<?x8x6x6xf32>
//   CHECK-DAG:   %[[W:.*]] = attn_rt.weight "w"
//   CHECK-DAG:   %[[B:.*]] = attn_rt.weight "b"
//   CHECK-DAG:   %[[BIAS:.*]] = tensor.collapse_shape %[[B]] {{\[\[}}0, 1, 2]]
//   CHECK-NOT:   tensor.pad
//       CHECK:   %[[Y:.*]] = attn_rt.conv relu ins(%[[X]], %[[W]], %[[BIAS]] :
//  CHECK-SAME:     {constant_w, dilations = array<i64: 1, 1>, groups = 1 : i64,
//  CHECK-SAME:      pads_high = array<i64: 2, 1>, pads_low = array<i64: 1, 0>, strides = array<i64: 2, 1>}
//   CHECK-NOT:   linalg
//       CHECK:   return %[[Y]]
func.func @padded_bias_relu(%x: tensor<?x8x6x6xf32>, %n: index) -> tensor<?x4x4x5xf32> {
  %zero = arith.constant 0.0 : f32
  %w = attn_rt.weight "w" from "w.bin" at 0 : tensor<4x8x3x3xf32>
  %b = attn_rt.weight "b" from "w.bin" at 1152 : tensor<4x1x1xf32>
  %p = tensor.pad %x low[0, 0, 1, 0] high[0, 0, 2, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<?x8x6x6xf32> to tensor<?x8x9x7xf32>
  %e = tensor.empty(%n) : tensor<?x4x4x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4x4x5xf32>) -> tensor<?x4x4x5xf32>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<[2, 1]> : vector<2xi64>}
    ins(%p, %w : tensor<?x8x9x7xf32>, tensor<4x8x3x3xf32>) outs(%f : tensor<?x4x4x5xf32>) -> tensor<?x4x4x5xf32>
  %g = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%c, %b : tensor<?x4x4x5xf32>, tensor<4x1x1xf32>) outs(%e : tensor<?x4x4x5xf32>) {
  ^bb0(%s: f32, %t: f32, %o: f32):
    %u = arith.addf %s, %t : f32
    %v = arith.maximumf %u, %zero : f32
    linalg.yield %v : f32
  } -> tensor<?x4x4x5xf32>
  return %g : tensor<?x4x4x5xf32>
}

// -----

// CHECK-LABEL: func.func @depthwise
//  CHECK-SAME:   (%[[X:.*]]: tensor<1x4x9xf32>, %[[W:.*]]: tensor<4x3xf32>)
//       CHECK:   %[[WIDE:.*]] = tensor.expand_shape %[[W]] {{\[\[}}0, 1], [2]]
//       CHECK:   attn_rt.conv none ins(%[[X]], %[[WIDE]] :
//  CHECK-SAME:     dilations = array<i64: 2>, groups = 4
//   CHECK-NOT:     constant_w
func.func @depthwise(%x: tensor<1x4x9xf32>, %w: tensor<4x3xf32>) -> tensor<1x4x5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x4x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x5xf32>) -> tensor<1x4x5xf32>
  %c = linalg.depthwise_conv_1d_ncw_cw {dilations = dense<2> : vector<1xi64>, strides = dense<1> : vector<1xi64>}
    ins(%x, %w : tensor<1x4x9xf32>, tensor<4x3xf32>) outs(%f : tensor<1x4x5xf32>) -> tensor<1x4x5xf32>
  return %c : tensor<1x4x5xf32>
}

// -----

// CHECK-LABEL: func.func @groups_bf16
//       CHECK:   attn_rt.conv none ins({{.*}} : tensor<1x6x5x5xbf16>, tensor<4x3x3x3xbf16>)
//  CHECK-SAME:     outs({{.*}} : tensor<1x4x3x3xf32>)
//  CHECK-SAME:     groups = 2
//       CHECK:   tensor.expand_shape
func.func @groups_bf16(%x: tensor<1x2x3x5x5xbf16>, %w: tensor<2x2x3x3x3xbf16>) -> tensor<1x2x2x3x3xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x2x2x3x3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x2x3x3xf32>) -> tensor<1x2x2x3x3xf32>
  %c = linalg.conv_2d_ngchw_gfchw ins(%x, %w : tensor<1x2x3x5x5xbf16>, tensor<2x2x3x3x3xbf16>)
    outs(%f : tensor<1x2x2x3x3xf32>) -> tensor<1x2x2x3x3xf32>
  return %c : tensor<1x2x2x3x3xf32>
}

// -----

// The library pads with zeros only, and does not add to what is there.
// CHECK-LABEL: func.func @padded_with_ones
//       CHECK:   %[[P:.*]] = tensor.pad
//       CHECK:   attn_rt.conv none ins(%[[P]],
func.func @padded_with_ones(%x: tensor<1x3x4xf32>, %w: tensor<2x3x3xf32>) -> tensor<1x2x4xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %p = tensor.pad %x low[0, 0, 1] high[0, 0, 1] {
  ^bb0(%i: index, %j: index, %k: index):
    tensor.yield %one : f32
  } : tensor<1x3x4xf32> to tensor<1x3x6xf32>
  %e = tensor.empty() : tensor<1x2x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  %c = linalg.conv_1d_ncw_fcw ins(%p, %w : tensor<1x3x6xf32>, tensor<2x3x3xf32>) outs(%f : tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return %c : tensor<1x2x4xf32>
}

// -----

// CHECK-LABEL: func.func @accumulates
//       CHECK:   linalg.conv_1d_ncw_fcw
func.func @accumulates(%x: tensor<1x3x4xf32>, %w: tensor<2x3x3xf32>, %y: tensor<1x2x2xf32>) -> tensor<1x2x2xf32> {
  %c = linalg.conv_1d_ncw_fcw ins(%x, %w : tensor<1x3x4xf32>, tensor<2x3x3xf32>) outs(%y : tensor<1x2x2xf32>) -> tensor<1x2x2xf32>
  return %c : tensor<1x2x2xf32>
}
