// Streaming: the last target row goes on from the row before it; and the policy
// asks one probability, that of the last target at the last source, so one
// column of energies (arXiv:2312.05187).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK-LABEL: func.func @choose
// CHECK-NOT: tensor<?x2x?x?xf32>
// CHECK: return
func.func @main(%p: tensor<?x2x1x?xf32> {attn.name = "p"},
                %previous: tensor<?x2x?xf32> {attn.name = "previous"})
    -> (tensor<?x2x1x?xf32> {attn.name = "alpha"}) {
  %alpha = attn.monotonic_align %p previous(%previous : tensor<?x2x?xf32>) : tensor<?x2x1x?xf32>
  return %alpha : tensor<?x2x1x?xf32>
}

// %window holds the source frames of the last pooling window, 1 or 2 of them:
// it changes when a frame arrives, so its mean is made anew.
func.func @choose(%q: tensor<1x2x8xf32> {attn.name = "q"},
                  %window: tensor<1x2x?x8xf32> {attn.name = "window"})
    -> (tensor<1x2xf32> {attn.name = "p"}) {
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %scale = arith.constant 0.35355339059327373 : f32
  %bias = arith.constant -0.5 : f32
  %temperature = arith.constant 0.2 : f32
  %n = tensor.dim %window, %c2 : tensor<1x2x?x8xf32>
  %ni = arith.index_cast %n : index to i32
  %nf = arith.sitofp %ni : i32 to f32
  %empty = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x2xf32>) -> tensor<1x2xf32>
  %sums = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h)>],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%q, %window : tensor<1x2x8xf32>, tensor<1x2x?x8xf32>) outs(%start : tensor<1x2xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %product = arith.mulf %x, %y : f32
    %more = arith.addf %sum, %product : f32
    linalg.yield %more : f32
  } -> tensor<1x2xf32>
  %p = linalg.map ins(%sums : tensor<1x2xf32>) outs(%empty : tensor<1x2xf32>)
    (%sum: f32, %old: f32) {
      %mean = arith.divf %sum, %nf : f32
      %scaled = arith.mulf %mean, %scale : f32
      %energy = arith.addf %scaled, %bias : f32
      %sharp = arith.divf %energy, %temperature : f32
      %m = arith.negf %sharp : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %one, %d : f32
      linalg.yield %y : f32
    }
  return %p : tensor<1x2xf32>
}
