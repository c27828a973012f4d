// RUN: attn-opt %s --attn-gpu-parallelize | FileCheck %s

// A row's sum: a loop inside of one over the rows.
// CHECK-LABEL: func.func @sums
//       CHECK:   scf.forall (%[[I:.*]]) in (3)
//       CHECK:     %[[SUM:.*]] = scf.for %[[J:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args
//       CHECK:       tensor.extract %arg0[%[[I]], %[[J]]]
//       CHECK:       arith.addf
//       CHECK:     tensor.insert %[[SUM]]
//       CHECK:     tensor.parallel_insert_slice
//   CHECK-NOT:   linalg
func.func @sums(%x: tensor<3x5xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {
  %r = linalg.reduce ins(%x : tensor<3x5xf32>) outs(%y : tensor<3xf32>) dimensions = [1]
    (%a: f32, %b: f32) {
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    }
  return %r : tensor<3xf32>
}

// CHECK-LABEL: func.func @part
//       CHECK:   scf.forall (%[[I:.*]]) in (2)
//       CHECK:     tensor.extract %arg0[%{{.*}}]
//   CHECK-NOT:   tensor.extract_slice %arg0
func.func @part(%x: tensor<5xf32>) -> tensor<2xf32> {
  %r = tensor.extract_slice %x[3] [2] [1] : tensor<5xf32> to tensor<2xf32>
  return %r : tensor<2xf32>
}
