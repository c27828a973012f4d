// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse --split-input-file | FileCheck %s
// RUN: attn-opt %s --attn-decompose --canonicalize --cse --split-input-file | FileCheck %s

// What types leave open of the lists of blocks is checked when the code runs.

// CHECK-LABEL: func.func @members
//       CHECK:   cf.assert %{{.*}}, "node 'layer 3': attn.attention expects dimension 2 of the listed blocks of its mask to be the number of query blocks"
//       CHECK:   cf.assert %{{.*}}, "node 'layer 3': attn.attention expects dimension 3 of the listed blocks of its mask to be the number of key blocks"
func.func @members(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %m: tensor<1x1x?x?xi1>) -> tensor<1x2x?x8xf32> {
  %o = attn.attention %q, %k, %k mask(#attn.blocks<q_block = 64, kv_block = 32, layout = members>, %m : tensor<1x1x?x?xi1>)
    : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32> -> tensor<1x2x?x8xf32> loc("layer 3")
  return %o : tensor<1x2x?x8xf32>
}

// -----

// CHECK-LABEL: func.func @padded
//       CHECK:   cf.assert %{{.*}}, "attn.attention expects dimension 2 of the block numbers of its mask to be the number of query blocks"
//       CHECK:   cf.assert %{{.*}}, "attn.attention expects dimension 2 of the block counts of its mask to be the number of query blocks"
func.func @padded(%q: tensor<1x2x200x8xf32>, %i: tensor<1x1x?x5xi32>, %n: tensor<1x1x?xi32>) -> tensor<1x2x200x8xf32> {
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 32>, %i, %n : tensor<1x1x?x5xi32>, tensor<1x1x?xi32>)
    : tensor<1x2x200x8xf32>, tensor<1x2x200x8xf32>, tensor<1x2x200x8xf32> -> tensor<1x2x200x8xf32>
  return %o : tensor<1x2x200x8xf32>
}

// -----

// CHECK-LABEL: func.func @csr
//       CHECK:   cf.assert %{{.*}}, "attn.attention expects dimension 2 of the list begins of its mask to be one more than the query blocks"
func.func @csr(%q: tensor<1x2x?x8xf32>, %i: tensor<1x1x?xi32>, %n: tensor<1x1x?xi32>) -> tensor<1x2x?x8xf32> {
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 32, layout = csr>, %i, %n : tensor<1x1x?xi32>, tensor<1x1x?xi32>)
    : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32> -> tensor<1x2x?x8xf32>
  return %o : tensor<1x2x?x8xf32>
}

// -----

// Known sizes are the verifier's.
// CHECK-LABEL: func.func @known
//   CHECK-NOT:   cf.assert
//       CHECK:   return
func.func @known(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x64x8xf32>, %m: tensor<1x1x1x2xi1>) -> tensor<1x2x?x8xf32> {
  %o = attn.attention %q, %k, %k mask(#attn.blocks<kv_block = 32, layout = members>, %m : tensor<1x1x1x2xi1>)
    : tensor<1x2x?x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32> -> tensor<1x2x?x8xf32>
  return %o : tensor<1x2x?x8xf32>
}
