func.func @main(%x: tensor<1x4x8x16xf64>, %s: tensor<4x8xf32>)
    -> (tensor<1x4x8x16xf64>, tensor<4x8xf32>) {
  %0 = attn.attention %x, %x, %x
    : tensor<1x4x8x16xf64>, tensor<1x4x8x16xf64>, tensor<1x4x8x16xf64>
    -> tensor<1x4x8x16xf64> loc("oracle")
  %e = tensor.empty() : tensor<4x8xf32>
  %1 = linalg.softmax dimension(1) ins(%s : tensor<4x8xf32>)
    outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32> loc("probabilities")
  return %0, %1 : tensor<1x4x8x16xf64>, tensor<4x8xf32>
}
