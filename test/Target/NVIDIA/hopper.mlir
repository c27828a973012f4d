// RUN: attn-opt %s --attn-to-nvvm=chip=sm_90a | FileCheck %s

// CHECK-LABEL: func.func @dense
//       CHECK:   attn_gpu.launch @kernels::@dense_kernel {{.*}} threads 384 shared {{[0-9]+}}
//  CHECK-SAME:     box = array<i64: 64, 128, 1, 1>, {{.*}}operand = 1 : i64, swizzle = 128
//  CHECK-SAME:     operand = 2 : i64
//       CHECK: llvm.func @dense_kernel
//  CHECK-SAME:   llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant
//  CHECK-SAME:   nvvm.minctasm = 1 : i32, nvvm.reqntid = array<i32: 384, 1, 1>
//       CHECK:   nvvm.setmaxregister decrease 24
//       CHECK:   attn_nv.mbarrier_wait
//       CHECK:   nvvm.mbarrier.arrive.expect_tx
//       CHECK:   nvvm.cp.async.bulk.tensor.shared.cluster.global
//       CHECK:   nvvm.setmaxregister increase 240
// The first scores, then those of the next tile before the last weights.
//       CHECK:   attn_nv.wgmma bf16 {{.*}} : i64 -> vector<64xf32>
//       CHECK:   attn_nv.wgmma_wait 0
//       CHECK:   attn_nv.mbarrier_arrive
//       CHECK:   nvvm.barrier id = {{.*}} number_of_threads
//       CHECK:   attn_nv.wgmma bf16 {{.*}} : i64 -> vector<64xf32>
//       CHECK:   attn_nv.wgmma bf16 {{.*}} {trans_b} : vector<4xi32> -> vector<64xf32>
//       CHECK:   nvvm.barrier.arrive
//       CHECK:   attn_nv.wgmma_wait 1
//       CHECK:   llvm.intr.maxnum
//       CHECK:   attn_nv.wgmma_wait 0
func.func @dense(%q: tensor<1x2x256x128xbf16>, %k: tensor<1x1x512x128xbf16>, %v: tensor<1x1x512x128xbf16>) -> tensor<1x2x256x128xbf16> {
  %o = attn.attention %q, %k, %v : tensor<1x2x256x128xbf16>, tensor<1x1x512x128xbf16>, tensor<1x1x512x128xbf16> -> tensor<1x2x256x128xbf16>
  return %o : tensor<1x2x256x128xbf16>
}
