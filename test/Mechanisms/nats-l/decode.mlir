// One token of both branches. The delta rule updates the running state; softmax
// reads the keys that its chunks left in the cache and those of the open chunk.
// At the end of a chunk the caller keeps the state and drops the chunk's keys,
// or takes the state of the chunk's start again and keeps them.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: scf.forall
func.func @main(%q: tensor<1x2x1x16xf32> {attn.name = "q"},
                %k: tensor<1x2x1x16xf32> {attn.name = "k"},
                %v: tensor<1x2x1x32xf32> {attn.name = "v"},
                %decay: tensor<1x2x1xf32> {attn.name = "decay"},
                %beta: tensor<1x2x1xf32> {attn.name = "beta"},
                %state: tensor<1x2x16x32xf32> {attn.name = "state"},
                %qs: tensor<2x2x1x8xf32> {attn.name = "qs"},
                %keys: tensor<2x2x?x8xf32> {attn.name = "keys"},
                %values: tensor<2x2x?x16xf32> {attn.name = "values"},
                %lengths: tensor<2xi64> {attn.name = "lengths"})
    -> (tensor<1x2x1x32xf32> {attn.name = "gdn"},
        tensor<1x2x16x32xf32> {attn.name = "next"},
        tensor<2x2x1x16xf32> {attn.name = "softmax"}) {
  %gdn, %next = attn.linear_attention %q, %k, %v
    decay(%decay : tensor<1x2x1xf32>) beta(%beta : tensor<1x2x1xf32>)
    state(%state : tensor<1x2x16x32xf32>) {scale = 0.25}
    : tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>, tensor<1x2x1x32xf32>
    -> tensor<1x2x1x32xf32>, tensor<1x2x16x32xf32>
  // Heads that choose alike share a cache: they are batch entries with a
  // length of their own.
  %softmax = attn.attention %qs, %keys, %values kv_lengths(%lengths : tensor<2xi64>)
    : tensor<2x2x1x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x16xf32> -> tensor<2x2x1x16xf32>
  return %gdn, %next, %softmax
    : tensor<1x2x1x32xf32>, tensor<1x2x16x32xf32>, tensor<2x2x1x16xf32>
}
