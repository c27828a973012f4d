// SpAtten (arXiv:2012.09852): tokens that got little attention and heads whose
// outputs are small leave the model, layer by layer.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry values | FileCheck %s --check-prefix=EXPLAIN

// One layer of the tokens that are left. A head that has been pruned works on
// no row. Importances add up: probabilities a key received, sizes of outputs.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[ALIVE:[a-z0-9]*]]: tensor<1x4xi64> {attn.name = "alive"}
// CHECK: %[[COUNTS:.*]] = linalg.map { arith.muli {{.*}}ins(%[[ALIVE]],
// CHECK: scf.forall
// CHECK: tensor.extract %[[COUNTS]]
// CHECK: %[[SOME:.*]] = arith.cmpi sgt, %{{.*}}, %c0
// CHECK: arith.select %[[SOME]], %{{.*}}, %c0
// CHECK: scf.for
// CHECK-NOT: attn.key_importance
// CHECK: linalg.reduce
func.func @main(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                %k: tensor<1x4x?x16xf32> {attn.name = "k"},
                %v: tensor<1x4x?x16xf32> {attn.name = "v"},
                %alive: tensor<1x4xi64> {attn.name = "alive"},
                %tokens: tensor<1x?xf32> {attn.name = "tokens"},
                %heads: tensor<1x4xf32> {attn.name = "heads"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"}, tensor<1x?xf32> {attn.name = "tokens_next"},
        tensor<1x4xf32> {attn.name = "heads_next"}) {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<1x4x?x16xf32>
  %n64 = arith.index_cast %n : index to i64
  %ce = tensor.empty() : tensor<1x4xi64>
  %all = linalg.fill ins(%n64 : i64) outs(%ce : tensor<1x4xi64>) -> tensor<1x4xi64>
  %counts = linalg.map { arith.muli } ins(%alive, %all : tensor<1x4xi64>, tensor<1x4xi64>)
    outs(%ce : tensor<1x4xi64>)
  %re = tensor.empty(%n) : tensor<1x4x?xi64>
  %rows = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%re : tensor<1x4x?xi64>) {
  ^bb0(%old: i64):
    %i = linalg.index 2 : index
    %i64 = arith.index_cast %i : index to i64
    linalg.yield %i64 : i64
  } -> tensor<1x4x?xi64>
  %o, %lse = attn.attention %q, %k, %v routing(%rows, %counts : tensor<1x4x?xi64>, tensor<1x4xi64>)
    : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>
    -> tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
  %received = attn.key_importance sum, each %q, %k, %lse
    routing(%rows, %counts : tensor<1x4x?xi64>, tensor<1x4xi64>)
    : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?xf32> -> tensor<1x4x?xf32>
  %tokens_next = linalg.reduce { arith.addf } ins(%received : tensor<1x4x?xf32>)
    outs(%tokens : tensor<1x?xf32>) dimensions = [1]
  %heads_next = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>, affine_map<(b, h, i, d) -> (b, h)>],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%o : tensor<1x4x?x16xf32>) outs(%heads : tensor<1x4xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %size = math.absf %x : f32
    %more = arith.addf %sum, %size : f32
    linalg.yield %more : f32
  } -> tensor<1x4xf32>
  return %o, %tokens_next, %heads_next : tensor<1x4x?x16xf32>, tensor<1x?xf32>, tensor<1x4xf32>
}

