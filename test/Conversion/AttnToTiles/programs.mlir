// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Transposes before and after attention are read and written through.
// CHECK-LABEL: func.func @layouts
//  CHECK-SAME:   (%[[QUERY:.*]]: tensor<2x70x4x8xf32>, %[[KEY:.*]]: tensor<2x70x2x8xf32>, %[[VALUE:.*]]: tensor<2x70x2x8xf32>)
//   CHECK-NOT:   linalg.transpose
//       CHECK:   tensor.extract %[[KEY]]
//       CHECK:   tensor.extract %[[VALUE]]
//       CHECK:   %[[OUT:.*]] = scf.forall {{.*}} -> (tensor<2x70x4x8xf32>)
//       CHECK:     tensor.extract %[[QUERY]]
//       CHECK:   return %[[OUT]]
func.func @layouts(%q: tensor<2x70x4x8xf32>, %k: tensor<2x70x2x8xf32>,
                   %v: tensor<2x70x2x8xf32>) -> tensor<2x70x4x8xf32> {
  %eq = tensor.empty() : tensor<2x4x70x8xf32>
  %ekv = tensor.empty() : tensor<2x2x70x8xf32>
  %eo = tensor.empty() : tensor<2x70x4x8xf32>
  %qt = linalg.transpose ins(%q : tensor<2x70x4x8xf32>)
    outs(%eq : tensor<2x4x70x8xf32>) permutation = [0, 2, 1, 3]
  %kt = linalg.transpose ins(%k : tensor<2x70x2x8xf32>)
    outs(%ekv : tensor<2x2x70x8xf32>) permutation = [0, 2, 1, 3]
  %vt = linalg.transpose ins(%v : tensor<2x70x2x8xf32>)
    outs(%ekv : tensor<2x2x70x8xf32>) permutation = [0, 2, 1, 3]
  %o = attn.attention %qt, %kt, %vt
    : tensor<2x4x70x8xf32>, tensor<2x2x70x8xf32>, tensor<2x2x70x8xf32>
    -> tensor<2x4x70x8xf32>
  %ot = linalg.transpose ins(%o : tensor<2x4x70x8xf32>)
    outs(%eo : tensor<2x70x4x8xf32>) permutation = [0, 2, 1, 3]
  return %ot : tensor<2x70x4x8xf32>
}

// -----

// Decoding: four query heads of a group stand in one tile, the keys are split
// in parts of 512, nothing is packed.
// CHECK-LABEL: func.func @decode
//  CHECK-SAME:   (%[[QUERY:.*]]: tensor<1x8x1x8xf32>, %[[KEY:.*]]: tensor<1x2x1024x8xf32>, %[[VALUE:.*]]: tensor<1x2x1024x8xf32>)
//       CHECK:   %[[PARTS:.*]]:3 = scf.forall (%[[GROUP:.*]], %{{.*}}) in (2, 2)
//       CHECK:     tensor.extract_slice %[[KEY]][0, %[[GROUP]], {{.*}} to tensor<128x8xf32>
//       CHECK:     tensor.extract_slice %[[VALUE]][0, %[[GROUP]], {{.*}} to tensor<128x8xf32>
//       CHECK:   scf.forall (%{{.*}}) in (8)
//       CHECK:     tensor.extract_slice %[[PARTS]]#0
//       CHECK:   return
func.func @decode(%q: tensor<1x8x1x8xf32>, %k: tensor<1x2x1024x8xf32>,
                  %v: tensor<1x2x1024x8xf32>) -> tensor<1x8x1x8xf32> {
  %o = attn.attention %q, %k, %v
    : tensor<1x8x1x8xf32>, tensor<1x2x1024x8xf32>, tensor<1x2x1024x8xf32>
    -> tensor<1x8x1x8xf32>
  return %o : tensor<1x8x1x8xf32>
}

// -----

// With a dynamic number of queries both programs exist; self-attention has
// no use for decoding.
// CHECK-LABEL: func.func @chosen_at_run_time
//       CHECK:   %[[ONE:.*]] = arith.cmpi eq, %{{.*}}, %{{.*}} : index
//       CHECK:   scf.if %[[ONE]]
func.func @chosen_at_run_time(%q: tensor<1x8x?x8xf32>, %kv: tensor<1x8x?x8xf32>)
    -> tensor<1x8x?x8xf32> {
  %o = attn.attention %q, %kv, %kv
    : tensor<1x8x?x8xf32>, tensor<1x8x?x8xf32>, tensor<1x8x?x8xf32>
    -> tensor<1x8x?x8xf32>
  return %o : tensor<1x8x?x8xf32>
}

