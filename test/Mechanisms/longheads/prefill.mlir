// LongHeads (arXiv:2402.10685), prefill: a row beyond the first 40 reads 5 chunks of
// 8 tokens, which are the first, its own, the one before and the 2 best others,
// and turns keys as if these were the whole text.
//
// A rotation counts by the difference of two places. So keys turn once, by
// their place in the chunk, and for each of the 5 slots the query turns by its
// distance from the slot: an attention for each slot, and a merge. The last two
// slots are the true places and so one attention.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: causal
// EXPLAIN: all_of<[causal, window<left = 1, right = 0, block = 8>]>
// EXPLAIN: sink<8>
// EXPLAIN-COUNT-2: blocks<q_block = 1, kv_block = 8>
// Keys are rotated twice, and not once for each row that reads them.
// CHECK-LABEL: func.func @main
// CHECK: attn.rope %arg1
// CHECK-NOT: attn.rope %arg1
// CHECK: attn.top_k
// CHECK: attn.rope %arg1
// CHECK-NOT: attn.rope %arg1
// CHECK: attn.merge

// Rows of the tables for places in a chunk, from %from on.
func.func private @turns(%cos: tensor<?x8xf32>, %sin: tensor<?x8xf32>, %rows: index, %from: index)
    -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %c8 = arith.constant 8 : index
  %empty = tensor.empty(%rows) : tensor<?x8xf32>
  %c, %s = linalg.generic {
      indexing_maps = [affine_map<(t, f) -> (t, f)>, affine_map<(t, f) -> (t, f)>],
      iterator_types = ["parallel", "parallel"]}
      outs(%empty, %empty : tensor<?x8xf32>, tensor<?x8xf32>) {
  ^bb0(%old: f32, %older: f32):
    %t = linalg.index 0 : index
    %f = linalg.index 1 : index
    %in = arith.remui %t, %c8 : index
    %at = arith.addi %in, %from : index
    %x = tensor.extract %cos[%at, %f] : tensor<?x8xf32>
    %y = tensor.extract %sin[%at, %f] : tensor<?x8xf32>
    linalg.yield %x, %y : f32, f32
  } -> (tensor<?x8xf32>, tensor<?x8xf32>)
  return %c, %s : tensor<?x8xf32>, tensor<?x8xf32>
}

// The chunk of one slot, as a list of each row.
func.func private @slot(%chosen: tensor<1x2x?x2xi32>, %rows: index, %slot: index) -> tensor<1x2x?x1xi32> {
  %one = arith.constant 1 : i32
  %empty = tensor.empty(%rows) : tensor<1x2x?x1xi32>
  %lists = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, k) -> (b, h, t, k)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%empty : tensor<1x2x?x1xi32>) {
  ^bb0(%old: i32):
    %b = linalg.index 0 : index
    %h = linalg.index 1 : index
    %t = linalg.index 2 : index
    %x = tensor.extract %chosen[%b, %h, %t, %slot] : tensor<1x2x?x2xi32>
    // Candidates begin with the second chunk.
    %chunk = arith.addi %x, %one : i32
    linalg.yield %chunk : i32
  } -> tensor<1x2x?x1xi32>
  return %lists : tensor<1x2x?x1xi32>
}

