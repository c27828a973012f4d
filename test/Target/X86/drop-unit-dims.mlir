// RUN: attn-opt %s --attn-drop-unit-dims --canonicalize | FileCheck %s

#rows4 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#sums4 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#kept = affine_map<(d0, d1, d2) -> (d0, d1, 0)>

// A sum that keeps its dimension and what reads it, as fusion leaves them.
// CHECK-DAG: #[[$ID:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-DAG: #[[$ROW:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func.func @kept_dimension
//  CHECK-SAME:   %[[X:.*]]: tensor<?x?x8xf32>
//   CHECK-NOT:   shape
//       CHECK:   %[[SUMS:.*]] = linalg.generic {indexing_maps = [#[[$ID]], #[[$ROW]]], iterator_types = ["parallel", "parallel", "reduction"]}
//  CHECK-SAME:     ins(%[[X]] : tensor<?x?x8xf32>) outs(%{{.*}} : tensor<?x?xf32>)
//   CHECK-NOT:   shape
//       CHECK:   linalg.generic {indexing_maps = [#[[$ID]], #[[$ROW]], #[[$ID]]]
//  CHECK-SAME:     ins(%[[X]], %[[SUMS]] : tensor<?x?x8xf32>, tensor<?x?xf32>)
func.func @kept_dimension(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %x4 = tensor.expand_shape %x [[0], [1, 2], [3]] output_shape [%b, %s, 1, 8]
    : tensor<?x?x8xf32> into tensor<?x?x1x8xf32>
  %empty = tensor.empty(%b, %s) : tensor<?x?x1xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
  %sums = linalg.generic {indexing_maps = [#rows4, #sums4], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x4 : tensor<?x?x1x8xf32>) outs(%init : tensor<?x?x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %o, %a : f32
    linalg.yield %t : f32
  } -> tensor<?x?x1xf32>
  %out = tensor.empty(%b, %s) : tensor<?x?x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #kept, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %sums : tensor<?x?x8xf32>, tensor<?x?x1xf32>) outs(%out : tensor<?x?x8xf32>) {
  ^bb0(%a: f32, %m: f32, %o: f32):
    %t = arith.subf %a, %m : f32
    linalg.yield %t : f32
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// A batch of one: the buffer behind the result is made in the smaller shape.
// CHECK-LABEL: func.func @batch_of_one
//       CHECK:   %[[X:.*]] = tensor.collapse_shape
//       CHECK:   %[[OUT:.*]] = tensor.empty() : tensor<4x8xf32>
//       CHECK:   linalg.generic {{.*}} ins(%[[X]] : tensor<4x8xf32>) outs(%[[OUT]] : tensor<4x8xf32>)
func.func @batch_of_one(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
  %out = tensor.empty() : tensor<1x4x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x4x8xf32>) outs(%out : tensor<1x4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.negf %a : f32
    linalg.yield %t : f32
  } -> tensor<1x4x8xf32>
  return %y : tensor<1x4x8xf32>
}

#window = affine_map<(d0, d1) -> (d0 * 3 + d1)>
#kernel = affine_map<(d0, d1) -> (d1)>
#place = affine_map<(d0, d1) -> (d0)>

// One window of three in four elements: the fourth is in no window.
// CHECK-LABEL: func.func @one_window
//       CHECK:   linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
func.func @one_window(%x: tensor<4xf32>, %kernel: tensor<3xf32>, %init: tensor<1xf32>) -> tensor<1xf32> {
  %y = linalg.generic {indexing_maps = [#window, #kernel, #place], iterator_types = ["parallel", "reduction"]}
      ins(%x, %kernel : tensor<4xf32>, tensor<3xf32>) outs(%init : tensor<1xf32>) {
  ^bb0(%a: f32, %k: f32, %o: f32):
    %t = arith.addf %o, %a : f32
    linalg.yield %t : f32
  } -> tensor<1xf32>
  return %y : tensor<1xf32>
}
