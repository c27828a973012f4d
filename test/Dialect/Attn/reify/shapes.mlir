// RUN: attn-opt %s --resolve-ranked-shaped-type-result-dims --cse --canonicalize \
// RUN:   | FileCheck %s

// Sizes of results are sizes of operands: no attn operation is left.
// CHECK-NOT: attn.

// CHECK-LABEL: func.func @attention
//  CHECK-SAME:   (%[[Q:.*]]: tensor<?x?x?x4xf32>, %{{.*}}: tensor<?x?x?x4xf32>, %{{.*}}: tensor<?x?x?x6xf32>)
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C1:.*]] = arith.constant 1 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//   CHECK-DAG:   %[[B:.*]] = tensor.dim %[[Q]], %[[C0]]
//   CHECK-DAG:   %[[H:.*]] = tensor.dim %[[Q]], %[[C1]]
//   CHECK-DAG:   %[[S:.*]] = tensor.dim %[[Q]], %[[C2]]
//       CHECK:   return %[[B]], %[[H]], %[[S]], %[[S]]
func.func @attention(%q: tensor<?x?x?x4xf32>, %k: tensor<?x?x?x4xf32>,
                     %v: tensor<?x?x?x6xf32>) -> (index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %o, %l = attn.attention %q, %k, %v
    : tensor<?x?x?x4xf32>, tensor<?x?x?x4xf32>, tensor<?x?x?x6xf32>
    -> tensor<?x?x?x6xf32>, tensor<?x?x?xf32>
  %b = tensor.dim %o, %c0 : tensor<?x?x?x6xf32>
  %h = tensor.dim %o, %c1 : tensor<?x?x?x6xf32>
  %s = tensor.dim %o, %c2 : tensor<?x?x?x6xf32>
  %m = tensor.dim %l, %c2 : tensor<?x?x?xf32>
  return %b, %h, %s, %m : index, index, index, index
}

// CHECK-LABEL: func.func @merge
//  CHECK-SAME:   (%[[O:.*]]: tensor<1x2x?x4xf32>, %[[L:.*]]: tensor<1x2x?xf32>, %{{.*}}, %{{.*}})
//   CHECK-DAG:   %[[A:.*]] = tensor.dim %[[O]], %c2
//   CHECK-DAG:   %[[B:.*]] = tensor.dim %[[L]], %c2
//       CHECK:   return %[[A]], %[[B]]
func.func @merge(%o0: tensor<1x2x?x4xf32>, %l0: tensor<1x2x?xf32>,
                 %o1: tensor<1x2x?x4xf32>, %l1: tensor<1x2x?xf32>) -> (index, index) {
  %c2 = arith.constant 2 : index
  %o, %l = attn.merge (%o0, %l0), (%o1, %l1)
    : tensor<1x2x?x4xf32>, tensor<1x2x?xf32>
  %a = tensor.dim %o, %c2 : tensor<1x2x?x4xf32>
  %b = tensor.dim %l, %c2 : tensor<1x2x?xf32>
  return %a, %b : index, index
}

// CHECK-LABEL: func.func @rope
//  CHECK-SAME:   (%[[X:.*]]: tensor<1x2x?x4xf32>, %{{.*}})
//       CHECK:   %[[S:.*]] = tensor.dim %[[X]], %c2
//       CHECK:   return %[[S]]
func.func @rope(%x: tensor<1x2x?x4xf32>, %cos: tensor<?x2xf32>) -> index {
  %c2 = arith.constant 2 : index
  %r = attn.rope %x, %cos, %cos : tensor<1x2x?x4xf32>, tensor<?x2xf32>
  %s = tensor.dim %r, %c2 : tensor<1x2x?x4xf32>
  return %s : index
}

