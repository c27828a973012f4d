// Progressive quantisation (arXiv:2012.09852, section 3.4): a new token looks at
// keys by their upper bits first. A head whose largest probability stays below
// a threshold reads them in full and computes its row again.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// The second pass works on listed heads only.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK-NOT: attn.key_importance
// CHECK: linalg.reduce { arith.maximumf }
// CHECK: %{{.*}}, %[[COUNTS:.*]], %{{.*}} = attn.list_rows
// CHECK: scf.forall
// CHECK: tensor.extract %[[COUNTS]]
// CHECK: attn.scatter_rows
func.func @main(%q: tensor<1x4x1x16xf32> {attn.name = "q"},
                %k: tensor<1x4x?x16xf32> {attn.name = "k"},
                %v: tensor<1x4x?x16xf32> {attn.name = "v"},
                %qm: tensor<1x4x1x16xf32> {attn.name = "q_upper"},
                %km: tensor<1x4x?x16xf32> {attn.name = "k_upper"},
                %threshold: tensor<1xf32> {attn.name = "threshold"})
    -> (tensor<1x4x1x16xf32> {attn.name = "o"}, tensor<1x4xi64> {attn.name = "refined"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %rough, %lse = attn.attention %qm, %km, %v
    : tensor<1x4x1x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>
    -> tensor<1x4x1x16xf32>, tensor<1x4x1xf32>
  %p = attn.key_importance max, each %qm, %km, %lse
    : tensor<1x4x1x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x1xf32> -> tensor<1x4x?xf32>
  %pe = tensor.empty() : tensor<1x4xf32>
  %pz = linalg.fill ins(%zero : f32) outs(%pe : tensor<1x4xf32>) -> tensor<1x4xf32>
  %largest = linalg.reduce { arith.maximumf } ins(%p : tensor<1x4x?xf32>) outs(%pz : tensor<1x4xf32>)
    dimensions = [2]
  %bound = tensor.extract %threshold[%c0] : tensor<1xf32>
  %unsure = linalg.map ins(%largest : tensor<1x4xf32>) outs(%pe : tensor<1x4xf32>)
    (%x: f32, %old: f32) {
      %below = arith.cmpf olt, %x, %bound : f32
      %y = arith.select %below, %one, %zero : f32
      linalg.yield %y : f32
    }
  %gates = tensor.expand_shape %unsure [[0, 1], [2]] output_shape [1, 1, 4]
    : tensor<1x4xf32> into tensor<1x1x4xf32>
  %rows, %counts, %weights = attn.list_rows %gates
    : tensor<1x1x4xf32> -> tensor<1x4x1xi64>, tensor<1x4xi64>, tensor<1x4x1xf32>
  %exact = attn.attention %q, %k, %v routing(%rows, %counts : tensor<1x4x1xi64>, tensor<1x4xi64>)
    : tensor<1x4x1x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32> -> tensor<1x4x1x16xf32>
  %se = tensor.empty() : tensor<1x4x1x16xf32>
  %sure = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>, affine_map<(b, h, i, d) -> (b, h)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%rough, %unsure : tensor<1x4x1x16xf32>, tensor<1x4xf32>) outs(%se : tensor<1x4x1x16xf32>) {
  ^bb0(%x: f32, %gate: f32, %old: f32):
    %leaves = arith.cmpf oeq, %gate, %one : f32
    %y = arith.select %leaves, %zero, %x : f32
    linalg.yield %y : f32
  } -> tensor<1x4x1x16xf32>
  %o = attn.scatter_rows %exact, %rows, %counts into %sure
    : tensor<1x4x1x16xf32>, tensor<1x4x1xi64>, tensor<1x4xi64> into tensor<1x4x1x16xf32>
  return %o, %counts : tensor<1x4x1x16xf32>, tensor<1x4xi64>
}
