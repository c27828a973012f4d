// The value at the query of the line that fits the values best, by 24 steps of
// conjugate gradients (arXiv:2510.01450).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Passes over key tiles inside the loop of steps; neither scores of all pairs
// nor a matrix of features exist.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
// CHECK: scf.for {{.*}} = %c0 to %c24
// CHECK: scf.for {{.*}} -> (tensor<64x8xf32>)
// CHECK: scf.for {{.*}} -> (tensor<64x16xf32>)
// CHECK-NOT: tensor<?x2x?x?x
// CHECK-LABEL: func.func @absolute
func.func @main(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5, iterations = 24}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// The ridge of the paper.
func.func @absolute(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 2.0, absolute, iterations = 24}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// Solved directly, by elimination.
func.func @direct(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// The system in blocks of 4 features.
func.func @blocks(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5, feature_block = 4}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

func.func @block_gradients(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5, feature_block = 4, iterations = 24}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// A ridge so great that no line is left, only the constant: softmax.
func.func @stiff(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 1.0e6, iterations = 4}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// Hardly any ridge: a line through the values is found again.
func.func @loose(%q: tensor<?x2x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x2x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 1.0e-3, iterations = 64}
    : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %o : tensor<?x2x?x16xf32>
}

// 2 query heads for each key head.
func.func @grouped(%q: tensor<?x4x?x8xf32> {attn.name = "q"},
                %k: tensor<?x2x?x8xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = attn.local_linear_attention %q, %k, %v {ridge = 0.5, iterations = 24}
    : tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
