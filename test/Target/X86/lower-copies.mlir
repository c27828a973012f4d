// RUN: attn-opt %s -attn-lower-copies | FileCheck %s

// CHECK-LABEL: @strided
// CHECK-NOT: memref.copy
// CHECK: linalg.generic
func.func @strided(%from: memref<2x3xf32>,
                   %to: memref<2x3xf32, strided<[7, 1], offset: ?>>) {
  memref.copy %from, %to
      : memref<2x3xf32> to memref<2x3xf32, strided<[7, 1], offset: ?>>
  return
}

// CHECK-LABEL: @dense
// CHECK: memref.copy
func.func @dense(%from: memref<2x3xf32>, %to: memref<2x3xf32>) {
  memref.copy %from, %to : memref<2x3xf32> to memref<2x3xf32>
  return
}
