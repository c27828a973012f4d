// LongHeads (arXiv:2402.10685), a decoding step: each head reads the first, the
// last and the 2 best other chunks of 8 tokens, and the rest of the text behind
// them. Keys lie in the cache without rotation and turn as if what is read were
// the whole text.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// The attention has no mask: what it does not see was not gathered.
// EXPLAIN: f32 none 100 % tiles
// CHECK-LABEL: func.func @main
// CHECK: attn.top_k
// CHECK: attn.gather_rows
// CHECK: attn.gather_rows
// CHECK: scf.forall
func.func @main(%q: tensor<1x2x1x16xf32> {attn.name = "q"}, %k: tensor<1x2x?x16xf32> {attn.name = "k"}, %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                %r: tensor<1x2x?x16xf32> {attn.name = "r"}, %cos: tensor<?x8xf32> {attn.name = "cos"}, %sin: tensor<?x8xf32> {attn.name = "sin"})
    -> (tensor<1x2x1x16xf32> {attn.name = "o"}, tensor<1x2x4xi32> {attn.name = "chosen"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %zero = arith.constant 0.0 : f32
  %length = tensor.dim %k, %c2 : tensor<1x2x?x16xf32>
  %g = tensor.dim %r, %c2 : tensor<1x2x?x16xf32>
  // A query without rotation, and no scale.
  %se = tensor.empty(%g) : tensor<1x2x?xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<1x2x?xf32>) -> tensor<1x2x?xf32>
  %flat = tensor.collapse_shape %q [[0], [1], [2, 3]] : tensor<1x2x1x16xf32> into tensor<1x2x16xf32>
  %s = linalg.contract
    indexing_maps = [affine_map<(b, h, c, d) -> (b, h, d)>, affine_map<(b, h, c, d) -> (b, h, c, d)>,
                     affine_map<(b, h, c, d) -> (b, h, c)>]
    ins(%flat, %r : tensor<1x2x16xf32>, tensor<1x2x?x16xf32>) outs(%sz : tensor<1x2x?xf32>) -> tensor<1x2x?xf32>
  %chosen, %counts = attn.top_k %s {forced_first = 1, forced_last = 1}
    : tensor<1x2x?xf32> -> tensor<1x2x4xi32>, tensor<1x2xi32>
  %whole = arith.muli %g, %c8 : index
  %tail = arith.subi %length, %whole : index
  %read = arith.addi %tail, %c32 : index
  %re = tensor.empty(%read) : tensor<1x2x?xi32>
  %rows = linalg.generic {indexing_maps = [affine_map<(b, h, n) -> (b, h, n)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%re : tensor<1x2x?xi32>) {
  ^bb0(%old: i32):
    %h = linalg.index 1 : index
    %n = linalg.index 2 : index
    %place = arith.divui %n, %c8 : index
    %in = arith.remui %n, %c8 : index
    %slot = arith.minui %place, %c3 : index
    %chunk32 = tensor.extract %chosen[%c0, %h, %slot] : tensor<1x2x4xi32>
    %chunk = arith.index_cast %chunk32 : i32 to index
    %begin = arith.muli %chunk, %c8 : index
    %inside = arith.addi %begin, %in : index
    %past = arith.subi %n, %c32 : index
    %behind = arith.addi %whole, %past : index
    %listed = arith.cmpi ult, %n, %c32 : index
    %row = arith.select %listed, %inside, %behind : index
    %row32 = arith.index_cast %row : index to i32
    linalg.yield %row32 : i32
  } -> tensor<1x2x?xi32>
  %ks = attn.gather_rows %k, %rows : tensor<1x2x?x16xf32>, tensor<1x2x?xi32> -> tensor<1x2x?x16xf32>
  %vs = attn.gather_rows %v, %rows : tensor<1x2x?x16xf32>, tensor<1x2x?xi32> -> tensor<1x2x?x16xf32>
  %near_cos = tensor.extract_slice %cos[0, 0] [%read, 8] [1, 1] : tensor<?x8xf32> to tensor<?x8xf32>
  %near_sin = tensor.extract_slice %sin[0, 0] [%read, 8] [1, 1] : tensor<?x8xf32> to tensor<?x8xf32>
  %own = arith.subi %read, %c1 : index
  %own_cos = tensor.extract_slice %cos[%own, 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<1x8xf32>
  %own_sin = tensor.extract_slice %sin[%own, 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<1x8xf32>
  %kr = attn.rope %ks, %near_cos, %near_sin : tensor<1x2x?x16xf32>, tensor<?x8xf32>
  %qr = attn.rope %q, %own_cos, %own_sin : tensor<1x2x1x16xf32>, tensor<1x8xf32>
  %o = attn.attention %qr, %kr, %vs : tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x1x16xf32>
  return %o, %chosen : tensor<1x2x1x16xf32>, tensor<1x2x4xi32>
}
