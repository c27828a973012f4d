// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @top_k
//       CHECK:   attn.top_k %{{.*}} : tensor<9xf16> -> tensor<4xi64>, tensor<i64>
//       CHECK:   attn.top_k %{{.*}} budget(%{{.*}} : index) limits(%{{.*}} : tensor<1x1xi32>) own(%{{.*}} : tensor<2x?xindex>) capacity(%{{.*}}) {forced_first = 1 : i64, forced_last = 2 : i64} : tensor<2x?x?xf32> -> tensor<2x?x?xi32>, tensor<2x?xi32>
//       CHECK:   attn.top_k %{{.*}} by threshold {bound = 5.000000e-01 : f64}
//       CHECK:   attn.top_k %{{.*}} by top_p {bound = 9.000000e-01 : f64}
//       CHECK:   attn.top_k %{{.*}} by mass {bound = 9.000000e-01 : f64}
func.func @top_k(%a: tensor<9xf16>, %b: tensor<2x?x?xf32>, %k: index,
                 %l: tensor<1x1xi32>, %o: tensor<2x?xindex>) {
  %0:2 = attn.top_k %a by count : tensor<9xf16> -> tensor<4xi64>, tensor<i64>
  %1:2 = attn.top_k %b budget(%k : index) limits(%l : tensor<1x1xi32>)
    own(%o : tensor<2x?xindex>) capacity(%k) {forced_first = 1, forced_last = 2}
    : tensor<2x?x?xf32> -> tensor<2x?x?xi32>, tensor<2x?xi32>
  %2:2 = attn.top_k %a by threshold {bound = 0.5} : tensor<9xf16> -> tensor<4xi64>, tensor<i64>
  %3:2 = attn.top_k %a by top_p {bound = 0.9} : tensor<9xf16> -> tensor<4xi64>, tensor<i64>
  %4:2 = attn.top_k %a by mass {bound = 0.9} : tensor<9xf16> -> tensor<4xi64>, tensor<i64>
  return
}

// CHECK-LABEL: func.func @routing
//       CHECK:   attn.route_heads linear %{{.*}} routed(%{{.*}} : tensor<6x32xf32>) shared(%{{.*}} : tensor<2x32xf32>) alpha(%{{.*}} : tensor<2x32xf32>) {renormalize, top_k = 4 : i64} : tensor<1x?x32xf32> -> tensor<1x?x8xf32>
//       CHECK:   attn.route_heads qnorm %{{.*}} {hard, num_shared = 4 : i64, top_k = 2 : i64}
//       CHECK:   attn.route_heads logits %{{.*}} {top_k = 1 : i64}
//       CHECK:   attn.list_rows %{{.*}} : tensor<1x?x8xf32> -> tensor<1x8x?xi32>, tensor<1x8xi32>, tensor<1x8x?xf32>
func.func @routing(%x: tensor<1x?x32xf32>, %w: tensor<6x32xf32>,
                   %s: tensor<2x32xf32>, %q: tensor<1x8x?x64xbf16>,
                   %l: tensor<1x?x8xf16>) {
  %g = attn.route_heads linear %x routed(%w : tensor<6x32xf32>)
    shared(%s : tensor<2x32xf32>) alpha(%s : tensor<2x32xf32>)
    {top_k = 4, renormalize} : tensor<1x?x32xf32> -> tensor<1x?x8xf32>
  %h = attn.route_heads qnorm %q {top_k = 2, num_shared = 4, hard}
    : tensor<1x8x?x64xbf16> -> tensor<1x?x8xbf16>
  %i = attn.route_heads logits %l {top_k = 1} : tensor<1x?x8xf16> -> tensor<1x?x8xf16>
  %r:3 = attn.list_rows %g : tensor<1x?x8xf32>
    -> tensor<1x8x?xi32>, tensor<1x8xi32>, tensor<1x8x?xf32>
  return
}

