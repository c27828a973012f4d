// DHA (arXiv:2406.06567): 6 query heads over 2 key heads and 3 value heads, each
// with a map of its own: keys 0 0 0 1 1 1, values 0 0 1 1 2 2.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// Query heads that read the same pair are one group. A pair is two views: neither
// keys nor values are repeated.
// CHECK-LABEL: func.func @main
// CHECK-NOT: attn.gather_rows
// CHECK: tensor.extract_slice {{.*}} : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
// CHECK: tensor.extract_slice {{.*}} : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
// CHECK-COUNT-4: scf.forall
// CHECK: tensor.concat
// CHECK-LABEL: func.func @mapped
// EXPLAIN: 2/1 {{.*}}causal
// EXPLAIN: 1 {{.*}}causal
// EXPLAIN: 1 {{.*}}causal
// EXPLAIN: 2/1 {{.*}}causal

func.func @main(%q: tensor<?x6x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %values: tensor<?x3x?x8xf32> {attn.name = "v"},
                %cos: tensor<?x4xf32> {attn.name = "cos"},
                %sin: tensor<?x4xf32> {attn.name = "sin"})
    -> (tensor<?x6x?x8xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : tensor<?x6x?x8xf32>
  %n = tensor.dim %q, %c2 : tensor<?x6x?x8xf32>
  %m = tensor.dim %k, %c2 : tensor<?x2x?x8xf32>
  %qr = attn.rope %q, %cos, %sin : tensor<?x6x?x8xf32>, tensor<?x4xf32>
  %keys = attn.rope %k, %cos, %sin : tensor<?x2x?x8xf32>, tensor<?x4xf32>
  %q0 = tensor.extract_slice %qr[0, 0, 0, 0] [%b, 2, %n, 8] [1, 1, 1, 1]
    : tensor<?x6x?x8xf32> to tensor<?x2x?x8xf32>
  %k0 = tensor.extract_slice %keys[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v0 = tensor.extract_slice %values[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o0 = attn.attention %q0, %k0, %v0 mask(#attn.causal)
    : tensor<?x2x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x2x?x8xf32>
  %q1 = tensor.extract_slice %qr[0, 2, 0, 0] [%b, 1, %n, 8] [1, 1, 1, 1]
    : tensor<?x6x?x8xf32> to tensor<?x1x?x8xf32>
  %k1 = tensor.extract_slice %keys[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v1 = tensor.extract_slice %values[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o1 = attn.attention %q1, %k1, %v1 mask(#attn.causal)
    : tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x1x?x8xf32>
  %q2 = tensor.extract_slice %qr[0, 3, 0, 0] [%b, 1, %n, 8] [1, 1, 1, 1]
    : tensor<?x6x?x8xf32> to tensor<?x1x?x8xf32>
  %k2 = tensor.extract_slice %keys[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v2 = tensor.extract_slice %values[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o2 = attn.attention %q2, %k2, %v2 mask(#attn.causal)
    : tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x1x?x8xf32>
  %q3 = tensor.extract_slice %qr[0, 4, 0, 0] [%b, 2, %n, 8] [1, 1, 1, 1]
    : tensor<?x6x?x8xf32> to tensor<?x2x?x8xf32>
  %k3 = tensor.extract_slice %keys[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v3 = tensor.extract_slice %values[0, 2, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o3 = attn.attention %q3, %k3, %v3 mask(#attn.causal)
    : tensor<?x2x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x2x?x8xf32>
  %o = tensor.concat dim(1) %o0, %o1, %o2, %o3
    : (tensor<?x2x?x8xf32>, tensor<?x1x?x8xf32>,
       tensor<?x1x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x6x?x8xf32>
  return %o : tensor<?x6x?x8xf32>
}

// Maps that are data: heads are gathered as rows.
func.func @mapped(%q: tensor<?x6x?x8xf32> {attn.name = "q"},
                  %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                  %v: tensor<?x3x?x8xf32> {attn.name = "v"},
                  %kmap: tensor<1x1x6xi64> {attn.name = "kmap"},
                  %vmap: tensor<1x1x6xi64> {attn.name = "vmap"})
    -> (tensor<?x6x?x8xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %b = tensor.dim %k, %c0 : tensor<?x2x?x8xf32>
  %m = tensor.dim %k, %c2 : tensor<?x2x?x8xf32>
  %width = arith.muli %m, %c8 : index
  %kr = tensor.collapse_shape %k [[0], [1], [2, 3]] : tensor<?x2x?x8xf32> into tensor<?x2x?xf32>
  %ke = tensor.expand_shape %kr [[0], [1, 2], [3]] output_shape [%b, 1, 2, %width]
    : tensor<?x2x?xf32> into tensor<?x1x2x?xf32>
  %kg = attn.gather_rows %ke, %kmap
    : tensor<?x1x2x?xf32>, tensor<1x1x6xi64> -> tensor<?x1x6x?xf32>
  %kc = tensor.collapse_shape %kg [[0], [1, 2], [3]] : tensor<?x1x6x?xf32> into tensor<?x6x?xf32>
  %keys = tensor.expand_shape %kc [[0], [1], [2, 3]] output_shape [%b, 6, %m, 8]
    : tensor<?x6x?xf32> into tensor<?x6x?x8xf32>
  %vr = tensor.collapse_shape %v [[0], [1], [2, 3]] : tensor<?x3x?x8xf32> into tensor<?x3x?xf32>
  %ve = tensor.expand_shape %vr [[0], [1, 2], [3]] output_shape [%b, 1, 3, %width]
    : tensor<?x3x?xf32> into tensor<?x1x3x?xf32>
  %vg = attn.gather_rows %ve, %vmap
    : tensor<?x1x3x?xf32>, tensor<1x1x6xi64> -> tensor<?x1x6x?xf32>
  %vc = tensor.collapse_shape %vg [[0], [1, 2], [3]] : tensor<?x1x6x?xf32> into tensor<?x6x?xf32>
  %values = tensor.expand_shape %vc [[0], [1], [2, 3]] output_shape [%b, 6, %m, 8]
    : tensor<?x6x?xf32> into tensor<?x6x?x8xf32>
  %o = attn.attention %q, %keys, %values mask(#attn.causal)
    : tensor<?x6x?x8xf32>, tensor<?x6x?x8xf32>, tensor<?x6x?x8xf32> -> tensor<?x6x?x8xf32>
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
