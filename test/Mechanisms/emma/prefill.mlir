// Expected monotonic alignment of a whole target, as training and evaluation
// need it (arXiv:2312.04515).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// One scan for each target: no matrix of sources by sources exists.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: scf.for {{.*}} -> (tensor<?x?xf32>, tensor<?xf32>, f32)
// CHECK-NOT: tensor<?x?x?x?x
// CHECK-LABEL: func.func @soft
func.func @main(%p: tensor<?x2x?x?xf32> {attn.name = "p"})
    -> (tensor<?x2x?x?xf32> {attn.name = "alpha"}) {
  %alpha = attn.monotonic_align %p : tensor<?x2x?x?xf32>
  return %alpha : tensor<?x2x?x?xf32>
}

// Attention over all that lies before where a target stopped.
func.func @soft(%alpha: tensor<1x2x?x?xf32> {attn.name = "alpha"},
                %energy: tensor<1x2x?x?xf32> {attn.name = "energy"})
    -> (tensor<1x2x?x?xf32> {attn.name = "beta"}) {
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %alpha, %c2 : tensor<1x2x?x?xf32>
  %s = tensor.dim %alpha, %c3 : tensor<1x2x?x?xf32>
  %empty = tensor.empty(%n, %s) : tensor<1x2x?x?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf32>
  // Sums of the powers up to each source.
  %sums = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, k, l) -> (b, h, i, l)>,
                       affine_map<(b, h, i, k, l) -> (b, h, i, k)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%energy : tensor<1x2x?x?xf32>) outs(%start : tensor<1x2x?x?xf32>) {
  ^bb0(%u: f32, %sum: f32):
    %k = linalg.index 3 : index
    %l = linalg.index 4 : index
    %inside = arith.cmpi sle, %l, %k : index
    %power = math.exp %u : f32
    %own = arith.select %inside, %power, %zero : f32
    %more = arith.addf %sum, %own : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x?xf32>
  %shares = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j, k) -> (b, h, i, k)>,
                       affine_map<(b, h, i, j, k) -> (b, h, i, k)>,
                       affine_map<(b, h, i, j, k) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%alpha, %sums : tensor<1x2x?x?xf32>, tensor<1x2x?x?xf32>)
      outs(%start : tensor<1x2x?x?xf32>) {
  ^bb0(%a: f32, %sum: f32, %old: f32):
    %j = linalg.index 3 : index
    %k = linalg.index 4 : index
    %inside = arith.cmpi sge, %k, %j : index
    %share = arith.divf %a, %sum : f32
    %own = arith.select %inside, %share, %zero : f32
    %more = arith.addf %old, %own : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x?xf32>
  %beta = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>,
                       affine_map<(b, h, i, j) -> (b, h, i, j)>,
                       affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%shares, %energy : tensor<1x2x?x?xf32>, tensor<1x2x?x?xf32>)
      outs(%empty : tensor<1x2x?x?xf32>) {
  ^bb0(%share: f32, %u: f32, %old: f32):
    %power = math.exp %u : f32
    %x = arith.mulf %share, %power : f32
    linalg.yield %x : f32
  } -> tensor<1x2x?x?xf32>
  return %beta : tensor<1x2x?x?xf32>
}
