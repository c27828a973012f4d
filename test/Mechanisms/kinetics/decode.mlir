// Block top-k of Kinetics (arXiv:2506.05333): pages of 16 keys, each with its mean
// key; the query heads of a key head share the pages they read.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: blocks<q_block = 1, kv_block = 16>

// What a cache keeps beside its keys.
func.func @summaries(%k: tensor<?x2x?x16xf32> {attn.name = "k"})
    -> (tensor<?x2x?x16xf32> {attn.name = "means"}) {
  %means = attn.pool mean %k {block = 16} : tensor<?x2x?x16xf32> -> tensor<?x2x?x16xf32>
  return %means : tensor<?x2x?x16xf32>
}

// The product with the mean of a group is the mean of its products.
func.func private @scores(%q: tensor<?x4x1x16xf32>, %means: tensor<?x2x?x16xf32>) -> tensor<?x2x1x?xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %batch = tensor.dim %q, %c0 : tensor<?x4x1x16xf32>
  %pages = tensor.dim %means, %c2 : tensor<?x2x?x16xf32>
  %grouped = tensor.expand_shape %q [[0], [1, 2], [3], [4]] output_shape [%batch, 2, 2, 1, 16]
    : tensor<?x4x1x16xf32> into tensor<?x2x2x1x16xf32>
  %empty = tensor.empty(%batch, %pages) : tensor<?x2x1x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2x1x?xf32>) -> tensor<?x2x1x?xf32>
  %s = linalg.generic {
      indexing_maps = [affine_map<(b, g, i, p, r, d) -> (b, g, r, i, d)>,
                       affine_map<(b, g, i, p, r, d) -> (b, g, p, d)>,
                       affine_map<(b, g, i, p, r, d) -> (b, g, i, p)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%grouped, %means : tensor<?x2x2x1x16xf32>, tensor<?x2x?x16xf32>)
      outs(%zeros : tensor<?x2x1x?xf32>) {
  ^bb0(%x: f32, %m: f32, %sum: f32):
    %y = arith.mulf %x, %half : f32
    %z = arith.mulf %y, %m : f32
    %more = arith.addf %sum, %z : f32
    linalg.yield %more : f32
  } -> tensor<?x2x1x?xf32>
  return %s : tensor<?x2x1x?xf32>
}

// 4 pages, one of them the newest, which may be short. A loop over listed pages
// reads keys; the means come from the cache.
// CHECK-LABEL: func.func @main
// CHECK-NOT: attn.pool
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
func.func @main(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %means: tensor<?x2x?x16xf32> {attn.name = "means"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}, tensor<?x2x1x4xi32> {attn.name = "chosen"}) {
  %s = func.call @scores(%q, %means) : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x2x1x?xf32>
  %chosen, %counts = attn.top_k %s {forced_last = 1}
    : tensor<?x2x1x?xf32> -> tensor<?x2x1x4xi32>, tensor<?x2x1xi32>
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 16>, %chosen, %counts : tensor<?x2x1x4xi32>, tensor<?x2x1xi32>)
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x1x16xf32>
  return %o, %chosen : tensor<?x4x1x16xf32>, tensor<?x2x1x4xi32>
}

// The 4 first keys and the 20 last ones besides 3 pages that end before the last.
// CHECK-LABEL: func.func @forced
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
#forced = #attn.any_of<[#attn.blocks<q_block = 1, kv_block = 16>, #attn.sink<4>,
                        #attn.window<left = 19, right = 0>]>
