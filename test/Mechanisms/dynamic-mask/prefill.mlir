// Dynamic mask attention (arXiv:2508.02124): the values say how much each key
// matters to its head. That is a bias, and the 8 best keys are kept.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: all_of<[causal, blocks<kv_block = 1>]>

// delta = a * softplus(values of all heads of a token, times w): [B, G, 1, T].
func.func @delta(%v: tensor<?x2x?x16xf32> {attn.name = "v"}, %w: tensor<2x16x2xf32> {attn.name = "w"},
                 %a: tensor<2xf32> {attn.name = "a"})
    -> (tensor<?x2x1x?xf32> {attn.name = "delta"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %v, %c0 : tensor<?x2x?x16xf32>
  %length = tensor.dim %v, %c2 : tensor<?x2x?x16xf32>
  %empty = tensor.empty(%batch, %length) : tensor<?x2x1x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2x1x?xf32>) -> tensor<?x2x1x?xf32>
  %dt = linalg.contract
    indexing_maps = [affine_map<(b, g, o, t, h, d) -> (b, h, t, d)>, affine_map<(b, g, o, t, h, d) -> (h, d, g)>,
                     affine_map<(b, g, o, t, h, d) -> (b, g, o, t)>]
    ins(%v, %w : tensor<?x2x?x16xf32>, tensor<2x16x2xf32>) outs(%zeros : tensor<?x2x1x?xf32>) -> tensor<?x2x1x?xf32>
  %delta = linalg.generic {
      indexing_maps = [affine_map<(b, g, o, t) -> (b, g, o, t)>, affine_map<(b, g, o, t) -> (g)>,
                       affine_map<(b, g, o, t) -> (b, g, o, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%dt, %a : tensor<?x2x1x?xf32>, tensor<2xf32>) outs(%empty : tensor<?x2x1x?xf32>) {
  ^bb0(%x: f32, %gain: f32, %old: f32):
    %size = math.absf %x : f32
    %minus = arith.negf %size : f32
    %e = math.exp %minus : f32
    %log = math.log1p %e : f32
    %part = arith.maximumf %x, %zero : f32
    %softplus = arith.addf %part, %log : f32
    %y = arith.mulf %gain, %softplus : f32
    linalg.yield %y : f32
  } -> tensor<?x2x1x?xf32>
  return %delta : tensor<?x2x1x?xf32>
}

// The bias of a key head for each of its query heads.
func.func private @bias(%delta: tensor<?x2x1x?xf32>) -> tensor<?x4x1x?xf32> {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %batch = tensor.dim %delta, %c0 : tensor<?x2x1x?xf32>
  %length = tensor.dim %delta, %c3 : tensor<?x2x1x?xf32>
  %empty = tensor.empty(%batch, %length) : tensor<?x2x2x1x?xf32>
  %each = linalg.broadcast ins(%delta : tensor<?x2x1x?xf32>) outs(%empty : tensor<?x2x2x1x?xf32>) dimensions = [2]
  %bias = tensor.collapse_shape %each [[0], [1, 2], [3], [4]] : tensor<?x2x2x1x?xf32> into tensor<?x4x1x?xf32>
  return %bias : tensor<?x4x1x?xf32>
}

// One choice for all rows, of the future too: a row may have none of its keys.
// A loop over the list of chosen tokens makes that of each tile.
// CHECK-LABEL: func.func @main
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %w: tensor<2x16x2xf32> {attn.name = "w"},
                %a: tensor<2xf32> {attn.name = "a"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x2x1x8xi32> {attn.name = "chosen"}) {
  %delta = func.call @delta(%v, %w, %a) : (tensor<?x2x?x16xf32>, tensor<2x16x2xf32>, tensor<2xf32>) -> tensor<?x2x1x?xf32>
  %bias = func.call @bias(%delta) : (tensor<?x2x1x?xf32>) -> tensor<?x4x1x?xf32>
  %chosen, %counts = attn.top_k %delta : tensor<?x2x1x?xf32> -> tensor<?x2x1x8xi32>, tensor<?x2x1xi32>
  %o = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.blocks<kv_block = 1>]>, %chosen, %counts
         : tensor<?x2x1x8xi32>, tensor<?x2x1xi32>)
    bias(%bias : tensor<?x4x1x?xf32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %chosen : tensor<?x4x?x16xf32>, tensor<?x2x1x8xi32>
}

// The 8 best keys up to each row: a list for every row.
// CHECK-LABEL: func.func @per_row
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
func.func @per_row(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                   %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %w: tensor<2x16x2xf32> {attn.name = "w"},
                   %a: tensor<2xf32> {attn.name = "a"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x2x?x8xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %length = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %delta = func.call @delta(%v, %w, %a) : (tensor<?x2x?x16xf32>, tensor<2x16x2xf32>, tensor<2xf32>) -> tensor<?x2x1x?xf32>
  %bias = func.call @bias(%delta) : (tensor<?x2x1x?xf32>) -> tensor<?x4x1x?xf32>
  %se = tensor.empty(%batch, %length, %length) : tensor<?x2x?x?xf32>
  %scores = linalg.generic {
      indexing_maps = [affine_map<(b, g, i, t) -> (b, g, 0, t)>, affine_map<(b, g, i, t) -> (b, g, i, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%delta : tensor<?x2x1x?xf32>) outs(%se : tensor<?x2x?x?xf32>) {
  ^bb0(%x: f32, %old: f32):
    linalg.yield %x : f32
  } -> tensor<?x2x?x?xf32>
  %le = tensor.empty(%length) : tensor<1x1x?xindex>
  %limits = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%le : tensor<1x1x?xindex>) {
  ^bb0(%old: index):
    %i = linalg.index 2 : index
    %next = arith.addi %i, %c1 : index
    linalg.yield %next : index
  } -> tensor<1x1x?xindex>
  %chosen, %counts = attn.top_k %scores limits(%limits : tensor<1x1x?xindex>)
    : tensor<?x2x?x?xf32> -> tensor<?x2x?x8xi32>, tensor<?x2x?xi32>
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 1>, %chosen, %counts : tensor<?x2x?x8xi32>, tensor<?x2x?xi32>)
    bias(%bias : tensor<?x4x1x?xf32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %chosen : tensor<?x4x?x16xf32>, tensor<?x2x?x8xi32>
}

// The 24 best keys made smooth: a block of 4 keys is kept whole where more than
// half of its keys were chosen, and else not at all.
// CHECK-LABEL: func.func @smooth
// CHECK: attn.top_k
// CHECK: scf.forall
func.func @smooth(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                  %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %w: tensor<2x16x2xf32> {attn.name = "w"},
                  %a: tensor<2xf32> {attn.name = "a"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %batch = tensor.dim %k, %c0 : tensor<?x2x?x16xf32>
  %length = tensor.dim %k, %c2 : tensor<?x2x?x16xf32>
  %blocks = arith.ceildivsi %length, %c4 : index
  %delta = func.call @delta(%v, %w, %a) : (tensor<?x2x?x16xf32>, tensor<2x16x2xf32>, tensor<2xf32>) -> tensor<?x2x1x?xf32>
  %bias = func.call @bias(%delta) : (tensor<?x2x1x?xf32>) -> tensor<?x4x1x?xf32>
  %chosen, %counts = attn.top_k %delta : tensor<?x2x1x?xf32> -> tensor<?x2x1x24xi32>, tensor<?x2x1xi32>
  %list = tensor.collapse_shape %chosen [[0], [1], [2, 3]] : tensor<?x2x1x24xi32> into tensor<?x2x24xi32>
  %he = tensor.empty(%batch, %blocks) : tensor<?x2x?xi32>
  %hz = linalg.fill ins(%zero : i32) outs(%he : tensor<?x2x?xi32>) -> tensor<?x2x?xi32>
  %hits = linalg.generic {
      indexing_maps = [affine_map<(b, g, n, i) -> (b, g, i)>, affine_map<(b, g, n, i) -> (b, g, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%list : tensor<?x2x24xi32>) outs(%hz : tensor<?x2x?xi32>) {
  ^bb0(%x: i32, %sum: i32):
    %n = linalg.index 2 : index
    %token = arith.index_cast %x : i32 to index
    %begin = arith.muli %n, %c4 : index
    %end = arith.addi %begin, %c4 : index
    %after = arith.cmpi sge, %token, %begin : index
    %before = arith.cmpi slt, %token, %end : index
    %in = arith.andi %after, %before : i1
    %more = arith.select %in, %one, %zero : i32
    %y = arith.addi %sum, %more : i32
    linalg.yield %y : i32
  } -> tensor<?x2x?xi32>
  %we = tensor.empty(%batch, %blocks) : tensor<?x2x?xi1>
  %whole = linalg.generic {
      indexing_maps = [affine_map<(b, g, n) -> (b, g, n)>, affine_map<(b, g, n) -> (b, g, n)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%hits : tensor<?x2x?xi32>) outs(%we : tensor<?x2x?xi1>) {
  ^bb0(%x: i32, %old: i1):
    %n = linalg.index 2 : index
    %begin = arith.muli %n, %c4 : index
    %left = arith.subi %length, %begin : index
    %own = arith.minsi %left, %c4 : index
    %hit = arith.index_cast %x : i32 to index
    %twice = arith.muli %hit, %c2 : index
    %y = arith.cmpi sgt, %twice, %own : index
    linalg.yield %y : i1
  } -> tensor<?x2x?xi1>
  %members = tensor.expand_shape %whole [[0], [1], [2, 3]] output_shape [%batch, 2, 1, %blocks]
    : tensor<?x2x?xi1> into tensor<?x2x1x?xi1>
  %o = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.blocks<kv_block = 4, layout = members>]>, %members : tensor<?x2x1x?xi1>)
    bias(%bias : tensor<?x4x1x?xf32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// Without a number of keys: those whose bias is above zero.
// CHECK-LABEL: func.func @positive
// CHECK: scf.forall
// CHECK: tensor.extract %{{.*}} : tensor<?x2x1x?xi1>
func.func @positive(%q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                    %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %w: tensor<2x16x2xf32> {attn.name = "w"},
                    %a: tensor<2xf32> {attn.name = "a"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %k, %c0 : tensor<?x2x?x16xf32>
  %length = tensor.dim %k, %c2 : tensor<?x2x?x16xf32>
  %delta = func.call @delta(%v, %w, %a) : (tensor<?x2x?x16xf32>, tensor<2x16x2xf32>, tensor<2xf32>) -> tensor<?x2x1x?xf32>
  %bias = func.call @bias(%delta) : (tensor<?x2x1x?xf32>) -> tensor<?x4x1x?xf32>
  %empty = tensor.empty(%batch, %length) : tensor<?x2x1x?xi1>
  %members = linalg.generic {
      indexing_maps = [affine_map<(b, g, o, t) -> (b, g, o, t)>, affine_map<(b, g, o, t) -> (b, g, o, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%delta : tensor<?x2x1x?xf32>) outs(%empty : tensor<?x2x1x?xi1>) {
  ^bb0(%x: f32, %old: i1):
    %y = arith.cmpf ogt, %x, %zero : f32
    linalg.yield %y : i1
  } -> tensor<?x2x1x?xi1>
  %o = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.blocks<kv_block = 1, layout = members>]>, %members : tensor<?x2x1x?xi1>)
    bias(%bias : tensor<?x4x1x?xf32>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