// Before the next layer: the best tokens stay, in their order, and of the heads
// that are alive the best ones.
// CHECK-LABEL: func.func @prune
// CHECK: attn.top_k
// CHECK-COUNT-2: attn.gather_rows
// CHECK: attn.top_k
func.func @prune(%x: tensor<1x1x?x64xf32> {attn.name = "x"},
                 %alive: tensor<1x4xi64> {attn.name = "alive"},
                 %tokens: tensor<1x?xf32> {attn.name = "tokens"},
                 %heads: tensor<1x4xf32> {attn.name = "heads"},
                 %keep_tokens: tensor<1xi64> {attn.name = "keep_tokens"},
                 %keep_heads: tensor<1xi64> {attn.name = "keep_heads"})
    -> (tensor<1x1x?x64xf32> {attn.name = "x_next"}, tensor<1x4xi64> {attn.name = "alive_next"},
        tensor<1x?xf32> {attn.name = "tokens_next"}, tensor<1x?xi64> {attn.name = "kept"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %none = arith.constant 0 : i64
  %yes = arith.constant 1 : i64
  %never = arith.constant 0xFF800000 : f32
  %n = tensor.dim %tokens, %c1 : tensor<1x?xf32>
  %kt64 = tensor.extract %keep_tokens[%c0] : tensor<1xi64>
  %kt = arith.index_cast %kt64 : i64 to index
  %capacity = arith.minsi %kt, %n : index
  %kept, %nt = attn.top_k %tokens capacity(%capacity) : tensor<1x?xf32> -> tensor<1x?xi64>, tensor<1xi64>
  %rows = tensor.expand_shape %kept [[0, 1], [2]] output_shape [1, 1, %capacity]
    : tensor<1x?xi64> into tensor<1x1x?xi64>
  %x_next = attn.gather_rows %x, %rows : tensor<1x1x?x64xf32>, tensor<1x1x?xi64> -> tensor<1x1x?x64xf32>
  %column = tensor.expand_shape %tokens [[0, 1], [2, 3]] output_shape [1, 1, %n, 1]
    : tensor<1x?xf32> into tensor<1x1x?x1xf32>
  %left = attn.gather_rows %column, %rows : tensor<1x1x?x1xf32>, tensor<1x1x?xi64> -> tensor<1x1x?x1xf32>
  %tokens_next = tensor.collapse_shape %left [[0, 1], [2, 3]] : tensor<1x1x?x1xf32> into tensor<1x?xf32>

  %kh64 = tensor.extract %keep_heads[%c0] : tensor<1xi64>
  %kh = arith.index_cast %kh64 : i64 to index
  %se = tensor.empty() : tensor<1x4xf32>
  %scores = linalg.map ins(%heads, %alive : tensor<1x4xf32>, tensor<1x4xi64>) outs(%se : tensor<1x4xf32>)
    (%size: f32, %a: i64, %old: f32) {
      %dead = arith.cmpi eq, %a, %none : i64
      %y = arith.select %dead, %never, %size : f32
      linalg.yield %y : f32
    }
  %best, %nh = attn.top_k %scores budget(%kh : index) : tensor<1x4xf32> -> tensor<1x4xi64>, tensor<1xi64>
  %ae = tensor.empty() : tensor<1x4xi64>
  %az = linalg.fill ins(%none : i64) outs(%ae : tensor<1x4xi64>) -> tensor<1x4xi64>
  %alive_next = linalg.generic {
      indexing_maps = [affine_map<(b, h, n) -> (b, n)>, affine_map<(b, h, n) -> (b, h)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%best : tensor<1x4xi64>) outs(%az : tensor<1x4xi64>) {
  ^bb0(%one: i64, %any: i64):
    %h = linalg.index 1 : index
    %h64 = arith.index_cast %h : index to i64
    %same = arith.cmpi eq, %one, %h64 : i64
    %y = arith.select %same, %yes, %any : i64
    linalg.yield %y : i64
  } -> tensor<1x4xi64>
  return %x_next, %alive_next, %tokens_next, %kept
    : tensor<1x1x?x64xf32>, tensor<1x4xi64>, tensor<1x?xf32>, tensor<1x?xi64>
}

// Local value pruning: of each row only the 6 values with the largest
// probabilities are read, and the probabilities stay those of all keys.
// EXPLAIN: blocks<q_block = 1, kv_block = 1>
// CHECK-LABEL: func.func @values
// CHECK: attn.top_k {{.*}} -> tensor<1x4x?x6xi32>
// CHECK: scf.forall
// CHECK: math.exp
func.func @values(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                  %k: tensor<1x4x?x16xf32> {attn.name = "k"},
                  %v: tensor<1x4x?x16xf32> {attn.name = "v"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %n = tensor.dim %q, %c2 : tensor<1x4x?x16xf32>
  %m = tensor.dim %k, %c2 : tensor<1x4x?x16xf32>
  %se = tensor.empty(%n, %m) : tensor<1x4x?x?xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<1x4x?x?xf32>) -> tensor<1x4x?x?xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, h, i, j, d) -> (b, h, i, d)>, affine_map<(b, h, i, j, d) -> (b, h, j, d)>,
                     affine_map<(b, h, i, j, d) -> (b, h, i, j)>]
    ins(%q, %k : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>) outs(%sz : tensor<1x4x?x?xf32>)
    -> tensor<1x4x?x?xf32>
  // Per row, the logarithm of the sum over all keys.
  %le = tensor.empty(%n) : tensor<1x4x?xf32>
  %never = arith.constant 0xFF800000 : f32
  %ln = linalg.fill ins(%never : f32) outs(%le : tensor<1x4x?xf32>) -> tensor<1x4x?xf32>
  %lz = linalg.fill ins(%zero : f32) outs(%le : tensor<1x4x?xf32>) -> tensor<1x4x?xf32>
  %top = linalg.reduce { arith.maximumf } ins(%s : tensor<1x4x?x?xf32>) outs(%ln : tensor<1x4x?xf32>)
    dimensions = [3]
  %sum = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>, affine_map<(b, h, i, j) -> (b, h, i)>,
                       affine_map<(b, h, i, j) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%s, %top : tensor<1x4x?x?xf32>, tensor<1x4x?xf32>) outs(%lz : tensor<1x4x?xf32>) {
  ^bb0(%x: f32, %max: f32, %part: f32):
    %d = arith.subf %x, %max : f32
    %ds = arith.mulf %d, %scale : f32
    %e = math.exp %ds : f32
    %more = arith.addf %part, %e : f32
    linalg.yield %more : f32
  } -> tensor<1x4x?xf32>
  %best, %counts = attn.top_k %s : tensor<1x4x?x?xf32> -> tensor<1x4x?x6xi32>, tensor<1x4x?xi32>
  %some, %part = attn.attention %q, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 1>, %best, %counts : tensor<1x4x?x6xi32>, tensor<1x4x?xi32>)
    : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>
    -> tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
  %oe = tensor.empty(%n) : tensor<1x4x?x16xf32>
  %o = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>, affine_map<(b, h, i, d) -> (b, h, i)>,
                       affine_map<(b, h, i, d) -> (b, h, i)>, affine_map<(b, h, i, d) -> (b, h, i)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%some, %part, %top, %sum : tensor<1x4x?x16xf32>, tensor<1x4x?xf32>, tensor<1x4x?xf32>, tensor<1x4x?xf32>)
      outs(%oe : tensor<1x4x?x16xf32>) {
  ^bb0(%x: f32, %l: f32, %max: f32, %all: f32, %old: f32):
    %scaled = arith.mulf %max, %scale : f32
    %d = arith.subf %l, %scaled : f32
    %e = math.exp %d : f32
    %share = arith.divf %e, %all : f32
    %y = arith.mulf %x, %share : f32
    linalg.yield %y : f32
  } -> tensor<1x4x?x16xf32>
  return %o : tensor<1x4x?x16xf32>
}