// CHECK-LABEL: func.func @parts
//       CHECK:   attn.pool mean %{{.*}} {block = 64 : i64} : tensor<1x8x130x16xf32> -> tensor<1x8x3x16xf32>
//       CHECK:   attn.segment %{{.*}} {distance = 8 : i64, max_cuts = 6 : i64, threshold = 0.000000e+00 : f64}
//       CHECK:   attn.segment %{{.*}} cuts(%{{.*}}) {distance = 8 : i64, threshold = 0.000000e+00 : f64} : tensor<1x130xf32> -> tensor<1x?xi32>, tensor<1xi32>
//       CHECK:   attn.pool sqrt_sum %{{.*}} bounds(%{{.*}} : tensor<1x8xi32>) lengths(%{{.*}} : index)
//       CHECK:   attn.gather_rows %{{.*}}, %{{.*}} : tensor<1x8x130x16xf32>, tensor<1x1x5xi32> -> tensor<1x8x5x16xf32>
func.func @parts(%k: tensor<1x8x130x16xf32>, %l: tensor<1x130xf32>,
                 %n: index, %r: tensor<1x1x5xi32>) {
  %0 = attn.pool mean %k {block = 64} : tensor<1x8x130x16xf32> -> tensor<1x8x3x16xf32>
  %b:2 = attn.segment %l {threshold = 0.0, distance = 8, max_cuts = 6}
    : tensor<1x130xf32> -> tensor<1x8xi32>, tensor<1xi32>
  %c:2 = attn.segment %l cuts(%n) {threshold = 0.0, distance = 8}
    : tensor<1x130xf32> -> tensor<1x?xi32>, tensor<1xi32>
  %1 = attn.pool sqrt_sum %k bounds(%b#0 : tensor<1x8xi32>) lengths(%n : index)
    : tensor<1x8x130x16xf32> -> tensor<1x8x7x16xf32>
  %2 = attn.gather_rows %k, %r
    : tensor<1x8x130x16xf32>, tensor<1x1x5xi32> -> tensor<1x8x5x16xf32>
  return
}

// CHECK-LABEL: func.func @spans
//       CHECK:   attn.span_search %{{.*}}, %{{.*}}, %{{.*}} query_offset(%{{.*}} : index) starts(%{{.*}} : tensor<1xi64>)
//       CHECK:   attn.span_bounds %{{.*}} starts(%{{.*}} : tensor<1xi64>) {backward = 3.000000e+00 : f64, forward = 1.000000e+00 : f64, power = 5.000000e-01 : f64} : tensor<1x8x?x3xi32>
//       CHECK:   attn.span_attention %{{.*}}, %{{.*}}, %{{.*}} spans(%{{.*}}, %{{.*}}, %{{.*}} : tensor<1x8x?x3xi32>, tensor<1x8x?x3xf32>) query_offset(%{{.*}} : index) {window = 15 : i64}
//       CHECK:   attn.key_importance sum, max %{{.*}}, %{{.*}}, %{{.*}} mask(#attn.causal) : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x8x?xf32> -> tensor<1x2x?xf32>
//       CHECK:   attn.key_importance max, each %{{.*}}, %{{.*}}, %{{.*}} query_offset(%{{.*}} : index) {softmax_scale = 1.000000e+00 : f64}
//       CHECK:   attn.key_importance sum, each %{{.*}}, %{{.*}} routing(%{{.*}}, %{{.*}} : tensor<1x1x?xi32>, tensor<1x1xi32>) : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32> -> tensor<1x8x?xf32>
func.func @spans(%q: tensor<1x8x?x64xf32>, %k: tensor<1x2x?x64xf32>,
                 %t: tensor<?xi32>, %past: index, %starts: tensor<1xi64>,
                 %lse: tensor<1x8x?xf32>, %rows: tensor<1x1x?xi32>,
                 %counts: tensor<1x1xi32>) {
  %a:2 = attn.span_search %q, %k, %t query_offset(%past : index)
    starts(%starts : tensor<1xi64>)
    : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<?xi32>
    -> tensor<1x8x?x3xi32>, tensor<1x8x?x3xf32>
  %b:2 = attn.span_bounds %a#0 starts(%starts : tensor<1xi64>)
    {backward = 3.0, forward = 1.0, power = 0.5} : tensor<1x8x?x3xi32>
  %o = attn.span_attention %q, %k, %k
    spans(%b#0, %b#1, %a#1 : tensor<1x8x?x3xi32>, tensor<1x8x?x3xf32>)
    query_offset(%past : index) {window = 15}
    : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>
    -> tensor<1x8x?x64xf32>
  %i = attn.key_importance sum, max %q, %k, %lse mask(#attn.causal)
    : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x8x?xf32>
    -> tensor<1x2x?xf32>
  %j = attn.key_importance max, each %q, %k, %lse query_offset(%past : index)
    {softmax_scale = 1.0}
    : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x8x?xf32>
    -> tensor<1x8x?xf32>
  %l = attn.key_importance sum, each %q, %k
    routing(%rows, %counts : tensor<1x1x?xi32>, tensor<1x1xi32>)
    : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32> -> tensor<1x8x?xf32>
  return
}
