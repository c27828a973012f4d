// DHSA (arXiv:2510.24606), section 3: chunks of the length the text has. The
// best gaps by a predictor's logits are boundaries, one for each 8 tokens; sums over chunks, divided by
// the root of their length, are compared, for all heads together; each block of
// 16 queries reads 24 tokens, the first 4 and the last 8 among them.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// The lists have one entry for a token.
// EXPLAIN: blocks<q_block = 16, kv_block = 1>
// CHECK-LABEL: func.func @main
// CHECK: attn.segment
// CHECK: attn.pool sqrt_sum
// CHECK: attn.top_k {{.*}} -> tensor<1x1x?x24xi32>
// CHECK: scf.forall
func.func @main(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                %k: tensor<1x2x?x16xf32> {attn.name = "k"},
                %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                %logits: tensor<1x?xf32> {attn.name = "logits"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"}, tensor<1x?xi64> {attn.name = "bounds"},
        tensor<1x1x?x24xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %quarter = arith.constant 0.25 : f32
  %half = arith.constant 0.5 : f32
  %n = tensor.dim %k, %c2 : tensor<1x2x?x16xf32>
  %cuts = arith.divui %n, %c8 : index
  %bounds, %chunks = attn.segment %logits cuts(%cuts) {threshold = 0.0, distance = 3}
    : tensor<1x?xf32> -> tensor<1x?xi64>, tensor<1xi64>
  %qp = attn.pool sqrt_sum %q {block = 16} : tensor<1x4x?x16xf32> -> tensor<1x4x?x16xf32>
  %kp = attn.pool sqrt_sum %k bounds(%bounds : tensor<1x?xi64>)
    : tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>
  %nq = tensor.dim %qp, %c2 : tensor<1x4x?x16xf32>
  %nc = arith.addi %cuts, %c1 : index
  %ends = arith.addi %nc, %c1 : index
  %qe = tensor.empty(%nq) : tensor<1x?x16xf32>
  %qz = linalg.fill ins(%zero : f32) outs(%qe : tensor<1x?x16xf32>) -> tensor<1x?x16xf32>
  %qs = linalg.reduce { arith.addf } ins(%qp : tensor<1x4x?x16xf32>) outs(%qz : tensor<1x?x16xf32>)
    dimensions = [1]
  %ke = tensor.empty(%nc) : tensor<1x?x16xf32>
  %kz = linalg.fill ins(%zero : f32) outs(%ke : tensor<1x?x16xf32>) -> tensor<1x?x16xf32>
  %ks = linalg.reduce { arith.addf } ins(%kp : tensor<1x2x?x16xf32>) outs(%kz : tensor<1x?x16xf32>)
    dimensions = [1]
  %se = tensor.empty(%nq, %nc) : tensor<1x?x?xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<1x?x?xf32>) -> tensor<1x?x?xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, i, c, d) -> (b, i, d)>, affine_map<(b, i, c, d) -> (b, c, d)>,
                     affine_map<(b, i, c, d) -> (b, i, c)>]
    ins(%qs, %ks : tensor<1x?x16xf32>, tensor<1x?x16xf32>) outs(%sz : tensor<1x?x?xf32>)
    -> tensor<1x?x?xf32>

  // Each token has the score of its chunk, of means over heads.
  %te = tensor.empty(%nq, %n) : tensor<1x1x?x?xf32>
  %tokens = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%te : tensor<1x1x?x?xf32>) {
  ^bb0(%old: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %chunk = scf.for %c = %c1 to %ends step %c1 iter_args(%last = %c0) -> index {
      %begin = tensor.extract %bounds[%c0, %c] : tensor<1x?xi64>
      %at = arith.index_cast %begin : i64 to index
      %in = arith.cmpi sle, %at, %j : index
      %next = arith.select %in, %c, %last : index
      scf.yield %next : index
    }
    %sum = tensor.extract %s[%c0, %i, %chunk] : tensor<1x?x?xf32>
    %mq = arith.mulf %sum, %quarter : f32
    %mk = arith.mulf %mq, %half : f32
    linalg.yield %mk : f32
  } -> tensor<1x1x?x?xf32>
  %le = tensor.empty(%nq) : tensor<1x1x?xindex>
  %limits = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%le : tensor<1x1x?xindex>) {
  ^bb0(%old: index):
    %i = linalg.index 2 : index
    %next = arith.addi %i, %c1 : index
    %end = arith.muli %next, %c16 : index
    linalg.yield %end : index
  } -> tensor<1x1x?xindex>
  %chosen, %counts = attn.top_k %tokens limits(%limits : tensor<1x1x?xindex>)
    {forced_first = 4, forced_last = 8}
    : tensor<1x1x?x?xf32> -> tensor<1x1x?x24xi32>, tensor<1x1x?xi32>
  %sparse = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.blocks<q_block = 16, kv_block = 1>]>, %chosen, %counts
      : tensor<1x1x?x24xi32>, tensor<1x1x?xi32>)
    : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x?x16xf32>

  // The last 16 rows, the instruction, are dense.
  %own = arith.minui %n, %c16 : index
  %first = arith.subi %n, %own : index
  %qi = tensor.extract_slice %q[0, 0, %first, 0] [1, 4, %own, 16] [1, 1, 1, 1]
    : tensor<1x4x?x16xf32> to tensor<1x4x?x16xf32>
  %dense = attn.attention %qi, %k, %v mask(#attn.causal) query_offset(%first : index)
    : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x?x16xf32>
  %o = tensor.insert_slice %dense into %sparse[0, 0, %first, 0] [1, 4, %own, 16] [1, 1, 1, 1]
    : tensor<1x4x?x16xf32> into tensor<1x4x?x16xf32>
  return %o, %bounds, %chosen : tensor<1x4x?x16xf32>, tensor<1x?xi64>, tensor<1x1x?x24xi32>
}
