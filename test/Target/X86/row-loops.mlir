// RUN: split-file %s %t
// RUN: attn compile %t/operator.mlir --target x86-64-v4 --emit bufferized -o %t/operator.out
// RUN: FileCheck %t/operator.mlir < %t/operator.out
// RUN: attn compile %t/spelled-out.mlir --target x86-64-v4 --emit bufferized -o %t/spelled-out.out
// RUN: FileCheck %t/spelled-out.mlir < %t/spelled-out.out
//
// Layer norm is one loop over rows, from the importer's linalg for the ONNX
// operator and for its parts, the sum of two inputs before them included. Its
// sums are numbers on the stack, and the result is the only buffer.

//--- operator.mlir
// CHECK-LABEL: func.func @main(
//       CHECK:   memref.alloc(
//   CHECK-NOT:   memref.alloc(
//   CHECK-NOT:   scf.for
//       CHECK:   scf.parallel
//  CHECK-NEXT:     func.call @main_parallel(
//   CHECK-NOT:   memref.alloc(
//   CHECK-NOT:   scf.for
//   CHECK-NOT:   scf.parallel
//       CHECK:   return
//       CHECK: func.func private @main_parallel(
// CHECK-COUNT-2: memref.alloca() {{.*}} : memref<f32>
//   CHECK-NOT:   memref.alloca
//       CHECK:   scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c1 {
//       CHECK:     vector.reduction <add>
//       CHECK:     vector.reduction <add>
//   CHECK-NOT:   step %c1 {
//       CHECK:     vector.store
//   CHECK-NOT:   step %c1 {
//   CHECK-NOT: func.func
#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1)>
#map2 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#map3 = affine_map<(d0, d1, d2) -> (d2)>
module {
  func.func @main(%arg0: tensor<?x?x384xf32> {attn.dims = ["b", "s", ""], attn.name = "x"}, %arg1: tensor<384xf32> {attn.dims = [""], attn.name = "g"}, %arg2: tensor<384xf32> {attn.dims = [""], attn.name = "bb"}) -> (tensor<?x?x384xf32> {attn.dims = ["b", "s", ""], attn.name = "y"}) {
    %c0 = arith.constant 0 : index
    %dim = tensor.dim %arg0, %c0 : tensor<?x?x384xf32>
    %c1 = arith.constant 1 : index
    %dim_0 = tensor.dim %arg0, %c1 : tensor<?x?x384xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %cst_1 = arith.constant 3.840000e+02 : f32
    %cst_2 = arith.constant 9.99999974E-6 : f32
    %cst_3 = arith.constant 1.000000e+00 : f32
    %0 = tensor.empty(%dim, %dim_0) : tensor<?x?xf32>
    %1 = linalg.fill ins(%cst : f32) outs(%0 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %2 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%arg0 : tensor<?x?x384xf32>) outs(%1 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.addf %out, %in : f32
      linalg.yield %20 : f32
    } -> tensor<?x?xf32>
    %expanded = tensor.expand_shape %2 [[0], [1, 2]] output_shape [%dim, %dim_0, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %3 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %4 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded : tensor<?x?x1xf32>) outs(%3 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.divf %in, %cst_1 : f32
      linalg.yield %20 : f32
    } -> tensor<?x?x1xf32>
    %5 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %6 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %4 : tensor<?x?x384xf32>, tensor<?x?x1xf32>) outs(%5 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_5: f32, %out: f32):
      %20 = arith.subf %in, %in_5 : f32
      linalg.yield %20 : f32
    } -> tensor<?x?x384xf32>
    %7 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %8 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%6 : tensor<?x?x384xf32>) outs(%7 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.mulf %in, %in : f32
      linalg.yield %20 : f32
    } -> tensor<?x?x384xf32>
    %9 = tensor.empty(%dim, %dim_0) : tensor<?x?xf32>
    %10 = linalg.fill ins(%cst : f32) outs(%9 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %11 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%8 : tensor<?x?x384xf32>) outs(%10 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.addf %out, %in : f32
      linalg.yield %20 : f32
    } -> tensor<?x?xf32>
    %expanded_4 = tensor.expand_shape %11 [[0], [1, 2]] output_shape [%dim, %dim_0, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %12 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %13 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_4 : tensor<?x?x1xf32>) outs(%12 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.divf %in, %cst_1 : f32
      linalg.yield %20 : f32
    } -> tensor<?x?x1xf32>
    %14 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %15 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%13 : tensor<?x?x1xf32>) outs(%14 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %20 = arith.addf %in, %cst_2 : f32
      %21 = math.sqrt %20 : f32
      %22 = arith.divf %cst_3, %21 : f32
      linalg.yield %22 : f32
    } -> tensor<?x?x1xf32>
    %16 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %17 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%6, %15 : tensor<?x?x384xf32>, tensor<?x?x1xf32>) outs(%16 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_5: f32, %out: f32):
      %20 = arith.mulf %in, %in_5 : f32
      linalg.yield %20 : f32
    } -> tensor<?x?x384xf32>
    %18 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map3, #map3, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%17, %arg1, %arg2 : tensor<?x?x384xf32>, tensor<384xf32>, tensor<384xf32>) outs(%18 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_5: f32, %in_6: f32, %out: f32):
      %20 = arith.mulf %in, %in_5 : f32
      %21 = arith.addf %20, %in_6 : f32
      linalg.yield %21 : f32
    } -> tensor<?x?x384xf32>
    return %19 : tensor<?x?x384xf32>
  }
}
//--- spelled-out.mlir
// CHECK-LABEL: func.func @main(
//       CHECK:   memref.alloc(
//   CHECK-NOT:   memref.alloc(
//   CHECK-NOT:   scf.for
//       CHECK:   scf.parallel
//  CHECK-NEXT:     func.call @main_parallel(
//   CHECK-NOT:   memref.alloc(
//   CHECK-NOT:   scf.for
//   CHECK-NOT:   scf.parallel
//       CHECK:   return
//       CHECK: func.func private @main_parallel(
// CHECK-COUNT-2: memref.alloca() {{.*}} : memref<f32>
//   CHECK-NOT:   memref.alloca
//       CHECK:   scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c1 {
//       CHECK:     vector.reduction <add>
//       CHECK:     vector.reduction <add>
//   CHECK-NOT:   step %c1 {
//       CHECK:     vector.store
//   CHECK-NOT:   step %c1 {
//   CHECK-NOT: func.func
#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1)>
#map2 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#map3 = affine_map<(d0, d1, d2) -> (d2)>
module {
  func.func @main(%arg0: tensor<?x?x384xf32> {attn.dims = ["b", "s", ""], attn.name = "x"}, %arg1: tensor<?x?x384xf32> {attn.dims = ["b", "s", ""], attn.name = "r"}, %arg2: tensor<384xf32> {attn.dims = [""], attn.name = "g"}, %arg3: tensor<384xf32> {attn.dims = [""], attn.name = "bb"}) -> (tensor<?x?x384xf32> {attn.dims = ["b", "s", ""], attn.name = "y"}) {
    %c0 = arith.constant 0 : index
    %dim = tensor.dim %arg0, %c0 : tensor<?x?x384xf32>
    %c1 = arith.constant 1 : index
    %dim_0 = tensor.dim %arg0, %c1 : tensor<?x?x384xf32>
    %cst = arith.constant 0.000000e+00 : f32
    %cst_1 = arith.constant 3.840000e+02 : f32
    %cst_2 = arith.constant 9.99999974E-6 : f32
    %0 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %1 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %arg1 : tensor<?x?x384xf32>, tensor<?x?x384xf32>) outs(%0 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.addf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    %2 = tensor.empty(%dim, %dim_0) : tensor<?x?xf32>
    %3 = linalg.fill ins(%cst : f32) outs(%2 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %4 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%1 : tensor<?x?x384xf32>) outs(%3 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.addf %out, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?xf32>
    %expanded = tensor.expand_shape %4 [[0], [1, 2]] output_shape [%dim, %dim_0, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %5 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %6 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded : tensor<?x?x1xf32>) outs(%5 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.divf %in, %cst_1 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %7 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %8 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%1, %6 : tensor<?x?x384xf32>, tensor<?x?x1xf32>) outs(%7 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.subf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    %9 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %10 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8 : tensor<?x?x384xf32>) outs(%9 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.mulf %in, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    %11 = tensor.empty(%dim, %dim_0) : tensor<?x?xf32>
    %12 = linalg.fill ins(%cst : f32) outs(%11 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %13 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%10 : tensor<?x?x384xf32>) outs(%12 : tensor<?x?xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.addf %out, %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?xf32>
    %expanded_3 = tensor.expand_shape %13 [[0], [1, 2]] output_shape [%dim, %dim_0, 1] : tensor<?x?xf32> into tensor<?x?x1xf32>
    %14 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %15 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_3 : tensor<?x?x1xf32>) outs(%14 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.divf %in, %cst_1 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %16 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %17 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%15 : tensor<?x?x1xf32>) outs(%16 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = arith.addf %in, %cst_2 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %18 = tensor.empty(%dim, %dim_0) : tensor<?x?x1xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%17 : tensor<?x?x1xf32>) outs(%18 : tensor<?x?x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %26 = math.sqrt %in : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x1xf32>
    %20 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %21 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8, %19 : tensor<?x?x384xf32>, tensor<?x?x1xf32>) outs(%20 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.divf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    %22 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %23 = linalg.generic {indexing_maps = [#map, #map3, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%21, %arg2 : tensor<?x?x384xf32>, tensor<384xf32>) outs(%22 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.mulf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    %24 = tensor.empty(%dim, %dim_0) : tensor<?x?x384xf32>
    %25 = linalg.generic {indexing_maps = [#map, #map3, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%23, %arg3 : tensor<?x?x384xf32>, tensor<384xf32>) outs(%24 : tensor<?x?x384xf32>) {
    ^bb0(%in: f32, %in_4: f32, %out: f32):
      %26 = arith.addf %in, %in_4 : f32
      linalg.yield %26 : f32
    } -> tensor<?x?x384xf32>
    return %25 : tensor<?x?x384xf32>
  }
}
