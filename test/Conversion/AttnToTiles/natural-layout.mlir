// RUN: attn-opt %s --pass-pipeline='builtin.module(func.func(convert-attn-to-tiles{natural-layout query-tile=64 key-tile=64 key-step=64 row-block=16},canonicalize,cse))' | FileCheck %s

// Nothing is packed, tiles keep their type and are whole.
// CHECK-LABEL: func.func @ragged
//   CHECK-NOT:   scf.forall
//       CHECK:   scf.forall (%[[H:.*]], %[[T:.*]]) in (2, 2)
//       CHECK:     linalg.generic {{.*}} outs(%{{.*}} : tensor<64x32xf16>)
//       CHECK:       %[[K:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<64x32xf16>)
//       CHECK:         arith.minsi
//       CHECK:         %[[IN:.*]] = arith.cmpi slt
//       CHECK:         arith.select %[[IN]], %{{.*}}, %{{.*}} : f16
//       CHECK:       ins(%{{.*}}, %[[K]] : tensor<64x32xf16>, tensor<64x32xf16>) outs(%{{.*}} : tensor<64x64xf32>)
// The scale waits for the maximum.
//       CHECK:       arith.maxnumf
//       CHECK:       %[[SCALED:.*]] = arith.mulf %{{.*}}, %[[SCALE:.*]] : f32
//       CHECK:       arith.subf
//  CHECK-NEXT:       math.exp2
//       CHECK:       arith.truncf
func.func @ragged(%q: tensor<1x2x100x32xf16>, %k: tensor<1x2x90x32xf16>) -> tensor<1x2x100x32xf16> {
  %o = attn.attention %q, %k, %k : tensor<1x2x100x32xf16>, tensor<1x2x90x32xf16>, tensor<1x2x90x32xf16> -> tensor<1x2x100x32xf16>
  return %o : tensor<1x2x100x32xf16>
}
