// RUN: attn-opt %s --attn-to-nvvm=chip=sm_80 | FileCheck %s

// CHECK-LABEL: func.func @dense
//       CHECK:   attn_gpu.launch @kernels::@dense_kernel {{.*}} threads 128 shared 40960
//       CHECK: llvm.func @dense_kernel
//  CHECK-SAME:   nvvm.kernel, nvvm.reqntid = array<i32: 128, 1, 1>
//   CHECK-NOT:   unrealized_conversion_cast
//       CHECK:   nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache =  cg
//       CHECK:   nvvm.cp.async.wait.group 0
//  CHECK-NEXT:   nvvm.barrier0
//       CHECK:   nvvm.ldmatrix %{{.*}} {{{.*}}layout = #nvvm.mma_layout<row>
//       CHECK:   nvvm.mma.sync
//       CHECK:   nvvm.shfl.sync
//       CHECK:   llvm.intr.exp2
//       CHECK:   nvvm.ldmatrix %{{.*}} {{{.*}}layout = #nvvm.mma_layout<col>
//       CHECK:   nvvm.mma.sync
//       CHECK:   llvm.store %{{.*}} {alignment = 4 : i64} : vector<2xf16>
func.func @dense(%q: tensor<1x8x512x64xf16>, %k: tensor<1x2x512x64xf16>, %v: tensor<1x2x512x64xf16>) -> tensor<1x8x512x64xf16> {
  %o = attn.attention %q, %k, %v : tensor<1x8x512x64xf16>, tensor<1x2x512x64xf16>, tensor<1x2x512x64xf16> -> tensor<1x8x512x64xf16>
  return %o : tensor<1x8x512x64xf16>
}
