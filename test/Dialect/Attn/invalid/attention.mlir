// RUN: attn-opt %s --split-input-file --verify-diagnostics

// One case for each rule of the verifier; the function is named after the rule.

func.func @key_of_other_type(%q: tensor<1x2x3x4xf16>, %k: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'key' to have the element type of 'query', but they are 'f32' and 'f16'}}
  %o = attn.attention %q, %k, %q
    : tensor<1x2x3x4xf16>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf16>
    -> tensor<1x2x3x4xf16>
  return
}

// -----

func.func @value_of_other_type(%q: tensor<1x2x3x4xf16>, %v: tensor<1x2x3x4xbf16>) {
  // expected-error @below {{'attn.attention' op expects 'value' to have the element type of 'query', but they are 'bf16' and 'f16'}}
  %o = attn.attention %q, %q, %v
    : tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>, tensor<1x2x3x4xbf16>
    -> tensor<1x2x3x4xf16>
  return
}

// -----

func.func @output_of_other_type(%q: tensor<1x2x3x4xf16>) {
  // expected-error @below {{'attn.attention' op expects 'output' to have the element type of 'query', but they are 'f32' and 'f16'}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>, tensor<1x2x3x4xf16>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @integers(%q: tensor<1x2x3x4xi32>) {
  // expected-error @below {{'attn.attention' op operand #0 must be 4D tensor of f16, bf16, f32 or f64 values, but got 'tensor<1x2x3x4xi32>'}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xi32>, tensor<1x2x3x4xi32>, tensor<1x2x3x4xi32>
    -> tensor<1x2x3x4xi32>
  return
}

// -----

func.func @rank_3(%q: tensor<2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op operand #0 must be 4D tensor of f16, bf16, f32 or f64 values, but got 'tensor<2x3x4xf32>'}}
  %o = attn.attention %q, %q, %q
    : tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>
    -> tensor<2x3x4xf32>
  return
}

// -----

func.func @head_dim_zero(%q: tensor<1x2x3x0xf32>) {
  // expected-error @below {{'attn.attention' op expects a head dimension of at least 1, but dimension 3 of 'query' is 0}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x0xf32>, tensor<1x2x3x0xf32>, tensor<1x2x3x0xf32>
    -> tensor<1x2x3x0xf32>
  return
}

// -----

func.func @head_dim_dynamic(%q: tensor<1x2x3x?xf32>) {
  // expected-error @below {{'attn.attention' op expects a static head dimension, but dimension 3 of 'query' is dynamic; cast the operands}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x?xf32>, tensor<1x2x3x?xf32>, tensor<1x2x3x?xf32>
    -> tensor<1x2x3x?xf32>
  return
}

// -----

func.func @value_dim_dynamic(%q: tensor<1x2x3x4xf32>, %v: tensor<1x2x3x?xf32>) {
  // expected-error @below {{'attn.attention' op expects a static value dimension, but dimension 3 of 'value' is dynamic; cast the operands}}
  %o = attn.attention %q, %q, %v
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x?xf32>
    -> tensor<1x2x3x?xf32>
  return
}

// -----

func.func @key_batch(%q: tensor<1x2x3x4xf32>, %k: tensor<5x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'key' and dimension 0 of 'query' to be equal, but they are 5 and 1}}
  %o = attn.attention %q, %k, %q
    : tensor<1x2x3x4xf32>, tensor<5x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @value_batch(%q: tensor<1x2x3x4xf32>, %v: tensor<5x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'value' and dimension 0 of 'key' to be equal, but they are 5 and 1}}
  %o = attn.attention %q, %q, %v
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<5x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @value_heads(%q: tensor<1x2x3x4xf32>, %v: tensor<1x1x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 1 of 'value' and dimension 1 of 'key' to be equal, but they are 1 and 2}}
  %o = attn.attention %q, %q, %v
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @value_length(%q: tensor<1x2x3x4xf32>, %v: tensor<1x2x9x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 2 of 'value' and dimension 2 of 'key' to be equal, but they are 9 and 3}}
  %o = attn.attention %q, %q, %v
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x9x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @key_head_dim(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x3x8xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 3 of 'key' and dimension 3 of 'query' to be equal, but they are 8 and 4}}
  %o = attn.attention %q, %k, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @output_batch(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'output' and dimension 0 of 'query' to be equal, but they are 5 and 1}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<5x2x3x4xf32>
  return
}

// -----

func.func @output_heads(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 1 of 'output' and dimension 1 of 'query' to be equal, but they are 5 and 2}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x5x3x4xf32>
  return
}

// -----

func.func @output_length(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 2 of 'output' and dimension 2 of 'query' to be equal, but they are 5 and 3}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x5x4xf32>
  return
}

// -----

func.func @output_value_dim(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 3 of 'output' and dimension 3 of 'value' to be equal, but they are 5 and 4}}
  %o = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x5xf32>
  return
}

// -----

