// RUN: attn-opt %s --attn-gpu-outline | FileCheck %s

// What the loop reads is an operand, constants move along.
// CHECK-LABEL: func.func @scaled
//   CHECK-NOT:   scf.forall
//       CHECK:   %[[N:.*]] = tensor.dim %arg0
//       CHECK:   %[[R:.*]] = attn_gpu.launch @scaled_kernel grid({{[^)]*}})
//  CHECK-SAME:     ins(%arg0 : tensor<?xf32>) outs(%arg1 : tensor<?xf32>) scalars(%[[N]] : index) -> tensor<?xf32>
//       CHECK:   return %[[R]]
//       CHECK: func.func private @scaled_kernel(%[[IN:.*]]: tensor<?xf32>, %[[OUT:.*]]: tensor<?xf32>, %[[SIZE:.*]]: index) -> tensor<?xf32> attributes {attn_gpu.kernel}
//       CHECK:   %[[TWO:.*]] = arith.constant 2.0
//       CHECK:   scf.forall (%{{.*}}) in (%[[SIZE]]) shared_outs(%{{.*}} = %[[OUT]])
//       CHECK:     tensor.extract %[[IN]]
//       CHECK:     arith.mulf %{{.*}}, %[[TWO]]
func.func @scaled(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %two = arith.constant 2.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %r = scf.forall (%i) in (%n) shared_outs(%o = %y) -> (tensor<?xf32>) {
    %e = tensor.extract %x[%i] : tensor<?xf32>
    %f = arith.mulf %e, %two : f32
    %s = tensor.extract_slice %o[%i] [1] [1] : tensor<?xf32> to tensor<f32>
    %t = tensor.insert %f into %s[] : tensor<f32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %t into %o[%i] [1] [1] : tensor<f32> into tensor<?xf32>
    }
  }
  return %r : tensor<?xf32>
}
