// RUN: attn-opt %s --attn-raise --canonicalize --cse | FileCheck %s

// Biases of all pairs that depend on the distance of key and row.
#id4 = affine_map<(b, h, i, j) -> (b, h, i, j)>
#id2 = affine_map<(i, j) -> (i, j)>

// ALiBi without a direction: the slope of the head times the distance.
// CHECK-LABEL: func.func @alibi
//  CHECK-SAME:   (%[[Q:.*]]: tensor<2x4x?x16xf32>, %[[SLOPES:.*]]: tensor<4xf32>)
//       CHECK:   %[[TWICE:.*]] = arith.muli %[[N:.*]], %c2
//       CHECK:   %[[E:.*]] = tensor.empty(%[[TWICE]]) : tensor<4x?xf32>
//       CHECK:   %[[NUMBERS:.*]] = linalg.generic {{.*}} ins(%[[SLOPES]] : tensor<4xf32>) outs(%[[E]] : tensor<4x?xf32>)
//       CHECK:   math.absi
//       CHECK:   %[[LAST:.*]] = arith.addi %[[N]], %c-1
//       CHECK:   attn.attention %[[Q]], %[[Q]], %[[Q]]
//   CHECK-NOT:   bias(
//  CHECK-SAME:   score(%[[S:.*]]: f32, %{{.*}}: index, %[[H:.*]]: index, %[[ROW:.*]]: index, %{{.*}}: index, %[[KEY:.*]]: index) {
//  CHECK-NEXT:     %[[APART:.*]] = arith.subi %[[KEY]], %[[ROW]] : index
//  CHECK-NEXT:     %[[AT:.*]] = arith.addi %[[APART]], %[[LAST]] : index
//  CHECK-NEXT:     %[[X:.*]] = tensor.extract %[[NUMBERS]][%[[H]], %[[AT]]] : tensor<4x?xf32>
//  CHECK-NEXT:     %[[T:.*]] = arith.addf %[[S]], %[[X]] : f32
//  CHECK-NEXT:     attn.yield %[[T]] : f32
//       CHECK:   attn.origin = "attention; bias of distances"
func.func @alibi(%q: tensor<2x4x?x16xf32>, %slopes: tensor<4xf32>) -> tensor<2x4x?x16xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<2x4x?x16xf32>
  %de = tensor.empty(%n, %n) : tensor<?x?xf32>
  %distances = linalg.generic {indexing_maps = [#id2], iterator_types = ["parallel", "parallel"]}
      outs(%de : tensor<?x?xf32>) {
  ^bb0(%old: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %ii = arith.index_cast %i : index to i64
    %jj = arith.index_cast %j : index to i64
    %d = arith.subi %jj, %ii : i64
    %a = math.absi %d : i64
    %f = arith.sitofp %a : i64 to f32
    %m = arith.negf %f : f32
    linalg.yield %m : f32
  } -> tensor<?x?xf32>
  %be = tensor.empty(%n, %n) : tensor<1x4x?x?xf32>
  %bias = linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (h)>, affine_map<(b, h, i, j) -> (i, j)>, #id4],
                          iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%slopes, %distances : tensor<4xf32>, tensor<?x?xf32>) outs(%be : tensor<1x4x?x?xf32>) {
  ^bb0(%x: f32, %d: f32, %old: f32):
    %r = arith.mulf %x, %d : f32
    linalg.yield %r : f32
  } -> tensor<1x4x?x?xf32>
  %o = attn.attention %q, %q, %q bias(%bias : tensor<1x4x?x?xf32>)
    : tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32>, tensor<2x4x?x16xf32> -> tensor<2x4x?x16xf32>
  return %o : tensor<2x4x?x16xf32>
}

// A table at buckets of distances, where a tensor of keys allows it. What the
// program does with both is done with two reads.
// CHECK-LABEL: func.func @buckets
//  CHECK-SAME:   (%[[Q:[^:]*]]: tensor<2x4x8x16xf16>, %[[K:[^:]*]]: tensor<2x4x12x16xf16>, %[[TABLE:[^:]*]]: tensor<5x4xf16>, %[[KEEP:[^:]*]]: tensor<2x12xi1>)
//       CHECK:   %[[NUMBERS:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4x20xf16>)
//       CHECK:     tensor.extract %[[TABLE]]
//       CHECK:   attn.attention {{.*}} score(%[[S:.*]]: f32, %[[B:.*]]: index, %[[H:.*]]: index, %[[ROW:.*]]: index, %{{.*}}: index, %[[KEY:.*]]: index) {
//   CHECK-DAG:     %[[C:.*]] = tensor.extract %[[KEEP]][%[[B]], %[[KEY]]] : tensor<2x12xi1>
//   CHECK-DAG:     %[[APART:.*]] = arith.subi %[[KEY]], %[[ROW]] : index
//   CHECK-DAG:     %[[AT:.*]] = arith.addi %[[APART]], %c7 : index
//   CHECK-DAG:     %[[X:.*]] = tensor.extract %[[NUMBERS]][%[[H]], %[[AT]]] : tensor<4x20xf16>
//       CHECK:     %[[Y:.*]] = arith.select %[[C]], %[[X]], %{{.*}} : f16
//  CHECK-NEXT:     %[[WIDE:.*]] = arith.extf %[[Y]] : f16 to f32
//  CHECK-NEXT:     arith.addf %[[S]], %[[WIDE]] : f32
func.func @buckets(%q: tensor<2x4x8x16xf16>, %k: tensor<2x4x12x16xf16>, %table: tensor<5x4xf16>,
                   %keep: tensor<2x12xi1>) -> tensor<2x4x8x16xf16> {
  %low = arith.constant -1.0e4 : f16
  %be = tensor.empty() : tensor<2x4x8x12xf16>
  %bias = linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (b, j)>, #id4],
                          iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%keep : tensor<2x12xi1>) outs(%be : tensor<2x4x8x12xf16>) {
  ^bb0(%c: i1, %old: f16):
    %h = linalg.index 1 : index
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %least = arith.constant -2 : index
    %most = arith.constant 2 : index
    %d = arith.subi %j, %i : index
    %d0 = arith.maxsi %d, %least : index
    %d1 = arith.minsi %d0, %most : index
    %at = arith.addi %d1, %most : index
    %x = tensor.extract %table[%at, %h] : tensor<5x4xf16>
    %r = arith.select %c, %x, %low : f16
    linalg.yield %r : f16
  } -> tensor<2x4x8x12xf16>
  %o = attn.attention %q, %k, %k bias(%bias : tensor<2x4x8x12xf16>)
    : tensor<2x4x8x16xf16>, tensor<2x4x12x16xf16>, tensor<2x4x12x16xf16> -> tensor<2x4x8x16xf16>
  return %o : tensor<2x4x8x16xf16>
}

