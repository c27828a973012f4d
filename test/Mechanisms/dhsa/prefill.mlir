// DHSA (arXiv:2510.24606), current code: the mean query of a block of 16 and the
// mean key of a block of 8 tell which quarter of the key blocks it reads.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: blocks<q_block = 16, kv_block = 8>

#blocks = #attn.all_of<[#attn.causal, #attn.blocks<q_block = 16, kv_block = 8>]>

func.func private @scores(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>) -> tensor<?x4x?x?xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %qm = attn.pool mean %q {block = 16} : tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  %km = attn.pool mean %k {block = 8} : tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  %batch = tensor.dim %qm, %c0 : tensor<?x4x?x16xf32>
  %nq = tensor.dim %qm, %c2 : tensor<?x4x?x16xf32>
  %nk = tensor.dim %km, %c2 : tensor<?x2x?x16xf32>
  %grouped = tensor.expand_shape %qm [[0], [1, 2], [3], [4]] output_shape [%batch, 2, 2, %nq, 16]
    : tensor<?x4x?x16xf32> into tensor<?x2x2x?x16xf32>
  %empty = tensor.empty(%batch, %nq, %nk) : tensor<?x2x2x?x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2x2x?x?xf32>) -> tensor<?x2x2x?x?xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, g, r, i, j, d) -> (b, g, r, i, d)>,
                     affine_map<(b, g, r, i, j, d) -> (b, g, j, d)>,
                     affine_map<(b, g, r, i, j, d) -> (b, g, r, i, j)>]
    ins(%grouped, %km : tensor<?x2x2x?x16xf32>, tensor<?x2x?x16xf32>)
    outs(%zeros : tensor<?x2x2x?x?xf32>) -> tensor<?x2x2x?x?xf32>
  %heads = tensor.collapse_shape %s [[0], [1, 2], [3], [4]]
    : tensor<?x2x2x?x?xf32> into tensor<?x4x?x?xf32>
  return %heads : tensor<?x4x?x?xf32>
}

// The code chooses among all blocks, those of the future too.
// CHECK-LABEL: func.func @main
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for
func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?x?xi32> {attn.name = "chosen"}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %s = func.call @scores(%q, %k) : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x4x?x?xf32>
  %nk = tensor.dim %s, %c3 : tensor<?x4x?x?xf32>
  %share = arith.divui %nk, %c4 : index
  %budget = arith.maxui %share, %c1 : index
  %chosen, %counts = attn.top_k %s budget(%budget : index) capacity(%budget)
    : tensor<?x4x?x?xf32> -> tensor<?x4x?x?xi32>, tensor<?x4x?xi32>
  %o = attn.attention %q, %k, %v mask(#blocks, %chosen, %counts : tensor<?x4x?x?xi32>, tensor<?x4x?xi32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %chosen : tensor<?x4x?x16xf32>, tensor<?x4x?x?xi32>
}

// Only among the blocks that a query of the block can see.
// CHECK-LABEL: func.func @causal_first
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for
func.func @causal_first(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?x?xi32> {attn.name = "chosen"}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %s = func.call @scores(%q, %k) : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x4x?x?xf32>
  %nk = tensor.dim %s, %c3 : tensor<?x4x?x?xf32>
  %share = arith.divui %nk, %c4 : index
  %budget = arith.maxui %share, %c1 : index
  %nq = tensor.dim %s, %c2 : tensor<?x4x?x?xf32>
  %empty = tensor.empty(%nq) : tensor<1x1x?xindex>
  %limits = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%empty : tensor<1x1x?xindex>) {
  ^bb0(%old: index):
    %i = linalg.index 2 : index
    %next = arith.addi %i, %c1 : index
    %end = arith.muli %next, %c2 : index
    linalg.yield %end : index
  } -> tensor<1x1x?xindex>
  %chosen, %counts = attn.top_k %s budget(%budget : index) limits(%limits : tensor<1x1x?xindex>) capacity(%budget)
    : tensor<?x4x?x?xf32> -> tensor<?x4x?x?xi32>, tensor<?x4x?xi32>
  %o = attn.attention %q, %k, %v mask(#blocks, %chosen, %counts : tensor<?x4x?x?xi32>, tensor<?x4x?xi32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %chosen : tensor<?x4x?x16xf32>, tensor<?x4x?x?xi32>
}

// The first block and the last visible one always.
// CHECK-LABEL: func.func @ashape
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for
func.func @ashape(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?x?xi32> {attn.name = "chosen"}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %s = func.call @scores(%q, %k) : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x4x?x?xf32>
  %nk = tensor.dim %s, %c3 : tensor<?x4x?x?xf32>
  %share = arith.divui %nk, %c4 : index
  %budget = arith.maxui %share, %c1 : index
  %nq = tensor.dim %s, %c2 : tensor<?x4x?x?xf32>
  %empty = tensor.empty(%nq) : tensor<1x1x?xindex>
  %limits = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%empty : tensor<1x1x?xindex>) {
  ^bb0(%old: index):
    %i = linalg.index 2 : index
    %next = arith.addi %i, %c1 : index
    %end = arith.muli %next, %c2 : index
    linalg.yield %end : index
  } -> tensor<1x1x?xindex>
  %chosen, %counts = attn.top_k %s budget(%budget : index) limits(%limits : tensor<1x1x?xindex>) capacity(%budget)
    {forced_first = 1, forced_last = 1}
    : tensor<?x4x?x?xf32> -> tensor<?x4x?x?xi32>, tensor<?x4x?xi32>
  %o = attn.attention %q, %k, %v mask(#blocks, %chosen, %counts : tensor<?x4x?x?xi32>, tensor<?x4x?xi32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %chosen : tensor<?x4x?x16xf32>, tensor<?x4x?x?xi32>
}
