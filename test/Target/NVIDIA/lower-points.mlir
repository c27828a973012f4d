// RUN: attn-opt %s --attn-gpu-outline --attn-gpu-lower-kernels | FileCheck %s

// A point is a thread; parameters are a pointer and the dynamic sizes.
// CHECK-LABEL: func.func @scaled
//       CHECK:   %[[BLOCKS:.*]] = arith.ceildivsi
//       CHECK:   attn_gpu.launch @kernels::@scaled_kernel grid(%[[BLOCKS]], {{[^)]*}}) threads 128 shared 0
//       CHECK: gpu.module @kernels
//       CHECK:   gpu.func @scaled_kernel(%[[X:.*]]: !llvm.ptr, %[[NX:.*]]: i64, %[[Y:.*]]: !llvm.ptr, %[[NY:.*]]: i64, %[[N:.*]]: i64) kernel
//  CHECK-SAME:     known_block_size = array<i32: 128, 1, 1>
//       CHECK:     nvvm.read.ptx.sreg.tid.x
//       CHECK:     %[[BOUND:.*]] = arith.trunci %[[N]] : i64 to i32
//       CHECK:     nvvm.read.ptx.sreg.ctaid.x
//       CHECK:     scf.if
//       CHECK:       llvm.load %{{.*}} invariant : !llvm.ptr<1> -> f32
//       CHECK:       arith.mulf {{.*}} fastmath<contract>
//       CHECK:       llvm.store
func.func @scaled(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %two = arith.constant 2.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %r = scf.forall (%i) in (%n) shared_outs(%o = %y) -> (tensor<?xf32>) {
    %e = tensor.extract %x[%i] : tensor<?xf32>
    %f = arith.mulf %e, %two : f32
    %s = tensor.extract_slice %o[%i] [1] [1] : tensor<?xf32> to tensor<f32>
    %t = tensor.insert %f into %s[] : tensor<f32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %t into %o[%i] [1] [1] : tensor<f32> into tensor<?xf32>
    }
  }
  return %r : tensor<?xf32>
}
