// RUN: attn-opt %s --attn-raise --canonicalize --cse \
// RUN:   --remarks-filter="attn-.*" --remark-format=emitRemark 2>&1 | FileCheck %s

// BERT as older exporters write it: the score is divided by sqrt(D), the mask
// of 0 and 1 becomes (1 - m) * -10000. A row without keys attends to all.
// CHECK-DAG: remark: [Passed] raised {{.*}}mask: key padding

// CHECK-LABEL: func.func @eager_padding
//  CHECK-SAME:   %[[MASK:[a-z0-9]+]]: tensor<?x?xi64>)
//   CHECK-NOT:   linalg.softmax
//       CHECK:   %[[KEEP:.*]] = linalg.generic {{.*}} ins(%[[MASK]] :
//       CHECK:     arith.cmpi ne
//       CHECK:   %[[ANY:.*]] = linalg.generic {{.*}}"reduction"{{.*}} ins(%[[KEEP]] :
//       CHECK:     arith.ori
//       CHECK:   %[[ALL:.*]] = linalg.generic {{.*}} ins(%[[KEEP]], %[[ANY]] :
//       CHECK:   %[[KEEP4:.*]] = tensor.expand_shape %[[ALL]]
//  CHECK-SAME:     into tensor<?x1x1x?xi1>
//       CHECK:   attn.attention {{.*}} keep(%[[KEEP4]] : tensor<?x1x1x?xi1>)
//  CHECK-SAME:     softmax_scale = 0.17677669
//   CHECK-NOT:   linalg.contract
func.func @eager_padding(%x: tensor<?x?x384xf32>, %y: tensor<?x?x384xf32>, %z: tensor<?x?x384xf32>, %m: tensor<?x?xi64>) -> tensor<?x?x384xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %m, %c0 : tensor<?x?xi64>
  %s = tensor.dim %m, %c1 : tensor<?x?xi64>
  %q3 = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [%b, %s, 12, 32] : tensor<?x?x384xf32> into tensor<?x?x12x32xf32>
  %k3 = tensor.expand_shape %y [[0], [1], [2, 3]] output_shape [%b, %s, 12, 32] : tensor<?x?x384xf32> into tensor<?x?x12x32xf32>
  %v3 = tensor.expand_shape %z [[0], [1], [2, 3]] output_shape [%b, %s, 12, 32] : tensor<?x?x384xf32> into tensor<?x?x12x32xf32>
  %e0 = tensor.empty(%b, %s) : tensor<?x12x?x32xf32>
  %q = linalg.transpose ins(%q3 : tensor<?x?x12x32xf32>) outs(%e0 : tensor<?x12x?x32xf32>) permutation = [0, 2, 1, 3]
  %v = linalg.transpose ins(%v3 : tensor<?x?x12x32xf32>) outs(%e0 : tensor<?x12x?x32xf32>) permutation = [0, 2, 1, 3]
  %e1 = tensor.empty(%b, %s) : tensor<?x12x32x?xf32>
  %k = linalg.transpose ins(%k3 : tensor<?x?x12x32xf32>) outs(%e1 : tensor<?x12x32x?xf32>) permutation = [0, 2, 3, 1]
  %e2 = tensor.empty(%b, %s, %s) : tensor<?x12x?x?xf32>
  %zero = arith.constant 0.0 : f32
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x12x?x?xf32>) -> tensor<?x12x?x?xf32>
  %sc = linalg.contract indexing_maps = [affine_map<(b,h,i,j,d) -> (b,h,i,d)>, affine_map<(b,h,i,j,d) -> (b,h,d,j)>, affine_map<(b,h,i,j,d) -> (b,h,i,j)>]
    ins(%q, %k : tensor<?x12x?x32xf32>, tensor<?x12x32x?xf32>) outs(%f2 : tensor<?x12x?x?xf32>) -> tensor<?x12x?x?xf32>
  // mask
  %me = tensor.expand_shape %m [[0, 1, 2], [3]] output_shape [%b, 1, 1, %s] : tensor<?x?xi64> into tensor<?x1x1x?xi64>
  %e3 = tensor.empty(%b, %s) : tensor<?x1x1x?xf32>
  %mf = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel","parallel","parallel","parallel"]} ins(%me : tensor<?x1x1x?xi64>) outs(%e3 : tensor<?x1x1x?xf32>) {
  ^bb0(%i: i64, %o: f32):
    %r = arith.sitofp %i : i64 to f32
    linalg.yield %r : f32
  } -> tensor<?x1x1x?xf32>
  %one = arith.constant dense<1.0> : tensor<f32>
  %neg = arith.constant dense<-10000.0> : tensor<f32>
  %ms = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> ()>, affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel","parallel","parallel","parallel"]} ins(%one, %mf : tensor<f32>, tensor<?x1x1x?xf32>) outs(%e3 : tensor<?x1x1x?xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %r = arith.subf %i, %j : f32
    linalg.yield %r : f32
  } -> tensor<?x1x1x?xf32>
  %mm = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> ()>, affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel","parallel","parallel","parallel"]} ins(%neg, %ms : tensor<f32>, tensor<?x1x1x?xf32>) outs(%e3 : tensor<?x1x1x?xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %r = arith.mulf %j, %i : f32
    linalg.yield %r : f32
  } -> tensor<?x1x1x?xf32>
  %d = arith.constant dense<5.65685424949> : tensor<f32>
  %sd = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> ()>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel","parallel","parallel","parallel"]} ins(%sc, %d : tensor<?x12x?x?xf32>, tensor<f32>) outs(%e2 : tensor<?x12x?x?xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %r = arith.divf %i, %j : f32
    linalg.yield %r : f32
  } -> tensor<?x12x?x?xf32>
  %mc = tensor.collapse_shape %mm [[0, 1, 2], [3]] : tensor<?x1x1x?xf32> into tensor<?x?xf32>
  %sa = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> (a,d)>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel","parallel","parallel","parallel"]} ins(%sd, %mc : tensor<?x12x?x?xf32>, tensor<?x?xf32>) outs(%e2 : tensor<?x12x?x?xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %r = arith.addf %i, %j : f32
    linalg.yield %r : f32
  } -> tensor<?x12x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%sa : tensor<?x12x?x?xf32>) outs(%e2 : tensor<?x12x?x?xf32>) -> tensor<?x12x?x?xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<?x12x?x32xf32>) -> tensor<?x12x?x32xf32>
  %o = linalg.contract indexing_maps = [affine_map<(b,h,i,j,d) -> (b,h,i,d)>, affine_map<(b,h,i,j,d) -> (b,h,d,j)>, affine_map<(b,h,i,j,d) -> (b,h,i,j)>]
    ins(%p, %v : tensor<?x12x?x?xf32>, tensor<?x12x?x32xf32>) outs(%f0 : tensor<?x12x?x32xf32>) -> tensor<?x12x?x32xf32>
  %eo = tensor.empty(%b, %s) : tensor<?x?x12x32xf32>
  %ot = linalg.transpose ins(%o : tensor<?x12x?x32xf32>) outs(%eo : tensor<?x?x12x32xf32>) permutation = [0, 2, 1, 3]
  %oc = tensor.collapse_shape %ot [[0], [1], [2, 3]] : tensor<?x?x12x32xf32> into tensor<?x?x384xf32>
  return %oc : tensor<?x?x384xf32>
}
