// RUN: attn-opt %s --attn-move-bf16 | FileCheck %s

// CHECK-LABEL: llvm.func @masked
//       CHECK:   llvm.intr.masked.load {{.*}} -> vector<8xi16>
//       CHECK:   llvm.select {{.*}} : vector<8xi1>, vector<8xi16>
//       CHECK:   llvm.intr.masked.store {{.*}} : vector<8xi16>
llvm.func @masked(%p: !llvm.ptr, %m: vector<8xi1>, %x: vector<8xbf16>) {
  %0 = llvm.intr.masked.load %p, %m, %x {alignment = 2 : i32}
    : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
  %1 = llvm.select %m, %0, %x : vector<8xi1>, vector<8xbf16>
  llvm.intr.masked.store %1, %p, %m {alignment = 2 : i32}
    : vector<8xbf16>, vector<8xi1> into !llvm.ptr
  llvm.return
}

// Other types stay.
// CHECK-LABEL: llvm.func @single
//   CHECK-NOT:   bitcast
//       CHECK:   llvm.load %{{.*}} : !llvm.ptr -> f32
llvm.func @single(%p: !llvm.ptr) -> f32 {
  %0 = llvm.load %p : !llvm.ptr -> f32
  llvm.return %0 : f32
}
