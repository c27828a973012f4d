// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: llvm.func @wgmma
llvm.func @wgmma(%q: i64, %p: vector<4xi32>) -> vector<64xf32> {
  // CHECK: attn_nv.wgmma_fence
  attn_nv.wgmma_fence
  // CHECK: %[[A:.*]] = attn_nv.wgmma bf16 %{{.*}}, %{{.*}} : i64 -> vector<64xf32>
  %s0 = attn_nv.wgmma bf16 %q, %q : i64 -> vector<64xf32>
  // CHECK: %[[B:.*]] = attn_nv.wgmma bf16 %{{.*}}, %{{.*}}, %[[A]] {trans_a} : i64 -> vector<64xf32>
  %s1 = attn_nv.wgmma bf16 %q, %q, %s0 {trans_a} : i64 -> vector<64xf32>
  nvvm.wgmma.commit.group.sync.aligned
  // CHECK: attn_nv.wgmma_wait 1 (%[[B]] : vector<64xf32>)
  %s2 = attn_nv.wgmma_wait 1 (%s1 : vector<64xf32>)
  // CHECK: attn_nv.wgmma_fence (%{{.*}}, %{{.*}} : vector<64xf32>, vector<4xi32>)
  %s3, %p1 = attn_nv.wgmma_fence (%s2, %p : vector<64xf32>, vector<4xi32>)
  // CHECK: attn_nv.wgmma f16 %{{.*}}, %{{.*}}, %{{.*}} {trans_b} : vector<4xi32> -> vector<64xf32>
  %s4 = attn_nv.wgmma f16 %p1, %q, %s3 {trans_b} : vector<4xi32> -> vector<64xf32>
  // CHECK: attn_nv.wgmma_wait 0
  attn_nv.wgmma_wait 0
  llvm.return %s4 : vector<64xf32>
}

// CHECK-LABEL: llvm.func @barriers
llvm.func @barriers(%b: !llvm.ptr<3>, %parity: i32, %p: i1) {
  // CHECK: attn_nv.mbarrier_wait %{{.*}}, %{{.*}}
  attn_nv.mbarrier_wait %b, %parity
  // CHECK: attn_nv.mbarrier_arrive %{{.*}} if %{{.*}}
  attn_nv.mbarrier_arrive %b if %p
  llvm.return
}

// CHECK-LABEL: llvm.func @math
llvm.func @math(%x: f32) -> f32 {
  // CHECK: attn_nv.exp2
  // CHECK: attn_nv.log2
  // CHECK: attn_nv.tanh
  // CHECK: attn_nv.rcp
  %0 = attn_nv.exp2 %x
  %1 = attn_nv.log2 %0
  %2 = attn_nv.tanh %1
  %3 = attn_nv.rcp %2
  llvm.return %3 : f32
}
