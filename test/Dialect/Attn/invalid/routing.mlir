// RUN: attn-opt %s -split-input-file -verify-diagnostics

func.func @counts(%q: tensor<1x4x8x16xf32>, %rows: tensor<1x4x3xi32>, %counts: tensor<1x2xi32>) {
  // expected-error @+1 {{expects dimension 1 of 'row_counts' and dimension 1 of 'rows' to be equal, but they are 2 and 4}}
  %o = attn.attention %q, %q, %q routing(%rows, %counts : tensor<1x4x3xi32>, tensor<1x2xi32>)
    : tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32> -> tensor<1x4x3x16xf32>
  return
}

// -----

func.func @output(%q: tensor<1x4x8x16xf32>, %rows: tensor<1x1x3xi32>, %counts: tensor<1x1xi32>) {
  // expected-error @+1 {{expects dimension 2 of 'output' and dimension 2 of 'rows' to be equal, but they are 8 and 3}}
  %o = attn.attention %q, %q, %q routing(%rows, %counts : tensor<1x1x3xi32>, tensor<1x1xi32>)
    : tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32> -> tensor<1x4x8x16xf32>
  return
}

// -----

func.func @heads(%q: tensor<1x4x8x16xf32>, %rows: tensor<1x2x3xi32>, %counts: tensor<1x2xi32>) {
  // expected-error @+1 {{expects dimension 1 of 'rows' and dimension 1 of 'query' to be equal, but they are 2 and 4}}
  %o = attn.attention %q, %q, %q routing(%rows, %counts : tensor<1x2x3xi32>, tensor<1x2xi32>)
    : tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32> -> tensor<1x4x3x16xf32>
  return
}

// -----

func.func @half(%q: tensor<1x4x8x16xf32>, %rows: tensor<1x4x3xi32>) {
  // expected-error @+1 {{expects 'rows' and 'row_counts' together}}
  %o = "attn.attention"(%q, %q, %q, %rows) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0>}> ({})
    : (tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x3xi32>) -> tensor<1x4x3x16xf32>
  return
}

// -----

func.func @scatter_width(%x: tensor<1x4x3x16xf32>, %rows: tensor<1x4x3xi32>, %counts: tensor<1x4xi32>, %init: tensor<1x4x9x8xf32>) {
  // expected-error @+1 {{expects dimension 3 of 'init' and dimension 3 of 'input' to be equal, but they are 8 and 16}}
  %o = attn.scatter_rows %x, %rows, %counts into %init : tensor<1x4x3x16xf32>, tensor<1x4x3xi32>, tensor<1x4xi32> into tensor<1x4x9x8xf32>
  return
}

// -----

func.func @scatter_entries(%x: tensor<1x4x3x16xf32>, %rows: tensor<1x4x5xi32>, %counts: tensor<1x4xi32>, %init: tensor<1x4x9x16xf32>) {
  // expected-error @+1 {{expects dimension 2 of 'rows' and dimension 2 of 'input' to be equal, but they are 5 and 3}}
  %o = attn.scatter_rows %x, %rows, %counts into %init : tensor<1x4x3x16xf32>, tensor<1x4x5xi32>, tensor<1x4xi32> into tensor<1x4x9x16xf32>
  return
}

// -----

func.func @scatter_weights(%x: tensor<1x4x3x16xf32>, %rows: tensor<1x4x3xi32>, %counts: tensor<1x4xi32>, %w: tensor<1x1x3xf32>, %init: tensor<1x4x9x16xf32>) {
  // expected-error @+1 {{expects dimension 1 of 'row_weights' and dimension 1 of 'rows' to be equal, but they are 1 and 4}}
  %o = attn.scatter_rows %x, %rows, %counts weights(%w : tensor<1x1x3xf32>) into %init : tensor<1x4x3x16xf32>, tensor<1x4x3xi32>, tensor<1x4xi32> into tensor<1x4x9x16xf32>
  return
}
