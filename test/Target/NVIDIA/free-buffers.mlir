// RUN: attn-opt %s --attn-gpu-free-buffers | FileCheck %s

func.func private @use(memref<4xf32>)
func.func private @view(memref<2xf32, strided<[1], offset: ?>>)

// Freed after the last use, of a view too; what is returned stays.

// CHECK-LABEL: func.func @straight
//       CHECK:   %[[A:.*]] = memref.alloc()
//       CHECK:   %[[B:.*]] = memref.alloc()
//       CHECK:   call @view
//  CHECK-NEXT:   memref.dealloc %[[A]]
//   CHECK-NOT:   memref.dealloc
//       CHECK:   return %[[B]]
func.func @straight(%i: index) -> memref<4xf32> {
  %a = memref.alloc() : memref<4xf32>
  %b = memref.alloc() : memref<4xf32>
  func.call @use(%a) : (memref<4xf32>) -> ()
  %s = memref.subview %a[%i] [2] [1] : memref<4xf32> to memref<2xf32, strided<[1], offset: ?>>
  func.call @view(%s) : (memref<2xf32, strided<[1], offset: ?>>) -> ()
  func.call @use(%b) : (memref<4xf32>) -> ()
  return %b : memref<4xf32>
}

// A buffer that a loop uses is freed behind it, one of an iteration inside;
// what a loop carries is left to the runtime.

// CHECK-LABEL: func.func @loops
//       CHECK:   %[[A:.*]] = memref.alloc()
//       CHECK:   %[[B:.*]] = memref.alloc()
//       CHECK:   scf.for
//       CHECK:     %[[C:.*]] = memref.alloc()
//       CHECK:     call @use(%[[C]])
//  CHECK-NEXT:     memref.dealloc %[[C]]
//       CHECK:   }
//  CHECK-NEXT:   memref.dealloc %[[A]]
//   CHECK-NOT:   memref.dealloc
//       CHECK:   return
func.func @loops(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc() : memref<4xf32>
  %b = memref.alloc() : memref<4xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %b) -> memref<4xf32> {
    %c = memref.alloc() : memref<4xf32>
    memref.copy %a, %c : memref<4xf32> to memref<4xf32>
    func.call @use(%c) : (memref<4xf32>) -> ()
    scf.yield %x : memref<4xf32>
  }
  func.call @use(%r) : (memref<4xf32>) -> ()
  return
}
