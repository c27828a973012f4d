// RUN: attn-opt %s --attn-expand-selection --convert-attn-to-tiles \
// RUN:   --canonicalize --cse --split-input-file | FileCheck %s

// Tiles of 64 keys meet tiles of 64 query rows; one that lies before all of the
// keys is left out, one behind them is not masked.
// CHECK-LABEL: func.func @causal
//       CHECK:   scf.forall (%{{.*}}, %{{.*}}) in (2, 4)
//       CHECK:     scf.for %[[ROWS:[a-z0-9]+]] = %c0 to %c4 {{.*}} -> (tensor<64x64xf32>)
//       CHECK:       scf.if
//       CHECK:         scf.if
//       CHECK:           linalg.generic
//   CHECK-NOT:           arith.cmpi
//       CHECK:         } else {
//       CHECK:           linalg.generic
//       CHECK:           arith.cmpi sle
//       CHECK:     linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]
func.func @causal(%q: tensor<1x2x256x8xf32>, %k: tensor<1x2x256x8xf32>,
                  %l: tensor<1x2x256xf32>) -> tensor<1x2x256xf32> {
  %i = attn.key_importance sum, each %q, %k, %l mask(#attn.causal)
    : tensor<1x2x256x8xf32>, tensor<1x2x256x8xf32>, tensor<1x2x256xf32>
    -> tensor<1x2x256xf32>
  return %i : tensor<1x2x256xf32>
}

// -----

// Of an attention whose output nobody reads, only the keys are read: its values
// would be packed in steps of 32 rows.
// CHECK-LABEL: func.func @only_lse
//  CHECK-SAME:   %[[V:[a-z0-9]+]]: tensor<1x2x256x24xf32>
//   CHECK-NOT:   tensor.extract %[[V]]
//   CHECK-NOT:   x24xf32>
//       CHECK:   return
func.func @only_lse(%q: tensor<1x2x256x8xf32>, %k: tensor<1x2x256x8xf32>,
                    %v: tensor<1x2x256x24xf32>) -> tensor<1x2x256xf32> {
  %o, %l = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<1x2x256x8xf32>, tensor<1x2x256x8xf32>, tensor<1x2x256x24xf32>
    -> tensor<1x2x256x24xf32>, tensor<1x2x256xf32>
  return %l : tensor<1x2x256xf32>
}

// -----

// One row of each head: keys are read as they lie, the heads of a group at once.
// CHECK-LABEL: func.func @decode
//       CHECK:   scf.forall (%{{.*}}, %{{.*}}) in (2, 2)
//       CHECK:     scf.for
//       CHECK:       linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<?x8xf32>)
//       CHECK:       arith.maximumf
//   CHECK-NOT:   scf.forall (
//       CHECK:   return
func.func @decode(%q: tensor<1x8x1x8xf32>, %k: tensor<1x2x1000x8xf32>,
                  %l: tensor<1x8x1xf32>) -> tensor<1x2x1000xf32> {
  %i = attn.key_importance sum, max %q, %k, %l
    : tensor<1x8x1x8xf32>, tensor<1x2x1000x8xf32>, tensor<1x8x1xf32>
    -> tensor<1x2x1000xf32>
  return %i : tensor<1x2x1000xf32>
}

// -----

// Without an lse there is a pass over the keys before.
// CHECK-LABEL: func.func @without_lse
//       CHECK:   scf.forall
//       CHECK:   math.log
//       CHECK:   scf.forall
//   CHECK-NOT:   attn.
func.func @without_lse(%q: tensor<1x2x256x8xf32>, %k: tensor<1x2x256x8xf32>,
                       %rows: tensor<1x2x9xi32>, %counts: tensor<1x2xi32>)
    -> tensor<1x2x256xf32> {
  %i = attn.key_importance max, each %q, %k mask(#attn.causal)
    routing(%rows, %counts : tensor<1x2x9xi32>, tensor<1x2xi32>)
    : tensor<1x2x256x8xf32>, tensor<1x2x256x8xf32> -> tensor<1x2x256xf32>
  return %i : tensor<1x2x256xf32>
}
