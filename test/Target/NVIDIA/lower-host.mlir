// RUN: attn-opt %s --split-input-file --attn-gpu-lower-host --canonicalize --cse | FileCheck %s

// A launch passes addresses, dynamic sizes, scalars, then tensor maps.

// CHECK-LABEL: func.func @launch
//  CHECK-SAME:   (%[[X:.*]]: memref<?x8x64xbf16>, %[[Y:.*]]: memref<4xf32>, %[[S:.*]]: f32, %[[N:.*]]: index)
//   CHECK-DAG:   %[[WORDS:.*]] = memref.alloca() {{.*}} : memref<5xi64>
//   CHECK-DAG:   %[[PARAMS:.*]] = memref.alloca() {{.*}} : memref<6xi64>
//   CHECK-DAG:   %[[MAP:.*]] = memref.alloca() {alignment = 64 : i64} : memref<16xi64>
//   CHECK-DAG:   %[[BITS:.*]] = arith.bitcast %[[S]] : f32 to i32
//       CHECK:   memref.store {{.*}}, %[[WORDS]][%{{.*}}]
//   Row, then all rows: 8 dim0 rows of 64 elements, 128 bytes apart.
//       CHECK:   call @attn_gpu_tensor_map(%{{.*}}, %{{.*}}, %c16_i32, %c2_i32,
//       CHECK:   call @attn_gpu_launch(%c1_i32,
//   CHECK-NOT:   attn_gpu.launch
gpu.module @kernels {
  llvm.func @first(!llvm.ptr<1>) attributes {nvvm.kernel}
  llvm.func @helper(!llvm.ptr<1>)
  llvm.func @second(!llvm.ptr<1>) attributes {nvvm.kernel}
}
func.func @launch(%x: memref<?x8x64xbf16>, %y: memref<4xf32>, %s: f32, %n: index) {
  %c1 = arith.constant 1 : index
  attn_gpu.launch @kernels::@second grid(%n, %c1, %c1) threads 128 shared 1024
    maps [{operand = 0 : i64, dims = [[2], [1, 0]], box = array<i64: 64, 128>, swizzle = 128 : i64}]
    ins(%x : memref<?x8x64xbf16>) outs(%y : memref<4xf32>) scalars(%s, %n : f32, index)
  return
}

// -----

// A view of unknown layout is made dense for the kernel, and what it wrote is
// copied back.

// CHECK-LABEL: func.func @view
//       CHECK:   %[[DENSE:.*]] = call @attn_gpu_make_dense(
//       CHECK:   call @attn_gpu_launch(%c0_i32,
//       CHECK:   call @attn_gpu_end_dense(%[[DENSE]], {{.*}}, %c1_i32)
gpu.module @kernels {
  llvm.func @first(!llvm.ptr<1>) attributes {nvvm.kernel}
}
func.func @view(%y: memref<?x4xf32, strided<[?, 1], offset: ?>>) {
  %c1 = arith.constant 1 : index
  attn_gpu.launch @kernels::@first grid(%c1, %c1, %c1) threads 32 shared 0
    outs(%y : memref<?x4xf32, strided<[?, 1], offset: ?>>)
  return
}

// -----

// CHECK-LABEL: func.func @copies
//       CHECK:   call @attn_gpu_copy(
//       CHECK:   call @attn_gpu_copy_strided(
func.func @copies(%a: memref<?x4xf32>, %b: memref<?x4xf32>, %c: memref<?x2xf32, strided<[4, 1]>>,
                  %d: memref<?x2xf32>) {
  memref.copy %a, %b : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %c, %d : memref<?x2xf32, strided<[4, 1]>> to memref<?x2xf32>
  return
}

// -----

// CHECK-LABEL: func.func @elements
//       CHECK:   call @attn_gpu_read(%[[PLACE:.*]], %{{.*}}, %c8_i64)
//       CHECK:   llvm.load %[[PLACE]] : !llvm.ptr -> i64
//       CHECK:   call @attn_gpu_read(%{{.*}}, %{{.*}}, %c1_i64)
//       CHECK:   call @attn_gpu_write(%{{.*}}, %{{.*}}, %c2_i64)
func.func @elements(%a: memref<?x3xindex>, %b: memref<2xi1>, %c: memref<bf16>, %v: bf16,
                    %i: index) -> (index, i1) {
  %c1 = arith.constant 1 : index
  %x = memref.load %a[%i, %c1] : memref<?x3xindex>
  %y = memref.load %b[%c1] : memref<2xi1>
  memref.store %v, %c[] : memref<bf16>
  return %x, %y : index, i1
}

// -----

// CHECK-LABEL: func.func @constants
//       CHECK:   %[[HOST:.*]] = memref.get_global @table
//       CHECK:   call @attn_gpu_constant(%{{.*}}, %c12_i64)
//       CHECK:   call @attn_gpu_weight(%c3_i64)
memref.global "private" constant @table : memref<3xf32> = dense<[1.0, 2.0, 3.0]>
func.func @constants() -> (memref<3xf32>, memref<5xf16>) {
  %0 = memref.get_global @table : memref<3xf32>
  %1 = attn_rt.weight_buffer 3 : memref<5xf16>
  return %0, %1 : memref<3xf32>, memref<5xf16>
}
