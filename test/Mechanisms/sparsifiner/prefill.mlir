// Sparsifiner (arXiv:2303.13755): a low-rank predictor tells each query the
// 10 keys (a quarter of 37) that it looks at. The first token (CLS) sees all.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// The predicted connectivity of all tokens but CLS with all: a softmax over 4
// mixtures of tokens, of which those up to 0.2 do not count, times a constant
// basis, of which entries up to 0.1 do not.
func.func private @predict(%q: tensor<?x2x37x16xf32>, %k: tensor<?x2x37x16xf32>,
                           %pq: tensor<16x8xf32>, %bq: tensor<8xf32>,
                           %pk: tensor<16x8xf32>, %bk: tensor<8xf32>,
                           %down: tensor<37x4xf32>, %up: tensor<37x4xf32>) -> tensor<?x2x36x37xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %tb = arith.constant 0.1 : f32
  %tc = arith.constant 0.2 : f32
  %scale = arith.constant 0.70710678118654752 : f32
  %batch = tensor.dim %q, %c0 : tensor<?x2x37x16xf32>
  %qe = tensor.empty(%batch) : tensor<?x2x37x8xf32>
  %qb = linalg.broadcast ins(%bq : tensor<8xf32>) outs(%qe : tensor<?x2x37x8xf32>) dimensions = [0, 1, 2]
  %kb = linalg.broadcast ins(%bk : tensor<8xf32>) outs(%qe : tensor<?x2x37x8xf32>) dimensions = [0, 1, 2]
  %ql = linalg.contract
    indexing_maps = [affine_map<(b, h, i, c, d) -> (b, h, i, d)>, affine_map<(b, h, i, c, d) -> (d, c)>,
                     affine_map<(b, h, i, c, d) -> (b, h, i, c)>]
    ins(%q, %pq : tensor<?x2x37x16xf32>, tensor<16x8xf32>) outs(%qb : tensor<?x2x37x8xf32>)
    -> tensor<?x2x37x8xf32>
  %kl = linalg.contract
    indexing_maps = [affine_map<(b, h, i, c, d) -> (b, h, i, d)>, affine_map<(b, h, i, c, d) -> (d, c)>,
                     affine_map<(b, h, i, c, d) -> (b, h, i, c)>]
    ins(%k, %pk : tensor<?x2x37x16xf32>, tensor<16x8xf32>) outs(%kb : tensor<?x2x37x8xf32>)
    -> tensor<?x2x37x8xf32>
  %me = tensor.empty(%batch) : tensor<?x2x4x8xf32>
  %mz = linalg.fill ins(%zero : f32) outs(%me : tensor<?x2x4x8xf32>) -> tensor<?x2x4x8xf32>
  %mixed = linalg.contract
    indexing_maps = [affine_map<(b, h, n, c, j) -> (b, h, j, c)>, affine_map<(b, h, n, c, j) -> (j, n)>,
                     affine_map<(b, h, n, c, j) -> (b, h, n, c)>]
    ins(%kl, %down : tensor<?x2x37x8xf32>, tensor<37x4xf32>) outs(%mz : tensor<?x2x4x8xf32>)
    -> tensor<?x2x4x8xf32>
  %rest = tensor.extract_slice %ql[0, 0, 1, 0] [%batch, 2, 36, 8] [1, 1, 1, 1]
    : tensor<?x2x37x8xf32> to tensor<?x2x36x8xf32>
  %se = tensor.empty(%batch) : tensor<?x2x36x4xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<?x2x36x4xf32>) -> tensor<?x2x36x4xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, h, i, n, c) -> (b, h, i, c)>, affine_map<(b, h, i, n, c) -> (b, h, n, c)>,
                     affine_map<(b, h, i, n, c) -> (b, h, i, n)>]
    ins(%rest, %mixed : tensor<?x2x36x8xf32>, tensor<?x2x4x8xf32>) outs(%sz : tensor<?x2x36x4xf32>)
    -> tensor<?x2x36x4xf32>
  %re = tensor.empty(%batch) : tensor<?x2x36xf32>
  %rn = linalg.fill ins(%never : f32) outs(%re : tensor<?x2x36xf32>) -> tensor<?x2x36xf32>
  %rz = linalg.fill ins(%zero : f32) outs(%re : tensor<?x2x36xf32>) -> tensor<?x2x36xf32>
  %top = linalg.reduce { arith.maximumf } ins(%s : tensor<?x2x36x4xf32>) outs(%rn : tensor<?x2x36xf32>)
    dimensions = [3]
  %e = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, n) -> (b, h, i, n)>, affine_map<(b, h, i, n) -> (b, h, i)>,
                       affine_map<(b, h, i, n) -> (b, h, i, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s, %top : tensor<?x2x36x4xf32>, tensor<?x2x36xf32>) outs(%se : tensor<?x2x36x4xf32>) {
  ^bb0(%x: f32, %max: f32, %old: f32):
    %d = arith.subf %x, %max : f32
    %ds = arith.mulf %d, %scale : f32
    %y = math.exp %ds : f32
    linalg.yield %y : f32
  } -> tensor<?x2x36x4xf32>
  %sum = linalg.reduce { arith.addf } ins(%e : tensor<?x2x36x4xf32>) outs(%rz : tensor<?x2x36xf32>)
    dimensions = [3]
  %coef = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, n) -> (b, h, i, n)>, affine_map<(b, h, i, n) -> (b, h, i)>,
                       affine_map<(b, h, i, n) -> (b, h, i, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%e, %sum : tensor<?x2x36x4xf32>, tensor<?x2x36xf32>) outs(%se : tensor<?x2x36x4xf32>) {
  ^bb0(%x: f32, %all: f32, %old: f32):
    %p = arith.divf %x, %all : f32
    %above = arith.cmpf ogt, %p, %tc : f32
    %y = arith.select %above, %p, %zero : f32
    linalg.yield %y : f32
  } -> tensor<?x2x36x4xf32>
  %be = tensor.empty() : tensor<37x4xf32>
  %basis = linalg.map ins(%up : tensor<37x4xf32>) outs(%be : tensor<37x4xf32>)
    (%x: f32, %old: f32) {
      %size = math.absf %x : f32
      %above = arith.cmpf ogt, %size, %tb : f32
      %y = arith.select %above, %size, %zero : f32
      linalg.yield %y : f32
    }
  %ae = tensor.empty(%batch) : tensor<?x2x36x37xf32>
  %az = linalg.fill ins(%zero : f32) outs(%ae : tensor<?x2x36x37xf32>) -> tensor<?x2x36x37xf32>
  %a = linalg.contract
    indexing_maps = [affine_map<(b, h, i, j, n) -> (b, h, i, n)>, affine_map<(b, h, i, j, n) -> (j, n)>,
                     affine_map<(b, h, i, j, n) -> (b, h, i, j)>]
    ins(%coef, %basis : tensor<?x2x36x4xf32>, tensor<37x4xf32>) outs(%az : tensor<?x2x36x37xf32>)
    -> tensor<?x2x36x37xf32>
  return %a : tensor<?x2x36x37xf32>
}

