// RUN: attn-opt %s --attn-to-tiles --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" --attn-lower-tiles | FileCheck %s
// RUN: attn-opt %s --attn-to-tiles="avx512=false" --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" --attn-lower-tiles="avx512=false" | FileCheck %s --check-prefix=AVX2

// All of a tile program becomes vector code in functions of its own: no linalg
// operation is left, no copy was needed, and scratch is on the stack.
// CHECK-LABEL: func.func @attention
//   CHECK-NOT:   linalg.
//   CHECK-NOT:   memref.copy
//       CHECK:   scf.parallel
//       CHECK:     func.call @[[BODY:attention_parallel[_0-9]*]](
//       CHECK:   return
//       CHECK: func.func private @[[BODY]]
//  CHECK-SAME:   no_inline
//   CHECK-NOT: linalg.
//   CHECK-NOT: memref.copy
//   CHECK-NOT: memref.alloc(
//       CHECK: memref.alloca()
//       The register block: 8 rows of 2 vectors.
//       CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>) {
//       CHECK:   math.fma
//       CHECK: vector.reduction <maxnumf>
//       CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
//   CHECK-NOT: linalg.

// AVX2-LABEL: func.func @attention
//       AVX2: scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>) {
//   AVX2-NOT: vector<16xf32>
//   AVX2-NOT: avx512
//   AVX2-NOT: linalg.
func.func @attention(%q: tensor<1x4x?x40xf32>, %k: tensor<1x4x?x40xf32>,
                     %v: tensor<1x4x?x24xf32>, %keep: tensor<1x1x1x?xi1>)
    -> tensor<1x4x?x24xf32> {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    keep(%keep : tensor<1x1x1x?xi1>) {softcap = 30.0 : f64}
    : tensor<1x4x?x40xf32>, tensor<1x4x?x40xf32>, tensor<1x4x?x24xf32>
    -> tensor<1x4x?x24xf32>
  return %o : tensor<1x4x?x24xf32>
}

// The product that skips weights of 0 is a register block, too, where a weight
// of 0 meets 0 instead of the value.
// CHECK-LABEL: func.func private @hidden_parallel
//       CHECK:   math.absf
//       CHECK:   scf.if
//       CHECK:   else
//   CHECK-NOT:   linalg.
//       CHECK:     %[[KEEP:.*]] = arith.cmpf une, %[[WEIGHT:.*]], %[[ZERO:.*]] : vector<16xf32>
//       CHECK:     %[[VALUE:.*]] = arith.select %[[KEEP]], %{{.*}}, %[[ZERO]]
//       CHECK:     math.fma %[[WEIGHT]], %[[VALUE]]
func.func @hidden(%x: tensor<1x4x64x32xf32>) -> tensor<1x4x64x32xf32> {
  %o = attn.attention %x, %x, %x mask(#attn.causal)
    : tensor<1x4x64x32xf32>, tensor<1x4x64x32xf32>, tensor<1x4x64x32xf32>
    -> tensor<1x4x64x32xf32>
  return %o : tensor<1x4x64x32xf32>
}

// Two attentions that are alike share the functions of their loops.
// CHECK-LABEL: func.func @twice
//       CHECK:   func.call @[[PACK:twice_parallel[_0-9]*]](
//       CHECK:   func.call @[[VALUES:twice_parallel[_0-9]*]](
//       CHECK:   func.call @[[TILES:twice_parallel[_0-9]*]](
//       CHECK:   func.call @[[PACK]](
//       CHECK:   func.call @[[VALUES]](
//       CHECK:   func.call @[[TILES]](
//       CHECK:   return
func.func @twice(%x: tensor<1x4x64x16xf32>) -> tensor<1x4x64x16xf32> {
  %y = attn.attention %x, %x, %x
    : tensor<1x4x64x16xf32>, tensor<1x4x64x16xf32>, tensor<1x4x64x16xf32>
    -> tensor<1x4x64x16xf32>
  %z = attn.attention %y, %y, %y
    : tensor<1x4x64x16xf32>, tensor<1x4x64x16xf32>, tensor<1x4x64x16xf32>
    -> tensor<1x4x64x16xf32>
  return %z : tensor<1x4x64x16xf32>
}

// A key tile of a row softmax. The product of weights and values starts from
// the total so far times the factor of the new maximum: nothing else goes over
// the total. The factors themselves are vectors of rows, between a loop that
// finds the maxima and one that only takes the weights' exponentials. Products
// take four steps at a time.
// CHECK-LABEL: func.func private @plain_parallel{{.*}}memref<1x4x256x64xf32>, %{{.*}}: memref<1x4x8x64x32xf32>
//       CHECK:   scf.for %{{.*}} = %c0 to %c2 step %c1 {
//       CHECK:     scf.for %{{.*}} = %c0 to %c64 step %c4 iter_args
//       CHECK:     scf.for %{{.*}} = %c0 to %c64 step %c1 {
//   CHECK-NOT:       scalef
//       CHECK:       %[[MAXIMUM:.*]] = vector.reduction <maxnumf>
//   CHECK-NOT:       scalef
//       CHECK:       memref.store %[[MAXIMUM]]
//       CHECK:     }
//       CHECK:     scf.for %[[ROWS:.*]] = %c0 to %c64 step %c16 {
//       CHECK:       %[[SHRINK:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
//       CHECK:       vector.store %[[SHRINK]], %[[FACTORS:.*]][%[[ROWS]]]
//       CHECK:     }
//       CHECK:     scf.for %{{.*}} = %c0 to %c64 step %c1 {
//   CHECK-NOT:       maxnum
//       CHECK:       vector.reduction <add>
//       CHECK:     }
//   CHECK-NOT:     arith.mulf
//       CHECK:     %[[NUMBER:.*]] = memref.load %[[FACTORS]]
//       CHECK:     %[[FACTOR:.*]] = vector.broadcast %[[NUMBER]]
//       CHECK:     %[[OLD:.*]] = vector.load
//       CHECK:     %[[START:.*]] = arith.mulf %[[OLD]], %[[FACTOR]] : vector<16xf32>
//       CHECK:     scf.for %{{.*}} = %c0 to %c128 step %c4 iter_args(%{{.*}} = %[[START]],
func.func @plain(%x: tensor<1x4x256x64xf32>) -> tensor<1x4x256x64xf32> {
  %o = attn.attention %x, %x, %x
    : tensor<1x4x256x64xf32>, tensor<1x4x256x64xf32>, tensor<1x4x256x64xf32>
    -> tensor<1x4x256x64xf32>
  return %o : tensor<1x4x256x64xf32>
}
