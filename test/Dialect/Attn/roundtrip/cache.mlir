// RUN: attn-opt %s --verify-roundtrip | FileCheck %s
// RUN: attn-opt %s --emit-bytecode | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @rope
//       CHECK:   attn.rope %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x8x?x64xf16>, tensor<?x16xf32>
func.func @rope(%x: tensor<?x8x?x64xf16>, %cos: tensor<?x16xf32>,
                %sin: tensor<?x16xf32>) -> tensor<?x8x?x64xf16> {
  %r = attn.rope %x, %cos, %sin : tensor<?x8x?x64xf16>, tensor<?x16xf32>
  return %r : tensor<?x8x?x64xf16>
}

// CHECK-LABEL: func.func @rope_of_each_entry
//       CHECK:   attn.rope %{{.*}}, %{{.*}}, %{{.*}} interleaved : tensor<2x8x3x64xf64>, tensor<2x3x32xf64>
func.func @rope_of_each_entry(%x: tensor<2x8x3x64xf64>, %cos: tensor<2x3x32xf64>,
                              %sin: tensor<2x3x32xf64>) -> tensor<2x8x3x64xf64> {
  %r = attn.rope %x, %cos, %sin interleaved
    : tensor<2x8x3x64xf64>, tensor<2x3x32xf64>
  return %r : tensor<2x8x3x64xf64>
}

// CHECK-LABEL: func.func @append
//       CHECK:   attn.kv_append %{{.*}}, %{{.*}} : tensor<1x2x?x64xbf16>, tensor<1x2x1x64xbf16> -> tensor<1x2x?x64xbf16>
func.func @append(%cache: tensor<1x2x?x64xbf16>, %new: tensor<1x2x1x64xbf16>)
    -> tensor<1x2x?x64xbf16> {
  %r = attn.kv_append %cache, %new
    : tensor<1x2x?x64xbf16>, tensor<1x2x1x64xbf16> -> tensor<1x2x?x64xbf16>
  return %r : tensor<1x2x?x64xbf16>
}

// CHECK-LABEL: func.func @append_at
//       CHECK:   attn.kv_append %{{.*}}, %{{.*}} at(%{{.*}} : tensor<1xi32>) : tensor<1x2x99x64xf32>, tensor<1x2x1x64xf32> -> tensor<1x2x99x64xf32>
//       CHECK:   attn.kv_append %{{.*}}, %{{.*}} at(%{{.*}} : tensor<1xi32>) {mode = #attn.cache_mode<circular>} :
func.func @append_at(%cache: tensor<1x2x99x64xf32>, %new: tensor<1x2x1x64xf32>,
                     %at: tensor<1xi32>) -> tensor<1x2x99x64xf32> {
  %r = attn.kv_append %cache, %new at(%at : tensor<1xi32>)
    : tensor<1x2x99x64xf32>, tensor<1x2x1x64xf32> -> tensor<1x2x99x64xf32>
  %s = attn.kv_append %r, %new at(%at : tensor<1xi32>)
    {mode = #attn.cache_mode<circular>}
    : tensor<1x2x99x64xf32>, tensor<1x2x1x64xf32> -> tensor<1x2x99x64xf32>
  return %s : tensor<1x2x99x64xf32>
}
