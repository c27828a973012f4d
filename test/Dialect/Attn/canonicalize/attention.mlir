// RUN: attn-opt %s --canonicalize --split-input-file | FileCheck %s

// The widest distance in a 16 x 16 problem is 15: the window hides nothing.
// CHECK-LABEL: func.func @window_covers_sequence
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @window_covers_sequence(%q: tensor<?x8x16x4xf16>, %kv: tensor<?x2x16x4xf16>)
    -> tensor<?x8x16x4xf16> {
  %o = attn.attention %q, %kv, %kv mask(#attn.window<left = 15, right = 15>)
    : tensor<?x8x16x4xf16>, tensor<?x2x16x4xf16>, tensor<?x2x16x4xf16>
    -> tensor<?x8x16x4xf16>
  return %o : tensor<?x8x16x4xf16>
}

// -----

// One key short: query 15 may not see key 0.
// CHECK-LABEL: func.func @window_one_key_short
//       CHECK:   mask(#attn.window<left = 14, right = 15>)
func.func @window_one_key_short(%q: tensor<1x8x16x4xf16>, %kv: tensor<1x2x16x4xf16>)
    -> tensor<1x8x16x4xf16> {
  %o = attn.attention %q, %kv, %kv mask(#attn.window<left = 14, right = 15>)
    : tensor<1x8x16x4xf16>, tensor<1x2x16x4xf16>, tensor<1x2x16x4xf16>
    -> tensor<1x8x16x4xf16>
  return %o : tensor<1x8x16x4xf16>
}

// -----

// A decoding step that sees all of its past is not masked. The offset goes
// with the mask.
// CHECK-LABEL: func.func @last_row
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @last_row(%q: tensor<1x2x1x4xf32>, %kv: tensor<1x2x9x4xf32>)
    -> tensor<1x2x1x4xf32> {
  %offset = arith.constant 8 : index
  %o = attn.attention %q, %kv, %kv mask(#attn.causal) query_offset(%offset : index)
    : tensor<1x2x1x4xf32>, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>
    -> tensor<1x2x1x4xf32>
  return %o : tensor<1x2x1x4xf32>
}

// -----

// CHECK-LABEL: func.func @row_before_the_last
//       CHECK:   mask(#attn.causal) query_offset(%{{.*}} : index)
func.func @row_before_the_last(%q: tensor<1x2x1x4xf32>, %kv: tensor<1x2x9x4xf32>)
    -> tensor<1x2x1x4xf32> {
  %offset = arith.constant 7 : index
  %o = attn.attention %q, %kv, %kv mask(#attn.causal) query_offset(%offset : index)
    : tensor<1x2x1x4xf32>, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>
    -> tensor<1x2x1x4xf32>
  return %o : tensor<1x2x1x4xf32>
}

// -----

// An absurd offset does no harm.
// CHECK-LABEL: func.func @huge_offset
//       CHECK:   mask(#attn.causal) query_offset(%{{.*}} : index)
func.func @huge_offset(%q: tensor<1x2x1x4xf32>) -> tensor<1x2x1x4xf32> {
  %offset = arith.constant 9223372036854775807 : index
  %o = attn.attention %q, %q, %q mask(#attn.causal) query_offset(%offset : index)
    : tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>
    -> tensor<1x2x1x4xf32>
  return %o : tensor<1x2x1x4xf32>
}

// -----

// Each head's mask covers its pairs.
// CHECK-LABEL: func.func @heads_covered
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @heads_covered(%q: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %o = attn.attention %q, %q, %q
    mask(#attn.per_head<[#attn.sink<3>, #attn.window<left = 2, right = 2>], [0, 1]>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @one_head_not_covered
//       CHECK:   mask(#attn.per_head<
func.func @one_head_not_covered(%q: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %o = attn.attention %q, %q, %q
    mask(#attn.per_head<[#attn.sink<3>, #attn.window<left = 2, right = 1>], [0, 1]>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @zero_offset
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} mask(#attn.causal) : tensor
func.func @zero_offset(%q: tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32> {
  %offset = arith.constant 0 : index
  %o = attn.attention %q, %q, %q mask(#attn.causal) query_offset(%offset : index)
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
    -> tensor<1x2x?x4xf32>
  return %o : tensor<1x2x?x4xf32>
}

// -----

// CHECK-LABEL: func.func @zero_offsets
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} mask(#attn.causal) : tensor
func.func @zero_offsets(%q: tensor<2x2x?x4xf32>) -> tensor<2x2x?x4xf32> {
  %offset = arith.constant dense<0> : tensor<2xi64>
  %o = attn.attention %q, %q, %q mask(#attn.causal)
    query_offset(%offset : tensor<2xi64>)
    : tensor<2x2x?x4xf32>, tensor<2x2x?x4xf32>, tensor<2x2x?x4xf32>
    -> tensor<2x2x?x4xf32>
  return %o : tensor<2x2x?x4xf32>
}

// -----

// Positions matter to masks only.
// CHECK-LABEL: func.func @offset_without_mask
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @offset_without_mask(%q: tensor<1x2x?x4xf32>, %offset: index)
    -> tensor<1x2x?x4xf32> {
  %o = attn.attention %q, %q, %q query_offset(%offset : index)
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
    -> tensor<1x2x?x4xf32>
  return %o : tensor<1x2x?x4xf32>
}

// -----

// An lse that nobody reads goes; all else stays.
// CHECK-LABEL: func.func @unused_lse
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} mask(#attn.causal) sinks(%{{.*}} : tensor<2xf32>) {note, softcap = 2.000000e+00 : f64}
//  CHECK-SAME:     -> tensor<1x2x?x4xf32>{{$}}
func.func @unused_lse(%q: tensor<1x2x?x4xf32>, %s: tensor<2xf32>)
    -> tensor<1x2x?x4xf32> {
  %o, %l = attn.attention %q, %q, %q mask(#attn.causal)
    sinks(%s : tensor<2xf32>) {note, softcap = 2.0 : f64}
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
    -> tensor<1x2x?x4xf32>, tensor<1x2x?xf32>
  return %o : tensor<1x2x?x4xf32>
}

// -----

// CHECK-LABEL: func.func @unused_output
//       CHECK:   -> tensor<1x2x?x4xf32>, tensor<1x2x?xf32>
func.func @unused_output(%q: tensor<1x2x?x4xf32>) -> tensor<1x2x?xf32> {
  %o, %l = attn.attention %q, %q, %q
    : tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
    -> tensor<1x2x?x4xf32>, tensor<1x2x?xf32>
  return %l : tensor<1x2x?xf32>
}

// -----

// CHECK-LABEL: func.func @merge_of_one
//  CHECK-SAME:   (%[[O:.*]]: tensor<1x2x3x4xf32>, %[[L:.*]]: tensor<1x2x3xf32>)
//  CHECK-NEXT:   return %[[O]], %[[L]]
func.func @merge_of_one(%o: tensor<1x2x3x4xf32>, %l: tensor<1x2x3xf32>)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) {
  %r, %s = attn.merge (%o, %l) : tensor<1x2x3x4xf32>, tensor<1x2x3xf32>
  return %r, %s : tensor<1x2x3x4xf32>, tensor<1x2x3xf32>
}

// -----

// CHECK-LABEL: func.func @append_to_nothing
//  CHECK-SAME:   (%{{.*}}, %[[U:.*]]: tensor<1x2x3x4xf32>)
//  CHECK-NEXT:   return %[[U]]
func.func @append_to_nothing(%c: tensor<1x2x0x4xf32>, %u: tensor<1x2x3x4xf32>)
    -> tensor<1x2x3x4xf32> {
  %r = attn.kv_append %c, %u
    : tensor<1x2x0x4xf32>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @append_nothing
//  CHECK-SAME:   (%[[C:.*]]: tensor<1x2x3x4xf32>, %{{.*}}, %{{.*}})
//  CHECK-NEXT:   return %[[C]], %[[C]]
func.func @append_nothing(%c: tensor<1x2x3x4xf32>, %u: tensor<1x2x0x4xf32>,
                          %at: tensor<1xi64>)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  %r = attn.kv_append %c, %u
    : tensor<1x2x3x4xf32>, tensor<1x2x0x4xf32> -> tensor<1x2x3x4xf32>
  %s = attn.kv_append %c, %u at(%at : tensor<1xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x0x4xf32> -> tensor<1x2x3x4xf32>
  return %r, %s : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @identity_score
//       CHECK:   attn.attention %{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}} : tensor
func.func @identity_score(%q: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %zero = arith.constant -0.0 : f32
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %t = arith.addf %s, %zero : f32
      attn.yield %t : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// The region is simplified, and stays when the lse goes.
// CHECK-LABEL: func.func @score_of_constants
//       CHECK:   %[[C:.*]] = arith.constant 3.000000e+00 : f32
//       CHECK:   %{{.*}} = attn.attention {{.*}} score(%[[S:.*]]: f32, {{.*}}) {
//  CHECK-NEXT:     %[[T:.*]] = arith.mulf %[[S]], %[[C]] : f32
//  CHECK-NEXT:     attn.yield %[[T]] : f32
//  CHECK-NEXT:   } : {{.*}} -> tensor<1x2x3x4xf32>
//  CHECK-NEXT:   return
func.func @score_of_constants(%q: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %table = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %o, %lse = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %x = tensor.extract %table[%c0] : tensor<2xf32>
      %y = tensor.extract %table[%c1] : tensor<2xf32>
      %z = arith.addf %x, %y : f32
      %t = arith.mulf %s, %z : f32
      attn.yield %t : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>, tensor<1x2x3xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// Only a mask, or a region that reads positions, gives the offset a meaning.
// CHECK-LABEL: func.func @offset_of_score
//       CHECK:   attn.attention {{.*}} query_offset(%{{.*}} : index) score({{.*}}, %[[P:.*]]: index, %{{.*}}: index) {
//       CHECK:   attn.attention
//   CHECK-NOT:   query_offset
//       CHECK:   return
func.func @offset_of_score(%q: tensor<1x2x3x4xf32>, %past: index)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  %o = attn.attention %q, %q, %q query_offset(%past : index)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %i = arith.index_cast %position : index to i32
      %x = arith.sitofp %i : i32 to f32
      %t = arith.mulf %s, %x : f32
      attn.yield %t : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  %p = attn.attention %q, %q, %q query_offset(%past : index)
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %i = arith.index_cast %row : index to i32
      %x = arith.sitofp %i : i32 to f32
      %t = arith.mulf %s, %x : f32
      attn.yield %t : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return %o, %p : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}
