// 2 heads of the gated delta rule, each of which is 2 softmax heads, in chunks
// of 64 tokens. A chunk either writes the state of the delta rule or leaves its
// keys to softmax; every query reads both branches, and its own chunk in both.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: gated delta rule, writes by data 6.2 % at 1024 tiles

// A chunk that does not write is computed on the state, which it then gets back.
// CHECK-LABEL: func.func @main
// CHECK: scf.for {{.*}} -> (tensor<1x1x?x32xf32>, tensor<16x32xf32>)
// CHECK: arith.select {{.*}} : f32
// CHECK-LABEL: func.func @types
func.func @main(%q: tensor<?x2x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x32xf32> {attn.name = "v"},
                %decay: tensor<?x2x?xf32> {attn.name = "decay"},
                %beta: tensor<?x2x?xf32> {attn.name = "beta"},
                %linear: tensor<?x2x?xi1> {attn.name = "linear"},
                %qs: tensor<?x4x?x8xf32> {attn.name = "qs"},
                %ks: tensor<?x4x?x8xf32> {attn.name = "ks"},
                %vs: tensor<?x4x?x16xf32> {attn.name = "vs"})
    -> (tensor<?x2x?x32xf32> {attn.name = "gdn"},
        tensor<?x2x16x32xf32> {attn.name = "state"},
        tensor<?x4x?x16xf32> {attn.name = "softmax"}) {
  %gdn, %state = attn.linear_attention %q, %k, %v
    decay(%decay : tensor<?x2x?xf32>) beta(%beta : tensor<?x2x?xf32>)
    writes(%linear : tensor<?x2x?xi1>) {scale = 0.25}
    : tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x32xf32>
    -> tensor<?x2x?x32xf32>, tensor<?x2x16x32xf32>

  // Key blocks that a block of queries sees: its own, and softmax ones.
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %linear, %c0 : tensor<?x2x?xi1>
  %n = tensor.dim %linear, %c2 : tensor<?x2x?xi1>
  %empty = tensor.empty(%b, %n, %n) : tensor<?x2x?x?xi1>
  %blocks = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, j)>,
                       affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%linear : tensor<?x2x?xi1>) outs(%empty : tensor<?x2x?x?xi1>) {
  ^bb0(%is_linear: i1, %old: i1):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %own = arith.cmpi eq, %i, %j : index
    %true = arith.constant true
    %is_softmax = arith.xori %is_linear, %true : i1
    %seen = arith.ori %own, %is_softmax : i1
    linalg.yield %seen : i1
  } -> tensor<?x2x?x?xi1>
  %softmax = attn.attention %qs, %ks, %vs
    mask(#attn.all_of<[#attn.causal, #attn.blocks<q_block = 64, kv_block = 64, layout = members>]>,
         %blocks : tensor<?x2x?x?xi1>)
    : tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %gdn, %state, %softmax
    : tensor<?x2x?x32xf32>, tensor<?x2x16x32xf32>, tensor<?x4x?x16xf32>
}