// A number for each pair stays one, also when distances are added to it.
// CHECK-LABEL: func.func @pairs
//       CHECK:   attn.attention {{.*}} bias(
//   CHECK-NOT:   score(
func.func @pairs(%q: tensor<1x1x8x16xf32>, %more: tensor<8x8xf32>) -> tensor<1x1x8x16xf32> {
  %be = tensor.empty() : tensor<1x1x8x8xf32>
  %bias = linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (i, j)>, #id4],
                          iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%more : tensor<8x8xf32>) outs(%be : tensor<1x1x8x8xf32>) {
  ^bb0(%x: f32, %old: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %d = arith.subi %j, %i : index
    %int = arith.index_cast %d : index to i32
    %f = arith.sitofp %int : i32 to f32
    %r = arith.addf %x, %f : f32
    linalg.yield %r : f32
  } -> tensor<1x1x8x8xf32>
  %o = attn.attention %q, %q, %q bias(%bias : tensor<1x1x8x8xf32>)
    : tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32> -> tensor<1x1x8x16xf32>
  return %o : tensor<1x1x8x16xf32>
}

// So does what is no function of the distance, and a bias inside of the softcap.
// CHECK-LABEL: func.func @sums
//   CHECK-NOT:   score(
//       CHECK:   return
func.func @sums(%q: tensor<1x1x8x16xf32>) -> (tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32>) {
  %be = tensor.empty() : tensor<1x1x8x8xf32>
  %sums = linalg.generic {indexing_maps = [#id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%be : tensor<1x1x8x8xf32>) {
  ^bb0(%old: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %d = arith.addi %j, %i : index
    %int = arith.index_cast %d : index to i32
    %f = arith.sitofp %int : i32 to f32
    linalg.yield %f : f32
  } -> tensor<1x1x8x8xf32>
  %distances = linalg.generic {indexing_maps = [#id4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%be : tensor<1x1x8x8xf32>) {
  ^bb0(%old: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %d = arith.subi %j, %i : index
    %int = arith.index_cast %d : index to i32
    %f = arith.sitofp %int : i32 to f32
    linalg.yield %f : f32
  } -> tensor<1x1x8x8xf32>
  %o = attn.attention %q, %q, %q bias(%sums : tensor<1x1x8x8xf32>)
    : tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32> -> tensor<1x1x8x16xf32>
  %p = attn.attention %q, %q, %q bias(%distances : tensor<1x1x8x8xf32>)
      {softcap = 2.0, bias_order = #attn.bias_order<before_softcap>}
    : tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32> -> tensor<1x1x8x16xf32>
  return %o, %p : tensor<1x1x8x16xf32>, tensor<1x1x8x16xf32>
}
