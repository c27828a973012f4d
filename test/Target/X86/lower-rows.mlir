// RUN: attn-opt %s --attn-lower-rows --canonicalize --cse --split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// The sum and its use share one loop over rows; the buffer of sums shrinks to
// one number.
// CHECK-LABEL: func.func @mean_removed
//   CHECK-NOT:   memref.alloc(
//       CHECK:   scf.forall
//       CHECK:     memref.alloca() {{.*}} : memref<f32>
//       CHECK:     scf.for
//       CHECK:       scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>)
//       CHECK:       vector.reduction <add>
//       CHECK:       scf.for
//       CHECK:         vector.store
//   CHECK-NOT:   scf.forall
//   CHECK-NOT:   linalg
func.func @mean_removed(%x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = arith.constant 64.0 : f32
  %rows = memref.dim %x, %c0 : memref<?x64xf32>
  %sum = memref.alloc(%rows) : memref<?xf32>
  linalg.fill ins(%zero : f32) outs(%sum : memref<?xf32>)
  linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x64xf32>) outs(%sum : memref<?xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  }
  linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %sum : memref<?x64xf32>, memref<?xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %s: f32, %o: f32):
    %m = arith.divf %s, %n : f32
    %t = arith.subf %a, %m : f32
    linalg.yield %t : f32
  }
  return
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#flip = affine_map<(d0, d1) -> (d1, d0)>

// The second one reads what other rows wrote: no common loop.
// CHECK-LABEL: func.func @rows_depend
//       CHECK:   scf.for
//       CHECK:   vector.store
//       CHECK:   scf.for
//       CHECK:     memref.load
func.func @rows_depend(%x: memref<8x16xf32>, %t: memref<8x16xf32>, %y: memref<16x8xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%t : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = arith.negf %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [#flip, #id], iterator_types = ["parallel", "parallel"]}
      ins(%t : memref<8x16xf32>) outs(%y : memref<16x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  return
}

// -----

#id = affine_map<(d0) -> (d0)>

// The rest of a row goes under a mask.
// CHECK-LABEL: func.func @tail
//       CHECK:   scf.for
//       CHECK:     vector.load
//       CHECK:   vector.create_mask
//       CHECK:   vector.maskedload
//       CHECK:   math.exp {{.*}} : vector<16xf32>
//       CHECK:   vector.maskedstore
func.func @tail(%x: memref<?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %b = math.exp %a : f32
    linalg.yield %b : f32
  }
  return
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// Rows of a table are loaded whole.
// CHECK-LABEL: func.func @lookup
//       CHECK:   %[[ROW:.*]] = arith.index_cast
//       CHECK:   vector.load %{{.*}}[%[[ROW]], %{{.*}}] : memref<100x32xf32>, vector<16xf32>
func.func @lookup(%table: memref<100x32xf32>, %ids: memref<4xi64>, %y: memref<4x32xf32>) {
  linalg.generic {indexing_maps = [#row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%ids : memref<4xi64>) outs(%y : memref<4x32xf32>) {
  ^bb0(%i: i64, %o: f32):
    %r = arith.index_cast %i : i64 to index
    %k = linalg.index 1 : index
    %v = memref.load %table[%r, %k] : memref<100x32xf32>
    linalg.yield %v : f32
  }
  return
}
