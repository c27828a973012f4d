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
  // What the distance adds: q . E[P + j - i] + be[P + j - i], all divided by 4.
  %re = tensor.empty(%m) : tensor<1x2x1x?xf32>
  %relative = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%re : tensor<1x2x1x?xf32>) {
  ^bb0(%old: f32):
    %h = linalg.index 1 : index
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %c1_0 = arith.constant 1 : index
    %c16 = arith.constant 16 : index
    %apart = arith.subi %j, %past : index
    // Keys of the future are masked.
    %seen = arith.minsi %apart, %c0 : index
    %at = arith.addi %seen, %middle : index
    %first = tensor.extract %be[%at, %h] : tensor<400x2xf32>
    %sum = scf.for %d = %c0 to %c16 step %c1_0 iter_args(%part = %first) -> f32 {
      %x = tensor.extract %qc[%c0, %h, %i, %d] : tensor<1x2x1x16xf32>
      %y = tensor.extract %e[%at, %h, %d] : tensor<400x2x16xf32>
      %xy = arith.mulf %x, %y : f32
      %next = arith.addf %part, %xy : f32
      scf.yield %next : f32
    }
    %scaled = arith.mulf %sum, %scale : f32
    linalg.yield %scaled : f32
  } -> tensor<1x2x1x?xf32>
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
  %o = attn.attention %qu, %keys, %values bias(%relative : tensor<1x2x1x?xf32>)
    : tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x1x16xf32>
  return %o, %keys, %values, %q_next, %k_next, %v_next
    : tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>,
      tensor<1x2x2x16xf32>, tensor<1x2x2x16xf32>, tensor<1x2x2x16xf32>
}
