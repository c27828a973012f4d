// RUN: attn-opt %s --attn-decompose --canonicalize --cse | FileCheck %s
// RUN: attn-opt %s --attn-decompose --canonicalize --cse \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries" \
// RUN:   --convert-linalg-to-loops | FileCheck %s --check-prefix=LOOPS

// LOOPS-NOT: attn.
// LOOPS-NOT: tensor<

// The four parts of the textbook form, without a mask: products, arguments of
// the softmax, weights, weighted sum of the values.
// CHECK-LABEL: func.func @plain
//  CHECK-SAME:   (%[[QUERY:.*]]: tensor<2x4x?x8xf32>, %[[KEY:.*]]: tensor<2x4x?x8xf32>, %[[VALUE:.*]]: tensor<2x4x?x6xf32>)
//       CHECK:   %[[PRODUCTS:.*]] = linalg.contract {{.*}} ins(%[[QUERY]], %[[KEY]] :
//       CHECK:   %[[SCORES:.*]] = linalg.generic {{.*}} ins(%[[PRODUCTS]] :
//       CHECK:     arith.mulf
//       CHECK:   %[[MAXIMUM:.*]] = linalg.generic {{.*}} ins(%[[SCORES]] :
//       CHECK:     arith.maximumf
//       CHECK:   %[[WEIGHTS:.*]] = linalg.generic {{.*}} ins(%[[SCORES]], %[[MAXIMUM]] :
//       CHECK:     math.exp
//       CHECK:   %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[WEIGHTS]] :
//       CHECK:     arith.addf
//       CHECK:   %[[TOTAL:.*]] = linalg.contract {{.*}} ins(%[[WEIGHTS]], %[[VALUE]] :
//       CHECK:   %[[OUTPUT:.*]] = linalg.generic {{.*}} ins(%[[TOTAL]], %[[SUM]] :
//       CHECK:     arith.divf
//       CHECK:   return %[[OUTPUT]]
func.func @plain(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>,
                 %v: tensor<2x4x?x6xf32>) -> tensor<2x4x?x6xf32> {
  %o = attn.attention %q, %k, %v
    : tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x6xf32>
    -> tensor<2x4x?x6xf32>
  return %o : tensor<2x4x?x6xf32>
}

// Query heads are grouped by the key head that they share: keys and values
// keep their shape.
// CHECK-LABEL: func.func @grouped_heads
//  CHECK-SAME:   (%[[QUERY:.*]]: tensor<?x8x?x8xf16>, %[[KEY:.*]]: tensor<?x2x?x8xf16>, %[[VALUE:.*]]: tensor<?x2x?x8xf16>)
//       CHECK:   %[[GROUPS:.*]] = tensor.expand_shape %[[QUERY]] {{\[\[}}0], [1, 2], [3], [4]]
//  CHECK-SAME:     into tensor<?x2x4x?x8xf16>
//       CHECK:   linalg.contract {{.*}} ins(%[[GROUPS]], %[[KEY]] : {{.*}}) -> tensor<?x2x4x?x?xf32>
//       CHECK:   linalg.generic {{.*}} ins(%{{.*}}, %[[VALUE]] : tensor<?x2x4x?x?xf32>, tensor<?x2x?x8xf16>)
//       CHECK:   tensor.collapse_shape {{.*}} into tensor<?x8x?x8xf16>
func.func @grouped_heads(%q: tensor<?x8x?x8xf16>, %k: tensor<?x2x?x8xf16>,
                         %v: tensor<?x2x?x8xf16>) -> tensor<?x8x?x8xf16> {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<?x8x?x8xf16>, tensor<?x2x?x8xf16>, tensor<?x2x?x8xf16>
    -> tensor<?x8x?x8xf16>
  return %o : tensor<?x8x?x8xf16>
}

// Bias and keep of known extent are mapped; a dimension that may be 1 at run
// time is read at the smaller of the loop's index and the last one.
// CHECK-LABEL: func.func @broadcasts
//  CHECK-SAME:   %[[BIAS:[^ ]*]]: tensor<1x4x1x7xf32>, %[[KEEP:[^ ]*]]: tensor<?x1x5x7xi1>
//       CHECK:   linalg.generic {{.*}} ins(%{{.*}}, %[[BIAS]] : tensor<?x4x5x7xf32>, tensor<1x4x1x7xf32>)
//       CHECK:     %[[BATCH:.*]] = linalg.index 0
//       CHECK:     %[[AT:.*]] = arith.minsi %[[BATCH]]
//       CHECK:     %[[KEPT:.*]] = tensor.extract %[[KEEP]][%[[AT]], %c0
//       CHECK:     arith.select %[[KEPT]]
func.func @broadcasts(%q: tensor<?x4x5x8xf32>, %kv: tensor<?x4x7x8xf32>,
                      %bias: tensor<1x4x1x7xf32>, %keep: tensor<?x1x5x7xi1>)
    -> tensor<?x4x5x8xf32> {
  %o = attn.attention %q, %kv, %kv
    bias(%bias : tensor<1x4x1x7xf32>) keep(%keep : tensor<?x1x5x7xi1>)
    : tensor<?x4x5x8xf32>, tensor<?x4x7x8xf32>, tensor<?x4x7x8xf32>
    -> tensor<?x4x5x8xf32>
  return %o : tensor<?x4x5x8xf32>
}

