// One token at position `past`: it reads about the root of as many anchors, three
// spans and its window. The cache is that of all keys.
//
// RUN: attn-opt %s --attn-expand-selection | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: attn.attention {{.*}} mask(#attn.window<left = 14, right = 0>
// CHECK: attn.attention {{.*}} mask(#attn.spans
func.func @main(%q1: tensor<?x4x1x16xf32> {attn.name = "q1"},
                %q2: tensor<?x4x1x16xf32> {attn.name = "q2"},
                %past_k: tensor<?x2x?x16xf32> {attn.name = "past_k"},
                %past_v: tensor<?x2x?x16xf32> {attn.name = "past_v"},
                %k: tensor<?x2x1x16xf32> {attn.name = "k"},
                %v: tensor<?x2x1x16xf32> {attn.name = "v"},
                %offsets: tensor<?xi32> {attn.name = "offsets"},
                %starts: tensor<?xi64> {attn.name = "starts"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"},
        tensor<?x4x1x3xi32> {attn.name = "anchors"}) {
  %c2 = arith.constant 2 : index
  %past = tensor.dim %past_k, %c2 : tensor<?x2x?x16xf32>
  %keys = attn.kv_append %past_k, %k
    : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %values = attn.kv_append %past_v, %v
    : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %anchors, %logits = attn.span_search %q1, %keys, %offsets
    query_offset(%past : index) starts(%starts : tensor<?xi64>)
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?xi32>
    -> tensor<?x4x1x3xi32>, tensor<?x4x1x3xf32>
  %begins, %ends = attn.span_bounds %anchors
    query_offset(%past : index) starts(%starts : tensor<?xi64>)
    {backward = 3.0, forward = 1.0, power = 0.5} : tensor<?x4x1x3xi32>
  %o = attn.span_attention %q2, %keys, %values
    spans(%begins, %ends, %logits : tensor<?x4x1x3xi32>, tensor<?x4x1x3xf32>)
    query_offset(%past : index) starts(%starts : tensor<?xi64>) {window = 15}
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x1x16xf32>
  return %o, %anchors : tensor<?x4x1x16xf32>, tensor<?x4x1x3xi32>
}
