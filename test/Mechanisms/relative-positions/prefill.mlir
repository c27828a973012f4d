// Relative positions and temperatures as code for one score: no tensor of all
// pairs is made, but for Transformer-XL, whose numbers belong to pairs of rows and
// distances.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry alibi | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: causal + score region

// One number for each head and distance: entry t is that of the distance
// t - %rows + 1 of key and row. A bucket is the number of thresholds that the
// distance reaches; keys after the row have the buckets from %later on, or the
// first one where there are none.
func.func private @numbers(%table: tensor<32x4xf32>, %thresholds: tensor<?xi64>,
                           %later: i64, %rows: index, %size: index) -> tensor<4x?xf32> {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %empty = tensor.empty(%size) : tensor<?xi64>
  %none = linalg.fill ins(%zero : i64) outs(%empty : tensor<?xi64>) -> tensor<?xi64>
  %buckets = linalg.generic {
      indexing_maps = [affine_map<(t, k) -> (k)>, affine_map<(t, k) -> (t)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%thresholds : tensor<?xi64>) outs(%none : tensor<?xi64>) {
  ^bb0(%threshold: i64, %reached: i64):
    %t = linalg.index 0 : index
    %from = arith.subi %t, %rows : index
    %index = arith.index_cast %from : index to i64
    %apart = arith.addi %index, %one : i64
    %behind = arith.subi %zero, %apart : i64
    %past = arith.maxsi %behind, %zero : i64
    %absolute = arith.maxsi %behind, %apart : i64
    %both = arith.cmpi sgt, %later, %zero : i64
    %distance = arith.select %both, %absolute, %past : i64
    %reaches = arith.cmpi sge, %distance, %threshold : i64
    %more = arith.extui %reaches : i1 to i64
    %sum = arith.addi %reached, %more : i64
    linalg.yield %sum : i64
  } -> tensor<?xi64>
  %result = tensor.empty(%size) : tensor<4x?xf32>
  %numbers = linalg.generic {
      indexing_maps = [affine_map<(h, t) -> (t)>, affine_map<(h, t) -> (h, t)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%buckets : tensor<?xi64>) outs(%result : tensor<4x?xf32>) {
  ^bb0(%bucket: i64, %old: f32):
    %h = linalg.index 0 : index
    %t = linalg.index 1 : index
    %after = arith.cmpi sge, %t, %rows : index
    %first = arith.select %after, %later, %zero : i64
    %number = arith.addi %bucket, %first : i64
    %at = arith.index_cast %number : i64 to index
    %x = tensor.extract %table[%at, %h] : tensor<32x4xf32>
    linalg.yield %x : f32
  } -> tensor<4x?xf32>
  return %numbers : tensor<4x?xf32>
}

// CHECK-LABEL: func.func @alibi
// CHECK-NOT: tensor<?x4x?x?xf32>
// CHECK: scf.forall
// CHECK: arith.sitofp

// ALiBi (arXiv:2108.12409): the slope of the head times the distance.
func.func @alibi(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                 %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                 %v: tensor<?x2x?x24xf32> {attn.name = "v"},
                 %slopes: tensor<4xf32> {attn.name = "slopes"})
    -> (tensor<?x4x?x24xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %slope = tensor.extract %slopes[%h] : tensor<4xf32>
      %apart = arith.subi %key, %position : index
      %int = arith.index_cast %apart : index to i32
      %distance = arith.sitofp %int : i32 to f32
      %bias = arith.mulf %slope, %distance : f32
      %t = arith.addf %s, %bias : f32
      attn.yield %t : f32
    }
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x24xf32> -> tensor<?x4x?x24xf32>
  return %o : tensor<?x4x?x24xf32>
}

// CHECK-LABEL: func.func @t5_encoder
// CHECK-NOT: tensor<?x4x?x?xf32>
// CHECK: %[[NUMBERS:.*]] = call @numbers
// CHECK: scf.forall
// CHECK: tensor.extract %[[NUMBERS]][%{{.*}}, %{{.*}}] : tensor<4x?xf32>

// T5 (arXiv:1910.10683), a table at buckets of distances in both directions; scores
// are not scaled.
func.func @t5_encoder(
    %q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x4x?x16xf32> {attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.name = "v"},
    %table: tensor<32x4xf32> {attn.name = "table"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %later = arith.constant 16 : i64
  %known = arith.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]> : tensor<15xi64>
  %thresholds = tensor.cast %known : tensor<15xi64> to tensor<?xi64>
  %n = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %size = arith.addi %n, %n : index
  %c1 = arith.constant 1 : index
  %last = arith.subi %n, %c1 : index
  %numbers = func.call @numbers(%table, %thresholds, %later, %n, %size)
    : (tensor<32x4xf32>, tensor<?xi64>, i64, index, index) -> tensor<4x?xf32>
  %o = attn.attention %q, %k, %v
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %apart = arith.subi %key, %row : index
      %at = arith.addi %apart, %last : index
      %x = tensor.extract %numbers[%h, %at] : tensor<4x?xf32>
      %t = arith.addf %s, %x : f32
      attn.yield %t : f32
    } {softmax_scale = 1.0}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The decoder of T5 has buckets for the past alone.
func.func @t5_decoder(
    %q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x4x?x16xf32> {attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.name = "v"},
    %table: tensor<32x4xf32> {attn.name = "table"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %later = arith.constant 0 : i64
  %known = arith.constant dense<[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                  19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]> : tensor<31xi64>
  %thresholds = tensor.cast %known : tensor<31xi64> to tensor<?xi64>
  %n = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %size = arith.addi %n, %n : index
  %c1 = arith.constant 1 : index
  %last = arith.subi %n, %c1 : index
  %numbers = func.call @numbers(%table, %thresholds, %later, %n, %size)
    : (tensor<32x4xf32>, tensor<?xi64>, i64, index, index) -> tensor<4x?xf32>
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %apart = arith.subi %key, %row : index
      %at = arith.addi %apart, %last : index
      %x = tensor.extract %numbers[%h, %at] : tensor<4x?xf32>
      %t = arith.addf %s, %x : f32
      attn.yield %t : f32
    } {softmax_scale = 1.0}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The only tensor of rows and distances is the product.
// CHECK-LABEL: func.func @transformer_xl
// CHECK: tensor.empty(%{{.*}}, %{{.*}}, %{{.*}}) : tensor<?x4x?x?xf32>
// CHECK-NOT: tensor.empty({{.*}}) : tensor<?x4x?x?xf32>

// Transformer-XL (arXiv:1901.02860): keys of the segment before come first; each
// row is multiplied with a vector for each distance, n - 1 to 0, and the scores
// read that product where it lies: at the distance, not by a shifted copy.
func.func @transformer_xl(
    %q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x4x?x16xf32> {attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.name = "v"},
    %past_k: tensor<?x4x?x16xf32> {attn.name = "past_k"},
    %past_v: tensor<?x4x?x16xf32> {attn.name = "past_v"},
    %r: tensor<?x4x16xf32> {attn.name = "r"}, %u: tensor<4x16xf32> {attn.name = "u"},
    %w: tensor<4x16xf32> {attn.name = "w"}) -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %rows = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %past = tensor.dim %past_k, %c2 : tensor<?x4x?x16xf32>
  %keys = tensor.concat dim(2) %past_k, %k
    : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %values = tensor.concat dim(2) %past_v, %v
    : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %n = tensor.dim %keys, %c2 : tensor<?x4x?x16xf32>
  %last = arith.subi %n, %c1 : index
  %qe = tensor.empty(%batch, %rows) : tensor<?x4x?x16xf32>
  %qu, %qw = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (h, d)>,
                       affine_map<(b, h, t, d) -> (h, d)>, affine_map<(b, h, t, d) -> (b, h, t, d)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q, %u, %w : tensor<?x4x?x16xf32>, tensor<4x16xf32>, tensor<4x16xf32>)
      outs(%qe, %qe : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) {
  ^bb0(%x: f32, %own: f32, %other: f32, %old: f32, %older: f32):
    %content = arith.addf %x, %own : f32
    %place = arith.addf %x, %other : f32
    linalg.yield %content, %place : f32, f32
  } -> (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>)
  %re = tensor.empty(%batch, %rows, %n) : tensor<?x4x?x?xf32>
  %rz = linalg.fill ins(%zero : f32) outs(%re : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %products = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, r, d) -> (b, h, t, d)>, affine_map<(b, h, t, r, d) -> (r, h, d)>,
                       affine_map<(b, h, t, r, d) -> (b, h, t, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%qw, %r : tensor<?x4x?x16xf32>, tensor<?x4x16xf32>) outs(%rz : tensor<?x4x?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %xy = arith.mulf %x, %y : f32
    %more = arith.addf %sum, %xy : f32
    linalg.yield %more : f32
  } -> tensor<?x4x?x?xf32>
  %o = attn.attention %qu, %keys, %values mask(#attn.causal) query_offset(%past : index)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %apart = arith.subi %key, %position : index
      %place = arith.addi %apart, %last : index
      // Keys after the row are masked.
      %at = arith.minsi %place, %last : index
      %x = tensor.extract %products[%b, %h, %row, %at] : tensor<?x4x?x?xf32>
      %scaled = arith.mulf %x, %scale : f32
      %t = arith.addf %s, %scaled : f32
      attn.yield %t : f32
    }
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// CHECK-LABEL: func.func @cosine
// CHECK-NOT: tensor<?x4x?x?xf32>

// Cosine attention (arXiv:2010.04245, arXiv:2111.09883): queries and keys of
// length one, ordinary operations before the attention (the cache holds keys
// as they are used), and a temperature for each head.
func.func @cosine(
    %q: tensor<?x4x?x16xf32> {attn.name = "q"}, %k: tensor<?x4x?x16xf32> {attn.name = "k"},
    %v: tensor<?x4x?x16xf32> {attn.name = "v"},
    %temperature: tensor<4xf32> {attn.name = "temperature"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?x16xf32> {attn.name = "keys"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  // A vector of zeros has a length, too.
  %least = arith.constant 1.0e-12 : f32
  %batch = tensor.dim %q, %c0 : tensor<?x4x?x16xf32>
  %rows = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %se = tensor.empty(%batch, %rows) : tensor<?x4x?xf32>
  %qe = tensor.empty(%batch, %rows) : tensor<?x4x?x16xf32>
  %qs = linalg.fill ins(%least : f32) outs(%se : tensor<?x4x?xf32>) -> tensor<?x4x?xf32>
  %qn = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q : tensor<?x4x?x16xf32>) outs(%qs : tensor<?x4x?xf32>) {
  ^bb0(%e: f32, %sum: f32):
    %ee = arith.mulf %e, %e : f32
    %more = arith.addf %sum, %ee : f32
    linalg.yield %more : f32
  } -> tensor<?x4x?xf32>
  %qd = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q, %qn : tensor<?x4x?x16xf32>, tensor<?x4x?xf32>) outs(%qe : tensor<?x4x?x16xf32>) {
  ^bb0(%e: f32, %sum: f32, %old: f32):
    %length = math.sqrt %sum : f32
    %unit = arith.divf %e, %length : f32
    linalg.yield %unit : f32
  } -> tensor<?x4x?x16xf32>
  %ks = linalg.fill ins(%least : f32) outs(%se : tensor<?x4x?xf32>) -> tensor<?x4x?xf32>
  %kn = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%k : tensor<?x4x?x16xf32>) outs(%ks : tensor<?x4x?xf32>) {
  ^bb0(%e: f32, %sum: f32):
    %ee = arith.mulf %e, %e : f32
    %more = arith.addf %sum, %ee : f32
    linalg.yield %more : f32
  } -> tensor<?x4x?xf32>
  %kd = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%k, %kn : tensor<?x4x?x16xf32>, tensor<?x4x?xf32>) outs(%qe : tensor<?x4x?x16xf32>) {
  ^bb0(%e: f32, %sum: f32, %old: f32):
    %length = math.sqrt %sum : f32
    %unit = arith.divf %e, %length : f32
    linalg.yield %unit : f32
  } -> tensor<?x4x?x16xf32>
  %o = attn.attention %qd, %kd, %v mask(#attn.causal)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %factor = tensor.extract %temperature[%h] : tensor<4xf32>
      %t = arith.mulf %s, %factor : f32
      attn.yield %t : f32
    } {softmax_scale = 1.0}
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %kd : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>
}
