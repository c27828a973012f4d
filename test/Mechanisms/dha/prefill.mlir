// DHA (arXiv:2406.06567): 6 query heads over 2 key heads and 3 value heads, each
// with a map of its own.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// Neither keys nor values are repeated: a query head reads those that its maps
// name.
// CHECK-LABEL: func.func @main
// CHECK-NOT: tensor<?x6x?x?x?xf32>
// CHECK: scf.forall {{.*}} in (%{{.*}}, 2,
// CHECK: scf.forall {{.*}} in (%{{.*}}, 3,
// CHECK: scf.forall {{.*}} in (%{{.*}}, 6,
// CHECK: return
// EXPLAIN: 6/2/3 {{.*}}causal

func.func @main(%q: tensor<?x6x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x3x?x8xf32> {attn.name = "v"},
                %cos: tensor<?x4xf32> {attn.name = "cos"},
                %sin: tensor<?x4xf32> {attn.name = "sin"})
    -> (tensor<?x6x?x8xf32> {attn.name = "o"}) {
  %qr = attn.rope %q, %cos, %sin : tensor<?x6x?x8xf32>, tensor<?x4xf32>
  %kr = attn.rope %k, %cos, %sin : tensor<?x2x?x8xf32>, tensor<?x4xf32>
  %o = attn.attention %qr, %kr, %v mask(#attn.causal)
    {key_head_map = array<i64: 0, 0, 0, 1, 1, 1>, value_head_map = array<i64: 0, 0, 1, 1, 2, 2>}
    : tensor<?x6x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x3x?x8xf32> -> tensor<?x6x?x8xf32>
  return %o : tensor<?x6x?x8xf32>
}

// A search over heads groups them in any order.
func.func @mixed(%q: tensor<?x6x?x8xf32> {attn.name = "q"},
                 %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                 %v: tensor<?x3x?x8xf32> {attn.name = "v"})
    -> (tensor<?x6x?x8xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    {key_head_map = array<i64: 1, 0, 1, 0, 0, 1>, value_head_map = array<i64: 2, 0, 1, 1, 0, 2>}
    : tensor<?x6x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x3x?x8xf32> -> tensor<?x6x?x8xf32>
  return %o : tensor<?x6x?x8xf32>
}

// One weight for each group of heads, a sum of theirs.
func.func @fuse(%w: tensor<6x?x8xf32> {attn.name = "w"},
                %omega: tensor<?x6xf32> {attn.name = "omega"})
    -> (tensor<?x?x8xf32> {attn.name = "fused"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %groups = tensor.dim %omega, %c0 : tensor<?x6xf32>
  %width = tensor.dim %w, %c1 : tensor<6x?x8xf32>
  %empty = tensor.empty(%groups, %width) : tensor<?x?x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %fused = linalg.contract
    indexing_maps = [affine_map<(g, c, d, h) -> (g, h)>,
                     affine_map<(g, c, d, h) -> (h, c, d)>,
                     affine_map<(g, c, d, h) -> (g, c, d)>]
    ins(%omega, %w : tensor<?x6xf32>, tensor<6x?x8xf32>)
    outs(%init : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %fused : tensor<?x?x8xf32>
}