func.func @kv_heads_do_not_divide_heads(%q: tensor<1x8x3x4xf32>,
                                        %kv: tensor<1x3x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects kv_heads to divide heads, but dimension 1 of 'key' is 3 and dimension 1 of 'query' is 8; repeat or regroup the key heads}}
  %o = attn.attention %q, %kv, %kv
    : tensor<1x8x3x4xf32>, tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>
    -> tensor<1x8x3x4xf32>
  return
}

// -----

func.func @no_kv_heads(%q: tensor<1x8x3x4xf32>, %kv: tensor<1x0x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects kv_heads to divide heads, but dimension 1 of 'key' is 0 and dimension 1 of 'query' is 8; repeat or regroup the key heads}}
  %o = attn.attention %q, %kv, %kv
    : tensor<1x8x3x4xf32>, tensor<1x0x3x4xf32>, tensor<1x0x3x4xf32>
    -> tensor<1x8x3x4xf32>
  return
}

// -----

func.func @bias_does_not_broadcast(%q: tensor<1x2x3x4xf32>, %b: tensor<1x2x3x5xf32>) {
  // expected-error @below {{'attn.attention' op expects 'bias' to broadcast to the scores, but its dimension 3 is 5 and that of the scores is 3; expected 3 or 1}}
  %o = attn.attention %q, %q, %q bias(%b : tensor<1x2x3x5xf32>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @keep_does_not_broadcast(%q: tensor<1x2x3x4xf32>, %k: tensor<1x3x1x1xi1>) {
  // expected-error @below {{'attn.attention' op expects 'keep' to broadcast to the scores, but its dimension 1 is 3 and that of the scores is 2; expected 2 or 1}}
  %o = attn.attention %q, %q, %q keep(%k : tensor<1x3x1x1xi1>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @keep_of_floats(%q: tensor<1x2x3x4xf32>, %k: tensor<1x1x1x1xf32>) {
  // expected-error @below {{'attn.attention' op operand #3 must be 4D tensor of 1-bit signless integer values, but got 'tensor<1x1x1x1xf32>'}}
  %o = attn.attention %q, %q, %q keep(%k : tensor<1x1x1x1xf32>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @kv_lengths_batch(%q: tensor<1x2x3x4xf32>, %l: tensor<5xi64>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'kv_lengths' and dimension 0 of 'query' to be equal, but they are 5 and 1}}
  %o = attn.attention %q, %q, %q kv_lengths(%l : tensor<5xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @query_offset_batch(%q: tensor<1x2x3x4xf32>, %l: tensor<5xi64>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'query_offset' and dimension 0 of 'query' to be equal, but they are 5 and 1}}
  %o = attn.attention %q, %q, %q query_offset(%l : tensor<5xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @sinks_heads(%q: tensor<1x2x3x4xf32>, %s: tensor<5xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'sink_logits' and dimension 1 of 'query' to be equal, but they are 5 and 2}}
  %o = attn.attention %q, %q, %q sinks(%s : tensor<5xf32>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @softcap_zero(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'softcap' to be positive and finite, but it is 0.000000e+00; leave it out for no cap}}
  %o = attn.attention %q, %q, %q {softcap = 0.0 : f64}
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @softcap_nan(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'softcap' to be positive and finite, but it is nan; leave it out for no cap}}
  %o = attn.attention %q, %q, %q {softcap = 0x7FF8000000000000 : f64}
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @scale_infinite(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'softmax_scale' to be finite, but it is INF}}
  %o = attn.attention %q, %q, %q {softmax_scale = 0x7FF0000000000000 : f64}
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @softmax_precision(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'softmax_precision' to be f16, bf16, f32 or f64, but it is 'i32'}}
  %o = attn.attention %q, %q, %q {softmax_precision = i32}
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @lse_shape(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects dimension 2 of 'lse' and dimension 2 of 'query' to be equal, but they are 4 and 3}}
  %o, %l = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>, tensor<1x2x4xf32>
  return
}

// -----

func.func @lse_type(%q: tensor<1x2x3x4xf64>) {
  // expected-error @below {{'attn.attention' op expects 'lse' to be of 'f64', but its element type is 'f32'}}
  %o, %l = attn.attention %q, %q, %q
    : tensor<1x2x3x4xf64>, tensor<1x2x3x4xf64>, tensor<1x2x3x4xf64>
    -> tensor<1x2x3x4xf64>, tensor<1x2x3xf32>
  return
}

// -----

func.func @mask_operands_missing(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 2 mask operands for its mask, but it has 0}}
  %o = attn.attention %q, %q, %q mask(#attn.documents)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @mask_operands_left_over(%q: tensor<1x2x3x4xf32>, %i: tensor<1x3xi64>) {
  // expected-error @below {{'attn.attention' op expects 0 mask operands for its mask, but it has 1}}
  %o = attn.attention %q, %q, %q mask(#attn.causal, %i : tensor<1x3xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}
