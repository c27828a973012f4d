// RUN: attn-opt %s --canonicalize --split-input-file | FileCheck %s

// Maps that say what holds without them go.
// CHECK-LABEL: func.func @default_maps
//   CHECK-NOT:   head_map
//       CHECK:   return
func.func @default_maps(%q: tensor<1x4x5x8xf32>, %k: tensor<1x2x5x8xf32>) -> tensor<1x4x5x8xf32> {
  %o = attn.attention %q, %k, %k
    {key_head_map = array<i64: 0, 0, 1, 1>, value_head_map = array<i64: 0, 0, 1, 1>}
    : tensor<1x4x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32> -> tensor<1x4x5x8xf32>
  return %o : tensor<1x4x5x8xf32>
}

// -----

// CHECK-LABEL: func.func @default_value_map
//       CHECK:   {key_head_map = array<i64: 1, 0, 1, 0>} :
func.func @default_value_map(%q: tensor<1x4x5x8xf32>, %k: tensor<1x2x5x8xf32>) -> tensor<1x4x5x8xf32> {
  %o = attn.attention %q, %k, %k
    {key_head_map = array<i64: 1, 0, 1, 0>, value_head_map = array<i64: 0, 0, 1, 1>}
    : tensor<1x4x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32> -> tensor<1x4x5x8xf32>
  return %o : tensor<1x4x5x8xf32>
}

// -----

// Without a map there would have to be as many heads of keys as of values.
// CHECK-LABEL: func.func @other_number_of_heads
//       CHECK:   key_head_map = array<i64: 0, 0, 1, 1>
//   CHECK-NOT:   value_head_map
//       CHECK:   return
func.func @other_number_of_heads(%q: tensor<1x4x5x8xf32>, %k: tensor<1x2x5x8xf32>,
                                 %v: tensor<1x4x5x8xf32>) -> tensor<1x4x5x8xf32> {
  %o = attn.attention %q, %k, %v
    {key_head_map = array<i64: 0, 0, 1, 1>, value_head_map = array<i64: 0, 1, 2, 3>}
    : tensor<1x4x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x4x5x8xf32> -> tensor<1x4x5x8xf32>
  return %o : tensor<1x4x5x8xf32>
}

// -----

// A mask that hides nothing of the keys in all pages.
// CHECK-LABEL: func.func @window_covers_pages
//   CHECK-NOT:   mask
//       CHECK:   return
func.func @window_covers_pages(%q: tensor<1x4x16x8xf32>, %k: tensor<9x2x4x8xf32>, %t: tensor<1x4xi32>)
    -> tensor<1x4x16x8xf32> {
  %o = attn.attention %q, %k, %k mask(#attn.window<left = 15, right = 15>) pages(%t : tensor<1x4xi32>)
    : tensor<1x4x16x8xf32>, tensor<9x2x4x8xf32>, tensor<9x2x4x8xf32> -> tensor<1x4x16x8xf32>
  return %o : tensor<1x4x16x8xf32>
}

// -----

// CHECK-LABEL: func.func @window_cuts_pages
//       CHECK:   mask(#attn.window<left = 15, right = 15>)
func.func @window_cuts_pages(%q: tensor<1x4x16x8xf32>, %k: tensor<9x2x4x8xf32>, %t: tensor<1x5xi32>)
    -> tensor<1x4x16x8xf32> {
  %o = attn.attention %q, %k, %k mask(#attn.window<left = 15, right = 15>) pages(%t : tensor<1x5xi32>)
    : tensor<1x4x16x8xf32>, tensor<9x2x4x8xf32>, tensor<9x2x4x8xf32> -> tensor<1x4x16x8xf32>
  return %o : tensor<1x4x16x8xf32>
}
