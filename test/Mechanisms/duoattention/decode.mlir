// One new token. The full head keeps every key; the streaming head's cache holds
// its sink of 16 keys and a ring of the 64 last old ones, in any order, since
// keys carry their rotation already (arXiv:2410.10819, section 2.4).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// The streaming head reads 81 keys however long the text is.
// CHECK-LABEL: func.func @main
// CHECK: tensor<1x1x81x16xf32>
func.func @main(%q: tensor<1x4x1x16xf32> {attn.name = "q"},
                %full_k: tensor<1x1x?x16xf32> {attn.name = "full_k"},
                %full_v: tensor<1x1x?x16xf32> {attn.name = "full_v"},
                %ring_k: tensor<1x1x80x16xf32> {attn.name = "ring_k"},
                %ring_v: tensor<1x1x80x16xf32> {attn.name = "ring_v"},
                %ring_lengths: tensor<1xi64> {attn.name = "ring_lengths"},
                %k: tensor<1x2x1x16xf32> {attn.name = "k"},
                %v: tensor<1x2x1x16xf32> {attn.name = "v"})
    -> (tensor<1x4x1x16xf32> {attn.name = "o"}) {
  %fk = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fv = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %sk = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %sv = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fq = tensor.extract_slice %q[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %sq = tensor.extract_slice %q[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>

  %keys = attn.kv_append %full_k, %fk
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %values = attn.kv_append %full_v, %fv
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %of = attn.attention %fq, %keys, %values
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>

  // The new key comes first, so that the valid ones are a prefix.
  %skeys = tensor.concat dim(2) %sk, %ring_k
    : (tensor<1x1x1x16xf32>, tensor<1x1x80x16xf32>) -> tensor<1x1x81x16xf32>
  %svalues = tensor.concat dim(2) %sv, %ring_v
    : (tensor<1x1x1x16xf32>, tensor<1x1x80x16xf32>) -> tensor<1x1x81x16xf32>
  %os = attn.attention %sq, %skeys, %svalues kv_lengths(%ring_lengths : tensor<1xi64>)
    : tensor<1x2x1x16xf32>, tensor<1x1x81x16xf32>, tensor<1x1x81x16xf32> -> tensor<1x2x1x16xf32>

  %o = tensor.concat dim(1) %of, %os
    : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  return %o : tensor<1x4x1x16xf32>
}
