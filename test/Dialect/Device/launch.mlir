// RUN: attn-opt %s --split-input-file | attn-opt --split-input-file | FileCheck %s
// RUN: attn-opt %s --split-input-file --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s --check-prefix=BUFFER

func.func private @double(tensor<?xf32>, tensor<?xf32>, index)

// CHECK-LABEL: func.func @main
// BUFFER-LABEL: func.func @main
func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %c1 = arith.constant 1 : index
  // CHECK: attn_gpu.launch @double grid(%{{.*}}, %{{.*}}, %{{.*}}) threads 128 shared 64
  // CHECK-SAME: ins(%{{.*}} : tensor<?xf32>) outs(%{{.*}} : tensor<?xf32>) scalars(%{{.*}} : index) -> tensor<?xf32>
  // BUFFER: attn_gpu.launch @double
  // BUFFER-SAME: outs(%{{.*}} : memref<?xf32>) scalars(%{{.*}} : index){{$}}
  %r = attn_gpu.launch @double grid(%n, %c1, %c1) threads 128 shared 64
    maps [{operand = 0, dims = [[0]], box = array<i64: 16>, swizzle = 0}]
    ins(%x : tensor<?xf32>) outs(%y : tensor<?xf32>) scalars(%n : index) -> tensor<?xf32>
  return %r : tensor<?xf32>
}
