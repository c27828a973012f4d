// a + b, with a dynamic batch.
func.func @main(%a: tensor<?x3xf32> {attn.name = "a", attn.dims = ["batch", ""]},
                %b: tensor<?x3xf32> {attn.name = "b", attn.dims = ["batch", ""]})
    -> (tensor<?x3xf32> {attn.name = "sum", attn.dims = ["batch", ""]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?x3xf32>
  %e = tensor.empty(%n) : tensor<?x3xf32>
  %r = linalg.add ins(%a, %b : tensor<?x3xf32>, tensor<?x3xf32>)
    outs(%e : tensor<?x3xf32>) -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}
