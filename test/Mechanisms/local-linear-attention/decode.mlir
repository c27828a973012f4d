// One row over the cache of softmax attention. A single row has few keys to
// fetch for each step, so the steps read them again.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: tensor<8x64xf32>
// CHECK-NOT: tensor<64x64xf32>
func.func @main(%q: tensor<?x2x1x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x1x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5, iterations = 24}
    : tensor<?x2x1x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x1x16xf32>
  return %o : tensor<?x2x1x16xf32>
}
