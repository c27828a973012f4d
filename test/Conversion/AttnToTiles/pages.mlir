// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse --split-input-file | FileCheck %s
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse --split-input-file \
// RUN:   | FileCheck %s --check-prefix=COPY

// A decoding step reads the rows of a page where they lie: no tensor of all
// keys is made, only numbers for each batch entry and the parts' results.
// COPY-LABEL: func.func @decode
//   COPY-NOT:   tensor.empty({{.*}}x16x
//   COPY-NOT:   tensor<{{[0-9?x]*}}x512x64xf32>
//       COPY:   return
// CHECK-LABEL: func.func @decode
//  CHECK-SAME:   (%{{.*}}: tensor<2x8x1x64xf32>, %[[KEY:.*]]: tensor<?x2x16x64xf32>, %[[VALUE:.*]]: tensor<?x2x16x64xf32>, %[[TABLE:.*]]: tensor<2x64xi32>
//       CHECK:   scf.forall
//       CHECK:     %[[NUMBER:.*]] = tensor.extract %[[TABLE]]
//       CHECK:     %[[PAGE:.*]] = arith.index_cast %[[NUMBER]]
//       CHECK:     %[[LOW:.*]] = arith.minsi %[[PAGE]]
//       CHECK:     %[[INSIDE:.*]] = arith.maxsi %[[LOW]]
//       CHECK:     tensor.extract_slice %[[KEY]][%[[INSIDE]], {{.*}}] [1, 1, {{.*}}, 64]
//       CHECK:     tensor.extract_slice %[[VALUE]]
func.func @decode(%q: tensor<2x8x1x64xf32>, %k: tensor<?x2x16x64xf32>, %v: tensor<?x2x16x64xf32>,
                  %table: tensor<2x64xi32>, %n: tensor<2xi64>) -> tensor<2x8x1x64xf32> {
  %o = attn.attention %q, %k, %v pages(%table : tensor<2x64xi32>) kv_lengths(%n : tensor<2xi64>)
    : tensor<2x8x1x64xf32>, tensor<?x2x16x64xf32>, tensor<?x2x16x64xf32> -> tensor<2x8x1x64xf32>
  return %o : tensor<2x8x1x64xf32>
}

// -----

// Prefill packs the keys through the table: two pages of 16 keys to a panel.
// CHECK-LABEL: func.func @prefill
//  CHECK-SAME:   (%{{.*}}: tensor<1x8x128x64xf32>, %[[KEY:.*]]: tensor<9x2x16x64xf32>, %[[TABLE:.*]]: tensor<1x8xi32>
//       CHECK:   scf.forall
//   CHECK-DAG:     tensor.extract %[[TABLE]]
//   CHECK-DAG:     tensor.extract %[[TABLE]]
//       CHECK:     linalg.generic
//       CHECK:       tensor.extract %[[KEY]]
//       CHECK:     linalg.generic
//       CHECK:       tensor.extract %[[KEY]]
//       CHECK:     tensor.parallel_insert_slice
func.func @prefill(%q: tensor<1x8x128x64xf32>, %kv: tensor<9x2x16x64xf32>, %table: tensor<1x8xi32>)
    -> tensor<1x8x128x64xf32> {
  %o = attn.attention %q, %kv, %kv mask(#attn.causal) pages(%table : tensor<1x8xi32>)
    : tensor<1x8x128x64xf32>, tensor<9x2x16x64xf32>, tensor<9x2x16x64xf32> -> tensor<1x8x128x64xf32>
  return %o : tensor<1x8x128x64xf32>
}

// -----

// Keys and values are read by maps of their own; heads that share both decode
// together.
// CHECK-LABEL: func.func @head_maps
//       CHECK:   scf.forall (%[[PAIR:.*]]) in (2)
//   CHECK-DAG:     tensor.extract_slice %arg1[0, %[[KEY:[^,]*]], {{.*}}, 0] [1, 1, 32, 64]
//   CHECK-DAG:     tensor.extract_slice %arg2[0, %[[VALUE:[^,]*]], {{.*}}, 0] [1, 1, 32, 64]
func.func @head_maps(%q: tensor<1x4x1x64xf32>, %k: tensor<1x3x64x64xf32>, %v: tensor<1x2x64x64xf32>)
    -> tensor<1x4x1x64xf32> {
  %o = attn.attention %q, %k, %v {key_head_map = array<i64: 2, 2, 0, 0>, value_head_map = array<i64: 1, 1, 0, 0>}
    : tensor<1x4x1x64xf32>, tensor<1x3x64x64xf32>, tensor<1x2x64x64xf32> -> tensor<1x4x1x64xf32>
  return %o : tensor<1x4x1x64xf32>
}
