// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @rope_too_many_features(%x: tensor<1x2x3x8xf32>, %c: tensor<3x5xf32>) {
  // expected-error @below {{'attn.rope' op expects at most 8 features to rotate, but the last dimension of 'cos' is 5, which rotates 10}}
  %r = attn.rope %x, %c, %c : tensor<1x2x3x8xf32>, tensor<3x5xf32>
  return
}

// -----

func.func @rope_rows(%x: tensor<1x2x3x8xf32>, %c: tensor<4x4xf32>) {
  // expected-error @below {{'attn.rope' op expects one row of 'cos' for each token, but dimension 2 of 'input' is 3 and 'cos' has 4 rows}}
  %r = attn.rope %x, %c, %c : tensor<1x2x3x8xf32>, tensor<4x4xf32>
  return
}

// -----

func.func @rope_batch(%x: tensor<5x2x3x8xf32>, %c: tensor<2x3x4xf32>) {
  // expected-error @below {{'attn.rope' op expects dimension 0 of 'cos' to be 1 or the batch size 5, but it is 2}}
  %r = attn.rope %x, %c, %c : tensor<5x2x3x8xf32>, tensor<2x3x4xf32>
  return
}

// -----

func.func @rope_output(%x: tensor<1x2x3x8xf32>, %c: tensor<3x4xf32>) {
  // expected-error @below {{'attn.rope' op failed to verify that all of {input, output} have same type}}
  %r = "attn.rope"(%x, %c, %c)
    : (tensor<1x2x3x8xf32>, tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<1x2x3x8xf16>
  return
}

// -----

func.func @rope_tables(%x: tensor<1x2x3x8xf32>, %c: tensor<3x4xf32>, %s: tensor<3x3xf32>) {
  // expected-error @below {{'attn.rope' op failed to verify that all of {cos, sin} have same type}}
  %r = "attn.rope"(%x, %c, %s)
    : (tensor<1x2x3x8xf32>, tensor<3x4xf32>, tensor<3x3xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @append_type(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf16>) {
  // expected-error @below {{'attn.kv_append' op expects one element type, but 'cache' has 'f32' and another operand or the result 'f16'}}
  %r = attn.kv_append %c, %u
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf16> -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @append_update_heads(%c: tensor<1x2x3x8xf32>, %u: tensor<1x3x1x8xf32>) {
  // expected-error @below {{'attn.kv_append' op expects dimension 1 of 'cache' and 'update' to be equal, but they are 2 and 3}}
  %r = attn.kv_append %c, %u
    : tensor<1x2x3x8xf32>, tensor<1x3x1x8xf32> -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @append_result_features(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf32>) {
  // expected-error @below {{'attn.kv_append' op expects dimension 3 of 'cache' and 'result' to be equal, but they are 8 and 9}}
  %r = attn.kv_append %c, %u
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf32> -> tensor<1x2x4x9xf32>
  return
}

// -----

func.func @append_length(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf32>) {
  // expected-error @below {{'attn.kv_append' op expects a result of length 4, the sum of 3 and 1, but its dimension 2 is 5}}
  %r = attn.kv_append %c, %u
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf32> -> tensor<1x2x5x8xf32>
  return
}

// -----

func.func @append_at_length(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf32>, %at: tensor<1xi64>) {
  // expected-error @below {{'attn.kv_append' op expects a result of the cache's length 3 when 'at' is given, but its dimension 2 is 4}}
  %r = attn.kv_append %c, %u at(%at : tensor<1xi64>)
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf32> -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @append_at_batch(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf32>, %at: tensor<2xi64>) {
  // expected-error @below {{'attn.kv_append' op expects one index 'at' for each batch entry, but there are 2 indices and the batch size is 1}}
  %r = attn.kv_append %c, %u at(%at : tensor<2xi64>)
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf32> -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @append_circular_without_at(%c: tensor<1x2x3x8xf32>, %u: tensor<1x2x1x8xf32>) {
  // expected-error @below {{'attn.kv_append' op expects 'at' when 'mode' is circular; a cache without 'at' grows and never wraps}}
  %r = attn.kv_append %c, %u {mode = #attn.cache_mode<circular>}
    : tensor<1x2x3x8xf32>, tensor<1x2x1x8xf32> -> tensor<1x2x4x8xf32>
  return
}