// Which chunks write: the mean of a chunk's tokens, projected on two numbers
// for each head; the delta rule only if its number is larger.
func.func @types(%x: tensor<?x1x?x24xf32> {attn.name = "x"},
                 %w: tensor<24x2x2xf32> {attn.name = "w"})
    -> (tensor<?x2x?xi1> {attn.name = "linear"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %means = attn.pool mean %x {block = 64} : tensor<?x1x?x24xf32> -> tensor<?x1x?x24xf32>
  %b = tensor.dim %means, %c0 : tensor<?x1x?x24xf32>
  %n = tensor.dim %means, %c2 : tensor<?x1x?x24xf32>
  %empty = tensor.empty(%b, %n) : tensor<?x2x?x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %scores = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, c, d) -> (b, 0, i, d)>,
                       affine_map<(b, h, i, c, d) -> (d, h, c)>,
                       affine_map<(b, h, i, c, d) -> (b, h, i, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%means, %w : tensor<?x1x?x24xf32>, tensor<24x2x2xf32>)
      outs(%start : tensor<?x2x?x2xf32>) {
  ^bb0(%mean: f32, %weight: f32, %sum: f32):
    %product = arith.mulf %mean, %weight : f32
    %more = arith.addf %sum, %product : f32
    linalg.yield %more : f32
  } -> tensor<?x2x?x2xf32>
  %types = tensor.empty(%b, %n) : tensor<?x2x?xi1>
  %linear = linalg.generic {
      indexing_maps = [affine_map<(b, h, i) -> (b, h, i, 0)>,
                       affine_map<(b, h, i) -> (b, h, i, 1)>,
                       affine_map<(b, h, i) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%scores, %scores : tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>)
      outs(%types : tensor<?x2x?xi1>) {
  ^bb0(%of_softmax: f32, %of_delta: f32, %old: i1):
    %more = arith.cmpf ogt, %of_delta, %of_softmax : f32
    linalg.yield %more : i1
  } -> tensor<?x2x?xi1>
  return %linear : tensor<?x2x?xi1>
}

// The other variant: chunks of softmax decay the state that they do not write.
func.func @decayed(%q: tensor<?x2x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x32xf32> {attn.name = "v"},
                %decay: tensor<?x2x?xf32> {attn.name = "decay"},
                %beta: tensor<?x2x?xf32> {attn.name = "beta"},
                %linear: tensor<?x2x?xi1> {attn.name = "linear"})
    -> (tensor<?x2x?x32xf32> {attn.name = "gdn"},
        tensor<?x2x16x32xf32> {attn.name = "state"}) {
  %gdn, %state = attn.linear_attention %q, %k, %v
    decay(%decay : tensor<?x2x?xf32>) beta(%beta : tensor<?x2x?xf32>)
    writes(%linear : tensor<?x2x?xi1>) {scale = 0.25, decay_unwritten}
    : tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x32xf32>
    -> tensor<?x2x?x32xf32>, tensor<?x2x16x32xf32>
  return %gdn, %state : tensor<?x2x?x32xf32>, tensor<?x2x16x32xf32>
}

// Both branches normalised, weighted and added; `logits` holds the number of
// the delta rule first.
func.func @combine(%gdn: tensor<?x4x?x16xf32> {attn.name = "gdn"},
                   %softmax: tensor<?x4x?x16xf32> {attn.name = "softmax"},
                   %logits: tensor<?x4x?x2xf32> {attn.name = "logits"},
                   %gamma1: tensor<16xf32> {attn.name = "gamma1"},
                   %gamma2: tensor<16xf32> {attn.name = "gamma2"})
    -> (tensor<?x4x?x16xf32> {attn.name = "y"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %width = arith.constant 16.0 : f32
  %epsilon = arith.constant 1.0e-6 : f32
  %b = tensor.dim %gdn, %c0 : tensor<?x4x?x16xf32>
  %n = tensor.dim %gdn, %c2 : tensor<?x4x?x16xf32>
  %rows = tensor.empty(%b, %n) : tensor<?x4x?xf32>
  %start = linalg.fill ins(%zero : f32) outs(%rows : tensor<?x4x?xf32>) -> tensor<?x4x?xf32>
  %squares1 = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%gdn : tensor<?x4x?x16xf32>) outs(%start : tensor<?x4x?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %square = arith.mulf %x, %x : f32
    %more = arith.addf %sum, %square : f32
    linalg.yield %more : f32
  } -> tensor<?x4x?xf32>
  %squares2 = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%softmax : tensor<?x4x?x16xf32>) outs(%start : tensor<?x4x?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %square = arith.mulf %x, %x : f32
    %more = arith.addf %sum, %square : f32
    linalg.yield %more : f32
  } -> tensor<?x4x?xf32>
  %empty = tensor.empty(%b, %n) : tensor<?x4x?x16xf32>
  %y = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i)>,
                       affine_map<(b, h, i, d) -> (b, h, i)>,
                       affine_map<(b, h, i, d) -> (b, h, i, 0)>,
                       affine_map<(b, h, i, d) -> (b, h, i, 1)>,
                       affine_map<(b, h, i, d) -> (d)>,
                       affine_map<(b, h, i, d) -> (d)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%gdn, %softmax, %squares1, %squares2, %logits, %logits, %gamma1, %gamma2
        : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?xf32>, tensor<?x4x?xf32>,
          tensor<?x4x?x2xf32>, tensor<?x4x?x2xf32>, tensor<16xf32>, tensor<16xf32>)
      outs(%empty : tensor<?x4x?x16xf32>) {
  ^bb0(%a: f32, %c: f32, %s1: f32, %s2: f32, %l1: f32, %l2: f32, %g1: f32, %g2: f32, %old: f32):
    %m1 = arith.divf %s1, %width : f32
    %m2 = arith.divf %s2, %width : f32
    %e1 = arith.addf %m1, %epsilon : f32
    %e2 = arith.addf %m2, %epsilon : f32
    %r1 = math.sqrt %e1 : f32
    %r2 = math.sqrt %e2 : f32
    %n1 = arith.divf %a, %r1 : f32
    %n2 = arith.divf %c, %r2 : f32
    %apart = arith.subf %l2, %l1 : f32
    %power = math.exp %apart : f32
    %total = arith.addf %one, %power : f32
    %w1 = arith.divf %one, %total : f32
    %w2 = arith.subf %one, %w1 : f32
    %y1 = arith.mulf %n1, %w1 : f32
    %y2 = arith.mulf %n2, %w2 : f32
    %z1 = arith.mulf %y1, %g1 : f32
    %z2 = arith.mulf %y2, %g2 : f32
    %sum = arith.addf %z1, %z2 : f32
    linalg.yield %sum : f32
  } -> tensor<?x4x?x16xf32>
  return %y : tensor<?x4x?x16xf32>
}
