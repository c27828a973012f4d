// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Listed blocks under causality. The list is copied if it stands in order, else
// made from its members; bisection finds its entries up to the diagonal. One loop
// visits these and no others, with the element mask of causality alone or none.
// No other key is met unless a sum is not finite.
// CHECK-LABEL: func.func @causal_blocks
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//       CHECK:   scf.for {{.*}} -> (tensor<1x1x1x16xi1>)
//       CHECK:   %[[COPY:.*]]:3 = scf.for {{.*}} -> (tensor<1x1x1x3xi32>, index, i1)
//       CHECK:   %[[LIST:.*]]:2 = scf.if %[[COPY]]#2 -> (tensor<1x1x1x3xi32>, index)
//   CHECK-NOT:   -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:   %[[END:.*]]:2 = scf.for {{.*}} -> (index, index)
//       CHECK:     tensor.extract %[[LIST]]#0
//       CHECK:   scf.for %{{.*}} = %[[C0]] to %[[END]]#0 {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:     tensor.extract %[[LIST]]#0
//       CHECK:     scf.if
//   CHECK-NOT:         arith.cmpi
//       CHECK:       } else {
//       CHECK:         arith.cmpi sle
//   CHECK-NOT:         tensor.extract
//       CHECK:         arith.select
//   CHECK-NOT:   scf.for {{.*}} -> (tensor<64xf32>
//       CHECK:   return
func.func @causal_blocks(%q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x1024x8xf32>,
                         %numbers: tensor<1x1x1x3xi64>, %counts: tensor<1x1x1xi64>)
    -> tensor<1x1x64x8xf32> {
  %offset = arith.constant 192 : index
  %o = attn.attention %q, %kv, %kv
    mask(#attn.all_of<[#attn.causal, #attn.blocks<q_block = 64, kv_block = 64>]>,
         %numbers, %counts : tensor<1x1x1x3xi64>, tensor<1x1x1xi64>)
    query_offset(%offset : index)
    : tensor<1x1x64x8xf32>, tensor<1x1x1024x8xf32>, tensor<1x1x1024x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// Stripes of 64 keys, every fourth one: four candidates among 1024 keys, and
// no test whether they are listed.
// CHECK-LABEL: func.func @stripes
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C4:.*]] = arith.constant 4 : index
//       CHECK:   scf.for %[[I:.*]] = %[[C0]] to %[[C4]] {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//   CHECK-NOT:     scf.if
//       CHECK:     linalg.generic
//   CHECK-NOT:   scf.for {{.*}} -> (tensor<64xf32>
//       CHECK:   return
func.func @stripes(%q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x1024x8xf32>)
    -> tensor<1x1x64x8xf32> {
  %o = attn.attention %q, %kv, %kv
    mask(#attn.strided<stride = 4, block = 64, phase = 1, anchor = origin>)
    : tensor<1x1x64x8xf32>, tensor<1x1x1024x8xf32>, tensor<1x1x1024x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// The sink and the window are steps of their own; a listed block is met unless
// they met it before.
// CHECK-LABEL: func.func @blocks_sink_window
//       CHECK:   scf.for {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:   scf.for {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:     tensor.extract %{{.*}} : tensor<1x1x1x16xi1>
//       CHECK:     scf.if
//   CHECK-NOT:   scf.for {{.*}} -> (tensor<64xf32>
//       CHECK:   return
func.func @blocks_sink_window(
    %q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x1024x8xf32>,
    %begins: tensor<1x1x2xi64>, %numbers: tensor<1x1x5xi64>)
    -> tensor<1x1x64x8xf32> {
  %offset = arith.constant 960 : index
  %o = attn.attention %q, %kv, %kv
    mask(#attn.all_of<[#attn.causal, #attn.any_of<[
           #attn.blocks<q_block = 64, kv_block = 64, layout = csr>,
           #attn.sink<4>, #attn.window<left = 31, right = 0>]>]>,
         %begins, %numbers : tensor<1x1x2xi64>, tensor<1x1x5xi64>)
    query_offset(%offset : index)
    : tensor<1x1x64x8xf32>, tensor<1x1x1024x8xf32>, tensor<1x1x1024x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}

// -----

// Listed keys are collected, then their rows stand in tiles of their own.
// CHECK-LABEL: func.func @listed_keys
//       CHECK:   scf.for {{.*}} -> (tensor<{{.*}}xi32>, index)
//       CHECK:     tensor.extract %{{.*}} : tensor<1x1x1x1024xi1>
//       CHECK:     tensor.insert
//       CHECK:   scf.for {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:     linalg.generic {{.*}} outs(%{{.*}} : tensor<128x8xf32>)
//       CHECK:   scf.for {{.*}} -> (tensor<64xf32>, tensor<64xf32>, tensor<64x8xf32>)
//       CHECK:     linalg.generic {{.*}} outs(%{{.*}} : tensor<32x8xf32>)
//       CHECK:   return
func.func @listed_keys(
    %q: tensor<1x1x64x8xf32>, %kv: tensor<1x1x1024x8xf32>,
    %numbers: tensor<1x1x1x100xi64>, %counts: tensor<1x1x1xi64>)
    -> tensor<1x1x64x8xf32> {
  %o = attn.attention %q, %kv, %kv
    mask(#attn.blocks<q_block = 64, kv_block = 1>,
         %numbers, %counts : tensor<1x1x1x100xi64>, tensor<1x1x1xi64>)
    : tensor<1x1x64x8xf32>, tensor<1x1x1024x8xf32>, tensor<1x1x1024x8xf32>
    -> tensor<1x1x64x8xf32>
  return %o : tensor<1x1x64x8xf32>
}
