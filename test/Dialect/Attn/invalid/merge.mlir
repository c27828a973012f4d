// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @no_part() -> (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) {
  // expected-error @below {{'attn.merge' op expects at least one part}}
  %o, %l = "attn.merge"() : () -> (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>)
  return %o, %l : tensor<1x2x3x4xf32>, tensor<1x2x3xf32>
}

// -----

func.func @part_of_other_type(%o: tensor<1x2x3x4xf32>, %l: tensor<1x2x3xf32>) {
  // expected-error @below {{'attn.merge' op expects every part to have the type of the result 'tensor<1x2x3x5xf32>', but one is 'tensor<1x2x3x4xf32>'}}
  %r:2 = "attn.merge"(%o, %l) : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>)
    -> (tensor<1x2x3x5xf32>, tensor<1x2x3xf32>)
  return
}

// -----

func.func @lse_of_other_type(%o: tensor<1x2x3x4xf32>, %l: tensor<1x2x3xf32>) {
  // expected-error @below {{'attn.merge' op expects every lse to have the type of the result 'tensor<1x2x?xf32>', but one is 'tensor<1x2x3xf32>'}}
  %r:2 = "attn.merge"(%o, %l) : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x?xf32>)
  return
}

// -----

func.func @lse_too_exact(%o: tensor<1x2x3x4xf32>, %l: tensor<1x2x3xf64>) {
  // expected-error @below {{'attn.merge' op expects lses of 'f32' for outputs of 'f32', but their element type is 'f64'}}
  %r, %s = attn.merge (%o, %l) : tensor<1x2x3x4xf32>, tensor<1x2x3xf64>
  return
}

// -----

func.func @rows_differ(%o: tensor<1x2x3x4xf32>, %l: tensor<1x2x4xf32>) {
  // expected-error @below {{'attn.merge' op expects dimension 2 of outputs and lses to be equal, but they are 3 and 4}}
  %r, %s = attn.merge (%o, %l) : tensor<1x2x3x4xf32>, tensor<1x2x4xf32>
  return
}
