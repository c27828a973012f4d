// One token of the language model. Every key is kept, since any later token may
// use any head; a head that the token does not use reads none of them.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: %[[ROWS:.*]], %[[COUNTS:.*]], %{{.*}} = attn.list_rows
// CHECK: scf.forall
// CHECK: tensor.extract %[[COUNTS]][
// CHECK: arith.select
// CHECK: scf.for
func.func @main(%q: tensor<?x8x1x8xf32> {attn.name = "q"},
                %past_k: tensor<?x4x?x8xf32> {attn.name = "past_k"},
                %past_v: tensor<?x4x?x8xf32> {attn.name = "past_v"},
                %k: tensor<?x4x1x8xf32> {attn.name = "k"},
                %v: tensor<?x4x1x8xf32> {attn.name = "v"},
                %cos: tensor<1x4xf32> {attn.name = "cos"},
                %sin: tensor<1x4xf32> {attn.name = "sin"})
    -> (tensor<?x8x1x8xf32> {attn.name = "o"},
        tensor<?x4x?x8xf32> {attn.name = "keys"},
        tensor<?x4x?x8xf32> {attn.name = "values"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %gates = attn.route_heads qnorm %q {top_k = 2 : i64, num_shared = 4 : i64, hard}
    : tensor<?x8x1x8xf32> -> tensor<?x1x8xf32>
  %rows, %counts, %weights = attn.list_rows %gates
    : tensor<?x1x8xf32> -> tensor<?x8x1xi32>, tensor<?x8xi32>, tensor<?x8x1xf32>
  %qr = attn.rope %q, %cos, %sin : tensor<?x8x1x8xf32>, tensor<1x4xf32>
  %kr = attn.rope %k, %cos, %sin : tensor<?x4x1x8xf32>, tensor<1x4xf32>
  %keys = attn.kv_append %past_k, %kr
    : tensor<?x4x?x8xf32>, tensor<?x4x1x8xf32> -> tensor<?x4x?x8xf32>
  %values = attn.kv_append %past_v, %v
    : tensor<?x4x?x8xf32>, tensor<?x4x1x8xf32> -> tensor<?x4x?x8xf32>
  %part = attn.attention %qr, %keys, %values
    routing(%rows, %counts : tensor<?x8x1xi32>, tensor<?x8xi32>)
    : tensor<?x8x1x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32> -> tensor<?x8x1x8xf32>
  %b = tensor.dim %q, %c0 : tensor<?x8x1x8xf32>
  %e = tensor.empty(%b) : tensor<?x8x1x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8x1x8xf32>) -> tensor<?x8x1x8xf32>
  %o = attn.scatter_rows %part, %rows, %counts
    into %init : tensor<?x8x1x8xf32>, tensor<?x8x1xi32>, tensor<?x8xi32> into tensor<?x8x1x8xf32>
  return %o, %keys, %values : tensor<?x8x1x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>
}
