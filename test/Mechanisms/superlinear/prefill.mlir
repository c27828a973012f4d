// Superlinear attention (arXiv:2601.18401). A routing query compares itself with
// anchors at distances that grow as squares; the best 3 are the middles of spans,
// of the length of a root of the position. Each span has a softmax of its own,
// with the last 15 keys in it, and the anchors' products weight the results.
//
// RUN: attn-opt %s --attn-expand-selection | FileCheck %s
// RUN: attn-opt %s --attn-lower-selection --convert-attn-to-tiles --canonicalize --cse | FileCheck %s --check-prefix=TILES

// The window once for each row, and every span with its own bounds: no row visits
// the keys between.
// CHECK-LABEL: func.func @main
// CHECK: attn.attention {{.*}} mask(#attn.window<left = 14, right = 0>
// CHECK: attn.attention {{.*}} mask(#attn.spans
// CHECK-LABEL: func.func @one
// TILES-LABEL: func.func @main
// TILES-NOT: tensor<?x4x?x?xf32>
// TILES: scf.forall
// TILES-LABEL: func.func @one
func.func @main(%q1: tensor<?x4x?x16xf32> {attn.name = "q1"},
                %q2: tensor<?x4x?x16xf32> {attn.name = "q2"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %offsets: tensor<?xi32> {attn.name = "offsets"},
                %starts: tensor<?xi64> {attn.name = "starts"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"},
        tensor<?x4x?x3xi32> {attn.name = "anchors"},
        tensor<?x4x?x3xi32> {attn.name = "begins"},
        tensor<?x4x?x3xi32> {attn.name = "ends"}) {
  %anchors, %logits = attn.span_search %q1, %k, %offsets starts(%starts : tensor<?xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?xi32>
    -> tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>
  %begins, %ends = attn.span_bounds %anchors starts(%starts : tensor<?xi64>)
    {backward = 3.0, forward = 1.0, power = 0.5} : tensor<?x4x?x3xi32>
  %o = attn.span_attention %q2, %k, %v
    spans(%begins, %ends, %logits : tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>)
    starts(%starts : tensor<?xi64>) {window = 15}
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %anchors, %begins, %ends
    : tensor<?x4x?x16xf32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>
}

// One span that holds all keys: with the window, causal attention of the second query.
func.func @one(%q1: tensor<?x4x?x16xf32> {attn.name = "q1"},
                %q2: tensor<?x4x?x16xf32> {attn.name = "q2"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %offsets: tensor<?xi32> {attn.name = "offsets"},
                %starts: tensor<?xi64> {attn.name = "starts"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"},
        tensor<?x4x?x1xi32> {attn.name = "anchors"},
        tensor<?x4x?x1xi32> {attn.name = "begins"},
        tensor<?x4x?x1xi32> {attn.name = "ends"}) {
  %anchors, %logits = attn.span_search %q1, %k, %offsets starts(%starts : tensor<?xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?xi32>
    -> tensor<?x4x?x1xi32>, tensor<?x4x?x1xf32>
  %begins, %ends = attn.span_bounds %anchors starts(%starts : tensor<?xi64>)
    {backward = 1000.0, forward = 1000.0, power = 0.5} : tensor<?x4x?x1xi32>
  %o = attn.span_attention %q2, %k, %v
    spans(%begins, %ends, %logits : tensor<?x4x?x1xi32>, tensor<?x4x?x1xf32>)
    starts(%starts : tensor<?xi64>) {window = 15}
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %anchors, %begins, %ends
    : tensor<?x4x?x16xf32>, tensor<?x4x?x1xi32>, tensor<?x4x?x1xi32>, tensor<?x4x?x1xi32>
}

// The published model: distances n ^ (1 / 0.55) behind a window of 2032 keys, and
// spans of 4 n ^ 0.55 keys.
func.func @published(%q1: tensor<?x4x?x16xf32> {attn.name = "q1"},
                %q2: tensor<?x4x?x16xf32> {attn.name = "q2"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %offsets: tensor<?xi32> {attn.name = "offsets"},
                %starts: tensor<?xi64> {attn.name = "starts"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"},
        tensor<?x4x?x3xi32> {attn.name = "anchors"},
        tensor<?x4x?x3xi32> {attn.name = "begins"},
        tensor<?x4x?x3xi32> {attn.name = "ends"}) {
  %anchors, %logits = attn.span_search %q1, %k, %offsets starts(%starts : tensor<?xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?xi32>
    -> tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>
  %begins, %ends = attn.span_bounds %anchors starts(%starts : tensor<?xi64>)
    {backward = 3.0, forward = 1.0, power = 0.55} : tensor<?x4x?x3xi32>
  %o = attn.span_attention %q2, %k, %v
    spans(%begins, %ends, %logits : tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>)
    starts(%starts : tensor<?xi64>) {window = 2032}
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %anchors, %begins, %ends
    : tensor<?x4x?x16xf32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>
}

// Its rule with the window of 3 distances, 11 keys.
func.func @power(%q1: tensor<?x4x?x16xf32> {attn.name = "q1"},
                %q2: tensor<?x4x?x16xf32> {attn.name = "q2"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %offsets: tensor<?xi32> {attn.name = "offsets"},
                %starts: tensor<?xi64> {attn.name = "starts"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"},
        tensor<?x4x?x3xi32> {attn.name = "anchors"},
        tensor<?x4x?x3xi32> {attn.name = "begins"},
        tensor<?x4x?x3xi32> {attn.name = "ends"}) {
  %anchors, %logits = attn.span_search %q1, %k, %offsets starts(%starts : tensor<?xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?xi32>
    -> tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>
  %begins, %ends = attn.span_bounds %anchors starts(%starts : tensor<?xi64>)
    {backward = 3.0, forward = 1.0, power = 0.55} : tensor<?x4x?x3xi32>
  %o = attn.span_attention %q2, %k, %v
    spans(%begins, %ends, %logits : tensor<?x4x?x3xi32>, tensor<?x4x?x3xf32>)
    starts(%starts : tensor<?xi64>) {window = 11}
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %anchors, %begins, %ends
    : tensor<?x4x?x16xf32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>, tensor<?x4x?x3xi32>
}
