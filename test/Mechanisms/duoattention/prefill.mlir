// 4 query heads over 2 key heads, of which the first is full and the second
// streaming: a sink of 16 keys and the 64 most recent ones (arXiv:2410.10819).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// The bounds of the key loops depend on the head: a streaming head leaves out
// what lies between its sink and its window.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall (%{{.*}}, %[[HEAD:.*]], %{{.*}}) in
// CHECK: arith.cmpi {{.*}}%[[HEAD]]
// CHECK: scf.for
// EXPLAIN: per_head
// EXPLAIN: 1 attention recognised

#full = #attn.causal
#streaming = #attn.all_of<[#attn.causal, #attn.any_of<[#attn.sink<16>, #attn.window<left = 63, right = -1>]>]>

func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v mask(#attn.per_head<[#full, #streaming], [0, 0, 1, 1]>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The same layer with its heads in the other order.
func.func @reordered(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                     %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                     %v: tensor<?x2x?x16xf32> {attn.name = "v"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v mask(#attn.per_head<[#full, #streaming], [1, 1, 0, 0]>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}

// The gate that finds the streaming heads in training: both, mixed.
func.func @gated(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                 %k: tensor<1x2x?x16xf32> {attn.name = "k"},
                 %v: tensor<1x2x?x16xf32> {attn.name = "v"},
                 %gates: tensor<4xf32> {attn.name = "gates"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"}) {
  %a = attn.attention %q, %k, %v mask(#full)
    : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x?x16xf32>
  %b = attn.attention %q, %k, %v mask(#streaming)
    : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x?x16xf32>
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %length = tensor.dim %q, %c2 : tensor<1x4x?x16xf32>
  %empty = tensor.empty(%length) : tensor<1x4x?x16xf32>
  %o = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>,
                       affine_map<(b, h, i, d) -> (h)>,
                       affine_map<(b, h, i, d) -> (b, h, i, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %b, %gates : tensor<1x4x?x16xf32>, tensor<1x4x?x16xf32>, tensor<4xf32>)
      outs(%empty : tensor<1x4x?x16xf32>) {
  ^bb0(%full: f32, %streaming: f32, %gate: f32, %old: f32):
    %low = arith.maximumf %gate, %zero : f32
    %g = arith.minimumf %low, %one : f32
    %rest = arith.subf %one, %g : f32
    %x = arith.mulf %g, %full : f32
    %y = arith.mulf %rest, %streaming : f32
    %sum = arith.addf %x, %y : f32
    linalg.yield %sum : f32
  } -> tensor<1x4x?x16xf32>
  return %o : tensor<1x4x?x16xf32>
}