// CHECK-LABEL: func.func @append
//  CHECK-SAME:   (%[[C:.*]]: tensor<1x2x?x4xf32>, %[[U:.*]]: tensor<1x2x?x4xf32>, %{{.*}})
//   CHECK-DAG:   %[[L:.*]] = tensor.dim %[[C]], %c2
//   CHECK-DAG:   %[[S:.*]] = tensor.dim %[[U]], %c2
//       CHECK:   %[[SUM:.*]] = arith.addi %[[L]], %[[S]]
//       CHECK:   return %[[SUM]], %[[L]]
func.func @append(%c: tensor<1x2x?x4xf32>, %u: tensor<1x2x?x4xf32>,
                  %at: tensor<1xi64>) -> (index, index) {
  %c2 = arith.constant 2 : index
  %r = attn.kv_append %c, %u
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %s = attn.kv_append %c, %u at(%at : tensor<1xi64>)
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32> -> tensor<1x2x?x4xf32>
  %a = tensor.dim %r, %c2 : tensor<1x2x?x4xf32>
  %b = tensor.dim %s, %c2 : tensor<1x2x?x4xf32>
  return %a, %b : index, index
}

// CHECK-LABEL: func.func @linear_attention
//  CHECK-SAME:   (%[[Q:.*]]: tensor<?x4x?x8xf32>, %{{.*}}: tensor<?x2x?x8xf32>, %{{.*}}: tensor<?x2x?x6xf32>)
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//   CHECK-DAG:   %[[B:.*]] = tensor.dim %[[Q]], %[[C0]]
//   CHECK-DAG:   %[[S:.*]] = tensor.dim %[[Q]], %[[C2]]
//       CHECK:   return %[[S]], %[[B]]
func.func @linear_attention(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>,
                            %v: tensor<?x2x?x6xf32>) -> (index, index) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %o, %r = attn.linear_attention %q, %k, %v
    : tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>
    -> tensor<?x4x?x6xf32>, tensor<?x2x8x6xf32>
  %s = tensor.dim %o, %c2 : tensor<?x4x?x6xf32>
  %b = tensor.dim %r, %c0 : tensor<?x2x8x6xf32>
  return %s, %b : index, index
}

// The batch is that of the query, not of the pool of pages.
// CHECK-LABEL: func.func @pages
//  CHECK-SAME:   (%[[Q:.*]]: tensor<?x4x?x8xf32>
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//   CHECK-DAG:   %[[B:.*]] = tensor.dim %[[Q]], %[[C0]]
//   CHECK-DAG:   %[[S:.*]] = tensor.dim %[[Q]], %[[C2]]
//       CHECK:   return %[[B]], %[[S]]
func.func @pages(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x16x8xf32>, %t: tensor<?x?xi32>) -> (index, index) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %o = attn.attention %q, %k, %k pages(%t : tensor<?x?xi32>)
    : tensor<?x4x?x8xf32>, tensor<?x2x16x8xf32>, tensor<?x2x16x8xf32> -> tensor<?x4x?x8xf32>
  %b = tensor.dim %o, %c0 : tensor<?x4x?x8xf32>
  %s = tensor.dim %o, %c2 : tensor<?x4x?x8xf32>
  return %b, %s : index, index
}

// CHECK-LABEL: func.func @cuts
//  CHECK-SAME:   (%{{.*}}: tensor<1x?xf32>, %[[N:.*]]: index)
//   CHECK-DAG:   %[[C0:.*]] = arith.constant 0 : index
//   CHECK-DAG:   %[[C2:.*]] = arith.constant 2 : index
//       CHECK:   %[[CUTS:.*]] = arith.maxsi %[[N]], %[[C0]]
//       CHECK:   %[[BOUNDS:.*]] = arith.addi %[[CUTS]], %[[C2]]
//       CHECK:   return %[[BOUNDS]]
func.func @cuts(%l: tensor<1x?xf32>, %n: index) -> index {
  %c1 = arith.constant 1 : index
  %b, %c = attn.segment %l cuts(%n) {threshold = 0.0, distance = 3} : tensor<1x?xf32> -> tensor<1x?xi32>, tensor<1xi32>
  %d = tensor.dim %b, %c1 : tensor<1x?xi32>
  return %d : index
}
