// SHRP (arXiv:2512.20635). Each token uses one head, weighted by its probability;
// an expander shared by all heads stands for the output projection and the
// feed-forward layer. Later one head remains.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Heads work on their own tokens: a quarter of the rows on average.
// CHECK-LABEL: func.func @main
// CHECK: %[[ROWS:.*]], %[[COUNTS:.*]], %{{.*}} = attn.list_rows
// CHECK: scf.forall
// CHECK: tensor.extract %[[COUNTS]][
// CHECK: tensor.extract %[[ROWS]][
func.func @main(%x: tensor<?x?x16xf32> {attn.name = "x"},
                %router: tensor<4x16xf32> {attn.name = "router"},
                %q: tensor<?x4x?x8xf32> {attn.name = "q"},
                %k: tensor<?x4x?x8xf32> {attn.name = "k"},
                %v: tensor<?x4x?x8xf32> {attn.name = "v"},
                %w1: tensor<8x24xf32> {attn.name = "w1"},
                %w2: tensor<24x16xf32> {attn.name = "w2"})
    -> (tensor<?x?x16xf32> {attn.name = "y"},
        tensor<?x?x8xf32> {attn.name = "mixed"},
        tensor<?x4xi32> {attn.name = "usage"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %gates = attn.route_heads linear %x routed(%router : tensor<4x16xf32>) {top_k = 1 : i64}
    : tensor<?x?x16xf32> -> tensor<?x?x4xf32>
  %rows, %usage, %weights = attn.list_rows %gates
    : tensor<?x?x4xf32> -> tensor<?x4x?xi32>, tensor<?x4xi32>, tensor<?x4x?xf32>
  %part = attn.attention %q, %k, %v routing(%rows, %usage : tensor<?x4x?xi32>, tensor<?x4xi32>)
    : tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32> -> tensor<?x4x?x8xf32>
  %b = tensor.dim %q, %c0 : tensor<?x4x?x8xf32>
  %n = tensor.dim %q, %c2 : tensor<?x4x?x8xf32>
  %e = tensor.empty(%b, %n) : tensor<?x4x?x8xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
  %heads = attn.scatter_rows %part, %rows, %usage weights(%weights : tensor<?x4x?xf32>)
    into %init : tensor<?x4x?x8xf32>, tensor<?x4x?xi32>, tensor<?x4xi32> into tensor<?x4x?x8xf32>

  // All heads but a token's own are zero there.
  %me = tensor.empty(%b, %n) : tensor<?x?x8xf32>
  %mz = linalg.fill ins(%zero : f32) outs(%me : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %mixed = linalg.reduce ins(%heads : tensor<?x4x?x8xf32>) outs(%mz : tensor<?x?x8xf32>)
    dimensions = [1] (%in: f32, %sum: f32) {
      %more = arith.addf %in, %sum : f32
      linalg.yield %more : f32
    }
  %y = func.call @expander(%mixed, %w1, %w2)
    : (tensor<?x?x8xf32>, tensor<8x24xf32>, tensor<24x16xf32>) -> tensor<?x?x16xf32>
  return %y, %mixed, %usage : tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x4xi32>
}

// A layer after pruning: its most used head and the expander.
// CHECK-LABEL: func.func @pruned
// CHECK-NOT: attn.route_heads
// CHECK-NOT: attn.list_rows
// CHECK: scf.forall ({{.*}}) in (%{{.*}}, %{{.*}})
// CHECK: return
func.func @pruned(%q: tensor<?x1x?x8xf32> {attn.name = "q"},
                  %k: tensor<?x1x?x8xf32> {attn.name = "k"},
                  %v: tensor<?x1x?x8xf32> {attn.name = "v"},
                  %w1: tensor<8x24xf32> {attn.name = "w1"},
                  %w2: tensor<24x16xf32> {attn.name = "w2"})
    -> (tensor<?x?x16xf32> {attn.name = "y"}) {
  %o = attn.attention %q, %k, %v
    : tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32> -> tensor<?x1x?x8xf32>
  %mixed = tensor.collapse_shape %o [[0, 1], [2], [3]]
    : tensor<?x1x?x8xf32> into tensor<?x?x8xf32>
  %y = func.call @expander(%mixed, %w1, %w2)
    : (tensor<?x?x8xf32>, tensor<8x24xf32>, tensor<24x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}

func.func private @expander(%x: tensor<?x?x8xf32>, %w1: tensor<8x24xf32>,
                            %w2: tensor<24x16xf32>) -> tensor<?x?x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x8xf32>
  %he = tensor.empty(%b, %n) : tensor<?x?x24xf32>
  %hz = linalg.fill ins(%zero : f32) outs(%he : tensor<?x?x24xf32>) -> tensor<?x?x24xf32>
  %h = linalg.contract
    indexing_maps = [affine_map<(b, n, e, d) -> (b, n, d)>,
                     affine_map<(b, n, e, d) -> (d, e)>,
                     affine_map<(b, n, e, d) -> (b, n, e)>]
    ins(%x, %w1 : tensor<?x?x8xf32>, tensor<8x24xf32>)
    outs(%hz : tensor<?x?x24xf32>) -> tensor<?x?x24xf32>
  %a = linalg.map ins(%h : tensor<?x?x24xf32>) outs(%he : tensor<?x?x24xf32>)
    (%in: f32, %old: f32) {
      %r = arith.maximumf %in, %zero : f32
      linalg.yield %r : f32
    }
  %ye = tensor.empty(%b, %n) : tensor<?x?x16xf32>
  %yz = linalg.fill ins(%zero : f32) outs(%ye : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %y = linalg.contract
    indexing_maps = [affine_map<(b, n, e, d) -> (b, n, d)>,
                     affine_map<(b, n, e, d) -> (d, e)>,
                     affine_map<(b, n, e, d) -> (b, n, e)>]
    ins(%a, %w2 : tensor<?x?x24xf32>, tensor<24x16xf32>)
    outs(%yz : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}
