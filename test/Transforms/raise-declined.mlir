// RUN: attn-opt %s --attn-raise --remarks-filter="attn-.*" \
// RUN:   --remark-format=emitRemark 2>&1 | FileCheck %s
// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s --check-prefix=IR

// Each softmax that stays has a remark with the reason and what to do.
#id4 = affine_map<(b, h, i, j) -> (b, h, i, j)>
#none = affine_map<(b, h, i, j) -> ()>
#bj = affine_map<(b, h, i, j) -> (b, j)>
#ij = affine_map<(b, h, i, j) -> (i, j)>
#hij = affine_map<(b, h, i, j) -> (h, i, j)>
#q = affine_map<(b, h, i, j, d) -> (b, h, i, d)>
#k = affine_map<(b, h, i, j, d) -> (b, h, j, d)>
#s = affine_map<(b, h, i, j, d) -> (b, h, i, j)>

// The softmax is over the queries.
// CHECK: remark: [Missed] other-axis {{.*}}Function=other_axis | Reason="the softmax is not over the axis that is contracted with the values"
func.func @other_axis(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(2) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// A score function that attention does not have.
// CHECK: remark: [Missed] score-function {{.*}}Function=squared | Reason="the score enters 'arith.mulf' more than once"
func.func @squared(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.mulf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// Another one.
// CHECK: remark: [Missed] score-function {{.*}}Function=gelu | Reason="the score goes through 'math.erf'"
func.func @gelu(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = math.erf %a : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// A scale that is known at run time only.
// CHECK: remark: [Missed] score-function {{.*}}Function=temperature | Reason="the score is scaled by a value that is not constant"
func.func @temperature(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<f32>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #none, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<f32>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: f32, %out: f32):
    %r = arith.mulf %a, %m0 : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// A replaced score that still counts.
// CHECK: remark: [Missed] score-function {{.*}}Function=not_a_mask | Reason="a score is replaced by a constant that does not mask it"
func.func @not_a_mask(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi1>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %c = arith.constant -1.0 : f32
    %r = arith.select %m0, %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// A finite mask under a cap removes nothing.
// CHECK: remark: [Missed] score-function {{.*}}Function=capped_mask | Reason="a masked score is capped"
func.func @capped_mask(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>, %m: tensor<?x?xi1>) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %cb = arith.constant 0 : index
  %b = tensor.dim %q, %cb : tensor<?x4x?x16xf32>
  %cs = arith.constant 2 : index
  %s = tensor.dim %q, %cs : tensor<?x4x?x16xf32>
  %ct = arith.constant 2 : index
  %t = tensor.dim %k, %ct : tensor<?x4x?x16xf32>
  %se = tensor.empty(%b, %s, %t) : tensor<?x4x?x?xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>) outs(%s0 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %x = linalg.generic {indexing_maps = [#id4, #bj, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc, %m : tensor<?x4x?x?xf32>, tensor<?x?xi1>) outs(%se : tensor<?x4x?x?xf32>) {
  ^bb0(%a: f32, %m0: i1, %out: f32):
    %low = arith.constant -10000.0 : f32
    %x = arith.select %m0, %a, %low : f32
    %r = math.tanh %x : f32
    linalg.yield %r : f32
  } -> tensor<?x4x?x?xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<?x4x?x?xf32>) outs(%se : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %oe = tensor.empty(%b, %s) : tensor<?x4x?x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x16xf32>) outs(%o0 : tensor<?x4x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The probabilities are an output of the model.
// CHECK: remark: [Missed] probabilities-used {{.*}}Function=probabilities_returned | Reason="the probabilities are also used by 'func.return'"
// CHECK-SAME: Suggestion="leave the attention weights out of the model's outputs"
func.func @probabilities_returned(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x8x16xf32>, %v: tensor<2x4x8x16xf32>) -> (tensor<2x4x8x16xf32>, tensor<2x4x8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %se = tensor.empty() : tensor<2x4x8x8xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %sc = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>) outs(%s0 : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %x = linalg.generic {indexing_maps = [#id4, #id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%sc : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  } -> tensor<2x4x8x8xf32>
  %p0 = linalg.softmax dimension(3) ins(%x : tensor<2x4x8x8xf32>) outs(%se : tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %oe = tensor.empty() : tensor<2x4x8x16xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  %o = linalg.contract indexing_maps = [#s, #k, #q] ins(%p0, %v : tensor<2x4x8x8xf32>, tensor<2x4x8x16xf32>) outs(%o0 : tensor<2x4x8x16xf32>) -> tensor<2x4x8x16xf32>
  return %o, %p0 : tensor<2x4x8x16xf32>, tensor<2x4x8x8xf32>
}
// A softmax that is no attention.
// CHECK: remark: [Missed] no-value-product {{.*}}Function=classifier
func.func @classifier(%x: tensor<2x10xf32>) -> tensor<2x10xf32> {
  %e = tensor.empty() : tensor<2x10xf32>
  %p = linalg.softmax dimension(1) ins(%x : tensor<2x10xf32>) outs(%e : tensor<2x10xf32>) -> tensor<2x10xf32>
  return %p : tensor<2x10xf32>
}

// IR-NOT: attn.attention
