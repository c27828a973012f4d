// RUN: attn-opt %s --attn-nv-to-ptx | FileCheck %s
// RUN: attn-opt %s --attn-nv-to-ptx --convert-nvvm-to-llvm --reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -O3 -mcpu=sm_90a -mattr=+ptx88 | FileCheck %s --check-prefix=PTX

module attributes {llvm.target_triple = "nvptx64-nvidia-cuda"} {
  // CHECK-LABEL: llvm.func @matrix
  // PTX-LABEL: .entry matrix
  llvm.func @matrix(%q: i64, %p: vector<4xi32>, %out: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.reqntid = array<i32: 128>} {
    // CHECK: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.fence.sync.aligned;", "~{memory}"
    // PTX: wgmma.fence.sync.aligned;
    attn_nv.wgmma_fence
    // CHECK: setp.ne.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0, $1, $2, $3}, $4, $5, p, 1, 1, 0, 0; }", "=f,=f,=f,=f,l,l"
    // PTX: wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16
    %s0 = attn_nv.wgmma bf16 %q, %q : i64 -> vector<4xf32>
    // CHECK: setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0, $1, $2, $3}, $4, $5, p, 1, 1, 1, 1; }", "=f,=f,=f,=f,l,l,0,1,2,3"
    // PTX: wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16
    %s1 = attn_nv.wgmma bf16 %q, %q, %s0 {trans_a, trans_b} : i64 -> vector<4xf32>
    // PTX: wgmma.commit_group
    nvvm.wgmma.commit.group.sync.aligned
    // CHECK: "wgmma.wait_group.sync.aligned 0;", "=f,=f,=f,=f,0,1,2,3,~{memory}"
    %s2 = attn_nv.wgmma_wait 0 (%s1 : vector<4xf32>)
    // CHECK: "wgmma.fence.sync.aligned;", "=f,=f,=f,=f,=r,=r,=r,=r,0,1,2,3,4,5,6,7,~{memory}"
    %s3, %p1 = attn_nv.wgmma_fence (%s2, %p : vector<4xf32>, vector<4xi32>)
    // CHECK: wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {$0, $1, $2, $3}, {$4, $5, $6, $7}, $8, p, 1, 1, 1; }", "=f,=f,=f,=f,r,r,r,r,l,0,1,2,3"
    %s4 = attn_nv.wgmma f16 %p1, %q, %s3 {trans_b} : vector<4xi32> -> vector<4xf32>
    // CHECK: wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, $8, p, 1, 1; }"
    %s5 = attn_nv.wgmma tf32 %p1, %q, %s4 : vector<4xi32> -> vector<4xf32>
    nvvm.wgmma.commit.group.sync.aligned
    %s6 = attn_nv.wgmma_wait 0 (%s5 : vector<4xf32>)
    llvm.store %s6, %out : vector<4xf32>, !llvm.ptr<1>
    llvm.return
  }

  // CHECK-LABEL: llvm.func @rest
  // PTX-LABEL: .entry rest
  llvm.func @rest(%b: !llvm.ptr<3>, %parity: i32, %x: f32, %out: !llvm.ptr<1>) attributes {nvvm.kernel} {
    // CHECK: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni D; bra.uni W; D: }", "r,r,~{memory}"
    // PTX: mbarrier.try_wait.parity.shared::cta.b64
    attn_nv.mbarrier_wait %b, %parity
    // CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz"
    // PTX: ex2.approx.ftz.f32
    %0 = attn_nv.exp2 %x
    // CHECK: llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"
    // PTX: lg2.approx.ftz.f32
    %1 = attn_nv.log2 %0
    // CHECK: llvm.inline_asm asm_dialect = att "tanh.approx.f32 $0, $1;", "=f,f"
    // PTX: tanh.approx.f32
    %2 = attn_nv.tanh %1
    // CHECK: llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"
    // PTX: rcp.approx.ftz.f32
    %3 = attn_nv.rcp %2
    %p = llvm.fcmp "ogt" %3, %x : f32
    // CHECK: "@$1 mbarrier.arrive.shared::cta.b64 _, [$0];", "r,b,~{memory}"
    // PTX: mbarrier.arrive.shared::cta.b64 _
    attn_nv.mbarrier_arrive %b if %p
    llvm.store %3, %out : f32, !llvm.ptr<1>
    llvm.return
  }
}
