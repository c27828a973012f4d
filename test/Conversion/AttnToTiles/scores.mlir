// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// The region joins the code that masks the scores, in partial tiles and in
// full ones; no tensor of all pairs is made. Scores become powers of two after
// the region.

// CHECK-LABEL: func.func @alibi(
//  CHECK-SAME:   %{{.*}}, %{{.*}}, %[[SLOPES:.*]]: tensor<4xf32>)
//   CHECK-DAG:   %[[LOG2E:.*]] = arith.constant 1.44269502 : f32
//   CHECK-NOT:   tensor<{{.*}}128x128
//       CHECK:   scf.forall (%[[HEAD:[^,]*]], %{{[^,]*}}) in (4, 2)
// Partial tiles.
//       CHECK:     scf.for
//       CHECK:       %[[SLOPE:.*]] = tensor.extract %[[SLOPES]][%[[HEAD]]] : tensor<4xf32>
//       CHECK:       %[[APART:.*]] = arith.subi %[[KEY:.*]], %[[ROW:.*]] : index
//       CHECK:       %[[BIAS:.*]] = arith.mulf %[[SLOPE]], %{{.*}} : f32
//  CHECK-NEXT:       %[[SUM:.*]] = arith.addf %{{.*}}, %[[BIAS]] : f32
//  CHECK-NEXT:       arith.mulf %[[SUM]], %[[LOG2E]] : f32
//       CHECK:       arith.cmpi sle, %[[KEY]], %[[ROW]] : index
//       CHECK:       linalg.yield
//       CHECK:     scf.yield
// Full tiles.
//       CHECK:     scf.for
//       CHECK:       tensor.extract %[[SLOPES]][%[[HEAD]]] : tensor<4xf32>
//   CHECK-NOT:       arith.cmpi
//       CHECK:       linalg.yield
//       CHECK:     scf.yield
func.func @alibi(%q: tensor<1x4x128x8xf32>, %k: tensor<1x4x128x8xf32>,
                 %slopes: tensor<4xf32>) -> tensor<1x4x128x8xf32> {
  %o = attn.attention %q, %k, %k mask(#attn.causal)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %slope = tensor.extract %slopes[%h] : tensor<4xf32>
      %apart = arith.subi %key, %position : index
      %int = arith.index_cast %apart : index to i32
      %distance = arith.sitofp %int : i32 to f32
      %bias = arith.mulf %slope, %distance : f32
      %biased = arith.addf %s, %bias : f32
      attn.yield %biased : f32
    }
    : tensor<1x4x128x8xf32>, tensor<1x4x128x8xf32>, tensor<1x4x128x8xf32>
    -> tensor<1x4x128x8xf32>
  return %o : tensor<1x4x128x8xf32>
}

// A tile that reaches past the last key runs the region for the last key again:
// reads stay inside.
// CHECK-LABEL: func.func @tail(
//       CHECK:   %[[LAST:.*]] = arith.subi %{{.*}}, %c1{{.*}} : index
//       CHECK:   %[[INSIDE:.*]] = arith.minsi %{{.*}}, %[[LAST]] : index
//  CHECK-NEXT:   %[[WEIGHT:.*]] = tensor.extract %{{.*}}[%[[INSIDE]]] : tensor<?xf32>
//  CHECK-NEXT:   arith.mulf %{{.*}}, %[[WEIGHT]] : f32
func.func @tail(%q: tensor<1x4x1x8xf32>, %k: tensor<1x4x?x8xf32>,
                %weights: tensor<?xf32>) -> tensor<1x4x1x8xf32> {
  %o = attn.attention %q, %k, %k
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %weight = tensor.extract %weights[%key] : tensor<?xf32>
      %t = arith.mulf %s, %weight : f32
      attn.yield %t : f32
    }
    : tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
    -> tensor<1x4x1x8xf32>
  return %o : tensor<1x4x1x8xf32>
}
