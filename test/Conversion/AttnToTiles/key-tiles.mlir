// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// One tile of queries, so that the lists of key tiles are constants. Steps
// have 32 keys, full tiles 128.

// Every pair is kept: one loop of two full tiles, no element mask.
// CHECK-LABEL: func.func @dense
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//       CHECK:   scf.for %{{.*}} = %[[C0]] to %[[C2]]
//   CHECK-NOT:     arith.cmpi
//   CHECK-NOT:   scf.for
//       CHECK:   return
func.func @dense(%q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x256x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %o = attn.attention %q, %kv, %kv
    : tensor<1x1x64x8xf32>, tensor<1x1x256x8xf32>, tensor<1x1x256x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// 64 queries see the first 64 of 256 keys: two steps with the element mask,
// nothing else is visited, also not where hidden values need a second visit.
// CHECK-LABEL: func.func @causal_from_the_start
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//       CHECK:   scf.for %{{.*}} = %[[C0]] to %[[C2]]
//       CHECK:     arith.cmpi sle
//       CHECK:     arith.select
//   CHECK-NOT:   scf.for {{.*}} -> (tensor
//       CHECK:   scf.if
//       CHECK:     scf.for {{.*}} = %[[C0]] to %[[C2]]
//   CHECK-NOT:   scf.for
//       CHECK:   return
func.func @causal_from_the_start(%q: tensor<1x1x64x8xf32>,
                                 %kv: tensor<1x1x256x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %o = attn.attention %q, %kv, %kv mask(#attn.causal)
    : tensor<1x1x64x8xf32>, tensor<1x1x256x8xf32>, tensor<1x1x256x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// The last 64 of 256 positions: keys [0, 128) are a full tile; [128, 256) are
// four steps, since a second full tile would need keys up to 255 for query 192.
// CHECK-LABEL: func.func @causal_at_the_end
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C1:.*]] = arith.constant 1 : index
//   CHECK-DAG:   %[[C4:.*]] = arith.constant 4 : index
//       CHECK:   scf.for %{{.*}} = %[[C0]] to %[[C4]]
//       CHECK:     arith.cmpi sle
//       CHECK:   tensor.extract_slice {{.*}} tensor<4x8x32xf32>
//       CHECK:   return
func.func @causal_at_the_end(%q: tensor<1x1x64x8xf32>,
                             %kv: tensor<1x1x256x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %offset = arith.constant 192 : index
  %o = attn.attention %q, %kv, %kv mask(#attn.causal)
    query_offset(%offset : index)
    : tensor<1x1x64x8xf32>, tensor<1x1x256x8xf32>, tensor<1x1x256x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// A sink and a distant window: two runs of steps in one loop, keys between
// them are not visited (1 + 3 steps of 16).
// CHECK-LABEL: func.func @sink_and_window
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C4:.*]] = arith.constant 4 : index
//       CHECK:   scf.for %[[TILE:.*]] = %[[C0]] to %[[C4]]
//       CHECK:     %[[LATER:.*]] = arith.cmpi sge, %[[TILE]]
//       CHECK:     arith.select %[[LATER]]
//   CHECK-NOT:   scf.for {{.*}} -> (tensor
//       CHECK:   scf.if
//       CHECK:     scf.for {{.*}} = %[[C0]] to %[[C4]]
//   CHECK-NOT:   scf.for
//       CHECK:   return
func.func @sink_and_window(%q: tensor<1x1x64x8xf32>,
                           %kv: tensor<1x1x512x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %offset = arith.constant 448 : index
  %o = attn.attention %q, %kv, %kv
    mask(#attn.any_of<[#attn.sink<4>, #attn.window<left = 10, right = 0>]>)
    query_offset(%offset : index)
    : tensor<1x1x64x8xf32>, tensor<1x1x512x8xf32>, tensor<1x1x512x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// A mask that keeps nothing: no loop over keys at all.
// CHECK-LABEL: func.func @nothing
//   CHECK-NOT:   scf.for
//       CHECK:   return
func.func @nothing(%q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x256x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %o = attn.attention %q, %kv, %kv mask(#attn.any_of<[]>)
    : tensor<1x1x64x8xf32>, tensor<1x1x256x8xf32>, tensor<1x1x256x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}
