// RCMHA (arXiv:2308.03429): a causal convolution of three taps on each channel of
// queries, keys and values, whose weights all heads share, and a learned vector
// and number for each distance in the scores.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// One tensor of distances, which the scores read where it is: no shifted copy.
// EXPLAIN: causal + score region
// CHECK-LABEL: func.func @main
// CHECK: %[[DISTANCES:.*]] = linalg.generic {{.*}}"reduction"{{.*}} outs(%{{.*}} : tensor<1x2x?x?xf32>)
// CHECK-NOT: outs(%{{.*}} : tensor<1x2x?x?xf32>)
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: tensor.extract %[[DISTANCES]][%c0{{[^]]*}}] : tensor<1x2x?x?xf32>

#conv = {
  indexing_maps = [affine_map<(b, h, t, d, r) -> (b, h, t + r, d)>,
                   affine_map<(b, h, t, d, r) -> (d, r)>,
                   affine_map<(b, h, t, d, r) -> (b, h, t, d)>],
  iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
}

func.func @main(%q: tensor<1x2x?x16xf32> {attn.name = "q"},
                %k: tensor<1x2x?x16xf32> {attn.name = "k"},
                %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                %wq: tensor<16x3xf32> {attn.name = "wq"}, %bq: tensor<16xf32> {attn.name = "bq"},
                %wk: tensor<16x3xf32> {attn.name = "wk"}, %bk: tensor<16xf32> {attn.name = "bk"},
                %wv: tensor<16x3xf32> {attn.name = "wv"}, %bv: tensor<16xf32> {attn.name = "bv"},
                %e: tensor<400x2x16xf32> {attn.name = "e"},
                %be: tensor<400x2xf32> {attn.name = "be"},
                %u: tensor<2x16xf32> {attn.name = "u"})
    -> (tensor<1x2x?x16xf32> {attn.name = "o"},
        tensor<1x2x?x16xf32> {attn.name = "keys"}, tensor<1x2x?x16xf32> {attn.name = "values"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %middle = arith.constant 200 : index
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %n = tensor.dim %q, %c2 : tensor<1x2x?x16xf32>
  %tail = arith.constant dense<0.0> : tensor<1x2x2x16xf32>
  %empty = tensor.empty(%n) : tensor<1x2x?x16xf32>
  %qa = tensor.concat dim(2) %tail, %q
    : (tensor<1x2x2x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  %qb = linalg.broadcast ins(%bq : tensor<16xf32>) outs(%empty : tensor<1x2x?x16xf32>)
    dimensions = [0, 1, 2]
  %qc = linalg.generic #conv ins(%qa, %wq : tensor<1x2x?x16xf32>, tensor<16x3xf32>)
      outs(%qb : tensor<1x2x?x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x16xf32>
  %ka = tensor.concat dim(2) %tail, %k
    : (tensor<1x2x2x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  %kb = linalg.broadcast ins(%bk : tensor<16xf32>) outs(%empty : tensor<1x2x?x16xf32>)
    dimensions = [0, 1, 2]
  %kc = linalg.generic #conv ins(%ka, %wk : tensor<1x2x?x16xf32>, tensor<16x3xf32>)
      outs(%kb : tensor<1x2x?x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x16xf32>
  %va = tensor.concat dim(2) %tail, %v
    : (tensor<1x2x2x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x?x16xf32>
  %vb = linalg.broadcast ins(%bv : tensor<16xf32>) outs(%empty : tensor<1x2x?x16xf32>)
    dimensions = [0, 1, 2]
  %vc = linalg.generic #conv ins(%va, %wv : tensor<1x2x?x16xf32>, tensor<16x3xf32>)
      outs(%vb : tensor<1x2x?x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x16xf32>
  // A product of each row with the vectors of the distances -n + 1 to 0, and
  // their numbers, divided by 4 like the scores.
  %one = arith.constant 1 : index
  %before = arith.subi %middle, %n : index
  %first = arith.addi %before, %one : index
  %es = tensor.extract_slice %e[%first, 0, 0] [%n, 2, 16] [1, 1, 1]
    : tensor<400x2x16xf32> to tensor<?x2x16xf32>
  %bes = tensor.extract_slice %be[%first, 0] [%n, 2] [1, 1]
    : tensor<400x2xf32> to tensor<?x2xf32>
  %re = tensor.empty(%n, %n) : tensor<1x2x?x?xf32>
  %rb = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, r) -> (r, h)>, affine_map<(b, h, i, r) -> (b, h, i, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%bes : tensor<?x2xf32>) outs(%re : tensor<1x2x?x?xf32>) {
  ^bb0(%x: f32, %old: f32):
    linalg.yield %x : f32
  } -> tensor<1x2x?x?xf32>
  %relative = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, r, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, r, d) -> (r, h, d)>,
                       affine_map<(b, h, i, r, d) -> (b, h, i, r)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%qc, %es : tensor<1x2x?x16xf32>, tensor<?x2x16xf32>)
      outs(%rb : tensor<1x2x?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %xy = arith.mulf %x, %y : f32
    %more = arith.addf %sum, %xy : f32
    linalg.yield %more : f32
  } -> tensor<1x2x?x?xf32>
  %last = arith.subi %n, %one : index
  %qu = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (h, d)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%qc, %u : tensor<1x2x?x16xf32>, tensor<2x16xf32>)
      outs(%empty : tensor<1x2x?x16xf32>) {
  ^bb0(%x: f32, %y: f32, %old: f32):
    %z = arith.addf %x, %y : f32
    linalg.yield %z : f32
  } -> tensor<1x2x?x16xf32>
  %o = attn.attention %qu, %kc, %vc mask(#attn.causal)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %apart = arith.subi %key, %position : index
      %place = arith.addi %apart, %last : index
      // Keys of the future are masked.
      %at = arith.minsi %place, %last : index
      %x = tensor.extract %relative[%b, %h, %row, %at] : tensor<1x2x?x?xf32>
      %scaled = arith.mulf %x, %scale : f32
      %t = arith.addf %s, %scaled : f32
      attn.yield %t : f32
    }
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x2x?x16xf32>
  return %o, %kc, %vc
    : tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>
}
