// 4 heads with the slopes 2^-2, 2^-4, 2^-6 and 2^-8 of the first layer, whose
// output is q (S = lambda S + k v^T) (arXiv:2401.04658).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN
// RUN: attn explain %s --entry cumulative | FileCheck %s --check-prefix=CUMULATIVE

// EXPLAIN: gated linear 6.2 % at 1024 tiles
// CUMULATIVE: linear 1.6 % at 1024 tiles

// One loop over whole chunks carries output and state; no scores of two chunks
// exist: the largest product is a chunk by a chunk.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<1x1x?x32xf32>, tensor<16x32xf32>)
// CHECK: tensor<64x64xf32>
// CHECK-NOT: tensor<?x?x
// CHECK-LABEL: func.func @forgetful

func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                %v: tensor<?x4x?x32xf32> {attn.name = "v"})
    -> (tensor<?x4x?x32xf32> {attn.name = "o"},
        tensor<?x4x16x32xf32> {attn.name = "state"}) {
  %o, %s = attn.linear_attention %q, %k, %v
    {log_decay = array<f64: -0.2500025, -0.062500625, -0.01562515625, -0.0039062890625>}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>
    -> tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>
  return %o, %s : tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>
}

// Rates so large that a token sees itself alone.
func.func @forgetful(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                     %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                     %v: tensor<?x4x?x32xf32> {attn.name = "v"})
    -> (tensor<?x4x?x32xf32> {attn.name = "o"}) {
  %o, %s = attn.linear_attention %q, %k, %v
    {log_decay = array<f64: -200.0, -200.0, -200.0, -200.0>}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>
    -> tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>
  return %o : tensor<?x4x?x32xf32>
}

// No decay: cumulative linear attention. Chunks of 16 tokens.
func.func @cumulative(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                      %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                      %v: tensor<?x4x?x32xf32> {attn.name = "v"})
    -> (tensor<?x4x?x32xf32> {attn.name = "o"}) {
  %o, %s = attn.linear_attention %q, %k, %v {chunk_size = 16}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x32xf32>
    -> tensor<?x4x?x32xf32>, tensor<?x4x16x32xf32>
  return %o : tensor<?x4x?x32xf32>
}

// Half of the features: outputs of halves add up to the whole.
func.func @half(%q: tensor<?x4x?x8xf32> {attn.name = "q"},
                %k: tensor<?x4x?x8xf32> {attn.name = "k"},
                %v: tensor<?x4x?x32xf32> {attn.name = "v"})
    -> (tensor<?x4x?x32xf32> {attn.name = "o"}) {
  %o, %s = attn.linear_attention %q, %k, %v
    {log_decay = array<f64: -0.2500025, -0.062500625, -0.01562515625, -0.0039062890625>}
    : tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x32xf32>
    -> tensor<?x4x?x32xf32>, tensor<?x4x8x32xf32>
  return %o : tensor<?x4x?x32xf32>
}

// What surrounds it in a layer: silu on the projections, a norm of each token
// over all heads without parameters (SRMSNorm), and a gate.
func.func @layer(%q: tensor<1x?x4x16xf32> {attn.name = "q"},
                 %k: tensor<1x?x4x16xf32> {attn.name = "k"},
                 %v: tensor<1x?x4x32xf32> {attn.name = "v"},
                 %gate: tensor<1x?x4x32xf32> {attn.name = "gate"})
    -> (tensor<1x?x4x32xf32> {attn.name = "y"}) {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %width = arith.constant 128.0 : f32
  %n = tensor.dim %q, %c1 : tensor<1x?x4x16xf32>
  %narrow = tensor.empty(%n) : tensor<1x?x4x16xf32>
  %qs = linalg.map ins(%q : tensor<1x?x4x16xf32>) outs(%narrow : tensor<1x?x4x16xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %ks = linalg.map ins(%k : tensor<1x?x4x16xf32>) outs(%narrow : tensor<1x?x4x16xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %wide = tensor.empty(%n) : tensor<1x?x4x32xf32>
  %vs = linalg.map ins(%v : tensor<1x?x4x32xf32>) outs(%wide : tensor<1x?x4x32xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %qe = tensor.empty(%n) : tensor<1x4x?x16xf32>
  %qt = linalg.transpose ins(%qs : tensor<1x?x4x16xf32>) outs(%qe : tensor<1x4x?x16xf32>)
    permutation = [0, 2, 1, 3]
  %kt = linalg.transpose ins(%ks : tensor<1x?x4x16xf32>) outs(%qe : tensor<1x4x?x16xf32>)
    permutation = [0, 2, 1, 3]
  %ve = tensor.empty(%n) : tensor<1x4x?x32xf32>
  %vt = linalg.transpose ins(%vs : tensor<1x?x4x32xf32>) outs(%ve : tensor<1x4x?x32xf32>)
    permutation = [0, 2, 1, 3]
  %ot, %s = attn.linear_attention %qt, %kt, %vt
    {log_decay = array<f64: -0.2500025, -0.062500625, -0.01562515625, -0.0039062890625>}
    : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x32xf32>
    -> tensor<1x4x?x32xf32>, tensor<1x4x16x32xf32>
  %o = linalg.transpose ins(%ot : tensor<1x4x?x32xf32>) outs(%wide : tensor<1x?x4x32xf32>)
    permutation = [0, 2, 1, 3]
  %sumsEmpty = tensor.empty(%n) : tensor<1x?xf32>
  %sumsZero = linalg.fill ins(%zero : f32) outs(%sumsEmpty : tensor<1x?xf32>) -> tensor<1x?xf32>
  %sums = linalg.generic {
      indexing_maps = [affine_map<(b, i, h, d) -> (b, i, h, d)>,
                       affine_map<(b, i, h, d) -> (b, i)>],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%o : tensor<1x?x4x32xf32>) outs(%sumsZero : tensor<1x?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %square = arith.mulf %x, %x : f32
    %more = arith.addf %sum, %square : f32
    linalg.yield %more : f32
  } -> tensor<1x?xf32>
  %y = linalg.generic {
      indexing_maps = [affine_map<(b, i, h, d) -> (b, i, h, d)>,
                       affine_map<(b, i, h, d) -> (b, i)>,
                       affine_map<(b, i, h, d) -> (b, i, h, d)>,
                       affine_map<(b, i, h, d) -> (b, i, h, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%o, %sums, %gate : tensor<1x?x4x32xf32>, tensor<1x?xf32>, tensor<1x?x4x32xf32>)
      outs(%wide : tensor<1x?x4x32xf32>) {
  ^bb0(%x: f32, %sum: f32, %g: f32, %old: f32):
    %mean = arith.divf %sum, %width : f32
    %root = math.sqrt %mean : f32
    %normed = arith.divf %x, %root : f32
    %m = arith.negf %g : f32
    %e = math.exp %m : f32
    %d = arith.addf %one, %e : f32
    %gated = arith.divf %normed, %d : f32
    linalg.yield %gated : f32
  } -> tensor<1x?x4x32xf32>
  return %y : tensor<1x?x4x32xf32>
}
