// RUN: attn-opt %s --verify-roundtrip | FileCheck %s
// RUN: attn-opt %s --emit-bytecode | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @plain
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor<1x8x16x4xf32>, tensor<1x2x16x4xf32>, tensor<1x2x16x6xf32> -> tensor<1x8x16x6xf32>
func.func @plain(%q: tensor<1x8x16x4xf32>, %k: tensor<1x2x16x4xf32>,
                 %v: tensor<1x2x16x6xf32>) -> tensor<1x8x16x6xf32> {
  %o = attn.attention %q, %k, %v
    : tensor<1x8x16x4xf32>, tensor<1x2x16x4xf32>, tensor<1x2x16x6xf32>
    -> tensor<1x8x16x6xf32>
  return %o : tensor<1x8x16x6xf32>
}

// CHECK-LABEL: func.func @everything
//  CHECK-SAME:   (%[[Q:.*]]: tensor<?x8x?x4xf16>, %[[KV:.*]]: tensor<?x2x?x4xf16>, %[[BIAS:.*]]: tensor<1x8x?x?xf32>, %[[KEEP:.*]]: tensor<?x1x1x?xi1>, %[[LENGTHS:.*]]: tensor<?xi32>, %[[OFFSET:.*]]: index, %[[SINKS:.*]]: tensor<8xf32>, %[[IDS:.*]]: tensor<?x?xi64>)
//       CHECK:   attn.attention %[[Q]], %[[KV]], %[[KV]]
//  CHECK-SAME:     mask(#attn.all_of<[#attn.causal, #attn.documents]>, %[[IDS]], %[[IDS]] : tensor<?x?xi64>, tensor<?x?xi64>)
//  CHECK-SAME:     bias(%[[BIAS]] : tensor<1x8x?x?xf32>)
//  CHECK-SAME:     keep(%[[KEEP]] : tensor<?x1x1x?xi1>)
//  CHECK-SAME:     kv_lengths(%[[LENGTHS]] : tensor<?xi32>)
//  CHECK-SAME:     query_offset(%[[OFFSET]] : index)
//  CHECK-SAME:     sinks(%[[SINKS]] : tensor<8xf32>)
//  CHECK-SAME:     {bias_order = #attn.bias_order<before_softcap>, softcap = 3.000000e+01 : f64, softmax_precision = f16, softmax_scale = 1.250000e-01 : f64}
//  CHECK-SAME:     : tensor<?x8x?x4xf16>, tensor<?x2x?x4xf16>, tensor<?x2x?x4xf16> -> tensor<?x8x?x4xf16>, tensor<?x8x?xf32>
func.func @everything(
    %q: tensor<?x8x?x4xf16>, %kv: tensor<?x2x?x4xf16>,
    %bias: tensor<1x8x?x?xf32>, %keep: tensor<?x1x1x?xi1>,
    %lengths: tensor<?xi32>, %offset: index, %sinks: tensor<8xf32>,
    %ids: tensor<?x?xi64>) -> (tensor<?x8x?x4xf16>, tensor<?x8x?xf32>) {
  %o, %lse = attn.attention %q, %kv, %kv
    mask(#attn.all_of<[#attn.causal, #attn.documents]>, %ids, %ids
         : tensor<?x?xi64>, tensor<?x?xi64>)
    bias(%bias : tensor<1x8x?x?xf32>) keep(%keep : tensor<?x1x1x?xi1>)
    kv_lengths(%lengths : tensor<?xi32>) query_offset(%offset : index)
    sinks(%sinks : tensor<8xf32>)
    {softmax_scale = 0.125 : f64, softcap = 30.0 : f64,
     bias_order = #attn.bias_order<before_softcap>, softmax_precision = f16}
    : tensor<?x8x?x4xf16>, tensor<?x2x?x4xf16>, tensor<?x2x?x4xf16>
    -> tensor<?x8x?x4xf16>, tensor<?x8x?xf32>
  return %o, %lse : tensor<?x8x?x4xf16>, tensor<?x8x?xf32>
}

// The clauses stand in any order; the offset may differ between entries.
// CHECK-LABEL: func.func @any_order
//       CHECK:   kv_lengths(%{{.*}} : tensor<2xindex>) query_offset(%{{.*}} : tensor<2xi64>)
func.func @any_order(%x: tensor<2x1x3x4xbf16>, %lengths: tensor<2xindex>,
                     %offset: tensor<2xi64>) -> tensor<2x1x3x4xbf16> {
  %o = attn.attention %x, %x, %x query_offset(%offset : tensor<2xi64>)
    kv_lengths(%lengths : tensor<2xindex>)
    : tensor<2x1x3x4xbf16>, tensor<2x1x3x4xbf16>, tensor<2x1x3x4xbf16>
    -> tensor<2x1x3x4xbf16>
  return %o : tensor<2x1x3x4xbf16>
}

// In f64 the lse is f64; discardable attributes stay.
// CHECK-LABEL: func.func @f64
//       CHECK:   {note = "mine"} : {{.*}} -> tensor<1x1x3x4xf64>, tensor<1x1x3xf64>
func.func @f64(%x: tensor<1x1x3x4xf64>)
    -> (tensor<1x1x3x4xf64>, tensor<1x1x3xf64>) {
  %o, %lse = attn.attention %x, %x, %x {note = "mine"}
    : tensor<1x1x3x4xf64>, tensor<1x1x3x4xf64>, tensor<1x1x3x4xf64>
    -> tensor<1x1x3x4xf64>, tensor<1x1x3xf64>
  return %o, %lse : tensor<1x1x3x4xf64>, tensor<1x1x3xf64>
}

// CHECK-LABEL: func.func @score
//       CHECK:   attn.attention %{{.*}} query_offset(%{{.*}} : index)
//  CHECK-SAME:     score(%[[S:.*]]: f32, %{{.*}}: index, %[[H:.*]]: index, %[[R:.*]]: index, %[[P:.*]]: index, %[[K:.*]]: index) {
//       CHECK:     %[[X:.*]] = tensor.extract %{{.*}}[%[[H]], %[[K]]] : tensor<2x9xf32>
//       CHECK:     %[[Y:.*]] = arith.addf %[[S]], %[[X]] : f32
//       CHECK:     attn.yield %[[Y]] : f32
//       CHECK:   } {note = "mine"} : tensor<1x2x3x4xf16>
func.func @score(%x: tensor<1x2x3x4xf16>, %past: index, %table: tensor<2x9xf32>)
    -> tensor<1x2x3x4xf16> {
  %o = attn.attention %x, %x, %x query_offset(%past : index)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %t = tensor.extract %table[%h, %key] : tensor<2x9xf32>
      %u = arith.addf %s, %t : f32
      attn.yield %u : f32
    } {note = "mine"}
    : tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>
    -> tensor<1x2x3x4xf16>
  return %o : tensor<1x2x3x4xf16>
}

