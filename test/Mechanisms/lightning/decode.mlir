// One token: a rank-1 update of the state and one product with it; there is no
// cache of keys (arXiv:2401.04658).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// No loop over tokens is left.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK-NOT: scf.for {{.*}} -> (tensor<1x1x1x32xf32>
// CHECK: return
func.func @main(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                %k: tensor<?x4x1x16xf32> {attn.name = "k"},
                %v: tensor<?x4x1x32xf32> {attn.name = "v"},
                %state: tensor<?x4x16x32xf32> {attn.name = "state"})
    -> (tensor<?x4x1x32xf32> {attn.name = "o"},
        tensor<?x4x16x32xf32> {attn.name = "next"}) {
  %o, %s = attn.linear_attention %q, %k, %v state(%state : tensor<?x4x16x32xf32>)
    {log_decay = array<f64: -0.2500025, -0.062500625, -0.01562515625, -0.0039062890625>}
    : tensor<?x4x1x16xf32>, tensor<?x4x1x16xf32>, tensor<?x4x1x32xf32>
    -> tensor<?x4x1x32xf32>, tensor<?x4x16x32xf32>
  return %o, %s : tensor<?x4x1x32xf32>, tensor<?x4x16x32xf32>
}
