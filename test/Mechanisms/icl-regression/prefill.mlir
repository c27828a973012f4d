// A layer of multi-head attention that solves a linear regression shown in its
// context: pairs of heads with scales of opposite sign leave a step of gradient
// descent. The prediction is sum_h mu_h sum_l y_l softmax_l(x_l . KQ_h x_q).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// All heads share the examples as keys and read the scalar y as value.
// EXPLAIN: 4/1
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for
// CHECK-NOT: tensor<?x4x?x?xf32>
// CHECK: return
func.func @main(%x: tensor<?x1x?x5xf32> {attn.name = "x"},
                %y: tensor<?x1x?x1xf32> {attn.name = "y"},
                %xq: tensor<?x5xf32> {attn.name = "xq"},
                %kq: tensor<4x5x5xf32> {attn.name = "kq"},
                %mu: tensor<4xf32> {attn.name = "mu"})
    -> (tensor<?xf32> {attn.name = "yq"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %x, %c0 : tensor<?x1x?x5xf32>
  %qe = tensor.empty(%batch) : tensor<?x4x1x5xf32>
  %qz = linalg.fill ins(%zero : f32) outs(%qe : tensor<?x4x1x5xf32>) -> tensor<?x4x1x5xf32>
  %q = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d, e) -> (b, e)>,
                       affine_map<(b, h, i, d, e) -> (h, d, e)>,
                       affine_map<(b, h, i, d, e) -> (b, h, i, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%xq, %kq : tensor<?x5xf32>, tensor<4x5x5xf32>) outs(%qz : tensor<?x4x1x5xf32>) {
  ^bb0(%a: f32, %w: f32, %sum: f32):
    %aw = arith.mulf %a, %w : f32
    %more = arith.addf %sum, %aw : f32
    linalg.yield %more : f32
  } -> tensor<?x4x1x5xf32>
  %o = attn.attention %q, %x, %y {softmax_scale = 1.0}
    : tensor<?x4x1x5xf32>, tensor<?x1x?x5xf32>, tensor<?x1x?x1xf32> -> tensor<?x4x1x1xf32>
  %ye = tensor.empty(%batch) : tensor<?xf32>
  %yz = linalg.fill ins(%zero : f32) outs(%ye : tensor<?xf32>) -> tensor<?xf32>
  %yq = linalg.generic {
      indexing_maps = [affine_map<(b, h) -> (b, h, 0, 0)>, affine_map<(b, h) -> (h)>,
                       affine_map<(b, h) -> (b)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%o, %mu : tensor<?x4x1x1xf32>, tensor<4xf32>) outs(%yz : tensor<?xf32>) {
  ^bb0(%a: f32, %w: f32, %sum: f32):
    %aw = arith.mulf %a, %w : f32
    %more = arith.addf %sum, %aw : f32
    linalg.yield %more : f32
  } -> tensor<?xf32>
  return %yq : tensor<?xf32>
}