// The code is of the type of scores.
// CHECK-LABEL: func.func @score_precision
//       CHECK:   score(%[[S:.*]]: bf16, {{.*}}) {
//       CHECK:     attn.yield %[[S]] : bf16
func.func @score_precision(%x: tensor<1x2x3x4xf16>) -> tensor<1x2x3x4xf16> {
  %o = attn.attention %x, %x, %x
    score(%s: bf16, %b: index, %h: index, %row: index, %position: index, %key: index) {
      attn.yield %s : bf16
    } {softmax_precision = bf16}
    : tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>
    -> tensor<1x2x3x4xf16>
  return %o : tensor<1x2x3x4xf16>
}

// CHECK-LABEL: func.func @merge
//       CHECK:   attn.merge (%{{.*}}, %{{.*}}), (%{{.*}}, %{{.*}}) : tensor<?x2x?x4xbf16>, tensor<?x2x?xf32>
//       CHECK:   attn.merge (%{{.*}}, %{{.*}}) {note = "one part"} :
func.func @merge(%o0: tensor<?x2x?x4xbf16>, %l0: tensor<?x2x?xf32>,
                 %o1: tensor<?x2x?x4xbf16>, %l1: tensor<?x2x?xf32>)
    -> (tensor<?x2x?x4xbf16>, tensor<?x2x?xf32>) {
  %o, %l = attn.merge (%o0, %l0), (%o1, %l1)
    : tensor<?x2x?x4xbf16>, tensor<?x2x?xf32>
  %p, %m = attn.merge (%o, %l) {note = "one part"}
    : tensor<?x2x?x4xbf16>, tensor<?x2x?xf32>
  return %p, %m : tensor<?x2x?x4xbf16>, tensor<?x2x?xf32>
}