// The weight of a part is exp(lse of the part - lse of all).
// CHECK-LABEL: func.func @merge
//       CHECK:   %[[LSE:.*]] = linalg.generic
//       CHECK:     math.log
//       CHECK:   %[[OUTPUT:.*]] = linalg.generic {{.*}} ins(%[[LSE]],
//       CHECK:     math.exp
//       CHECK:   return %[[OUTPUT]], %[[LSE]]
func.func @merge(%o0: tensor<1x2x?x8xf16>, %l0: tensor<1x2x?xf32>,
                 %o1: tensor<1x2x?x8xf16>, %l1: tensor<1x2x?xf32>)
    -> (tensor<1x2x?x8xf16>, tensor<1x2x?xf32>) {
  %o, %l = attn.merge (%o0, %l0), (%o1, %l1)
    : tensor<1x2x?x8xf16>, tensor<1x2x?xf32>
  return %o, %l : tensor<1x2x?x8xf16>, tensor<1x2x?xf32>
}

// Features 0 to 5 rotate, 6 and 7 pass.
// CHECK-LABEL: func.func @rope
//  CHECK-SAME:   (%[[INPUT:.*]]: tensor<1x2x?x8xf32>, %[[COS:.*]]: tensor<?x3xf32>, %[[SIN:.*]]: tensor<?x3xf32>)
//       CHECK:   %[[X:.*]] = tensor.extract_slice %[[INPUT]][0, 0, 0, 0] [1, 2, %{{.*}}, 3] [1, 1, 1, 1]
//       CHECK:   %[[Y:.*]] = tensor.extract_slice %[[INPUT]][0, 0, 0, 3] [1, 2, %{{.*}}, 3] [1, 1, 1, 1]
//       CHECK:   %[[RX:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[Y]], %[[COS]], %[[SIN]] :
//       CHECK:     arith.subf
//       CHECK:   %[[FIRST:.*]] = tensor.insert_slice %[[RX]] into %[[INPUT]][0, 0, 0, 0]
//       CHECK:   %[[RY:.*]] = linalg.generic {{.*}} ins(%[[Y]], %[[X]], %[[COS]], %[[SIN]] :
//       CHECK:     arith.addf
//       CHECK:   tensor.insert_slice %[[RY]] into %[[FIRST]][0, 0, 0, 3]
func.func @rope(%x: tensor<1x2x?x8xf32>, %cos: tensor<?x3xf32>,
                %sin: tensor<?x3xf32>) -> tensor<1x2x?x8xf32> {
  %r = attn.rope %x, %cos, %sin : tensor<1x2x?x8xf32>, tensor<?x3xf32>
  return %r : tensor<1x2x?x8xf32>
}

// CHECK-LABEL: func.func @rope_interleaved
//       CHECK:   tensor.extract_slice {{.*}}[0, 0, 0, 0] [1, 2, 4, 4] [1, 1, 1, 2]
//       CHECK:   tensor.extract_slice {{.*}}[0, 0, 0, 1] [1, 2, 4, 4] [1, 1, 1, 2]
func.func @rope_interleaved(%x: tensor<1x2x4x8xf32>, %cos: tensor<1x4x4xf32>,
                            %sin: tensor<1x4x4xf32>) -> tensor<1x2x4x8xf32> {
  %r = attn.rope %x, %cos, %sin interleaved
    : tensor<1x2x4x8xf32>, tensor<1x4x4xf32>
  return %r : tensor<1x2x4x8xf32>
}

// CHECK-LABEL: func.func @append
//  CHECK-SAME:   (%[[CACHE:.*]]: tensor<1x2x?x8xf32>, %[[UPDATE:.*]]: tensor<1x2x3x8xf32>)
//       CHECK:   %[[LENGTH:.*]] = tensor.dim %[[CACHE]]
//       CHECK:   %[[OLD:.*]] = tensor.insert_slice %[[CACHE]] into
//       CHECK:   tensor.insert_slice %[[UPDATE]] into %[[OLD]][0, 0, %[[LENGTH]], 0]
func.func @append(%cache: tensor<1x2x?x8xf32>, %update: tensor<1x2x3x8xf32>)
    -> tensor<1x2x?x8xf32> {
  %r = attn.kv_append %cache, %update
    : tensor<1x2x?x8xf32>, tensor<1x2x3x8xf32> -> tensor<1x2x?x8xf32>
  return %r : tensor<1x2x?x8xf32>
}

// One slice for each batch entry; two where the rows go around the end.
// CHECK-LABEL: func.func @append_at
//       CHECK:   scf.for
//       CHECK:     tensor.insert_slice
//   CHECK-NOT:     tensor.insert_slice
//       CHECK:     scf.yield
//       CHECK:   scf.for
//       CHECK:     tensor.insert_slice
//       CHECK:     tensor.insert_slice
//   CHECK-NOT:     tensor.insert_slice
//       CHECK:     scf.yield
func.func @append_at(%cache: tensor<?x2x16x8xf32>, %update: tensor<?x2x3x8xf32>,
                     %at: tensor<?xi64>)
    -> (tensor<?x2x16x8xf32>, tensor<?x2x16x8xf32>) {
  %l = attn.kv_append %cache, %update at(%at : tensor<?xi64>)
    : tensor<?x2x16x8xf32>, tensor<?x2x3x8xf32> -> tensor<?x2x16x8xf32>
  %c = attn.kv_append %cache, %update at(%at : tensor<?xi64>)
    {mode = #attn.cache_mode<circular>}
    : tensor<?x2x16x8xf32>, tensor<?x2x3x8xf32> -> tensor<?x2x16x8xf32>
  return %l, %c : tensor<?x2x16x8xf32>, tensor<?x2x16x8xf32>
}