func.func @forced(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                  %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                  %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                  %means: tensor<?x2x?x16xf32> {attn.name = "means"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}, tensor<?x2x1x3xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c16 = arith.constant 16 : index
  %c20 = arith.constant 20 : index
  %length = tensor.dim %k, %c2 : tensor<?x2x?x16xf32>
  %own = arith.subi %length, %c1 : index
  %before = arith.subi %length, %c20 : index
  %old = arith.maxsi %before, %c0 : index
  %limit = arith.divui %old, %c16 : index
  %s = func.call @scores(%q, %means) : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x2x1x?xf32>
  %chosen, %counts = attn.top_k %s limits(%limit : index)
    : tensor<?x2x1x?xf32> -> tensor<?x2x1x3xi32>, tensor<?x2x1xi32>
  %o = attn.attention %q, %k, %v
    mask(#forced, %chosen, %counts : tensor<?x2x1x3xi32>, tensor<?x2x1xi32>) query_offset(%own : index)
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x1x16xf32>
  return %o, %chosen : tensor<?x4x1x16xf32>, tensor<?x2x1x3xi32>
}

// The cache in pages of a pool: a request owns those that its table names, and
// the summary of a page stands beside it. What is not chosen is not read.
// CHECK-LABEL: func.func @paged
// CHECK: attn.top_k
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<{{[0-9]+}}xi32>, index)
// CHECK-NOT: tensor<?x2x?x16xf32>
// CHECK: tensor.extract %{{.*}} : tensor<?x?xi32>
// CHECK: return
func.func @paged(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                 %k: tensor<?x2x16x16xf32> {attn.name = "k"},
                 %v: tensor<?x2x16x16xf32> {attn.name = "v"},
                 %means: tensor<?x2x16xf32> {attn.name = "means"},
                 %table: tensor<?x?xi32> {attn.name = "table"},
                 %lengths: tensor<?xi64> {attn.name = "lengths"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}, tensor<?x2x1x4xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c15 = arith.constant 15 : i64
  %c16 = arith.constant 16 : i64
  %batch = tensor.dim %table, %c0 : tensor<?x?xi32>
  %numbers = tensor.dim %table, %c1 : tensor<?x?xi32>
  %pages = tensor.dim %means, %c0 : tensor<?x2x16xf32>
  %last = arith.subi %pages, %c1 : index
  %me = tensor.empty(%batch, %numbers) : tensor<?x2x?x16xf32>
  // Summaries in the order of the text; what is no page has some other's, which
  // the limit leaves out.
  %own = linalg.generic {
      indexing_maps = [affine_map<(b, g, p, d) -> (b, p)>, affine_map<(b, g, p, d) -> (b, g, p, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%table : tensor<?x?xi32>) outs(%me : tensor<?x2x?x16xf32>) {
  ^bb0(%number: i32, %old: f32):
    %g = linalg.index 1 : index
    %d = linalg.index 3 : index
    %page = arith.index_cast %number : i32 to index
    %low = arith.maxsi %page, %c0 : index
    %inside = arith.minsi %low, %last : index
    %y = tensor.extract %means[%inside, %g, %d] : tensor<?x2x16xf32>
    linalg.yield %y : f32
  } -> tensor<?x2x?x16xf32>
  %le = tensor.empty(%batch) : tensor<?x1x1xi64>
  %limits = linalg.generic {
      indexing_maps = [affine_map<(b, i, j) -> (b)>, affine_map<(b, i, j) -> (b, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%lengths : tensor<?xi64>) outs(%le : tensor<?x1x1xi64>) {
  ^bb0(%n: i64, %old: i64):
    %up = arith.addi %n, %c15 : i64
    %y = arith.divsi %up, %c16 : i64
    linalg.yield %y : i64
  } -> tensor<?x1x1xi64>
  %s = func.call @scores(%q, %own) : (tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x2x1x?xf32>
  %chosen, %counts = attn.top_k %s limits(%limits : tensor<?x1x1xi64>) {forced_last = 1}
    : tensor<?x2x1x?xf32> -> tensor<?x2x1x4xi32>, tensor<?x2x1xi32>
  %o = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 16>, %chosen, %counts : tensor<?x2x1x4xi32>, tensor<?x2x1xi32>)
    pages(%table : tensor<?x?xi32>) kv_lengths(%lengths : tensor<?xi64>)
    : tensor<?x4x1x16xf32>, tensor<?x2x16x16xf32>, tensor<?x2x16x16xf32> -> tensor<?x4x1x16xf32>
  return %o, %chosen : tensor<?x4x1x16xf32>, tensor<?x2x1x4xi32>
}