// -----

// CHECK-LABEL: func.func @self_attention
//   CHECK-NOT:   scf.if
//       CHECK:   return
func.func @self_attention(%x: tensor<1x8x?x8xf32>) -> tensor<1x8x?x8xf32> {
  %o = attn.attention %x, %x, %x
    : tensor<1x8x?x8xf32>, tensor<1x8x?x8xf32>, tensor<1x8x?x8xf32>
    -> tensor<1x8x?x8xf32>
  return %o : tensor<1x8x?x8xf32>
}

// -----

// Rows that met a NaN or infinity are summed again without hidden values.
// CHECK-LABEL: func.func @hidden_values
//       CHECK:   %[[FAST:.*]]:3 = scf.for
//       CHECK:   %[[ABS:.*]] = math.absf
//       CHECK:   %[[FINITE:.*]] = arith.cmpf olt, %[[ABS]], %[[INF:.*]] : f32
//       CHECK:   scf.if %[[FINITE]]
//  CHECK-NEXT:     scf.yield %{{.*}}#2
//       CHECK:   else
//       CHECK:     %[[START:.*]] = linalg.fill {{.*}} outs(%{{.*}}#2
//       CHECK:     scf.for {{.*}} iter_args(%{{.*}} = %[[START]])
//       CHECK:       arith.cmpi sle
//       CHECK:       %[[PRODUCT:.*]] = arith.mulf %[[WEIGHT:.*]], %{{.*}} : f32
//       CHECK:       %[[NONE:.*]] = arith.cmpf oeq, %[[WEIGHT]], %[[ZERO:.*]] : f32
//       CHECK:       %[[KEPT:.*]] = arith.select %[[NONE]], %[[ZERO]], %[[PRODUCT]] : f32
//       CHECK:       arith.addf %{{.*}}, %[[KEPT]] : f32
func.func @hidden_values(%x: tensor<1x2x64x8xf32>) -> tensor<1x2x64x8xf32> {
  %o = attn.attention %x, %x, %x mask(#attn.causal)
    : tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>
    -> tensor<1x2x64x8xf32>
  return %o : tensor<1x2x64x8xf32>
}

// -----

// Lengths hide keys by not reading them.
// CHECK-LABEL: func.func @hidden_by_lengths
//   CHECK-NOT:   math.absf
//       CHECK:   return
func.func @hidden_by_lengths(%x: tensor<1x2x64x8xf32>, %n: tensor<1xi64>) -> tensor<1x2x64x8xf32> {
  %o = attn.attention %x, %x, %x kv_lengths(%n : tensor<1xi64>)
    : tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>
    -> tensor<1x2x64x8xf32>
  return %o : tensor<1x2x64x8xf32>
}

// -----

// Each feature decays by its own number: chunks of 16 tokens, whose pairs are
// products of four levels, and a state that decays once for all of them.
// CHECK-LABEL: func.func @feature_decays
//       CHECK:   scf.for %{{.*}} = %c0 to %c4 step %c1 {{.*}} -> (tensor<1x1x64x24xf32>, tensor<8x24xf32>)
//       CHECK:     scf.for %{{.*}} = %c0 to %c4 step %c1 {{.*}} -> (index, tensor<16x8xf32>, tensor<16x8xf32>, tensor<16x16xf32>)
//       CHECK:       math.exp2
//       CHECK:       linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<16x8xf32>, tensor<8x16xf32>)
//       CHECK:       arith.xori
func.func @feature_decays(%q: tensor<1x1x64x8xf32>, %v: tensor<1x1x64x24xf32>,
                          %g: tensor<1x1x64x8xf32>) -> tensor<1x1x64x24xf32> {
  %o, %s = attn.linear_attention %q, %q, %v decay(%g : tensor<1x1x64x8xf32>)
    : tensor<1x1x64x8xf32>, tensor<1x1x64x8xf32>, tensor<1x1x64x24xf32>
    -> tensor<1x1x64x24xf32>, tensor<1x1x8x24xf32>
  return %o : tensor<1x1x64x24xf32>
}