// A list of tokens for each query.
// CHECK-LABEL: func.func @main
// CHECK: attn.top_k
// Keys that no query of a tile chose are not on its list.
// CHECK: scf.forall
// CHECK: scf.for {{.*}} -> (tensor<39xi32>, index)
// EXPLAIN: blocks
func.func @main(%q: tensor<?x2x37x16xf32> {attn.name = "q"},
                %k: tensor<?x2x37x16xf32> {attn.name = "k"},
                %v: tensor<?x2x37x16xf32> {attn.name = "v"},
                %pq: tensor<16x8xf32> {attn.name = "pq"}, %bq: tensor<8xf32> {attn.name = "bq"},
                %pk: tensor<16x8xf32> {attn.name = "pk"}, %bk: tensor<8xf32> {attn.name = "bk"},
                %down: tensor<37x4xf32> {attn.name = "down"}, %up: tensor<37x4xf32> {attn.name = "up"})
    -> (tensor<?x2x37x16xf32> {attn.name = "o"}, tensor<?x2x36x10xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %q, %c0 : tensor<?x2x37x16xf32>
  %a = func.call @predict(%q, %k, %pq, %bq, %pk, %bk, %down, %up)
    : (tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32>, tensor<16x8xf32>, tensor<8xf32>,
       tensor<16x8xf32>, tensor<8xf32>, tensor<37x4xf32>, tensor<37x4xf32>) -> tensor<?x2x36x37xf32>
  %chosen, %counts = attn.top_k %a : tensor<?x2x36x37xf32> -> tensor<?x2x36x10xi32>, tensor<?x2x36xi32>
  %cls = tensor.extract_slice %q[0, 0, 0, 0] [%batch, 2, 1, 16] [1, 1, 1, 1]
    : tensor<?x2x37x16xf32> to tensor<?x2x1x16xf32>
  %rest = tensor.extract_slice %q[0, 0, 1, 0] [%batch, 2, 36, 16] [1, 1, 1, 1]
    : tensor<?x2x37x16xf32> to tensor<?x2x36x16xf32>
  %oc = attn.attention %cls, %k, %v
    : tensor<?x2x1x16xf32>, tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32> -> tensor<?x2x1x16xf32>
  %or = attn.attention %rest, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 1>, %chosen, %counts : tensor<?x2x36x10xi32>, tensor<?x2x36xi32>)
    : tensor<?x2x36x16xf32>, tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32> -> tensor<?x2x36x16xf32>
  %o = tensor.concat dim(2) %oc, %or
    : (tensor<?x2x1x16xf32>, tensor<?x2x36x16xf32>) -> tensor<?x2x37x16xf32>
  return %o, %chosen : tensor<?x2x37x16xf32>, tensor<?x2x36x10xi32>
}

