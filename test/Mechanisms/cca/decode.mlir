// One token. Besides keys and values, which are those after the convolutions, the
// cache holds two rows of channels before them and one row of the second value.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// The convolutions read three rows, whatever the length of the text.
// CHECK-LABEL: func.func @main
// CHECK: tensor<1x3x96xf32>
// CHECK: tensor<1x2x6x16xf32>
// CHECK: attn.kv_append
// CHECK: scf.forall
func.func @main(%q0: tensor<1x1x64xf32> {attn.name = "q0"},
                %k0: tensor<1x1x32xf32> {attn.name = "k0"},
                %v1: tensor<1x1x16xf32> {attn.name = "v1"},
                %v2: tensor<1x1x16xf32> {attn.name = "v2"},
                %w0: tensor<96x2xf32> {attn.name = "w0"},
                %b0: tensor<96xf32> {attn.name = "b0"},
                %w1: tensor<6x16x16x2xf32> {attn.name = "w1"},
                %b1: tensor<6x16xf32> {attn.name = "b1"},
                %temp: tensor<2xf32> {attn.name = "temp"},
                %cos: tensor<1x4xf32> {attn.name = "cos"},
                %sin: tensor<1x4xf32> {attn.name = "sin"},
                %tail: tensor<1x2x96xf32> {attn.name = "tail"},
                %v2_before: tensor<1x1x16xf32> {attn.name = "v2_before"},
                %past_k: tensor<1x2x?x16xf32> {attn.name = "past_k"},
                %past_v: tensor<1x2x?x16xf32> {attn.name = "past_v"})
    -> (tensor<1x1x64xf32> {attn.name = "o"},
        tensor<1x2x?x16xf32> {attn.name = "k"}, tensor<1x2x?x16xf32> {attn.name = "v"},
        tensor<1x2x96xf32> {attn.name = "tail_next"}, tensor<1x1x16xf32> {attn.name = "v2_next"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %four = arith.constant 4.0 : f32
  %tiny = arith.constant 1.1920929e-07 : f32
  %n = arith.constant 1 : index

  // Channels of queries and keys, behind the last two rows: one for each tap.
  %new = tensor.concat dim(2) %q0, %k0
    : (tensor<1x1x64xf32>, tensor<1x1x32xf32>) -> tensor<1x1x96xf32>
  %c = tensor.concat dim(1) %tail, %new
    : (tensor<1x2x96xf32>, tensor<1x1x96xf32>) -> tensor<1x3x96xf32>
  %tail_next = tensor.extract_slice %c[0, %n, 0] [1, 2, 96] [1, 1, 1]
    : tensor<1x3x96xf32> to tensor<1x2x96xf32>
  // Along the sequence, channel by channel.
  %y1e = tensor.empty() : tensor<1x2x96xf32>
  %y1b = linalg.broadcast ins(%b0 : tensor<96xf32>) outs(%y1e : tensor<1x2x96xf32>) dimensions = [0, 1]
  %y1 = linalg.generic {
      indexing_maps = [affine_map<(b, t, c, r) -> (b, t + r, c)>, affine_map<(b, t, c, r) -> (c, r)>,
                       affine_map<(b, t, c, r) -> (b, t, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%c, %w0 : tensor<1x3x96xf32>, tensor<96x2xf32>) outs(%y1b : tensor<1x2x96xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x2x96xf32>
  // And within each head.
  %y1h = tensor.expand_shape %y1 [[0], [1], [2, 3]] output_shape [1, 2, 6, 16]
    : tensor<1x2x96xf32> into tensor<1x2x6x16xf32>
  %y2e = tensor.empty() : tensor<1x6x1x16xf32>
  %y2b = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, o) -> (h, o)>, affine_map<(b, h, t, o) -> (b, h, t, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b1 : tensor<6x16xf32>) outs(%y2e : tensor<1x6x1x16xf32>) {
  ^bb0(%x: f32, %old: f32):
    linalg.yield %x : f32
  } -> tensor<1x6x1x16xf32>
  %y2 = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, o, i, r) -> (b, t + r, h, i)>,
                       affine_map<(b, h, t, o, i, r) -> (h, o, i, r)>,
                       affine_map<(b, h, t, o, i, r) -> (b, h, t, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%y1h, %w1 : tensor<1x2x6x16xf32>, tensor<6x16x16x2xf32>)
      outs(%y2b : tensor<1x6x1x16xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %xw = arith.mulf %x, %w : f32
    %more = arith.addf %sum, %xw : f32
    linalg.yield %more : f32
  } -> tensor<1x6x1x16xf32>

  // Added to them, the mean of the query and its key before the convolutions.
  %q0h = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [1, 1, 4, 16]
    : tensor<1x1x64xf32> into tensor<1x1x4x16xf32>
  %k0h = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [1, 1, 2, 16]
    : tensor<1x1x32xf32> into tensor<1x1x2x16xf32>
  %mixed = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%y2 : tensor<1x6x1x16xf32>) outs(%y2e : tensor<1x6x1x16xf32>) {
  ^bb0(%y: f32, %old: f32):
    %h = linalg.index 1 : index
    %t = linalg.index 2 : index
    %d = linalg.index 3 : index
    %c3 = arith.constant 3 : index
    %c4 = arith.constant 4 : index
    %isq = arith.cmpi slt, %h, %c4 : index
    %hk = arith.subi %h, %c4 : index
    %hq = arith.minui %h, %c3 : index
    %gq = arith.divui %hq, %c2 : index
    %gk = arith.maxsi %hk, %c0 : index
    %g = arith.select %isq, %gq, %gk : index
    %kx = tensor.extract %k0h[%c0, %t, %g, %d] : tensor<1x1x2x16xf32>
    %first = arith.muli %g, %c2 : index
    %second = arith.addi %first, %c1 : index
    %qa = tensor.extract %q0h[%c0, %t, %first, %d] : tensor<1x1x4x16xf32>
    %qb = tensor.extract %q0h[%c0, %t, %second, %d] : tensor<1x1x4x16xf32>
    %qh = tensor.extract %q0h[%c0, %t, %hq, %d] : tensor<1x1x4x16xf32>
    %qab = arith.addf %qa, %qb : f32
    %qm = arith.mulf %qab, %half : f32
    %qx = arith.select %isq, %qh, %qm : f32
    %sum = arith.addf %qx, %kx : f32
    %mean = arith.mulf %sum, %half : f32
    %z = arith.addf %y, %mean : f32
    linalg.yield %z : f32
  } -> tensor<1x6x1x16xf32>

  // 1orm sqrt(16) for queries, temp * sqrt(16) for keys.
  %ne = tensor.empty() : tensor<1x6x1xf32>
  %nz = linalg.fill ins(%zero : f32) outs(%ne : tensor<1x6x1xf32>) -> tensor<1x6x1xf32>
  %squares = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%mixed : tensor<1x6x1x16xf32>) outs(%nz : tensor<1x6x1xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %xx = arith.mulf %x, %x : f32
    %more = arith.addf %sum, %xx : f32
    linalg.yield %more : f32
  } -> tensor<1x6x1xf32>
  %normed = linalg.generic {
      indexing_maps = [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, h, t)>,
                       affine_map<(b, h, t, d) -> (b, h, t, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%mixed, %squares : tensor<1x6x1x16xf32>, tensor<1x6x1xf32>)
      outs(%y2e : tensor<1x6x1x16xf32>) {
  ^bb0(%x: f32, %square: f32, %old: f32):
    %h = linalg.index 1 : index
    %c4 = arith.constant 4 : index
    %isk = arith.cmpi sge, %h, %c4 : index
    %hk = arith.subi %h, %c4 : index
    %g = arith.maxsi %hk, %c0 : index
    %tk = tensor.extract %temp[%g] : tensor<2xf32>
    %scale = arith.select %isk, %tk, %one : f32
    %root = math.sqrt %square : f32
    %norm = arith.maximumf %root, %tiny : f32
    %unit = arith.divf %x, %norm : f32
    %long = arith.mulf %unit, %four : f32
    %y = arith.mulf %long, %scale : f32
    linalg.yield %y : f32
  } -> tensor<1x6x1x16xf32>
  %turned = attn.rope %normed, %cos, %sin : tensor<1x6x1x16xf32>, tensor<1x4xf32>
  %q = tensor.extract_slice %turned[0, 0, 0, 0] [1, 4, 1, 16] [1, 1, 1, 1]
    : tensor<1x6x1x16xf32> to tensor<1x4x1x16xf32>
  %kn = tensor.extract_slice %turned[0, 4, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x6x1x16xf32> to tensor<1x2x1x16xf32>

  // The first key head has values of its token, the second of the one before.
  %v2s = tensor.concat dim(1) %v2_before, %v2
    : (tensor<1x1x16xf32>, tensor<1x1x16xf32>) -> tensor<1x2x16xf32>
  %v2_next = tensor.extract_slice %v2s[0, %n, 0] [1, 1, 16] [1, 1, 1]
    : tensor<1x2x16xf32> to tensor<1x1x16xf32>
  %shifted = tensor.extract_slice %v2s[0, 0, 0] [1, 1, 16] [1, 1, 1]
    : tensor<1x2x16xf32> to tensor<1x1x16xf32>
  %va = tensor.expand_shape %v1 [[0, 1], [2], [3]] output_shape [1, 1, 1, 16]
    : tensor<1x1x16xf32> into tensor<1x1x1x16xf32>
  %vb = tensor.expand_shape %shifted [[0, 1], [2], [3]] output_shape [1, 1, 1, 16]
    : tensor<1x1x16xf32> into tensor<1x1x1x16xf32>
  %vn = tensor.concat dim(1) %va, %vb
    : (tensor<1x1x1x16xf32>, tensor<1x1x1x16xf32>) -> tensor<1x2x1x16xf32>

  %k = attn.kv_append %past_k, %kn
    : tensor<1x2x?x16xf32>, tensor<1x2x1x16xf32> -> tensor<1x2x?x16xf32>
  %v = attn.kv_append %past_v, %vn
    : tensor<1x2x?x16xf32>, tensor<1x2x1x16xf32> -> tensor<1x2x?x16xf32>
  %oh = attn.attention %q, %k, %v
    : tensor<1x4x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x1x16xf32>
  %oe = tensor.empty() : tensor<1x1x4x16xf32>
  %ot = linalg.transpose ins(%oh : tensor<1x4x1x16xf32>) outs(%oe : tensor<1x1x4x16xf32>)
    permutation = [0, 2, 1, 3]
  %o = tensor.collapse_shape %ot [[0], [1], [2, 3]] : tensor<1x1x4x16xf32> into tensor<1x1x64xf32>
  return %o, %k, %v, %tail_next, %v2_next
    : tensor<1x1x64xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x96xf32>,
      tensor<1x1x16xf32>
}
