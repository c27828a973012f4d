// LongHeads (arXiv:2402.10685): what stands for a chunk of 8 tokens. The mean
// output of attention within the chunk is a query over its keys, which are the
// values as well. Keys turn by their place in the chunk.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Chunks are a batch: no product is larger than a chunk by a chunk.
// CHECK-LABEL: func.func private @chunks(
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK-NOT: tensor<?x?x
// CHECK: return
func.func private @chunks(%x: tensor<1x2x?x16xf32>, %g: index) -> tensor<?x2x8x16xf32> {
  %e = tensor.expand_shape %x [[0], [1], [2, 3], [4]] output_shape [1, 2, %g, 8, 16]
    : tensor<1x2x?x16xf32> into tensor<1x2x?x8x16xf32>
  %c = tensor.collapse_shape %e [[0, 1], [2], [3], [4]] : tensor<1x2x?x8x16xf32> into tensor<2x?x8x16xf32>
  %empty = tensor.empty(%g) : tensor<?x2x8x16xf32>
  %t = linalg.transpose ins(%c : tensor<2x?x8x16xf32>) outs(%empty : tensor<?x2x8x16xf32>) permutation = [1, 0, 2, 3]
  return %t : tensor<?x2x8x16xf32>
}

// Whole chunks come in.
func.func @main(%q: tensor<1x2x?x16xf32> {attn.name = "q"}, %k: tensor<1x2x?x16xf32> {attn.name = "k"}, %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                %cos: tensor<8x8xf32> {attn.name = "cos"}, %sin: tensor<8x8xf32> {attn.name = "sin"})
    -> (tensor<1x2x?x16xf32> {attn.name = "r"}) {
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %length = tensor.dim %k, %c2 : tensor<1x2x?x16xf32>
  %g = arith.divui %length, %c8 : index
  %qc = func.call @chunks(%q, %g) : (tensor<1x2x?x16xf32>, index) -> tensor<?x2x8x16xf32>
  %kc = func.call @chunks(%k, %g) : (tensor<1x2x?x16xf32>, index) -> tensor<?x2x8x16xf32>
  %vc = func.call @chunks(%v, %g) : (tensor<1x2x?x16xf32>, index) -> tensor<?x2x8x16xf32>
  %qr = attn.rope %qc, %cos, %sin : tensor<?x2x8x16xf32>, tensor<8x8xf32>
  %kr = attn.rope %kc, %cos, %sin : tensor<?x2x8x16xf32>, tensor<8x8xf32>
  %o = attn.attention %qr, %kr, %vc : tensor<?x2x8x16xf32>, tensor<?x2x8x16xf32>, tensor<?x2x8x16xf32> -> tensor<?x2x8x16xf32>
  %s = attn.pool mean %o {block = 8} : tensor<?x2x8x16xf32> -> tensor<?x2x1x16xf32>
  %r = attn.attention %s, %kr, %kr : tensor<?x2x1x16xf32>, tensor<?x2x8x16xf32>, tensor<?x2x8x16xf32> -> tensor<?x2x1x16xf32>
  %flat = tensor.collapse_shape %r [[0], [1, 2], [3]] : tensor<?x2x1x16xf32> into tensor<?x2x16xf32>
  %empty = tensor.empty(%g) : tensor<2x?x16xf32>
  %t = linalg.transpose ins(%flat : tensor<?x2x16xf32>) outs(%empty : tensor<2x?x16xf32>) permutation = [1, 0, 2]
  %out = tensor.expand_shape %t [[0, 1], [2], [3]] output_shape [1, 2, %g, 16]
    : tensor<2x?x16xf32> into tensor<1x2x?x16xf32>
  return %out : tensor<1x2x?x16xf32>
}