// All keys whose connectivity is above a threshold: a mask of pairs. A query
// without any gets zeros.
// CHECK-LABEL: func.func @above
// CHECK-NOT: attn.top_k
// CHECK: return
func.func @above(%q: tensor<?x2x37x16xf32> {attn.name = "q"},
                 %k: tensor<?x2x37x16xf32> {attn.name = "k"},
                 %v: tensor<?x2x37x16xf32> {attn.name = "v"},
                 %pq: tensor<16x8xf32> {attn.name = "pq"}, %bq: tensor<8xf32> {attn.name = "bq"},
                 %pk: tensor<16x8xf32> {attn.name = "pk"}, %bk: tensor<8xf32> {attn.name = "bk"},
                 %down: tensor<37x4xf32> {attn.name = "down"}, %up: tensor<37x4xf32> {attn.name = "up"},
                 %bound: tensor<1xf32> {attn.name = "bound"})
    -> (tensor<?x2x37x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %true = arith.constant true
  %batch = tensor.dim %q, %c0 : tensor<?x2x37x16xf32>
  %a = func.call @predict(%q, %k, %pq, %bq, %pk, %bk, %down, %up)
    : (tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32>, tensor<16x8xf32>, tensor<8xf32>,
       tensor<16x8xf32>, tensor<8xf32>, tensor<37x4xf32>, tensor<37x4xf32>) -> tensor<?x2x36x37xf32>
  %t = tensor.extract %bound[%c0] : tensor<1xf32>
  %re = tensor.empty(%batch) : tensor<?x2x36x37xi1>
  %some = linalg.map ins(%a : tensor<?x2x36x37xf32>) outs(%re : tensor<?x2x36x37xi1>)
    (%x: f32, %old: i1) {
      %y = arith.cmpf ogt, %x, %t : f32
      linalg.yield %y : i1
    }
  %ce = tensor.empty(%batch) : tensor<?x2x1x37xi1>
  %all = linalg.fill ins(%true : i1) outs(%ce : tensor<?x2x1x37xi1>) -> tensor<?x2x1x37xi1>
  %keep = tensor.concat dim(2) %all, %some
    : (tensor<?x2x1x37xi1>, tensor<?x2x36x37xi1>) -> tensor<?x2x37x37xi1>
  %o = attn.attention %q, %k, %v keep(%keep : tensor<?x2x37x37xi1>)
    : tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32>, tensor<?x2x37x16xf32> -> tensor<?x2x37x16xf32>
  return %o : tensor<?x2x37x16xf32>
}
