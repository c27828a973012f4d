// RUN: attn-opt %s --attn-lower-selection --canonicalize --cse | FileCheck %s
// RUN: attn-opt %s --attn-expand-selection | FileCheck %s --check-prefix=EXPAND

// One parallel iteration for each row: bits of the threshold from counts, then
// the list; the rest of it is -1.
// CHECK-LABEL: func.func @top_k
//       CHECK:   %[[IMAGES:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<8x128xf32>)
//       CHECK:     arith.bitcast
//       CHECK:   scf.forall (%[[ROW:.*]]) in (8)
//       CHECK:     %[[IMAGE:.*]] = tensor.extract_slice %[[IMAGES]][%[[ROW]], 0] [1, 128] [1, 1]
//       CHECK:     scf.while
//       CHECK:       linalg.generic {{.*}}iterator_types = ["reduction"]} ins(%[[IMAGE]] :
//       CHECK:     scf.while
//       CHECK:       tensor.insert
//       CHECK:     scf.for
//       CHECK:       tensor.insert %c-1_i32
//   CHECK-NOT:   attn.
func.func @top_k(%s: tensor<8x128xf32>) -> (tensor<8x16xi32>, tensor<8xi32>) {
  %i, %n = attn.top_k %s : tensor<8x128xf32> -> tensor<8x16xi32>, tensor<8xi32>
  return %i, %n : tensor<8x16xi32>, tensor<8xi32>
}

// Tiles of 64 rows; an offset is one product of two tiles, no gather of keys
// that differ from row to row.
// CHECK-LABEL: func.func @search
//       CHECK:   scf.forall (%{{.*}}, %{{.*}}) in (8, 4)
//       CHECK:     scf.for %[[N:[a-z0-9]+]] =
//       CHECK:       %[[ENTRY:.*]] = tensor.extract %{{.*}}[%[[N]]] : tensor<15xi32>
//       CHECK:       scf.if
//       CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]
//       CHECK:           tensor.extract %{{.*}} : tensor<1x2x256x64xf32>
//       CHECK:         linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]
//   CHECK-NOT:   attn.
func.func @search(%q: tensor<1x8x256x64xf32>, %k: tensor<1x2x256x64xf32>,
                  %t: tensor<15xi32>) -> (tensor<1x8x256x2xi32>, tensor<1x8x256x2xf32>) {
  %a, %l = attn.span_search %q, %k, %t
    : tensor<1x8x256x64xf32>, tensor<1x2x256x64xf32>, tensor<15xi32>
    -> tensor<1x8x256x2xi32>, tensor<1x8x256x2xf32>
  return %a, %l : tensor<1x8x256x2xi32>, tensor<1x8x256x2xf32>
}

// f64 is left for the decomposition.
// CHECK-LABEL: func.func @search_f64
//       CHECK:   attn.span_search
func.func @search_f64(%q: tensor<1x8x256x64xf64>, %k: tensor<1x2x256x64xf64>,
                      %t: tensor<15xi32>) -> tensor<1x8x256x2xf64> {
  %a, %l = attn.span_search %q, %k, %t
    : tensor<1x8x256x64xf64>, tensor<1x2x256x64xf64>, tensor<15xi32>
    -> tensor<1x8x256x2xi32>, tensor<1x8x256x2xf64>
  return %l : tensor<1x8x256x2xf64>
}

// Span attention is an attention over the window and one whose rows are the
// spans, sorted; no row visits all keys.
// EXPAND-LABEL: func.func @spans
//       EXPAND:   scf.for
//       EXPAND:   %[[WINDOW:.*]], %[[LSE:.*]] = attn.attention {{.*}} mask(#attn.window<left = 14, right = 0>)
//  EXPAND-SAME:     tensor<1x8x256x64xf32>, tensor<1x8x256xf32>
//       EXPAND:   attn.attention {{.*}} mask(#attn.spans, %{{.*}}, %{{.*}} : tensor<1x8x768xi32>, tensor<1x8x768xi32>)
//  EXPAND-SAME:     tensor<1x8x768x64xf32>, tensor<1x8x768xf32>
//   EXPAND-NOT:   attn.
func.func @spans(%q: tensor<1x8x256x64xf32>, %k: tensor<1x2x256x64xf32>,
                 %b: tensor<1x8x256x3xi32>, %l: tensor<1x8x256x3xf32>) -> tensor<1x8x256x64xf32> {
  %o = attn.span_attention %q, %k, %k
    spans(%b, %b, %l : tensor<1x8x256x3xi32>, tensor<1x8x256x3xf32>) {window = 15}
    : tensor<1x8x256x64xf32>, tensor<1x2x256x64xf32>, tensor<1x2x256x64xf32>
    -> tensor<1x8x256x64xf32>
  return %o : tensor<1x8x256x64xf32>
}
