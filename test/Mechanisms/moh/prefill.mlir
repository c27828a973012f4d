// Mixture of heads (arXiv:2410.11842). A head works on the tokens that use it;
// the gates weight its results on their way back.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// A tile of a head asks how many rows are listed; past them the key loop is empty.
// Queries are read by their number.
// CHECK-LABEL: func.func @main
// CHECK: %[[ROWS:.*]], %[[COUNTS:.*]], %{{.*}} = attn.list_rows
// CHECK: scf.forall
// CHECK: tensor.extract %[[COUNTS]][
// CHECK: arith.select %{{.*}}, %{{.*}}, %c0 : index
// CHECK: tensor.extract %[[ROWS]][

// Vision models: 2 shared and 4 routed heads, of which a token uses 2. The scales
// make the mean of a token's gates 1.
func.func @main(%x: tensor<?x?x16xf32> {attn.name = "x"},
                %wr: tensor<4x16xf32> {attn.name = "wr"},
                %ws: tensor<2x16xf32> {attn.name = "ws"},
                %wa: tensor<2x16xf32> {attn.name = "wa"},
                %q: tensor<?x6x?x8xf32> {attn.name = "q"},
                %k: tensor<?x6x?x8xf32> {attn.name = "k"},
                %v: tensor<?x6x?x8xf32> {attn.name = "v"})
    -> (tensor<?x6x?x8xf32> {attn.name = "o"},
        tensor<?x?x6xf32> {attn.name = "gates"},
        tensor<?x6xi32> {attn.name = "counts"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %gates = attn.route_heads linear %x routed(%wr : tensor<4x16xf32>)
    shared(%ws : tensor<2x16xf32>) alpha(%wa : tensor<2x16xf32>)
    {top_k = 2 : i64, renormalize, routed_scale = 2.0, shared_scale = 2.0, alpha_scale = 2.0}
    : tensor<?x?x16xf32> -> tensor<?x?x6xf32>
  %rows, %counts, %weights = attn.list_rows %gates
    : tensor<?x?x6xf32> -> tensor<?x6x?xi32>, tensor<?x6xi32>, tensor<?x6x?xf32>
  %part = attn.attention %q, %k, %v routing(%rows, %counts : tensor<?x6x?xi32>, tensor<?x6xi32>)
    : tensor<?x6x?x8xf32>, tensor<?x6x?x8xf32>, tensor<?x6x?x8xf32> -> tensor<?x6x?x8xf32>
  %b = tensor.dim %q, %c0 : tensor<?x6x?x8xf32>
  %n = tensor.dim %q, %c2 : tensor<?x6x?x8xf32>
  %e = tensor.empty(%b, %n) : tensor<?x6x?x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x6x?x8xf32>) -> tensor<?x6x?x8xf32>
  %o = attn.scatter_rows %part, %rows, %counts weights(%weights : tensor<?x6x?xf32>)
    into %init : tensor<?x6x?x8xf32>, tensor<?x6x?xi32>, tensor<?x6xi32> into tensor<?x6x?x8xf32>
  return %o, %gates, %counts : tensor<?x6x?x8xf32>, tensor<?x?x6xf32>, tensor<?x6xi32>
}

// Layers without routed choice keep every head: k = number of routed heads.
func.func @all(%x: tensor<?x?x16xf32> {attn.name = "x"},
               %wr: tensor<4x16xf32> {attn.name = "wr"},
               %ws: tensor<2x16xf32> {attn.name = "ws"},
               %wa: tensor<2x16xf32> {attn.name = "wa"})
    -> (tensor<?x?x6xf32> {attn.name = "gates"}) {
  %gates = attn.route_heads linear %x routed(%wr : tensor<4x16xf32>)
    shared(%ws : tensor<2x16xf32>) alpha(%wa : tensor<2x16xf32>)
    {top_k = 4 : i64, renormalize, routed_scale = 4.0, shared_scale = 2.0, alpha_scale = 2.0}
    : tensor<?x?x16xf32> -> tensor<?x?x6xf32>
  return %gates : tensor<?x?x6xf32>
}

// The language model: 4 shared and 4 routed heads over 4 key heads. The norms of
// the queries, before their rotation, choose 2 routed heads; gates are 0 or 1.
func.func @llama(%q: tensor<?x8x?x8xf32> {attn.name = "q"},
                 %k: tensor<?x4x?x8xf32> {attn.name = "k"},
                 %v: tensor<?x4x?x8xf32> {attn.name = "v"},
                 %cos: tensor<?x4xf32> {attn.name = "cos"},
                 %sin: tensor<?x4xf32> {attn.name = "sin"})
    -> (tensor<?x8x?x8xf32> {attn.name = "o"},
        tensor<?x?x8xf32> {attn.name = "gates"},
        tensor<?x4x?x8xf32> {attn.name = "keys"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %gates = attn.route_heads qnorm %q {top_k = 2 : i64, num_shared = 4 : i64, hard}
    : tensor<?x8x?x8xf32> -> tensor<?x?x8xf32>
  %rows, %counts, %weights = attn.list_rows %gates
    : tensor<?x?x8xf32> -> tensor<?x8x?xi32>, tensor<?x8xi32>, tensor<?x8x?xf32>
  %qr = attn.rope %q, %cos, %sin : tensor<?x8x?x8xf32>, tensor<?x4xf32>
  %kr = attn.rope %k, %cos, %sin : tensor<?x4x?x8xf32>, tensor<?x4xf32>
  %part = attn.attention %qr, %kr, %v mask(#attn.causal)
    routing(%rows, %counts : tensor<?x8x?xi32>, tensor<?x8xi32>)
    : tensor<?x8x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32> -> tensor<?x8x?x8xf32>
  %b = tensor.dim %q, %c0 : tensor<?x8x?x8xf32>
  %n = tensor.dim %q, %c2 : tensor<?x8x?x8xf32>
  %e = tensor.empty(%b, %n) : tensor<?x8x?x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8x?x8xf32>) -> tensor<?x8x?x8xf32>
  %o = attn.scatter_rows %part, %rows, %counts
    into %init : tensor<?x8x?x8xf32>, tensor<?x8x?xi32>, tensor<?x8xi32> into tensor<?x8x?x8xf32>
  return %o, %gates, %kr : tensor<?x8x?x8xf32>, tensor<?x?x8xf32>, tensor<?x4x?x8xf32>
}
