// TCA-Attention (arXiv:2512.09238): each block of 8 keys keeps as many of them as
// its rank deserves, in numbers that are fixed for a head. The paper leaves the
// rank open; here a block ranks by the share of its best key.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: any_of<[blocks<kv_block = 1>, sink<4>, window<

#kept = #attn.all_of<[#attn.causal, #attn.any_of<[#attn.blocks<kv_block = 1>,
                      #attn.sink<4>, #attn.window<left = 15, right = 0>]>]>

// What the last 8 queries look at: [B, G, T].
func.func @importance(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                      %v: tensor<?x2x?x16xf32> {attn.name = "v"}) -> (tensor<?x2x?xf32> {attn.name = "a"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %n = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %begin = arith.subi %n, %c8 : index
  %last = tensor.extract_slice %q[0, 0, %begin, 0] [%batch, 4, 8, 16] [1, 1, 1, 1]
    : tensor<?x4x?x16xf32> to tensor<?x4x8x16xf32>
  %o, %lse = attn.attention %last, %k, %v mask(#attn.causal) query_offset(%begin : index)
    : tensor<?x4x8x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x8x16xf32>, tensor<?x4x8xf32>
  %a = attn.key_importance sum, max %last, %k, %lse mask(#attn.causal) query_offset(%begin : index)
    : tensor<?x4x8x16xf32>, tensor<?x2x?x16xf32>, tensor<?x4x8xf32> -> tensor<?x2x?xf32>
  return %a : tensor<?x2x?xf32>
}

// The tokens that whole blocks keep; -1 where there is none. `table` holds the
// budgets of a head, largest first.
// CHECK-LABEL: func.func @select
// CHECK: attn.top_k {{.*}} budget
func.func @select(%a: tensor<?x2x?xf32> {attn.name = "a"}, %table: tensor<2x?xi32> {attn.name = "table"})
    -> (tensor<?x2x1x?xi32> {attn.name = "kept"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %none = arith.constant 0 : i32
  %batch = tensor.dim %a, %c0 : tensor<?x2x?xf32>
  %blocks = tensor.dim %table, %c1 : tensor<2x?xi32>
  %whole = arith.muli %blocks, %c8 : index
  %own = tensor.extract_slice %a[0, 0, 0] [%batch, 2, %whole] [1, 1, 1] : tensor<?x2x?xf32> to tensor<?x2x?xf32>
  %rows = tensor.expand_shape %own [[0], [1], [2, 3]] output_shape [%batch, 2, %whole, 1] : tensor<?x2x?xf32> into tensor<?x2x?x1xf32>
  %max = attn.pool max %rows {block = 8} : tensor<?x2x?x1xf32> -> tensor<?x2x?x1xf32>
  %sum = attn.pool sum %rows {block = 8} : tensor<?x2x?x1xf32> -> tensor<?x2x?x1xf32>
  %max3 = tensor.collapse_shape %max [[0], [1], [2, 3]] : tensor<?x2x?x1xf32> into tensor<?x2x?xf32>
  %sum3 = tensor.collapse_shape %sum [[0], [1], [2, 3]] : tensor<?x2x?x1xf32> into tensor<?x2x?xf32>
  %pe = tensor.empty(%batch, %blocks) : tensor<?x2x?xf32>
  %share = linalg.div ins(%max3, %sum3 : tensor<?x2x?xf32>, tensor<?x2x?xf32>) outs(%pe : tensor<?x2x?xf32>) -> tensor<?x2x?xf32>
  // The rank of a block is the number of better ones, the earlier of two equals
  // being better.
  %ie = tensor.empty(%batch, %blocks) : tensor<?x2x?xi32>
  %iz = linalg.fill ins(%none : i32) outs(%ie : tensor<?x2x?xi32>) -> tensor<?x2x?xi32>
  %rank = linalg.generic {
      indexing_maps = [affine_map<(b, g, m, n) -> (b, g, m)>, affine_map<(b, g, m, n) -> (b, g, n)>,
                       affine_map<(b, g, m, n) -> (b, g, m)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%share, %share : tensor<?x2x?xf32>, tensor<?x2x?xf32>) outs(%iz : tensor<?x2x?xi32>) {
  ^bb0(%x: f32, %other: f32, %count: i32):
    %m = linalg.index 2 : index
    %n = linalg.index 3 : index
    %above = arith.cmpf ogt, %other, %x : f32
    %same = arith.cmpf oeq, %other, %x : f32
    %first = arith.cmpi ult, %n, %m : index
    %tie = arith.andi %same, %first : i1
    %better = arith.ori %above, %tie : i1
    %one = arith.extui %better : i1 to i32
    %more = arith.addi %count, %one : i32
    linalg.yield %more : i32
  } -> tensor<?x2x?xi32>
  %budget = linalg.generic {
      indexing_maps = [affine_map<(b, g, m) -> (b, g, m)>, affine_map<(b, g, m) -> (b, g, m)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%rank : tensor<?x2x?xi32>) outs(%ie : tensor<?x2x?xi32>) {
  ^bb0(%r: i32, %old: i32):
    %g = linalg.index 1 : index
    %at = arith.index_cast %r : i32 to index
    %y = tensor.extract %table[%g, %at] : tensor<2x?xi32>
    linalg.yield %y : i32
  } -> tensor<?x2x?xi32>
  %scores = tensor.expand_shape %own [[0], [1], [2, 3]] output_shape [%batch, 2, %blocks, 8]
    : tensor<?x2x?xf32> into tensor<?x2x?x8xf32>
  %best, %counts = attn.top_k %scores budget(%budget : tensor<?x2x?xi32>)
    : tensor<?x2x?x8xf32> -> tensor<?x2x?x8xi32>, tensor<?x2x?xi32>
  %ke = tensor.empty(%batch, %whole) : tensor<?x2x1x?xi32>
  %kept = linalg.generic {
      indexing_maps = [affine_map<(b, g, o, t) -> (b, g, o, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%ke : tensor<?x2x1x?xi32>) {
  ^bb0(%old: i32):
    %b = linalg.index 0 : index
    %g = linalg.index 1 : index
    %t = linalg.index 3 : index
    %m = arith.divui %t, %c8 : index
    %n = arith.remui %t, %c8 : index
    %i = tensor.extract %best[%b, %g, %m, %n] : tensor<?x2x?x8xi32>
    %begin = arith.muli %m, %c8 : index
    %begin32 = arith.index_cast %begin : index to i32
    %token = arith.addi %begin32, %i : i32
    %empty = arith.cmpi slt, %i, %none : i32
    %y = arith.select %empty, %i, %token : i32
    linalg.yield %y : i32
  } -> tensor<?x2x1x?xi32>
  return %kept : tensor<?x2x1x?xi32>
}

// Kept tokens, a sink and a window: the loop of a tile runs over a list of them.
// CHECK-LABEL: func.func @main
// CHECK: call @select
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %table: tensor<2x?xi32> {attn.name = "table"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x2x1x?xi32> {attn.name = "kept"}) {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %a = func.call @importance(%q, %k, %v) : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x2x?xf32>
  %kept = func.call @select(%a, %table) : (tensor<?x2x?xf32>, tensor<2x?xi32>) -> tensor<?x2x1x?xi32>
  %batch = tensor.dim %kept, %c0 : tensor<?x2x1x?xi32>
  %places = tensor.dim %kept, %c3 : tensor<?x2x1x?xi32>
  %places32 = arith.index_cast %places : index to i32
  %ce = tensor.empty(%batch) : tensor<?x2x1xi32>
  %counts = linalg.fill ins(%places32 : i32) outs(%ce : tensor<?x2x1xi32>) -> tensor<?x2x1xi32>
  %o = attn.attention %q, %k, %v mask(#kept, %kept, %counts : tensor<?x2x1x?xi32>, tensor<?x2x1xi32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %kept : tensor<?x4x?x16xf32>, tensor<?x2x1x?xi32>
}
