func.func @main(%query: tensor<?x8x?x32xf32> {attn.name = "query"},
                %key: tensor<?x2x?x32xf32> {attn.name = "key"},
                %value: tensor<?x2x?x32xf32> {attn.name = "value"})
    -> (tensor<?x8x?x32xf32> {attn.name = "output"}) {
  %0 = attn.attention %query, %key, %value mask(#attn.causal)
    : tensor<?x8x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>
    -> tensor<?x8x?x32xf32> loc("layer0/attention")
  return %0 : tensor<?x8x?x32xf32>
}
