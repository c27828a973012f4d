// One token over a cache of 2 key heads and 3 value heads, which is read by pairs
// of heads and never repeated.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK-NOT: tensor<?x6x?x8xf32>
// CHECK: tensor.concat dim(1)
// CHECK-NOT: tensor<?x6x?x8xf32>
func.func @main(%q: tensor<?x6x1x8xf32> {attn.name = "q"},
                %past_k: tensor<?x2x?x8xf32> {attn.name = "past_k"},
                %past_v: tensor<?x3x?x8xf32> {attn.name = "past_v"},
                %k: tensor<?x2x1x8xf32> {attn.name = "k"},
                %v: tensor<?x3x1x8xf32> {attn.name = "v"},
                %cos: tensor<1x4xf32> {attn.name = "cos"},
                %sin: tensor<1x4xf32> {attn.name = "sin"})
    -> (tensor<?x6x1x8xf32> {attn.name = "o"},
        tensor<?x2x?x8xf32> {attn.name = "keys"},
        tensor<?x3x?x8xf32> {attn.name = "values"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %qr = attn.rope %q, %cos, %sin : tensor<?x6x1x8xf32>, tensor<1x4xf32>
  %kr = attn.rope %k, %cos, %sin : tensor<?x2x1x8xf32>, tensor<1x4xf32>
  %keys = attn.kv_append %past_k, %kr
    : tensor<?x2x?x8xf32>, tensor<?x2x1x8xf32> -> tensor<?x2x?x8xf32>
  %values = attn.kv_append %past_v, %v
    : tensor<?x3x?x8xf32>, tensor<?x3x1x8xf32> -> tensor<?x3x?x8xf32>
  %b = tensor.dim %q, %c0 : tensor<?x6x1x8xf32>
  %m = tensor.dim %keys, %c2 : tensor<?x2x?x8xf32>
  %q0 = tensor.extract_slice %qr[0, 0, 0, 0] [%b, 2, 1, 8] [1, 1, 1, 1]
    : tensor<?x6x1x8xf32> to tensor<?x2x1x8xf32>
  %k0 = tensor.extract_slice %keys[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v0 = tensor.extract_slice %values[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o0 = attn.attention %q0, %k0, %v0
    : tensor<?x2x1x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x2x1x8xf32>
  %q1 = tensor.extract_slice %qr[0, 2, 0, 0] [%b, 1, 1, 8] [1, 1, 1, 1]
    : tensor<?x6x1x8xf32> to tensor<?x1x1x8xf32>
  %k1 = tensor.extract_slice %keys[0, 0, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v1 = tensor.extract_slice %values[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o1 = attn.attention %q1, %k1, %v1
    : tensor<?x1x1x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x1x1x8xf32>
  %q2 = tensor.extract_slice %qr[0, 3, 0, 0] [%b, 1, 1, 8] [1, 1, 1, 1]
    : tensor<?x6x1x8xf32> to tensor<?x1x1x8xf32>
  %k2 = tensor.extract_slice %keys[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v2 = tensor.extract_slice %values[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o2 = attn.attention %q2, %k2, %v2
    : tensor<?x1x1x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x1x1x8xf32>
  %q3 = tensor.extract_slice %qr[0, 4, 0, 0] [%b, 2, 1, 8] [1, 1, 1, 1]
    : tensor<?x6x1x8xf32> to tensor<?x2x1x8xf32>
  %k3 = tensor.extract_slice %keys[0, 1, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x2x?x8xf32> to tensor<?x1x?x8xf32>
  %v3 = tensor.extract_slice %values[0, 2, 0, 0] [%b, 1, %m, 8] [1, 1, 1, 1]
    : tensor<?x3x?x8xf32> to tensor<?x1x?x8xf32>
  %o3 = attn.attention %q3, %k3, %v3
    : tensor<?x2x1x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x2x1x8xf32>
  %o = tensor.concat dim(1) %o0, %o1, %o2, %o3
    : (tensor<?x2x1x8xf32>, tensor<?x1x1x8xf32>,
       tensor<?x1x1x8xf32>, tensor<?x2x1x8xf32>) -> tensor<?x6x1x8xf32>
  return %o, %keys, %values
    : tensor<?x6x1x8xf32>, tensor<?x2x?x8xf32>, tensor<?x3x?x8xf32>
}