func.func @main(%q: tensor<1x2x?x16xf32> {attn.name = "q"}, %k: tensor<1x2x?x16xf32> {attn.name = "k"}, %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                %r: tensor<1x2x?x16xf32> {attn.name = "r"},
                %cos: tensor<?x8xf32> {attn.name = "cos"}, %sin: tensor<?x8xf32> {attn.name = "sin"})
    -> (tensor<1x2x?x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  %c16 = arith.constant 16 : index
  %c24 = arith.constant 24 : index
  %c32 = arith.constant 32 : index
  %c40 = arith.constant 40 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1 : i32
  %length = tensor.dim %q, %c2 : tensor<1x2x?x16xf32>
  %early = arith.minui %length, %c40 : index
  %rows = arith.subi %length, %early : index

  // The first 40 rows read all that is before them, at true places.
  %true_cos = tensor.extract_slice %cos[0, 0] [%length, 8] [1, 1] : tensor<?x8xf32> to tensor<?x8xf32>
  %true_sin = tensor.extract_slice %sin[0, 0] [%length, 8] [1, 1] : tensor<?x8xf32> to tensor<?x8xf32>
  %qt = attn.rope %q, %true_cos, %true_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %kt = attn.rope %k, %true_cos, %true_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %first_q = tensor.extract_slice %qt[0, 0, 0, 0] [1, 2, %early, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
  %first_o = attn.attention %first_q, %kt, %v mask(#attn.causal) : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>

  // Own chunk and the one before: slots 3 and 4.
  %near_q = tensor.extract_slice %qt[0, 0, %early, 0] [1, 2, %rows, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
  %near, %near_lse = attn.attention %near_q, %kt, %v
    mask(#attn.all_of<[#attn.causal, #attn.window<left = 1, right = 0, block = 8>]>)
    query_offset(%c40 : index)
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>, tensor<1x2x?xf32>

  // The 2 best of the others: chunks 1 to b - 2 of a row in chunk b. A query
  // without rotation, and no scale.
  %late = tensor.extract_slice %q[0, 0, %early, 0] [1, 2, %rows, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
  %chunks = tensor.dim %r, %c2 : tensor<1x2x?x16xf32>
  %known = arith.maxui %chunks, %c1 : index
  %others = arith.subi %known, %c1 : index
  %ro = tensor.extract_slice %r[0, 0, 1, 0] [1, 2, %others, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
  %se = tensor.empty(%rows, %others) : tensor<1x2x?x?xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, h, t, c, d) -> (b, h, t, d)>, affine_map<(b, h, t, c, d) -> (b, h, c, d)>,
                     affine_map<(b, h, t, c, d) -> (b, h, t, c)>]
    ins(%late, %ro : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) outs(%sz : tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf32>
  %le = tensor.empty(%rows) : tensor<1x1x?xi32>
  %limits = linalg.generic {indexing_maps = [affine_map<(b, h, t) -> (b, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%le : tensor<1x1x?xi32>) {
  ^bb0(%old: i32):
    %t = linalg.index 2 : index
    %at = arith.addi %t, %c40 : index
    %b = arith.divui %at, %c8 : index
    %limit = arith.subi %b, %c2 : index
    %limit32 = arith.index_cast %limit : index to i32
    linalg.yield %limit32 : i32
  } -> tensor<1x1x?xi32>
  %chosen, %counts = attn.top_k %s limits(%limits : tensor<1x1x?xi32>)
    : tensor<1x2x?x?xf32> -> tensor<1x2x?x2xi32>, tensor<1x2x?xi32>

  %place_cos, %place_sin = func.call @turns(%cos, %sin, %length, %c0)
    : (tensor<?x8xf32>, tensor<?x8xf32>, index, index) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  %kp = attn.rope %k, %place_cos, %place_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %oe = tensor.empty(%rows) : tensor<1x2x?xi32>
  %ones = linalg.fill ins(%one : i32) outs(%oe : tensor<1x2x?xi32>) -> tensor<1x2x?xi32>

  // The first chunk: slot 0.
  %sink_cos, %sink_sin = func.call @turns(%cos, %sin, %rows, %c32)
    : (tensor<?x8xf32>, tensor<?x8xf32>, index, index) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  %sink_q = attn.rope %late, %sink_cos, %sink_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %sink, %sink_lse = attn.attention %sink_q, %kp, %v
    mask(#attn.sink<8>)
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>, tensor<1x2x?xf32>

  %free1_lists = func.call @slot(%chosen, %rows, %c0)
    : (tensor<1x2x?x2xi32>, index, index) -> tensor<1x2x?x1xi32>
  // The chunk in slot 1 of each row.
  %free1_cos, %free1_sin = func.call @turns(%cos, %sin, %rows, %c24)
    : (tensor<?x8xf32>, tensor<?x8xf32>, index, index) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  %free1_q = attn.rope %late, %free1_cos, %free1_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %free1, %free1_lse = attn.attention %free1_q, %kp, %v
    mask(#attn.blocks<q_block = 1, kv_block = 8>, %free1_lists, %ones : tensor<1x2x?x1xi32>, tensor<1x2x?xi32>)
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>, tensor<1x2x?xf32>

  %free2_lists = func.call @slot(%chosen, %rows, %c1)
    : (tensor<1x2x?x2xi32>, index, index) -> tensor<1x2x?x1xi32>
  // The chunk in slot 2 of each row.
  %free2_cos, %free2_sin = func.call @turns(%cos, %sin, %rows, %c16)
    : (tensor<?x8xf32>, tensor<?x8xf32>, index, index) -> (tensor<?x8xf32>, tensor<?x8xf32>)
  %free2_q = attn.rope %late, %free2_cos, %free2_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %free2, %free2_lse = attn.attention %free2_q, %kp, %v
    mask(#attn.blocks<q_block = 1, kv_block = 8>, %free2_lists, %ones : tensor<1x2x?x1xi32>, tensor<1x2x?xi32>)
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>, tensor<1x2x?xf32>

  %late_o, %late_lse = attn.merge (%near, %near_lse), (%sink, %sink_lse), (%free1, %free1_lse), (%free2, %free2_lse)
    : tensor<1x2x?x16xf32>, tensor<1x2x?xf32>
  %o = tensor.concat dim(2) %first_o, %late_o : (tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  return %o : tensor<1x2x?x16xf32>
}
