// One token. Queries too have a state: the two rows before, ahead of the
// convolution. The cache holds convolved keys and values (arXiv:2308.03429).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: tensor<1x2x3x16xf32>
// CHECK: attn.kv_append
// CHECK: scf.forall

#conv = {
  indexing_maps = [affine_map<(b, h, t, d, r) -> (b, h, t + r, d)>,
                   affine_map<(b, h, t, d, r) -> (d, r)>,
                   affine_map<(b, h, t, d, r) -> (b, h, t, d)>],
  iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
}

func.func @main(%q: tensor<1x2x1x16xf32> {attn.name = "q"},
                %k: tensor<1x2x1x16xf32> {attn.name = "k"},
                %v: tensor<1x2x1x16xf32> {attn.name = "v"},
                %wq: tensor<16x3xf32> {attn.name = "wq"}, %bq: tensor<16xf32> {attn.name = "bq"},
                %wk: tensor<16x3xf32> {attn.name = "wk"}, %bk: tensor<16xf32> {attn.name = "bk"},
                %wv: tensor<16x3xf32> {attn.name = "wv"}, %bv: tensor<16xf32> {attn.name = "bv"},
                %q_tail: tensor<1x2x2x16xf32> {attn.name = "q_tail"},
                %k_tail: tensor<1x2x2x16xf32> {attn.name = "k_tail"},
                %v_tail: tensor<1x2x2x16xf32> {attn.name = "v_tail"},
                %past_k: tensor<1x2x?x16xf32> {attn.name = "past_k"},
                %past_v: tensor<1x2x?x16xf32> {attn.name = "past_v"},
                %e: tensor<400x2x16xf32> {attn.name = "e"},
                %be: tensor<400x2xf32> {attn.name = "be"},
                %u: tensor<2x16xf32> {attn.name = "u"})
    -> (tensor<1x2x1x16xf32> {attn.name = "o"},
        tensor<1x2x?x16xf32> {attn.name = "keys"}, tensor<1x2x?x16xf32> {attn.name = "values"},
        tensor<1x2x2x16xf32> {attn.name = "q_next"}, tensor<1x2x2x16xf32> {attn.name = "k_next"},
        tensor<1x2x2x16xf32> {attn.name = "v_next"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %middle = arith.constant 200 : index
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %empty = tensor.empty() : tensor<1x2x1x16xf32>
  %qa = tensor.concat dim(2) %q_tail, %q
    : (tensor<1x2x2x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x2x3x16xf32>
  %q_next = tensor.extract_slice %qa[0, 0, 1, 0] [1, 2, 2, 16] [1, 1, 1, 1]
    : tensor<1x2x3x16xf32> to tensor<1x2x2x16xf32>
  %qb = linalg.broadcast ins(%bq : tensor<16xf32>) outs(%empty : tensor<1x2x1x16xf32>)
    dimensions = [0, 1, 2]
  %qc = linalg.generic #conv ins(%qa, %wq : tensor<1x2x3x16xf32>, tensor<16x3xf32>)
      outs(%qb : tensor<1x2x1x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x1x16xf32>
  %ka = tensor.concat dim(2) %k_tail, %k
    : (tensor<1x2x2x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x2x3x16xf32>
  %k_next = tensor.extract_slice %ka[0, 0, 1, 0] [1, 2, 2, 16] [1, 1, 1, 1]
    : tensor<1x2x3x16xf32> to tensor<1x2x2x16xf32>
  %kb = linalg.broadcast ins(%bk : tensor<16xf32>) outs(%empty : tensor<1x2x1x16xf32>)
    dimensions = [0, 1, 2]
  %kc = linalg.generic #conv ins(%ka, %wk : tensor<1x2x3x16xf32>, tensor<16x3xf32>)
      outs(%kb : tensor<1x2x1x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x1x16xf32>
  %va = tensor.concat dim(2) %v_tail, %v
    : (tensor<1x2x2x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x2x3x16xf32>
  %v_next = tensor.extract_slice %va[0, 0, 1, 0] [1, 2, 2, 16] [1, 1, 1, 1]
    : tensor<1x2x3x16xf32> to tensor<1x2x2x16xf32>
  %vb = linalg.broadcast ins(%bv : tensor<16xf32>) outs(%empty : tensor<1x2x1x16xf32>)
    dimensions = [0, 1, 2]
  %vc = linalg.generic #conv ins(%va, %wv : tensor<1x2x3x16xf32>, tensor<16x3xf32>)
      outs(%vb : tensor<1x2x1x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x1x16xf32>
  %keys = attn.kv_append %past_k, %kc
    : tensor<1x2x?x16xf32>, tensor<1x2x1x16xf32> -> tensor<1x2x?x16xf32>
  %values = attn.kv_append %past_v, %vc
    : tensor<1x2x?x16xf32>, tensor<1x2x1x16xf32> -> tensor<1x2x?x16xf32>
  %m = tensor.dim %keys, %c2 : tensor<1x2x?x16xf32>
  %c1 = arith.constant 1 : index
  %past = arith.subi %m, %c1 : index
  // A product of each row with the vectors of the distances -m + 1 to 0, and
  // their numbers, divided by 4 like the scores.
  %one = arith.constant 1 : index
  %before = arith.subi %middle, %m : index
  %first = arith.addi %before, %one : index
  %es = tensor.extract_slice %e[%first, 0, 0] [%m, 2, 16] [1, 1, 1]
    : tensor<400x2x16xf32> to tensor<?x2x16xf32>
  %bes = tensor.extract_slice %be[%first, 0] [%m, 2] [1, 1]
    : tensor<400x2xf32> to tensor<?x2xf32>
  %re = tensor.empty(%m) : tensor<1x2x1x?xf32>
  %rb = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, r) -> (r, h)>, affine_map<(b, h, i, r) -> (b, h, i, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%bes : tensor<?x2xf32>) outs(%re : tensor<1x2x1x?xf32>) {
  ^bb0(%x: f32, %old: f32):
    linalg.yield %x : f32
  } -> tensor<1x2x1x?xf32>
  %relative = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, r, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, r, d) -> (r, h, d)>,
                       affine_map<(b, h, i, r, d) -> (b, h, i, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%qc, %es : tensor<1x2x1x16xf32>, tensor<?x2x16xf32>)
      outs(%rb : tensor<1x2x1x?xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %xy = arith.mulf %x, %y : f32
    %more = arith.addf %sum, %xy : f32
    linalg.yield %more : f32
  } -> tensor<1x2x1x?xf32>
  %last = arith.subi %m, %one : index
  %qu = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (h, d)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%qc, %u : tensor<1x2x1x16xf32>, tensor<2x16xf32>)
      outs(%empty : tensor<1x2x1x16xf32>) {
  ^bb0(%x: f32, %y: f32, %old: f32):
    %z = arith.addf %x, %y : f32
    linalg.yield %z : f32
  } -> tensor<1x2x1x16xf32>
  %o = attn.attention %qu, %keys, %values query_offset(%past : index)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %apart = arith.subi %key, %position : index
      %place = arith.addi %apart, %last : index
      // Keys of the future are masked.
      %at = arith.minsi %place, %last : index
      %x = tensor.extract %relative[%b, %h, %row, %at] : tensor<1x2x1x?xf32>
      %scaled = arith.mulf %x, %scale : f32
      %t = arith.addf %s, %scaled : f32
      attn.yield %t : f32
    }
    : tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x1x16xf32>
  return %o, %keys, %values, %q_next, %k_next, %v_next
    : tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>,
      tensor<1x2x2x16xf32>, tensor<1x2x2x16xf32>, tensor<1x2x2x16xf32>
}
