// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @strides(%x: tensor<1x4x5x5xf32>, %w: tensor<8x4x3x3xf32>, %y: tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32> {
  // expected-error @+1 {{expects 2 strides, but there are 1}}
  %0 = attn_rt.conv none ins(%x, %w : tensor<1x4x5x5xf32>, tensor<8x4x3x3xf32>) outs(%y : tensor<1x8x3x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 1, 1>, pads_low = array<i64: 0, 0>, pads_high = array<i64: 0, 0>, groups = 1 : i64} -> tensor<1x8x3x3xf32>
  return %0 : tensor<1x8x3x3xf32>
}

// -----

func.func @dilations(%x: tensor<1x4x5xf32>, %w: tensor<8x4x3xf32>, %y: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // expected-error @+1 {{expects dilations of at least 1, but one is 0}}
  %0 = attn_rt.conv none ins(%x, %w : tensor<1x4x5xf32>, tensor<8x4x3xf32>) outs(%y : tensor<1x8x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 0>, pads_low = array<i64: 0>, pads_high = array<i64: 0>, groups = 1 : i64} -> tensor<1x8x3xf32>
  return %0 : tensor<1x8x3xf32>
}

// -----

func.func @channels(%x: tensor<1x4x5xf32>, %w: tensor<8x4x3xf32>, %y: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // expected-error @+1 {{expects an input of 8 channels, those of 'w' in 2 groups, but it has 4}}
  %0 = attn_rt.conv none ins(%x, %w : tensor<1x4x5xf32>, tensor<8x4x3xf32>) outs(%y : tensor<1x8x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 1>, pads_low = array<i64: 0>, pads_high = array<i64: 0>, groups = 2 : i64} -> tensor<1x8x3xf32>
  return %0 : tensor<1x8x3xf32>
}

// -----

func.func @groups(%x: tensor<1x?x5xf32>, %w: tensor<8x4x3xf32>, %y: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // expected-error @+1 {{expects output channels that divide by 3 groups, but there are 8}}
  %0 = attn_rt.conv none ins(%x, %w : tensor<1x?x5xf32>, tensor<8x4x3xf32>) outs(%y : tensor<1x8x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 1>, pads_low = array<i64: 0>, pads_high = array<i64: 0>, groups = 3 : i64} -> tensor<1x8x3xf32>
  return %0 : tensor<1x8x3xf32>
}

// -----

func.func @size(%x: tensor<1x4x5xf32>, %w: tensor<8x4x3xf32>, %y: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // expected-error @+1 {{expects a size of 5 of dimension 2, but it is 3}}
  %0 = attn_rt.conv none ins(%x, %w : tensor<1x4x5xf32>, tensor<8x4x3xf32>) outs(%y : tensor<1x8x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 1>, pads_low = array<i64: 1>, pads_high = array<i64: 1>, groups = 1 : i64} -> tensor<1x8x3xf32>
  return %0 : tensor<1x8x3xf32>
}

// -----

func.func @bias(%x: tensor<1x4x5xf32>, %w: tensor<8x4x3xf32>, %b: tensor<4xf32>, %y: tensor<1x8x3xf32>) -> tensor<1x8x3xf32> {
  // expected-error @+1 {{expects a bias of the channels of 'w', but it is 'tensor<4xf32>'}}
  %0 = attn_rt.conv none ins(%x, %w, %b : tensor<1x4x5xf32>, tensor<8x4x3xf32>, tensor<4xf32>) outs(%y : tensor<1x8x3xf32>)
    {strides = array<i64: 1>, dilations = array<i64: 1>, pads_low = array<i64: 0>, pads_high = array<i64: 0>, groups = 1 : i64} -> tensor<1x8x3xf32>
  return %0 : tensor<1x8x3xf32>
}
