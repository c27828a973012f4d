// A decoding step: importance is a property of a key and lies in the cache, so
// that 8 keys and values are read (arXiv:2508.02124).
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: attn.top_k
// CHECK: attn.gather_rows
// CHECK: attn.gather_rows
// CHECK: scf.forall
func.func @main(%q: tensor<?x4x1x16xf32> {attn.name = "q"}, %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"}, %delta: tensor<?x2x?xf32> {attn.name = "delta"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %never = arith.constant 0xFF800000 : f32
  %batch = tensor.dim %q, %c0 : tensor<?x4x1x16xf32>
  %chosen, %counts = attn.top_k %delta : tensor<?x2x?xf32> -> tensor<?x2x8xi32>, tensor<?x2xi32>
  %ks = attn.gather_rows %k, %chosen : tensor<?x2x?x16xf32>, tensor<?x2x8xi32> -> tensor<?x2x8x16xf32>
  %vs = attn.gather_rows %v, %chosen : tensor<?x2x?x16xf32>, tensor<?x2x8xi32> -> tensor<?x2x8x16xf32>
  %empty = tensor.empty(%batch) : tensor<?x2x2x1x8xf32>
  %bias5 = linalg.generic {
      indexing_maps = [affine_map<(b, g, r, o, n) -> (b, g, n)>, affine_map<(b, g, r, o, n) -> (b, g, r, o, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%chosen : tensor<?x2x8xi32>) outs(%empty : tensor<?x2x2x1x8xf32>) {
  ^bb0(%n: i32, %old: f32):
    %b = linalg.index 0 : index
    %g = linalg.index 1 : index
    %i0 = arith.constant 0 : i32
    %none = arith.cmpi slt, %n, %i0 : i32
    %clamped = arith.maxsi %n, %i0 : i32
    %t = arith.index_cast %clamped : i32 to index
    %x = tensor.extract %delta[%b, %g, %t] : tensor<?x2x?xf32>
    %y = arith.select %none, %never, %x : f32
    linalg.yield %y : f32
  } -> tensor<?x2x2x1x8xf32>
  %bias = tensor.collapse_shape %bias5 [[0], [1, 2], [3], [4]] : tensor<?x2x2x1x8xf32> into tensor<?x4x1x8xf32>
  %o = attn.attention %q, %ks, %vs bias(%bias : tensor<?x4x1x8xf32>)
    : tensor<?x4x1x16xf32>, tensor<?x2x8x16xf32>, tensor<?x2x8x16xf32> -> tensor<?x4x1x16xf32>
  return %o : tensor<?x4x1x16xf32>
}
