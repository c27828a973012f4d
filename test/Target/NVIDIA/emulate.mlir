// RUN: attn-opt %s --attn-emulate | FileCheck %s

// CHECK-DAG: llvm.func @attn_emu_access({{.*}}) -> !llvm.ptr attributes {convergent, no_unwind}
// CHECK-DAG: llvm.mlir.global internal constant @[[OP:attn_emu_text_[0-9]+]]("llvm.load\00")
// CHECK-DAG: llvm.mlir.global internal @table(#llvm.zero) {{.*}} : !llvm.array<4 x f32>

gpu.module @kernels {
  llvm.mlir.global internal @tile() {addr_space = 3 : i32} : !llvm.array<16 x i8>
  llvm.mlir.global internal @second() {addr_space = 3 : i32, alignment = 64 : i64} : !llvm.array<8 x i8>
  llvm.mlir.global external @dynamic() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
  llvm.mlir.global internal @table() {addr_space = 1 : i32} : !llvm.array<4 x f32>

  // CHECK-LABEL: llvm.func internal @k(
  // CHECK-SAME: %[[X:.*]]: !llvm.ptr, %{{.*}}: f32, %{{.*}}: !llvm.ptr)
  // CHECK-NOT: nvvm
  llvm.func @k(%x: !llvm.ptr<1>, %s: f32, %m: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant})
      attributes {nvvm.kernel, nvvm.reqntid = array<i32: 32, 2>} {
    // CHECK: %[[N:.*]] = llvm.mlir.constant(0 : i32) : i32
    // CHECK: llvm.call @attn_emu_sreg(%[[N]])
    %t = nvvm.read.ptx.sreg.tid.x : i32
    // CHECK: llvm.mlir.constant(1024 : i64)
    // CHECK: %[[TILE:.*]] = llvm.inttoptr
    %tile = llvm.mlir.addressof @tile : !llvm.ptr<3>
    // CHECK: llvm.mlir.constant(1088 : i64)
    // CHECK: llvm.inttoptr
    %second = llvm.mlir.addressof @second : !llvm.ptr<3>
    // CHECK: %[[DYNAMIC:.*]] = llvm.call @attn_emu_dynamic_shared
    %dynamic = llvm.mlir.addressof @dynamic : !llvm.ptr<3>
    // CHECK: llvm.call @attn_emu_global
    %table = llvm.mlir.addressof @table : !llvm.ptr<1>
    // CHECK: llvm.mlir.constant(8 : i64)
    // CHECK: llvm.mlir.constant(4 : i64)
    // CHECK: llvm.mlir.constant(0 : i32)
    // CHECK: %[[P:.*]] = llvm.call @attn_emu_access(%{{.*}}, %[[X]],
    // CHECK: %[[V:.*]] = llvm.load %[[P]] {alignment = 4 : i64}
    %v = llvm.load %x {alignment = 4 : i64} : !llvm.ptr<1> -> vector<2xf32>
    // CHECK: llvm.mlir.constant(17 : i32)
    // CHECK: %[[Q:.*]] = llvm.call @attn_emu_access(%{{.*}}, %[[DYNAMIC]],
    // CHECK: llvm.store %[[V]], %[[Q]] {alignment = 8 : i64}
    llvm.store %v, %dynamic : vector<2xf32>, !llvm.ptr<3>
    // CHECK: llvm.call @attn_emu_to_generic(%[[TILE]])
    %generic = llvm.addrspacecast %tile : !llvm.ptr<3> to !llvm.ptr
    // CHECK: llvm.call @attn_emu_access
    llvm.store %s, %generic : f32, !llvm.ptr
    // CHECK: llvm.call @attn_emu_barrier
    nvvm.barrier
    llvm.return
  }
}

// CHECK: llvm.func @k__emu(%[[PARAMS:.*]]: !llvm.ptr)
// CHECK: %[[A:.*]] = llvm.load
// CHECK: %[[A0:.*]] = llvm.load %[[A]]
// CHECK: %[[B:.*]] = llvm.load
// CHECK: %[[B0:.*]] = llvm.load %[[B]]
// CHECK: %[[C:.*]] = llvm.load
// CHECK: llvm.call @k(%[[A0]], %[[B0]], %[[C]])
// CHECK: llvm.mlir.global external constant @k__emu_info()
// CHECK: llvm.mlir.addressof @k__emu
// CHECK: llvm.mlir.constant(72 : i64)
// CHECK: llvm.mlir.constant(64 : i64)
// CHECK: llvm.mlir.constant(3 : i64)
