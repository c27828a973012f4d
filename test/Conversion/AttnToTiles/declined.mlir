// RUN: attn-opt %s --convert-attn-to-tiles --split-input-file \
// RUN:   --remarks-filter="convert-attn-.*" --remark-format=emitRemark \
// RUN:   -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: attn-opt %s --convert-attn-to-tiles --split-input-file | FileCheck %s

// REMARK: remark: [Missed] not-tiled {{.*}}f64{{.*}}use f32
// CHECK-LABEL: func.func @double
//       CHECK:   attn.attention
func.func @double(%x: tensor<1x1x4x8xf64>) -> tensor<1x1x4x8xf64> {
  %o = attn.attention %x, %x, %x
    : tensor<1x1x4x8xf64>, tensor<1x1x4x8xf64>, tensor<1x1x4x8xf64>
    -> tensor<1x1x4x8xf64>
  return %o : tensor<1x1x4x8xf64>
}

// -----

// REMARK: remark: [Missed] not-tiled {{.*}}softmax_precision is not f32
// CHECK-LABEL: func.func @half_softmax
//       CHECK:   attn.attention
func.func @half_softmax(%x: tensor<1x1x4x8xf16>) -> tensor<1x1x4x8xf16> {
  %o = attn.attention %x, %x, %x {softmax_precision = f16}
    : tensor<1x1x4x8xf16>, tensor<1x1x4x8xf16>, tensor<1x1x4x8xf16>
    -> tensor<1x1x4x8xf16>
  return %o : tensor<1x1x4x8xf16>
}

// -----

// REMARK: remark: [Missed] not-tiled {{.*}}there are no features
// CHECK-LABEL: func.func @no_features
//       CHECK:   attn.attention
func.func @no_features(%x: tensor<1x1x4x8xf32>, %v: tensor<1x1x4x0xf32>)
    -> tensor<1x1x4x0xf32> {
  %o = attn.attention %x, %x, %v
    : tensor<1x1x4x8xf32>, tensor<1x1x4x8xf32>, tensor<1x1x4x0xf32>
    -> tensor<1x1x4x0xf32>
  return %o : tensor<1x1x4x0xf32>
}
